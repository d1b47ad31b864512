//! Parts of JSON Schemas.

use serde_json::{Map, Value, json};

/// A JSON Schema, or a part of one.
pub(super) type Schema = Value;

/// A member of an object.
pub(super) struct Property {
    pub name: &'static str,
    /// Lines of comment.
    pub about: &'static [&'static str],
    pub schema: Schema,
    pub is_needed: bool,
}

/// An object with these members and no others, of which exactly one of `one_of` is there.
pub(super) fn object(members: Vec<Property>, one_of: &[&str]) -> Schema {
    let needed: Vec<&str> = members.iter().filter(|it| it.is_needed).map(|it| it.name).collect();
    let properties: Map<String, Value> = members
        .into_iter()
        .map(|Property { name, about, mut schema, .. }| {
            let about: Vec<&str> = about.iter().map(|line| line.trim()).collect();
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), about.join(" ").into());
            }
            (name.to_owned(), schema)
        })
        .collect();
    let mut object =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let Some(object) = object.as_object_mut() {
        if !needed.is_empty() {
            object.insert("required".to_owned(), needed.into());
        }
        if !one_of.is_empty() {
            let each: Vec<Value> = one_of.iter().map(|name| json!({"required": [name]})).collect();
            object.insert("oneOf".to_owned(), each.into());
        }
    }
    object
}

/// One of several forms.
pub(super) fn any_of(forms: impl IntoIterator<Item = Schema>) -> Schema {
    json!({"anyOf": forms.into_iter().collect::<Vec<_>>()})
}
