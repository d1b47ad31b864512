//! The protobuf bytes of `google.protobuf.Struct`.
//!
//! Envoy's documentation has a Struct arrive as JSON; Envoy 1.40 passes its protobuf bytes.

use std::str;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as PbValue};
use serde_json::{Map, Number, Value};

use super::problems::{Path, Problems, ROOT};

/// Tag of `Struct.fields` (field 1, length-delimited); as text it is a line feed.
const FIELDS: u8 = 0x0a;
/// Tag of the value of a map entry (field 2, length-delimited).
const ENTRY_VALUE: u8 = 0x12;

/// Tag of a value that is a list (field 6, length-delimited). A list's elements have the tag [`FIELDS`].
const LIST_VALUE: u8 = 0x32;

/// Tells a Struct from JSON text. A Struct that holds anything begins with its first map entry and
/// has a tag for that entry's value. The first byte alone does not tell (JSON text may begin with a
/// line feed), the second tag does: it is a control character that no JSON text may hold.
pub(super) fn is_struct(bytes: &[u8]) -> bool {
    bytes.first() == Some(&FIELDS) && bytes.contains(&ENTRY_VALUE)
}

/// A Struct, its numbers all doubles, and beside it the elements of one member that is a list, unread: what is expected
/// to be large is never a tree.
#[derive(Debug, PartialEq)]
pub(super) struct Split<'a> {
    pub rest: Value,
    pub items: Vec<&'a [u8]>,
}

/// The Struct, and the list `listed` of it. `None` after reporting why there is none.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    listed: &str,
    problems: &mut Problems,
) -> Option<Split<'a>> {
    let document = split(bytes, listed, problems);
    if document.is_none() {
        problems.add(ROOT, "neither JSON text nor a well-formed google.protobuf.Struct");
    }
    document
}

/// Reads the outermost message by hand, so that the list stays as it is written. Of a name that comes
/// twice the last counts, as in every map of protobuf.
fn split<'a>(bytes: &'a [u8], listed: &str, problems: &mut Problems) -> Option<Split<'a>> {
    let mut members = Map::new();
    let mut items = Vec::new();
    for entry in fields(bytes) {
        let (Some(FIELDS), entry) = entry? else { continue };
        let (mut name, mut member) = ("", &[][..]);
        for field in fields(entry) {
            match field? {
                (Some(FIELDS), text) => name = str::from_utf8(text).ok()?,
                (Some(ENTRY_VALUE), value) => member = value,
                _ => {}
            }
        }
        if name == listed
            && let Some(list) = list(member)
        {
            items = list;
            members.remove(name);
            continue;
        }
        if name == listed {
            items = Vec::new();
        }
        let member = PbValue::decode(member).ok()?;
        members.insert(name.to_owned(), value(member, &ROOT.field(name), problems));
    }
    Some(Split { rest: Value::Object(members), items })
}

/// The elements of a value that is a list.
fn list(value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut items = None;
    for field in fields(value) {
        match field? {
            (Some(LIST_VALUE), list) => {
                let items = items.get_or_insert_with(Vec::new);
                for item in fields(list) {
                    if let (Some(FIELDS), item) = item? {
                        items.push(item);
                    }
                }
            }
            // Of several kinds the last counts.
            _ => items = None,
        }
    }
    items
}

/// One element of the list.
pub(super) fn item(bytes: &[u8], at: &Path<'_>, problems: &mut Problems) -> Option<Value> {
    match PbValue::decode(bytes) {
        Ok(item) => Some(value(item, at, problems)),
        Err(_) => {
            problems.add(at, "not a well-formed google.protobuf.Value");
            None
        }
    }
}

/// The fields of a message: the tag and the bytes of each that is length-delimited, no tag for another. `None` where the
/// message is malformed, which ends it.
fn fields(message: &[u8]) -> impl Iterator<Item = Option<(Option<u8>, &[u8])>> {
    /// The bytes of a message's numbers that have none of their own length.
    const FIXED: [(usize, usize); 2] = [(1, 8), (5, 4)];
    let mut rest = message;
    let mut next = move || {
        let tag = prost::decode_length_delimiter(&mut rest).ok()?;
        let length = match tag & 7 {
            0 => prost::decode_length_delimiter(&mut rest).map(|_| 0).ok()?,
            2 => prost::decode_length_delimiter(&mut rest).ok()?,
            other => FIXED.iter().find(|(kind, _)| *kind == other)?.1,
        };
        let (field, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(((tag & 7 == 2).then(|| u8::try_from(tag).ok()).flatten(), field, rest.is_empty()))
    };
    let mut is_over = message.is_empty();
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let field = next();
        is_over = field.is_none_or(|(_, _, is_last)| is_last);
        Some(field.map(|(tag, bytes, _)| (tag, bytes)))
    })
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
    use super::super::document::{KEYS, Keys};
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
        assert_eq!(decode(&bytes, KEYS, &mut problems).map(|document| document.rest), Some(from));
        assert!(problems.is_empty());
    }

    #[test]
    fn the_list_of_virtual_keys_is_read_apart() {
        let entry = |name: &str, value: PbValue| {
            let bytes = Struct { fields: [(name.to_owned(), value)].into() }.encode_to_vec();
            assert!(!bytes.is_empty());
            bytes
        };
        let list = |items: Value| to_pb(&items);
        let (one, other) = (entry(KEYS, list(json!([1, 2]))), entry(KEYS, list(json!([]))));
        let wrong = entry(KEYS, to_pb(&json!("s3cret")));
        for (bytes, want, rest) in [
            (one.clone(), vec![json!(1.0), json!(2.0)], json!({})),
            (other.clone(), vec![], json!({})),
            // The last of a name counts.
            ([other, one.clone()].concat(), vec![json!(1.0), json!(2.0)], json!({})),
            ([one.clone(), wrong.clone()].concat(), vec![], json!({KEYS: "s3cret"})),
            ([wrong, one].concat(), vec![json!(1.0), json!(2.0)], json!({})),
        ] {
            let mut problems = Problems::default();
            let document = decode(&bytes, KEYS, &mut problems).unwrap();
            assert_eq!(document.rest, rest);
            let mut seen = Vec::new();
            Keys::Protobuf(document.items)
                .each(ROOT, &mut problems, |_, key: Value, _| seen.push(key));
            assert!(problems.is_empty() && seen == want, "{seen:?} {want:?}");
        }
    }

    #[test]
    fn a_key_that_is_no_value_is_named() {
        let mut problems = Problems::default();
        let at = ROOT.field(KEYS);
        let keys = Keys::Protobuf(vec![b"\x12\x01", b"\x20\x01"]);
        keys.each(&at, &mut problems, |index, _: Value, _| assert_eq!(index, 1));
        assert_eq!(
            problems.to_string(),
            "virtual_keys[0]: not a well-formed google.protobuf.Value"
        );
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
            assert_eq!(decode(&bytes, KEYS, &mut problems), None);
            assert_eq!(problems.iter().count(), 1);
        }
    }

    #[test]
    fn numbers_are_finite() {
        let kind = Some(Kind::NumberValue(f64::NAN));
        let fields = [("n".to_owned(), PbValue { kind })].into();
        let mut problems = Problems::default();
        decode(&Struct { fields }.encode_to_vec(), KEYS, &mut problems);
        assert_eq!(problems.to_string(), "n: not a finite number");
    }
}
