//! Reads any JSON error body into one draft. The shapes are those of the servers' own sources; a
//! reader for each *idea* (an object inside `error`, a list of findings, a text in one of many names)
//! covers their combinations, which gateways between them make up.

use serde_json::{Map, Value};

use super::text::clean;
use super::{names, param, status};
use extras::{extras, flat_extras};
use limit::ReadingLimit;
use members::{CODE, CONTAINER, GRPC, KIND, MESSAGE, PARAM, RESULT};
use told::{code, of_text, problem, type_name};

pub(super) use told::code_name;

mod deeper;
mod extras;
mod limit;
mod members;
mod told;

/// What an error body says, before status and defaults are settled.
#[derive(Debug, Default)]
pub struct Draft {
    /// The message, cleaned and bounded.
    pub message: Option<String>,
    /// The upstream's `type`.
    pub kind: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// The upstream's code: a string or a number.
    pub code: Option<Value>,
    /// Further fields of the error object.
    pub extra: Map<String, Value>,
    /// Everything that may tell the status, the most telling first.
    pub hints: Vec<Value>,
    /// The message came as a web page.
    pub is_page: bool,
}

/// How many findings of a list are told.
const MAX_FINDINGS: usize = 16;

impl Draft {
    /// Whether anything was found that names the error.
    fn is_empty(&self) -> bool {
        self.message.is_none() && self.kind.is_none() && self.code.is_none()
    }

    /// Fills what is missing from `outer`.
    fn or(mut self, outer: Self) -> Self {
        if self.message.is_none() {
            self.message = outer.message;
            self.is_page = outer.is_page;
        }
        self.kind = self.kind.or(outer.kind);
        self.param = self.param.or(outer.param);
        self.code = self.code.or(outer.code);
        self.hints.extend(outer.hints);
        self
    }
}

/// How often a message that was put together is read again.
const MAX_AGAIN: usize = 4;

/// Reads a JSON value that is known to be an error. `None` when it says nothing at all.
pub fn read(value: &Value) -> Option<Draft> {
    let mut budget = ReadingLimit::of_one_body();
    let mut draft = read_within(value, &mut budget)?;
    // What was joined of several texts may be a body itself: read as it would be when it comes back.
    for _ in 0..MAX_AGAIN {
        let Some(message) = draft.message.take() else { break };
        let again = budget.below(|budget| of_text(&message, budget)).unwrap_or_default();
        let is_same = again.message.as_ref().is_none_or(|again| *again == message);
        draft.message = again.message.clone().or(Some(message));
        if is_same {
            break;
        }
        draft = draft.or(again);
    }
    Some(draft)
}

fn read_within(value: &Value, budget: &mut ReadingLimit) -> Option<Draft> {
    budget.below(|budget| match value {
        Value::String(text) => of_text(text, budget),
        Value::Array(items) => findings(items, budget),
        Value::Object(map) => Some(object(map, budget)).filter(|draft| !draft.is_empty()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    })
}

/// Python's idea of truth, which the SDKs apply to `error`. An object of nothing but falsy members is
/// false as well: some servers always send one.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(truthy),
    }
}

fn object(map: &Map<String, Value>, budget: &mut ReadingLimit) -> Draft {
    let inner = CONTAINER.iter().find_map(|name| {
        let value = map.get(*name).filter(|value| truthy(value))?;
        let list = value.is_array() && name.starts_with("error");
        let mut draft =
            (value.is_object() || list).then(|| within(name, value, budget)).flatten()?;
        if let (Value::Object(inner), "error", true) = (value, *name, budget.spend(64)) {
            draft.extra = extras(inner, &["message", "type", "param", "code"]);
            // A text under `error` is the message where there is no other: said once is enough.
            if !inner.contains_key("message") {
                draft.extra.retain(|name, value| name != "error" || !value.is_string());
            }
        }
        Some(draft)
    });
    let mut draft = match inner.or_else(|| named(map, budget)) {
        Some(inner) => inner.or(flat(map, budget)),
        None => {
            let mut draft = flat(map, budget);
            draft.extra = flat_extras(map);
            if draft.message.is_none() {
                // Known to be an error: what it has in the place of a result says which.
                let held = RESULT.iter().filter_map(|name| map.get(*name));
                let told = held.filter_map(|held| read_within(held, budget));
                if let Some(told) = told.into_iter().find(|told| told.message.is_some()) {
                    draft.extra.retain(|name, _| !RESULT.contains(&name.as_str()));
                    draft = told.or(draft);
                }
            }
            draft
        }
    };
    deeper::add(map, &mut draft, budget);
    draft
}

/// What an exception says that is told under its own name.
fn named(map: &Map<String, Value>, budget: &mut ReadingLimit) -> Option<Draft> {
    let is_one = |(name, value): &(&String, &Value)| {
        names::is_exception(name) && !deeper::is_one(name) && value.is_object() && truthy(value)
    };
    let (name, value) = map.iter().find(is_one)?;
    let mut draft = read_within(value, budget)?;
    draft.hints.push(Value::from(name.as_str()));
    draft.kind = draft.kind.or_else(|| type_name(name));
    Some(draft)
}

/// What a container says. The members of `errors` may each be a parameter with its findings (Rails, Laravel,
/// ASP.NET).
fn within(name: &str, value: &Value, budget: &mut ReadingLimit) -> Option<Draft> {
    read_within(value, budget).or_else(|| {
        let map = value.as_object().filter(|_| name == "errors")?;
        let all: Vec<Value> = map.values().flat_map(flattened).cloned().collect();
        budget.below(|budget| findings(&all, budget))
    })
}

fn flattened(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_ref(other),
    }
}

/// The members of one object, containers aside.
fn flat(map: &Map<String, Value>, budget: &mut ReadingLimit) -> Draft {
    let mut draft = Draft::default();
    let mut problems = Vec::new();
    for kind in KIND.iter().filter_map(|name| map.get(*name)?.as_str()) {
        match type_name(kind) {
            Some(name) => {
                draft.kind.get_or_insert(name);
            }
            None => problems.extend(problem(kind)),
        }
    }
    for name in CODE {
        let Some(code) = map.get(name).and_then(code) else { continue };
        draft.hints.push(code.clone());
        draft.code.get_or_insert(code);
    }
    draft.hints.extend(grpc(map).map(Value::from));
    draft.hints.extend(draft.kind.iter().map(|kind| Value::from(kind.as_str())));
    draft.hints.extend(problems);
    draft.param = PARAM
        .iter()
        .find_map(|name| param::given(map.get(*name)?.as_str()?))
        .or_else(|| map.get("loc").and_then(param::location).and_then(|(_, param)| param));

    let label = map.get("error").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let told = MESSAGE.iter().find_map(|name| {
        let value = map.get(*name)?;
        // A message that an object spells out is a chat message, not a text, when it has a role.
        if value.get("role").is_some() || (*name == "messages" && label.is_some()) {
            return None;
        }
        let found = read_within(value, budget)?;
        found.message.is_some().then_some((*name, found))
    });
    match (label, told) {
        // {"error":"Unauthorized","message":"Invalid token"}: the sentence is the message.
        (Some(label), Some((name, found))) if specific(name) => {
            draft = draft.or(found);
            if let Some(named) = code_name(label).filter(|_| !label.contains(char::is_whitespace)) {
                draft.hints.push(named.clone());
                draft.code.get_or_insert(named);
            }
        }
        (Some(label), _) => {
            let found = of_text(label, budget).unwrap_or_default();
            draft = draft.or(found);
        }
        (None, Some((_, found))) => draft = draft.or(found),
        (None, None) => {}
    }
    draft
}

/// The status of a `google.rpc.Status` as JSON, `{"code":8,"message":…,"details":[]}`, or of a number that says whose it is.
fn grpc(map: &Map<String, Value>) -> Option<u16> {
    let named = GRPC.iter().find_map(|name| map.get(*name));
    let is_status = map.get("details").is_some_and(Value::is_array) && map.contains_key("message");
    let code = named.or_else(|| map.get("code").filter(|_| is_status))?;
    status::from_grpc(status::integer(code)?)
}

/// Whether a text under `name` tells more than a string under `error` beside it.
fn specific(name: &str) -> bool {
    matches!(
        name,
        "message" | "msg" | "error_message" | "errorMessage" | "error_msg" | "error_description"
    )
}

/// A list of findings: FastAPI's `[{loc,msg,type}]`, `[{message,code}]`, `[{error:{…}}]`, texts.
fn findings(items: &[Value], budget: &mut ReadingLimit) -> Option<Draft> {
    let mut all = Draft::default();
    let mut messages: Vec<String> = Vec::new();
    for item in items.iter().take(MAX_FINDINGS) {
        let Some(mut found) = finding(item, budget) else { continue };
        if let Some(message) = found.message.take().filter(|message| !messages.contains(message)) {
            messages.push(message);
        }
        all = all.or(found);
    }
    if !messages.is_empty() {
        all.message = Some(clean(&messages.join("; ")));
    }
    Some(all).filter(|draft| !draft.is_empty())
}

fn finding(item: &Value, budget: &mut ReadingLimit) -> Option<Draft> {
    let validation = item.as_object().and_then(|map| {
        let message = map.get("msg")?.as_str()?;
        Some((message, map.get("loc").and_then(param::location)?))
    });
    match validation {
        // The type of a finding ("missing") is not the type of the error.
        Some((message, (place, param))) => Some(Draft {
            message: Some(clean(&format!("{place}: {message}"))),
            param,
            ..Draft::default()
        }),
        None => read_within(item, budget).map(|found| Draft { extra: Map::new(), ..found }),
    }
}
