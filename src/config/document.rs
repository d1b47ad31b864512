//! From the bytes that Envoy hands over to one tree of values.
//!
//! JSON text (`google.protobuf.StringValue`) and the protobuf bytes of `google.protobuf.Struct` are
//! both read. JSON that names a member twice is refused: two readers could take either.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problems::{Path, Problems, ROOT};
use super::structpb;

/// The tree, or `None` after reporting why there is none. Nesting is bounded by the decoders: 128
/// levels of JSON, 100 nested protobuf messages.
pub(super) fn read(bytes: &[u8], problems: &mut Problems) -> Option<Value> {
    if bytes.trim_ascii().is_empty() {
        problems.add(ROOT, "empty; give a JSON object, or a google.protobuf.Struct");
        return None;
    }
    if structpb::is_struct(bytes) {
        return structpb::decode(bytes, problems);
    }
    if !bytes.trim_ascii_start().starts_with(b"{") {
        problems.add(ROOT, "neither a JSON object nor the bytes of a google.protobuf.Struct");
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Tree { at: ROOT, problems }.deserialize(&mut json);
    match value.and_then(|value| json.end().map(|()| value)) {
        Ok(value) => Some(value),
        Err(error) => {
            // Every type is accepted, so this is a syntax error: its text holds a position, no value.
            problems.add(ROOT, format!("not valid JSON: {error}"));
            None
        }
    }
}

/// Builds a [`Value`] and reports members that come twice; the first one is kept.
struct Tree<'p> {
    at: &'p Path<'p>,
    problems: &'p mut Problems,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let at = self.at.item(items.len());
            match input.next_element_seed(Tree { at: &at, problems: self.problems })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = input.next_key::<String>()? {
            let at = self.at.field(&name);
            let value = input.next_value_seed(Tree { at: &at, problems: self.problems })?;
            if members.contains_key(&name) {
                self.problems.add(&at, "given twice");
            } else {
                members.insert(name, value);
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn problems(bytes: &[u8]) -> String {
        let mut problems = Problems::default();
        let value = read(bytes, &mut problems);
        assert_eq!(value.is_none() || bytes.starts_with(b"{\"a"), !problems.is_empty());
        problems.to_string()
    }

    #[test]
    fn reads_json() {
        let mut problems = Problems::default();
        let text = br#" { "a": [1, -2, 0.5, "x", null, true, {"b": {}}] }"#;
        let value = read(text, &mut problems).unwrap();
        assert_eq!(value, serde_json::from_slice::<Value>(text).unwrap());
        assert!(problems.is_empty());
    }

    #[test]
    fn refuses_garbage_with_one_clear_problem() {
        for (bytes, want) in [
            (&b""[..], "empty"),
            (b" \n", "empty"),
            (b"providers: []", "neither a JSON object nor"),
            (b"[]", "neither a JSON object nor"),
            (b"\xff\xfe", "neither a JSON object nor"),
            (b"{} x", "not valid JSON: trailing characters at line 1 column 4"),
            (b"{", "not valid JSON: EOF"),
            (b"\n{\"k\": \"s3cret\" ]", "not valid JSON: expected `,` or `}` at line 2"),
            (b"{\"k\": \"\x01\"}", "not valid JSON: control character"),
        ] {
            let text = problems(bytes);
            assert!(text.contains(want), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains("s3cret"));
        }
        let deep = [b"{\"k\":".repeat(100_000), b"1".to_vec()].concat();
        assert!(problems(&deep).contains("recursion limit"));
    }

    #[test]
    fn refuses_members_that_come_twice_at_any_depth() {
        let text = br#"{"a":{"x":1,"\u0078":2,"x":3},"l":[{"y":1,"y":1}],"a":0}"#;
        assert_eq!(
            problems(text),
            "a.x: given twice\na.x: given twice\nl[0].y: given twice\na: given twice"
        );
    }
}
