//! The protobuf bytes of `google.protobuf.Struct`.
//!
//! Envoy's documentation has a Struct arrive as JSON; Envoy 1.40 passes its protobuf bytes.

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as PbValue};
use serde_json::{Map, Number, Value};

use super::problems::{Path, Problems, ROOT};

/// Tag of `Struct.fields` (field 1, length-delimited); as text it is a line feed.
const FIELDS: u8 = 0x0a;
/// Tag of the value of a map entry (field 2, length-delimited).
const ENTRY_VALUE: u8 = 0x12;

/// Tells a Struct from JSON text. A Struct that holds anything begins with its first map entry and
/// has a tag for that entry's value. The first byte alone does not tell (JSON text may begin with a
/// line feed), the second tag does: it is a control character that no JSON text may hold.
pub(super) fn is_struct(bytes: &[u8]) -> bool {
    bytes.first() == Some(&FIELDS) && bytes.contains(&ENTRY_VALUE)
}

/// The Struct as a JSON value; all numbers are doubles. `None` after reporting why there is none.
pub(super) fn decode(bytes: &[u8], problems: &mut Problems) -> Option<Value> {
    match Struct::decode(bytes) {
        Ok(root) => Some(object(root, ROOT, problems)),
        Err(_) => {
            problems.add(ROOT, "neither JSON text nor a well-formed google.protobuf.Struct");
            None
        }
    }
}

// The recursion below goes no deeper than prost let the message be (100 nested messages).

fn object(from: Struct, at: &Path<'_>, problems: &mut Problems) -> Value {
    let mut members = Map::new();
    for (name, member) in from.fields {
        let member = value(member, &at.field(&name), problems);
        members.insert(name, member);
    }
    Value::Object(members)
}

fn value(from: PbValue, at: &Path<'_>, problems: &mut Problems) -> Value {
    match from.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => match Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => {
                problems.add(at, "not a finite number");
                Value::Null
            }
        },
        Some(Kind::StructValue(inner)) => object(inner, at, problems),
        Some(Kind::ListValue(list)) => Value::Array(
            list.values
                .into_iter()
                .enumerate()
                .map(|(index, item)| value(item, &at.item(index), problems))
                .collect(),
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::test;
    use serde_json::json;

    /// The Struct that Envoy makes of a configuration.
    pub(in crate::config) fn encode(from: &Value) -> Vec<u8> {
        match to_pb(from).kind {
            Some(Kind::StructValue(root)) => root.encode_to_vec(),
            _ => panic!("not an object"),
        }
    }

    fn to_pb(from: &Value) -> PbValue {
        let kind = match from {
            Value::Null => Kind::NullValue(0),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(items) => Kind::ListValue(prost_types::ListValue {
                values: items.iter().map(to_pb).collect(),
            }),
            Value::Object(members) => Kind::StructValue(Struct {
                fields: members.iter().map(|(name, value)| (name.clone(), to_pb(value))).collect(),
            }),
        };
        PbValue { kind: Some(kind) }
    }

    #[test]
    fn decodes_what_envoy_sends() {
        let from = json!({"n": 33_554_432.0, "s": "x", "l": [true, null, 0.5], "o": {"p": {}}});
        let bytes = encode(&from);
        assert!(is_struct(&bytes));
        let mut problems = Problems::default();
        assert_eq!(decode(&bytes, &mut problems), Some(from));
        assert!(problems.is_empty());
    }

    #[test]
    fn is_not_taken_for_json_whatever_its_lengths_are() {
        // The second byte is the first entry's length: 0x7b is `{`, 0x20 a space.
        for length in 0..300 {
            let bytes = encode(&json!({"providers": "x".repeat(length)}));
            assert!(is_struct(&bytes), "{length}");
        }
        assert!(!is_struct(b"\n{\"providers\": []}"));
        assert!(!is_struct(b""));
    }

    #[test]
    fn garbage_and_bottomless_nesting_are_one_problem() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!({ "a": deep });
        }
        for bytes in [b"\n\x05\x12\x01".to_vec(), b"\n\xff\xff\x12".to_vec(), encode(&deep)] {
            let mut problems = Problems::default();
            assert_eq!(decode(&bytes, &mut problems), None);
            assert_eq!(problems.iter().count(), 1);
        }
    }

    #[test]
    fn numbers_are_finite() {
        let kind = Some(Kind::NumberValue(f64::NAN));
        let fields = [("n".to_owned(), PbValue { kind })].into();
        let mut problems = Problems::default();
        decode(&Struct { fields }.encode_to_vec(), &mut problems);
        assert_eq!(problems.to_string(), "n: not a finite number");
    }
}
