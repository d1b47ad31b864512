//! The output buffer, the refusals and the list of what was left out: what all parts of the
//! conversion write to.

use super::attached::{Attached, CallId, own_id};
use crate::error::{Code, GatewayError};
use crate::policy::Takes;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;
use crate::wire::json::{JsonError, string};
use crate::wire::names::variant_of;

/// How many names [`Dropped`] holds. They go into a header.
const MAX_DROPPED: usize = 32;
/// Bytes of one name in [`Dropped`].
const MAX_DROPPED_NAME: usize = 64;
/// Longer arguments are not looked at: no model writes so many, and they would be held once more.
const MAX_ARGUMENTS: usize = 1 << 20;

/// A refusal of `param`, a path such as `input[3].type`.
///
/// Whatever the converter refuses is `unsupported_parameter`: a value that has no form in a chat
/// request, be it that chat has none or that the value is malformed. `invalid_json` is kept for a
/// body that is no JSON object.
pub(crate) fn refuse(param: impl Into<String>, message: impl Into<String>) -> GatewayError {
    GatewayError::new(Code::UnsupportedParameter, message).with_param(param.into())
}

/// A refusal of a value of a wrong type; `wanted` ends "must be …".
pub(crate) fn must_be(param: impl Into<String>, wanted: &str) -> GatewayError {
    let param = param.into();
    let message = format!("\"{param}\" must be {wanted}.");
    refuse(param, message)
}

/// Two members of one name.
pub(crate) fn duplicate(name: &str) -> GatewayError {
    let message = format!("The parameter \"{name}\" is there twice.");
    GatewayError::new(Code::DuplicateParameter, message).with_param(name.to_owned())
}

/// The body stops being JSON somewhere. Who calls has scanned it, so this is not expected.
pub(crate) fn not_json(error: JsonError) -> GatewayError {
    GatewayError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))
}

/// A member's value, where `null` is as good as absent.
pub(crate) fn given(value: Value<'_>) -> Option<Value<'_>> {
    (!value.is_null()).then_some(value)
}

/// Whether an array or an object has anything in it.
pub(crate) fn holds_any(value: &Value<'_>) -> bool {
    value.elements().next().is_some() || value.members().next().is_some()
}

/// The chat request as it grows, and the body that it is cut from.
pub(crate) struct ChatRequestBody<'a> {
    body: &'a [u8],
    bytes: Vec<u8>,
    takes: Takes,
    /// What was left out since the server does not take it.
    pub(crate) dropped: Dropped,
}

impl<'a> ChatRequestBody<'a> {
    /// Room for a chat request: about as much as the request had.
    pub(crate) fn new(body: &'a [u8], takes: Takes, dropped: Dropped) -> Self {
        let bytes = Vec::with_capacity(body.len().saturating_add(4096));
        Self { body, bytes, takes, dropped }
    }

    /// The chat request, and what was left out of it.
    pub(crate) fn finish(self) -> (Vec<u8>, Vec<String>) {
        (self.bytes, self.dropped.0)
    }

    /// Whether the server takes a member of this name.
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.takes.allows(name)
    }

    /// Whether the server takes a member of this name. What it does not is noted as `path`.
    pub(crate) fn takes(&mut self, name: &str, path: &str) -> bool {
        let takes = self.allows(name);
        if !takes {
            self.dropped.add(path);
        }
        takes
    }

    /// Bytes that are JSON already.
    pub(crate) fn raw(&mut self, json: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(json.as_ref());
    }

    /// A value of the request, as it stands there.
    pub(crate) fn value(&mut self, value: Value<'_>) {
        self.raw(value.raw());
    }

    /// A call's id as its server knows it.
    pub(crate) fn call_id(&mut self, id: Value<'_>) {
        self.raw(b"\"");
        self.raw(own_id(id.inner()));
        self.raw(b"\"");
    }

    /// The members of a call of a function up to its name: `"id"`, what came with it, `"type"`.
    pub(crate) fn call_head(&mut self, id: Value<'_>, provider: &str) {
        let CallId { id, attached } = CallId::read(id.inner(), provider);
        self.raw(b"{\"id\":\"");
        self.raw(id);
        self.raw(b"\"");
        match attached {
            Attached::Nothing => {}
            Attached::Object(attached) => {
                self.name("extra_content");
                self.raw(attached);
            }
            Attached::Foreign => self.dropped.add("extra_content"),
        }
        self.raw(br#","type":"function","function":{"name":"#);
    }

    /// `text` as a JSON string.
    pub(crate) fn string(&mut self, text: &str) {
        string::write(text, &mut self.bytes);
    }

    /// `,"name":`; the name needs no escapes.
    pub(crate) fn name(&mut self, name: &str) {
        self.raw(b",\"");
        self.raw(name);
        self.raw(b"\":");
    }

    /// A member with a value of the request, unless that is absent.
    pub(crate) fn member(&mut self, name: &str, value: Option<Value<'_>>) {
        if let Some(value) = value {
            self.name(name);
            self.value(value);
        }
    }

    /// A member of the request as it stands there, name included.
    pub(crate) fn copy(&mut self, key: Key<'_>, value: Value<'_>) {
        self.raw(b",");
        self.raw(self.body.get(key.span()).unwrap_or(b"\"\""));
        self.raw(b":");
        self.value(value);
    }

    /// The members of `object` that `known` does not name, and that the server takes. What some server may take for one of
    /// `known` would be a second one of that name, so it is left out and noted.
    pub(crate) fn extras(&mut self, object: Option<Value<'_>>, known: &[&str]) {
        for (key, value) in object.iter().flat_map(Value::members) {
            if known.iter().any(|name| key.is(name)) || value.is_null() {
                continue;
            }
            let name = key.as_str().unwrap_or_default();
            if variant_of(name.as_bytes(), known).is_some() {
                self.dropped.add(&name);
            } else if self.takes(&name, &name) {
                self.copy(key, value);
            }
        }
    }

    /// A function's schema as it stands. OpenAI and others refuse an object without `properties`.
    pub(crate) fn schema(&mut self, schema: Value<'_>) {
        let (mut is_object, mut lacks, mut is_empty) = (false, true, true);
        for (key, value) in schema.members() {
            is_empty = false;
            is_object |= key.is("type") && value.raw() == b"\"object\"";
            lacks &= !key.is("properties");
        }
        let open = schema.raw().strip_suffix(b"}").filter(|_| is_object && lacks && !is_empty);
        match open {
            Some(open) => {
                self.raw(open);
                self.raw(br#","properties":{}}"#);
            }
            None => self.value(schema),
        }
    }

    /// The arguments of a call in the history, a string. Models write them, and servers read them as JSON before they show
    /// them to the model: vLLM, llama.cpp, SGLang and Ollama refuse the whole conversation for what is no object in them, and
    /// the client sends it again with every turn. So it goes inside of one: the model sees what it wrote.
    pub(crate) fn arguments(&mut self, text: Value<'_>) {
        if text.raw().len() > MAX_ARGUMENTS {
            return self.value(text);
        }
        match text.as_str().as_deref().map(str::trim_ascii) {
            Some("" | "null") => self.raw(br#""{}""#),
            Some(json) if cursor::parse(json.as_bytes()).is_ok_and(is_object) => self.value(text),
            _ => {
                self.raw(br#""{\"invalid_arguments\":"#);
                self.escaped(text.raw());
                self.raw(br#"}""#);
            }
        }
    }

    /// A string literal as text inside of a string: what is escaped in it is escaped once more.
    pub(crate) fn escaped(&mut self, literal: &[u8]) {
        let mut rest = literal;
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            let (head, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            let Some((&special, tail)) = tail.split_first() else { break };
            self.raw(head);
            self.raw([b'\\', special]);
            rest = tail;
        }
        self.raw(rest);
    }
}

fn is_object(value: Value<'_>) -> bool {
    value.kind == Kind::BeginObject
}

/// Names of what has no form in the chat request: once each, in order, fit for a header.
#[derive(Debug, Default)]
pub(crate) struct Dropped(Vec<String>);

impl Dropped {
    /// Notes `name`. Bytes other than letters, digits and `_.:-[]` become `_`, so that names can stand
    /// in one header with commas between them.
    pub(crate) fn add(&mut self, name: &str) {
        if self.0.len() > MAX_DROPPED {
            return;
        }
        let name: String = name
            .chars()
            .take(MAX_DROPPED_NAME)
            .map(|c| if c.is_ascii_alphanumeric() || "_.:-[]".contains(c) { c } else { '_' })
            .collect();
        if self.0.contains(&name) {
            return;
        }
        // One that does not fit any more is not left unsaid.
        self.0.push(if self.0.len() == MAX_DROPPED { "...".to_owned() } else { name });
    }
}
