//! A server's list of models, from every known shape.

use std::borrow::Cow;
use std::fmt;

use super::drift::trim_drift;
use super::loose;
use super::mend::{Infinite, rescue};
use super::proxied;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;

/// Most models that are taken from one list.
pub const MAX_MODELS: usize = 10_000;
/// Longest model id, in bytes; longer ones are passed over.
const MAX_ID: usize = 1_024;
/// Longest `owned_by`, in bytes.
const MAX_OWNER: usize = 256;
/// How much is kept of one model's further members, in bytes.
const MAX_EXTRA: usize = 4 * 1024;

/// Names under which texts, lists and objects are kept. What a server writes elsewhere may be its own
/// business (paths, worker addresses): only numbers and booleans are kept from there.
const PUBLIC: [&str; 17] = [
    "architecture",
    "canonical_slug",
    "capabilities",
    "description",
    "display_name",
    "features",
    "input_modalities",
    "meta",
    "modalities",
    "model_type",
    "output_modalities",
    "pricing",
    "quantization",
    "supported_features",
    "supported_parameters",
    "tokenizer",
    "type",
];

/// One model of a server's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// The server's own id: not empty, no control characters.
    pub id: String,
    /// Seconds since the Unix epoch; 0 when the server does not say.
    pub created: u64,
    /// Who offers it; empty when the server does not say.
    pub owned_by: String,
    /// Further members as JSON text, each with a comma before it: `,"context_length":4096`.
    pub extra: Vec<u8>,
}

/// A server's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// In the server's order, ids may repeat.
    pub models: Vec<ListedModel>,
    /// Whether [`MAX_MODELS`] cut it off.
    pub cut: bool,
}

/// Why an answer is no list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListError {
    /// More bytes than the caller allows.
    TooLarge,
    /// Not JSON.
    NotJson,
    /// JSON without a list of models in a known place.
    NoList,
    /// A list, of which no element has an id under a known name.
    NoIds,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the list is too large",
            Self::NotJson => "the answer is not JSON",
            Self::NoList => "the answer holds no list of models",
            Self::NoIds => "no element of the list names a model",
        })
    }
}

/// Members that hold a list or another container of one, the most telling first.
const CONTAINERS: [&str; 26] = [
    "data",
    "models",
    "model_list",
    "modelList",
    "list",
    "items",
    "results",
    "result",
    "resources",
    "modelSummaries",
    "deployments",
    "engines",
    "records",
    "entries",
    "objects",
    "values",
    "value",
    "models_list",
    "availableModels",
    "available_models",
    "served_models",
    "groups",
    "response",
    "payload",
    "body",
    "model",
];

/// How many objects may stand around a list.
const MAX_CONTAINERS: u8 = 4;

/// Names of the id, the most telling first. What servers call `name` may be for people, so it comes last but
/// for the names of a single server.
const IDS: [&str; 13] = [
    "id",
    "model",
    "model_id",
    "modelId",
    "model_name",
    "modelName",
    "name",
    "model_uid",
    "uid",
    "slug",
    "key",
    "identifier",
    "deployment_id",
];

/// Reads a list of at most `max_bytes`: OpenAI's `{"data": […]}`, a bare array, or an array or a map by id
/// inside up to four containers of any of the usual names. `null` is an empty list. Where there are several
/// lists, `data` counts. Elements are objects that have their id under one of many names (the first that is
/// a text), or bare ids; others are passed over.
///
/// # Errors
/// [`ListError`]; never for a single odd element, but for a list in which no element has an id.
pub fn parse_list(body: &[u8], max_bytes: usize) -> Result<List, ListError> {
    parse_within(body, max_bytes, true)
}

/// `may_be_proxied`: it may stand in a function's envelope.
fn parse_within(body: &[u8], max_bytes: usize, may_be_proxied: bool) -> Result<List, ListError> {
    if body.len() > max_bytes {
        return Err(ListError::TooLarge);
    }
    let json = body.get(trim_drift(body)).unwrap_or(body);
    let mended;
    let root = match cursor::parse(json) {
        Ok(root) => root,
        Err(_) => {
            let rescued = rescue(json, Infinite::Null).or_else(|| loose::lines(json));
            mended = rescued.ok_or(ListError::NotJson)?;
            cursor::parse(&mended).map_err(|_| ListError::NotJson)?
        }
    };
    if let Some(inside) = proxied::read(&root).filter(|_| may_be_proxied) {
        return match inside.status < 400 {
            true => parse_within(&inside.body, max_bytes, false),
            false => Err(ListError::NoList),
        };
    }
    let found = find_list(root, MAX_CONTAINERS).or_else(|| at_root(&root));
    let found = found.ok_or(ListError::NoList)?;
    let mut list = List::default();
    let mut any = false;
    let mut add = |id: Option<&str>, element: Value<'_>| {
        any = true;
        if list.models.len() < MAX_MODELS {
            list.models.extend(model(id, element));
        } else {
            list.cut = true;
        }
    };
    if is_model(&found) {
        add(None, found);
    } else if is_grouped(&found) {
        let lists = found.members().take(MAX_MODELS + 1);
        for element in lists.flat_map(|(_, list)| list.elements().take(MAX_MODELS + 1)) {
            add(None, element);
        }
    } else if found.kind == Kind::BeginObject {
        for (key, element) in found.members().take(MAX_MODELS + 1) {
            if let Some(id) = key.as_str() {
                add(Some(&id), element);
            }
        }
    } else {
        for element in found.elements().take(MAX_MODELS + 1) {
            match group(&element) {
                Some(list) => list.elements().take(MAX_MODELS + 1).for_each(|one| add(None, one)),
                None => add(None, element),
            }
        }
    }
    if any && list.models.is_empty() { Err(ListError::NoIds) } else { Ok(list) }
}

/// The array of models, the object whose keys they are, or the `null` that stands for an empty list.
fn find_list(value: Value<'_>, levels: u8) -> Option<Value<'_>> {
    if value.kind == Kind::BeginArray {
        return Some(value);
    }
    let levels = levels.checked_sub(1).filter(|_| value.kind == Kind::BeginObject)?;
    let held = || CONTAINERS.iter().filter_map(|name| Some((*name, value.get(name)?)));
    let found = held().find_map(|(_, inner)| find_list(inner, levels));
    let found = found.or_else(|| {
        let stands_for_it = |(name, inner): &(&str, Value<'_>)| {
            is_map(name, inner) || (is_list_name(name) && (is_grouped(inner) || is_model(inner)))
        };
        held().find(stands_for_it).map(|(_, inner)| inner)
    });
    found.or_else(|| {
        let lists = held().filter(|(name, _)| matches!(*name, "data" | "models" | "model_list"));
        lists.map(|(_, inner)| inner).find(Value::is_null)
    })
}

/// What stands for a list in an answer that has none under a usual name: the only model, a map by id with nothing
/// around it, or a list under a name of the server's own that says of what.
fn at_root<'a>(root: &Value<'a>) -> Option<Value<'a>> {
    if is_model(root) || is_map_of_models(root) {
        return Some(*root);
    }
    let is_of_models =
        |key: Key<'_>| key.as_str().is_some_and(|name| name.to_ascii_lowercase().contains("model"));
    let lists = root.members().take(MAX_MEMBERS).filter(|(key, _)| is_of_models(*key));
    lists.map(|(_, list)| list).find(|list| list.kind == Kind::BeginArray && lists_models(list))
}

/// How many members of an object are looked at for a list under a name that is not known.
const MAX_MEMBERS: usize = 32;

/// Names under which a list of models has to be, if anything is there.
fn is_list_name(name: &str) -> bool {
    matches!(name, "data" | "models" | "model_list" | "modelList" | "list" | "items" | "results")
}

/// One model by itself: it says so, or has OpenAI's own members of one.
fn is_model(value: &Value<'_>) -> bool {
    value.get("id").is_some_and(|id| usable_id(id).is_some())
        && value.get("object").is_some_and(|object| object.raw() == b"\"model\"")
}

/// Lists by kind or by owner: `{"chat": […], "embedding": […]}`.
fn is_grouped(value: &Value<'_>) -> bool {
    value.kind == Kind::BeginObject
        && value.members().next().is_some()
        && value.members().all(|(key, list)| {
            list.kind == Kind::BeginArray && !CONTAINERS.iter().any(|name| key.is(name))
        })
}

/// The list that an element of a list is: one of its own, or that of a group that has a name.
fn group<'a>(element: &Value<'a>) -> Option<Value<'a>> {
    match element.kind {
        Kind::BeginArray => Some(*element),
        Kind::BeginObject => {
            element.get("models").filter(|list| list.kind == Kind::BeginArray && lists_models(list))
        }
        _ => None,
    }
}

/// Whether an object says of each of its keys what model it is.
fn is_map_of_models(value: &Value<'_>) -> bool {
    value.kind == Kind::BeginObject
        && value.members().next().is_some()
        && value.members().all(|(_, inner)| {
            ["model_name", "model_id", "model_type", "model_uid"]
                .iter()
                .any(|name| inner.get(name).is_some_and(|id| id.kind == Kind::String))
        })
}

/// Whether the elements of a list name models, as the first of them does.
fn lists_models(list: &Value<'_>) -> bool {
    let first = list.elements().next();
    first.is_some_and(|first| match first.kind {
        Kind::BeginObject => model(None, first).is_some(),
        _ => false,
    })
}

/// Whether an object's keys are ids: it stands where a list should, and says something of each.
fn is_map(name: &str, value: &Value<'_>) -> bool {
    let mut members = value.members().peekable();
    is_list_name(name)
        && value.kind == Kind::BeginObject
        && members.peek().is_some()
        && members.all(|(key, inner)| {
            inner.kind == Kind::BeginObject && !CONTAINERS.iter().any(|name| key.is(name))
        })
}

/// `key`: the id, where the list is a map.
fn model(key: Option<&str>, element: Value<'_>) -> Option<ListedModel> {
    if element.kind == Kind::String {
        let id = usable_id(element)?;
        return Some(ListedModel { id, created: 0, owned_by: String::new(), extra: Vec::new() });
    }
    let mut ids: [Option<String>; IDS.len()] = std::array::from_fn(|_| None);
    let mut created = [None, None];
    let mut owners = [None, None];
    let mut extra = Extra::default();
    for (key, value) in element.members() {
        let Some(name) = key.as_str() else { continue };
        match name.as_ref() {
            "created" => keep(&mut created, 0, seconds(value)),
            "created_at" => keep(&mut created, 1, seconds(value)),
            "owned_by" => keep(&mut owners, 0, owner(value)),
            "organization" => keep(&mut owners, 1, owner(value)),
            "object" => {}
            _ => match IDS.iter().position(|known| *known == name) {
                Some(at) if matches!(value.kind, Kind::String) => {
                    keep(&mut ids, at, usable_id(value));
                }
                _ => extra.add(key, name, value),
            },
        }
    }
    Some(ListedModel {
        id: match key {
            Some(key) => Some(key.to_owned()).filter(|id| is_usable_id(id))?,
            None => chosen_id(ids)?,
        },
        created: created.into_iter().flatten().next().unwrap_or(0),
        owned_by: owners.into_iter().flatten().next().unwrap_or_default(),
        extra: extra.text,
    })
}

/// The first of members with equal names counts.
fn keep<T, const N: usize>(slots: &mut [Option<T>; N], at: usize, value: Option<T>) {
    if let Some(slot) = slots.get_mut(at).filter(|slot| slot.is_none()) {
        *slot = value;
    }
}

/// The first id by [`IDS`]; but Cloudflare's `id` is no name that a request can use, its `name` is.
fn chosen_id(ids: [Option<String>; IDS.len()]) -> Option<String> {
    let name = IDS.iter().position(|known| *known == "name");
    let is_at = |id: &&Option<String>| id.as_ref().is_some_and(|id| id.starts_with('@'));
    let cloudflares = name.and_then(|at| ids.get(at)).filter(is_at).cloned().flatten();
    cloudflares.or_else(|| ids.into_iter().flatten().next())
}

fn usable_id(value: Value<'_>) -> Option<String> {
    let id = value.as_str()?;
    is_usable_id(&id).then(|| id.into_owned())
}

fn is_usable_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

fn owner(value: Value<'_>) -> Option<String> {
    let owner = value.as_str()?;
    let usable =
        !owner.is_empty() && owner.len() <= MAX_OWNER && !owner.chars().any(char::is_control);
    usable.then(|| owner.into_owned())
}

/// A time as a whole number, also written as a float or a text.
fn seconds(value: Value<'_>) -> Option<u64> {
    let number = match value.kind {
        Kind::String => value.as_str()?.parse().ok()?,
        _ => value.as_f64()?,
    };
    // Up to 2^53 a float is exact; times are far below.
    (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}

/// Members that are passed on.
#[derive(Default)]
struct Extra<'a> {
    text: Vec<u8>,
    names: Vec<Cow<'a, str>>,
}

impl<'a> Extra<'a> {
    fn add(&mut self, key: Key<'a>, name: Cow<'a, str>, value: Value<'a>) {
        let plain = matches!(value.kind, Kind::Number | Kind::True | Kind::False);
        let printable = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let wanted = printable && (plain || PUBLIC.contains(&name.as_ref()));
        let size = key.span().len() + value.raw().len() + 2;
        // A text that is no Unicode, or a number that is none to most, would spoil the whole answer.
        if !wanted
            || self.text.len() + size > MAX_EXTRA
            || self.names.contains(&name)
            || serde_json::from_slice::<serde_json::Value>(value.raw()).is_err()
        {
            return;
        }
        self.text.extend_from_slice(b",\"");
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b"\":");
        self.text.extend_from_slice(value.raw());
        self.names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn ids(body: &str) -> Result<Vec<String>, ListError> {
        parse_list(body.as_bytes(), 1 << 20)
            .map(|list| list.models.into_iter().map(|model| model.id).collect())
    }

    fn one(body: &str) -> ListedModel {
        parse_list(body.as_bytes(), 1 << 20).unwrap().models.remove(0)
    }

    #[test]
    fn shapes() {
        for (body, want) in [
            (r#"{"object":"list","data":[{"id":"a"},{"id":"b/c"}]}"#, Ok(vec!["a", "b/c"])),
            (r#"[{"id":"a"}]"#, Ok(vec!["a"])),
            (r#"["a","b"]"#, Ok(vec!["a", "b"])),
            ("[]", Ok(vec![])),
            (r#"{"models":[{"name":"n","model":"m"},{"name":"n"}]}"#, Ok(vec!["m", "n"])),
            (r#"{"models":["a"]}"#, Ok(vec!["a"])),
            (r#"{"models":[{"name":"x"}],"data":[{"id":"a"}]}"#, Ok(vec!["a"])),
            (r#"{"models":[{"name":"x"}],"data":null}"#, Ok(vec!["x"])),
            (r#"{"data":null}"#, Ok(vec![])),
            (r#"{"models":null}"#, Ok(vec![])),
            (r#"{"code":0,"data":{"models":[{"id":"a"}]}}"#, Ok(vec!["a"])),
            (r#"{"data":{"data":{"data":[{"id":"a"}]}}}"#, Ok(vec!["a"])),
            (r#"{"data":{"data":{"data":{"data":[{"id":"a"}]}}}}"#, Ok(vec!["a"])),
            (
                r#"{"data":{"data":{"data":{"data":{"data":[{"id":"a"}]}}}}}"#,
                Err(ListError::NoList),
            ),
            (r#"{"code":200,"data":{"list":[{"id":"a"}]}}"#, Ok(vec!["a"])),
            (r#"{"result":{"models":[{"id":"a"}]}}"#, Ok(vec!["a"])),
            (r#"{"resources":[{"model_id":"ibm/g"}]}"#, Ok(vec!["ibm/g"])),
            (r#"{"modelSummaries":[{"modelId":"a","modelName":"A"}]}"#, Ok(vec!["a"])),
            (r#"{"models":{"llama3":{"context":1},"qwen":{}}}"#, Ok(vec!["llama3", "qwen"])),
            (r#"{"data":{"a":{"id":"other"}}}"#, Ok(vec!["a"])),
            (r#"{"models":{"count":3}}"#, Err(ListError::NoList)),
            // Grouped, alone, under another name, or printed.
            (r#"{"data":{"chat":[{"id":"a"}],"embedding":[{"id":"b"}]}}"#, Ok(vec!["a", "b"])),
            (r#"{"models":{"llm":["a","b"],"embed":["c"]}}"#, Ok(vec!["a", "b", "c"])),
            (
                r#"{"groups":[{"name":"g","models":[{"id":"a"}]},{"name":"h","models":[{"id":"b"}]}]}"#,
                Ok(vec!["a", "b"]),
            ),
            (r#"{"data":[[{"id":"a"}],[{"id":"b"}]]}"#, Ok(vec!["a", "b"])),
            (r#"{"object":"list","data":{"id":"a","object":"model"}}"#, Ok(vec!["a"])),
            (r#"{"id":"a","object":"model"}"#, Ok(vec!["a"])),
            (r#"{"u1":{"model_name":"a"},"u2":{"model_name":"b"}}"#, Ok(vec!["u1", "u2"])),
            (r#"{"publisherModels":[{"name":"a"}]}"#, Ok(vec!["a"])),
            (r#"{"served_models":["a"]}"#, Ok(vec!["a"])),
            (r#"{"errors":[{"message":"no"}]}"#, Err(ListError::NoList)),
            (r#"{"detail":[{"loc":["x"],"msg":"no","type":"t"}]}"#, Err(ListError::NoList)),
            ("{'data': [{'id': 'a', 'ready': True}]}", Ok(vec!["a"])),
            (r#"{"data":[{"id":"a"},]}"#, Ok(vec!["a"])),
            ("{\"id\":\"a\"}\n{\"id\":\"b\"}\n", Ok(vec!["a", "b"])),
            (r#"{"statusCode":200,"body":"{\"data\":[{\"id\":\"a\"}]}"}"#, Ok(vec!["a"])),
            (r#"{"statusCode":500,"body":"{\"data\":[{\"id\":\"a\"}]}"}"#, Err(ListError::NoList)),
            (
                r#"{"result":[{"id":"429b9e8b","name":"@cf/meta/llama"},{"id":"x","name":"y"}]}"#,
                Ok(vec!["@cf/meta/llama", "x"]),
            ),
            (r#"{"models":[{"key":"a","display_name":"A"}]}"#, Ok(vec!["a"])),
            (r#"{"data":[{"title":"a"},{"title":"b"}]}"#, Err(ListError::NoIds)),
            (r#"{"data":[{"title":"a"},{"id":"b"}]}"#, Ok(vec!["b"])),
            ("{\"data\":[{\"id\":\"a\",\"created\":NaN,\"note\":\"x\ty\"}]}", Ok(vec!["a"])),
            (": wait\n\n[{\"id\":\"a\"}]", Ok(vec!["a"])),
            (r#"{"error":{"message":"no"}}"#, Err(ListError::NoList)),
            (r#"{"data":"x"}"#, Err(ListError::NoList)),
            ("{}", Err(ListError::NoList)),
            ("null", Err(ListError::NoList)),
            ("<!doctype html>", Err(ListError::NotJson)),
            ("", Err(ListError::NotJson)),
            (r#"[{"id":"a"}] [{"id":"b"}]"#, Err(ListError::NotJson)),
            // Odd elements.
            (
                r#"[{"id":""},{"id":"a\nb"},{"id":"\ud800"},{"id":7,"name":"n"},7,null,[],{},{"id":"z"}]"#,
                Ok(vec!["n", "z"]),
            ),
            (r#"[{"id":"first","id":"second"}]"#, Ok(vec!["first"])),
        ] {
            assert_eq!(
                ids(body),
                want.map(|ids| ids.into_iter().map(str::to_owned).collect()),
                "{body}"
            );
        }
        assert_eq!(ids(&format!("[\"{}\"]", "x".repeat(MAX_ID + 1))), Err(ListError::NoIds));
    }

    #[test]
    fn members() {
        let model = one(
            r#"[{"id":"a","object":"x","created":1.5,"owned_by":"","organization":"Org",
            "context_length" : 4096,"max_model_len":8,"context_length":1,"active":true,"address":"10.0.0.1:1","root":"/models/a",
            "type":"chat","pricing":{"in":"0.1"},"permission":[{"id":"p"}],"a\"b":1,"ty\u0070e":"again"}]"#,
        );
        assert_eq!((model.created, model.owned_by.as_str()), (1, "Org"));
        assert_eq!(
            String::from_utf8(model.extra).unwrap(),
            r#","context_length":4096,"max_model_len":8,"active":true,"type":"chat","pricing":{"in":"0.1"}"#
        );
        for (created, want) in
            [("7", 7), ("\"8\"", 8), ("-1", 0), ("1e99", 0), ("null", 0), ("\"2025-01-01\"", 0)]
        {
            assert_eq!(
                one(&format!(r#"[{{"id":"a","created":{created}}}]"#)).created,
                want,
                "{created}"
            );
        }
        assert_eq!(one(r#"[{"id":"a","created":0,"created_at":9}]"#).created, 0);
        assert_eq!(one(r#"[{"id":"a","created_at":9}]"#).created, 9);
    }

    #[test]
    fn limits() {
        assert_eq!(parse_list(b"[]", 1), Err(ListError::TooLarge));
        let many = |count: usize| format!("[{}]", vec![r#"{"id":"a"}"#; count].join(","));
        let list = |count| parse_list(many(count).as_bytes(), 1 << 20).unwrap();
        assert!(!list(MAX_MODELS).cut);
        assert_eq!(
            (list(MAX_MODELS + 1).cut, list(MAX_MODELS + 1).models.len()),
            (true, MAX_MODELS)
        );
        let long = one(&format!(
            r#"[{{"id":"a","description":"{}","context_length":1}}]"#,
            "x".repeat(MAX_EXTRA)
        ));
        assert_eq!(long.extra, br#","context_length":1"#);
        for odd in [&b"\"\xff\""[..], br#""\ud800""#, br#"["\ud800"]"#, b"1e999"] {
            let body = [br#"[{"id":"a","type":"#, odd, b"}]"].concat();
            assert_eq!(parse_list(&body, 99).unwrap().models[0].extra, b"", "{odd:?}");
        }
    }
}
