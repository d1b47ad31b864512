//! From the bytes that Envoy hands over to one tree of values, and the virtual keys beside it.
//!
//! There may be a hundred thousand keys: they are never a tree together, but read one by one ([`Keys`]).
//!
//! JSON text (`google.protobuf.StringValue`) and the protobuf bytes of `google.protobuf.Struct` are
//! both read. JSON that names a member twice is refused: two readers could take either.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::problems::{Path, Problems, ROOT};
use super::structpb;

/// The member whose elements are read one by one.
pub(super) const KEYS: &str = "virtual_keys";

/// What an operator wrote.
#[derive(Debug, PartialEq)]
pub(super) struct Document<'a> {
    /// All but the list of virtual keys.
    pub rest: Value,
    /// The list of virtual keys; empty where there is none, or something else in its place, which is in `rest` then.
    pub keys: Keys<'a>,
}

/// The virtual keys, unread.
#[derive(Debug, PartialEq)]
pub(super) enum Keys<'a> {
    /// A list in JSON.
    Json(&'a str),
    /// Each a `google.protobuf.Value`.
    Protobuf(Vec<&'a [u8]>),
}

impl Keys<'_> {
    /// Hands out one after the other; `at` is the list's place.
    pub fn each<T: for<'de> Deserialize<'de>>(
        self,
        at: &Path<'_>,
        problems: &mut Problems,
        mut take: impl FnMut(usize, T, &mut Problems),
    ) {
        let mut take = |index, value, problems: &mut Problems| match T::deserialize(value) {
            Ok(key) => take(index, key, problems),
            // Every mistake is kept in its field; serde's own text would show the value.
            Err::<_, serde_json::Error>(_) => problems.add(&at.item(index), "can't be read"),
        };
        match self {
            Self::Json(list) => {
                let mut json = serde_json::Deserializer::from_str(list);
                let read = json.deserialize_seq(ItemsSeed { at, problems: &mut *problems, take });
                if let Err(error) = read {
                    problems.add(at, format!("not valid JSON: {error}"));
                }
            }
            Self::Protobuf(list) => {
                for (index, item) in list.into_iter().enumerate() {
                    if let Some(value) = structpb::item(item, &at.item(index), problems) {
                        take(index, value, problems);
                    }
                }
            }
        }
    }
}

/// What was written, or `None` after reporting why there is nothing. Nesting is bounded by the decoders: 128
/// levels of JSON, 100 nested protobuf messages.
pub(super) fn read<'a>(bytes: &'a [u8], problems: &mut Problems) -> Option<Document<'a>> {
    if bytes.trim_ascii().is_empty() {
        problems.add(ROOT, "empty; give a JSON object, or a google.protobuf.Struct");
        return None;
    }
    if structpb::is_struct(bytes) {
        let split = structpb::decode(bytes, KEYS, problems)?;
        return Some(Document { rest: split.rest, keys: Keys::Protobuf(split.items) });
    }
    if !bytes.trim_ascii_start().starts_with(b"{") {
        problems.add(ROOT, "neither a JSON object nor the bytes of a google.protobuf.Struct");
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let document = json.deserialize_map(RootSeed { problems });
    match document.and_then(|document| json.end().map(|()| document)) {
        Ok(document) => Some(document),
        Err(error) => {
            // Every type is accepted, so this is a syntax error: its text holds a position, no value.
            problems.add(ROOT, format!("not valid JSON: {error}"));
            None
        }
    }
}

/// Reads the whole configuration.
struct RootSeed<'p> {
    problems: &'p mut Problems,
}

impl<'de> Visitor<'de> for RootSeed<'_> {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        let mut keys: Option<&RawValue> = None;
        while let Some(name) = input.next_key::<String>()? {
            let at = ROOT.field(&name);
            if name == KEYS {
                let raw = input.next_value::<&RawValue>()?;
                if keys.is_some() {
                    self.problems.add(&at, "given twice");
                }
                keys = keys.or(Some(raw));
                continue;
            }
            let value = input.next_value_seed(Tree { at: &at, problems: self.problems })?;
            insert(&mut members, name, value, ROOT, self.problems);
        }
        let keys = match keys.map(RawValue::get) {
            Some(list) if list.starts_with('[') => Keys::Json(list),
            None => Keys::Protobuf(Vec::new()),
            Some(other) => {
                // Of the wrong type; which one, and not what it holds, is all that is told.
                let value = serde_json::from_str(other).unwrap_or(Value::Null);
                members.insert(KEYS.to_owned(), value);
                Keys::Protobuf(Vec::new())
            }
        };
        Ok(Document { rest: Value::Object(members), keys })
    }
}

/// Hands out the elements of a list.
struct ItemsSeed<'p, F> {
    at: &'p Path<'p>,
    problems: &'p mut Problems,
    take: F,
}

impl<'de, F: FnMut(usize, Value, &mut Problems)> Visitor<'de> for ItemsSeed<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut input: A) -> Result<(), A::Error> {
        for index in 0.. {
            let at = self.at.item(index);
            match input.next_element_seed(Tree { at: &at, problems: self.problems })? {
                Some(value) => (self.take)(index, value, self.problems),
                None => break,
            }
        }
        Ok(())
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
            insert(&mut members, name, value, self.at, self.problems);
        }
        Ok(Value::Object(members))
    }
}

/// A member of the object at `at`: the first of equal names counts.
fn insert(
    members: &mut Map<String, Value>,
    name: String,
    value: Value,
    at: &Path<'_>,
    problems: &mut Problems,
) {
    match members.entry(name) {
        Entry::Occupied(known) => problems.add(&at.field(known.key()), "given twice"),
        Entry::Vacant(place) => {
            place.insert(value);
        }
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
        assert_eq!(value.rest, serde_json::from_slice::<Value>(text).unwrap());
        assert!(problems.is_empty());
    }

    #[test]
    fn the_list_of_virtual_keys_is_read_apart() {
        for (text, rest, keys) in [
            (r#"{"a":1}"#, r#"{"a":1}"#, Keys::Protobuf(Vec::new())),
            (
                r#"{"virtual_keys": [1, {"b": [ ]}] ,"a":1}"#,
                r#"{"a":1}"#,
                Keys::Json(r#"[1, {"b": [ ]}]"#),
            ),
            (
                r#"{"virtual_keys":{"b":1}}"#,
                r#"{"virtual_keys":{"b":1}}"#,
                Keys::Protobuf(Vec::new()),
            ),
            (r#"{"virtual_keys":null}"#, r#"{"virtual_keys":null}"#, Keys::Protobuf(Vec::new())),
        ] {
            let mut problems = Problems::default();
            let rest = serde_json::from_str(rest).unwrap();
            let want = Document { rest, keys };
            assert_eq!(read(text.as_bytes(), &mut problems), Some(want), "{text}");
            assert!(problems.is_empty());
        }
        let twice = br#"{"a":1,"virtual_keys":[1],"virtual_keys":[2],"virtual_keys":3}"#;
        let mut problems = Problems::default();
        assert_eq!(read(twice, &mut problems).unwrap().keys, Keys::Json("[1]"));
        let told = "virtual_keys: given twice";
        assert_eq!(problems.to_string(), format!("{told}\n{told}"));
    }

    #[test]
    fn keys_come_one_by_one_with_their_mistakes() {
        let mut problems = Problems::default();
        let mut seen = Vec::new();
        let keys = Keys::Json(r#"[1, {"a":2,"a":3}, null]"#);
        let at = ROOT.field(KEYS);
        keys.each(&at, &mut problems, |index, key: Value, _| seen.push((index, key.to_string())));
        let want = [(0, "1"), (1, r#"{"a":2}"#), (2, "null")];
        assert_eq!(seen, want.map(|(index, key)| (index, key.to_owned())));
        assert_eq!(problems.to_string(), "virtual_keys[1].a: given twice");
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
