//! Parts of JSON Schemas.

use serde_json::{Map, Value, json};

/// A JSON Schema, or a part of one.
pub(super) type Schema = Value;

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
