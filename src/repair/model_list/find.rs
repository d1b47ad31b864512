//! Where the list stands in an answer, and what stands for one.

use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

use super::element::{model, usable_id};

/// Members that hold a list or another container of one, the most telling first.
const CONTAINERS: [&str; 28] = [
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
    "output",
    "content",
    "model",
];

/// How many objects may stand around a list.
pub(super) const MAX_CONTAINERS: u8 = 4;

/// The array of models, the object whose keys they are, or the `null` that stands for an empty list.
pub(super) fn find_list(value: Value<'_>, levels: u8) -> Option<Value<'_>> {
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
pub(super) fn at_root<'a>(root: &Value<'a>) -> Option<Value<'a>> {
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
pub(super) fn is_model(value: &Value<'_>) -> bool {
    value.get("id").is_some_and(|id| usable_id(id).is_some())
        && value.get("object").is_some_and(|object| object.raw() == b"\"model\"")
}

/// Lists by kind or by owner: `{"chat": […], "embedding": […]}`.
pub(super) fn is_grouped(value: &Value<'_>) -> bool {
    value.kind == Kind::BeginObject
        && value.members().next().is_some()
        && value.members().all(|(key, list)| {
            list.kind == Kind::BeginArray && !CONTAINERS.iter().any(|name| key.is(name))
        })
}

/// The list that an element of a list is: one of its own, or that of a group that has a name.
pub(super) fn group<'a>(element: &Value<'a>) -> Option<Value<'a>> {
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
