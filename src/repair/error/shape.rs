//! Reads any JSON error body into one draft. The shapes are those of the servers' own sources; a
//! reader for each *idea* (an object inside `error`, a list of findings, a text in one of many names)
//! covers their combinations, which gateways between them make up.

use serde_json::{Map, Value};

use super::text::{clean, is_markup, page};
use super::{names, param, printed};
use crate::repair::loose;

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
}

/// Names of the text, the most specific first. `error` and containers are looked at before.
const MESSAGE: [&str; 47] = [
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "errorMsg",
    "errmsg",
    "err_msg",
    "retmsg",
    "ret_msg",
    "resultMsg",
    "status_desc",
    "status_msg",
    "error_description",
    "detail",
    "details",
    "violations",
    "issues",
    "problems",
    "faultstring",
    "description",
    "title",
    "reason",
    "text",
    "err",
    "Message",
    "ErrorMessage",
    "errors",
    "messages",
    "status_message",
    "failure_reason",
    "info",
    "result_msg",
    "exception",
    "failure",
    "statusDescription",
    "value",
    "desc",
    "errorInfo",
    "error_info",
    "failureReason",
    "failureMessage",
    "failure_message",
    "statusText",
    "status_text",
    "cause",
    "fieldErrors",
];

const KIND: [&str; 5] = ["type", "error_type", "errorType", "__type", "Type"];

const CODE: [&str; 23] = [
    "code",
    "error_code",
    "errorCode",
    "errorcode",
    "errcode",
    "err_code",
    "retcode",
    "ret_code",
    "resultCode",
    "Code",
    "ErrorCode",
    "statusCode",
    "status_code",
    "http_status_code",
    "http_code",
    "http_status",
    "httpStatus",
    "StatusCode",
    "status",
    "errno",
    "err_no",
    "ret",
    "rc",
];

const PARAM: [&str; 3] = ["param", "parameter", "field"];

/// Members that hold the error object itself.
const CONTAINER: [&str; 14] = [
    "error",
    "errors",
    "fault",
    "base_resp",
    "x_groq",
    "header",
    "Error",
    "ResponseMetadata",
    "response",
    "Response",
    "exception",
    "failure",
    "requestStatus",
    "status",
];

/// Members that hold a result, or what went wrong instead.
const RESULT: [&str; 4] = ["data", "result", "response", "output"];

/// Names under which servers send the request back; never repeated to the client.
const ECHO: [&str; 8] =
    ["input", "inputs", "prompt", "messages", "query", "body", "request", "instructions"];

/// The longest code or type, in characters.
const MAX_NAME_CHARS: usize = 256;

/// How many findings of a list are told.
const MAX_FINDINGS: usize = 16;

/// The longest extra field, in bytes of JSON.
const MAX_EXTRA_BYTES: usize = 16_384;

/// How much reading one body is worth. Servers nest two or three levels; some of the names are looked
/// at from two sides, so without an end a body nested on purpose would take exponential time.
struct ReadingLimit {
    /// Values still to be read.
    steps: u32,
    /// Levels still to be gone down.
    levels: u32,
}

impl ReadingLimit {
    fn spend(&mut self, steps: u32) -> bool {
        let enough = self.steps >= steps;
        self.steps = self.steps.saturating_sub(steps);
        enough
    }

    /// One level further down.
    fn below<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.levels == 0 || !self.spend(1) {
            return None;
        }
        self.levels -= 1;
        let found = read(self);
        self.levels += 1;
        found
    }
}

impl Draft {
    /// Whether anything was found that names the error.
    fn is_empty(&self) -> bool {
        self.message.is_none() && self.kind.is_none() && self.code.is_none()
    }

    /// Fills what is missing from `outer`.
    fn or(mut self, outer: Self) -> Self {
        self.message = self.message.or(outer.message);
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
    let mut budget = ReadingLimit { steps: 1_024, levels: 16 };
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
        if let Some(deeper) = deepest(value, budget) {
            draft.message = Some(match draft.message.take() {
                // Said already, as by this reader itself.
                Some(outer) if outer.contains(&deeper) => outer,
                Some(outer) if !deeper.contains(&outer) => clean(&format!("{outer}: {deeper}")),
                _ => deeper,
            });
        }
        if let (Value::Object(inner), "error", true) = (value, *name, budget.spend(64)) {
            draft.extra = extras(inner, &["message", "type", "param", "code"]);
            // A text under `error` is the message where there is no other: said once is enough.
            if !inner.contains_key("message") {
                draft.extra.retain(|name, value| name != "error" || !value.is_string());
            }
        }
        Some(draft)
    });
    match inner.or_else(|| named(map, budget)) {
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
    }
}

/// What an exception says that is told under its own name.
fn named(map: &Map<String, Value>, budget: &mut ReadingLimit) -> Option<Draft> {
    let is_one = |(name, value): &(&String, &Value)| {
        names::is_exception(name) && value.is_object() && truthy(value)
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

/// What an error object says of the error that it passes on: gateways put a sentence of their own outside,
/// and the upstream's inside of `value` (Vercel) or `cause`.
fn deepest(error: &Value, budget: &mut ReadingLimit) -> Option<String> {
    let inner = ["value", "cause"].iter().find_map(|name| error.get(*name))?;
    if !inner.is_object() {
        return None;
    }
    read_within(inner, budget)?.message
}

/// The members of one object, containers aside.
fn flat(map: &Map<String, Value>, budget: &mut ReadingLimit) -> Draft {
    let mut draft = Draft::default();
    for name in KIND {
        if let Some(kind) = map.get(name).and_then(Value::as_str).and_then(type_name) {
            draft.kind.get_or_insert(kind);
        }
    }
    for name in CODE {
        let Some(code) = map.get(name).and_then(code) else { continue };
        draft.hints.push(code.clone());
        draft.code.get_or_insert(code);
    }
    draft.hints.extend(draft.kind.iter().map(|kind| Value::from(kind.as_str())));
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
    // {"faultstring":…,"detail":{"errorcode":…}}: beside a text, an object holds the code.
    let aside = ["detail", "details"]
        .iter()
        .find_map(|name| map.get(*name)?.as_object())
        .and_then(|aside| budget.below(|budget| Some(flat(aside, budget))));
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
    match aside {
        Some(aside) => draft.or(aside),
        None => draft,
    }
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

fn type_name(kind: &str) -> Option<String> {
    // Cleaned and cut before it is judged, so that what leaves is read as the same name again.
    let kind: String = clean(kind).trim().chars().take(MAX_NAME_CHARS).collect();
    let kind = kind.trim_end();
    // Anthropic's marker and RFC 9457's problem URIs name no OpenAI type.
    let generic = kind.is_empty()
        || kind.eq_ignore_ascii_case("error")
        || kind == "about:blank"
        || kind.starts_with("http://")
        || kind.starts_with("https://");
    (!generic).then(|| kind.to_owned())
}

fn code(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => code_name(text),
        _ => None,
    }
}

/// A text as a code, wherever it stood: cleaned and cut, so that what leaves is read as the same code again.
pub(super) fn code_name(text: &str) -> Option<Value> {
    let text: String = clean(text).chars().take(MAX_NAME_CHARS).collect();
    (!text.trim().is_empty()).then(|| Value::from(text))
}

/// What a nested error object says besides OpenAI's four fields: kept as it is.
fn extras(map: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    map.iter()
        .filter(|(name, _)| !known.contains(&name.as_str()) && !is_internal(name))
        .filter_map(|(name, value)| {
            let value = without_echo(value);
            // Only a pathological field is measured to the end: texts tell their length at once.
            let size = value.as_str().map_or_else(|| value.to_string().len(), str::len);
            (size <= MAX_EXTRA_BYTES).then(|| (name.clone(), value))
        })
        .collect()
}

/// Of a flat error body only plain values that were not used for anything else, such as a request id.
fn flat_extras(map: &Map<String, Value>) -> Map<String, Value> {
    let used = |name: &str| {
        [&MESSAGE[..], &KIND, &CODE, &PARAM, &CONTAINER, &ECHO]
            .iter()
            .any(|list| list.contains(&name))
            || matches!(
                name,
                "object"
                    | "success"
                    | "isSuccess"
                    | "is_success"
                    | "ok"
                    | "loc"
                    | "timestamp"
                    | "path"
            )
            || is_internal(name)
    };
    map.iter()
        .filter(|(name, value)| {
            !used(name)
                && match value {
                    Value::String(text) => text.len() <= 1_024,
                    Value::Number(_) | Value::Bool(_) => true,
                    _ => false,
                }
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Members that say where in the server's own source it happened.
fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "file"
            | "line"
            | "trace"
            | "stack"
            | "stacktrace"
            | "stackTrace"
            | "stack_trace"
            | "traceback"
            | "exc_info"
    )
}

/// `value` without the `input` and `ctx` of FastAPI's findings, which repeat the request.
fn without_echo(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_echo).collect(),
        Value::Object(map) => {
            let finding = map.contains_key("loc") && map.contains_key("msg");
            map.iter()
                .filter(|(name, _)| {
                    let is_echo = finding && matches!(name.as_str(), "input" | "ctx");
                    !is_echo && !is_internal(name)
                })
                .map(|(name, value)| (name.clone(), without_echo(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        _ => value.clone(),
    }
}

/// A text as message. A text that is itself an error body (JSON or a page: gateways put their
/// upstream's whole answer there) is read in turn, for as long as that says anything.
fn of_text(text: &str, budget: &mut ReadingLimit) -> Option<Draft> {
    let text = clean(text);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    if trimmed.starts_with(['{', '[']) {
        let value = serde_json::from_str::<Value>(trimmed).ok();
        let inner = value.and_then(|value| read_within(&value, budget));
        let inner = inner.or_else(|| super::python::findings(trimmed));
        let inner = inner.or_else(|| {
            let json = loose::to_json(trimmed.as_bytes())?;
            read_within(&serde_json::from_slice(&json).ok()?, budget)
        });
        if let Some(inner) = inner.filter(|inner| inner.message.is_some()) {
            return Some(Draft { extra: Map::new(), ..inner });
        }
    } else if is_markup(trimmed) {
        let page = page(trimmed);
        let message = Some(page.message).filter(|message| !message.is_empty())?;
        return Some(Draft { message: Some(message), ..Draft::default() });
    } else if let Some(inner) = super::python::findings(trimmed) {
        return Some(inner);
    } else if let Some(inner) = of_exception(trimmed, budget) {
        return Some(inner);
    }
    Some(Draft { message: Some(text), ..Draft::default() })
}

/// A sentence that a library prints for an exception: what it is around is the error.
fn of_exception(text: &str, budget: &mut ReadingLimit) -> Option<Draft> {
    let hints: Vec<Value> = printed::status(text)
        .map(Value::from)
        .into_iter()
        .chain(printed::class(text).map(Value::from))
        .collect();
    if let Some(value) = printed::body(text) {
        let inner = read_within(&value, budget)?;
        inner.message.as_ref()?;
        // The words stay as they came; what the body inside names is named.
        let mut inner = Draft { message: Some(text.to_owned()), extra: Map::new(), ..inner };
        inner.hints.extend(hints);
        return Some(inner);
    }
    let said = printed::without_address(text);
    let message = Some(said.unwrap_or(text).to_owned());
    (!hints.is_empty()).then(|| Draft { message, hints, ..Draft::default() })
}
