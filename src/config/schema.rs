//! The configuration as a JSON Schema, made of what [`super::raw`] declares.

use serde_json::{Map, Value, json};

use super::field::Shape as _;
use super::raw::RawConfig;

/// A JSON Schema, or a part of one.
pub(super) type Schema = Value;

/// The plugin configuration as a JSON Schema (2020-12). It knows names and types; the rules that go further
/// are those of [`Config::from_plugin_configuration`](crate::policy::Config::from_plugin_configuration).
#[must_use]
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "openai-gateway-filter",
        "description": "The plugin configuration of openai-gateway-filter.",
    });
    if let (Some(schema), Value::Object(config)) = (schema.as_object_mut(), RawConfig::schema()) {
        schema.extend(config);
    }
    schema
}

/// An object with these members and no others: name, lines of comment, schema.
pub(super) fn object(members: &[(&str, &[&str], Schema)]) -> Schema {
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, about, schema)| {
            let about: Vec<&str> = about.iter().map(|line| line.trim()).collect();
            let mut schema = schema.clone();
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), about.join(" ").into());
            }
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// One of several forms.
pub(super) fn any_of(forms: impl IntoIterator<Item = Schema>) -> Schema {
    json!({"anyOf": forms.into_iter().collect::<Vec<_>>()})
}
