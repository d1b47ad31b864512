//! The members of a call, or of a delta of one, under the names that servers have for them.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::repair::chat::content::quoted_json;
use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

/// The members of a call, or of a delta, that matter.
#[derive(Default)]
pub(super) struct CallMembers<'a> {
    pub(super) index: Option<u64>,
    /// The index is a number, as it should be.
    pub(super) has_plain_index: bool,
    pub(super) kind: Option<Value<'a>>,
    pub(super) id: Option<Value<'a>>,
    /// The object `function`.
    pub(super) function: Option<Value<'a>>,
    pub(super) name: Option<Value<'a>>,
    pub(super) arguments: Option<Value<'a>>,
    /// Name and arguments stand beside the index, not in an object of their own.
    pub(super) is_flat: bool,
    /// A call of another type, whose members are its own.
    pub(super) is_other: bool,
}

impl<'a> CallMembers<'a> {
    /// `key`: its index where it has none of its own.
    pub(super) fn read(call: &Value<'a>, key: Option<u64>) -> Self {
        let mut parts = Self::default();
        let (mut name, mut arguments) = (None, None);
        for (key, value) in call.members() {
            if key.is("index") {
                let digits = if value.kind == Kind::String { value.inner() } else { value.raw() };
                parts.index = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                parts.has_plain_index = value.kind == Kind::Number && parts.index.is_some();
            } else if key.is("id") {
                parts.id = Some(value);
            } else if key.is("type") {
                parts.kind = Some(value);
            } else if key.is("function") && value.kind == Kind::String {
                name = Some(value);
            } else if key.is("function") {
                parts.function = Some(value).filter(|value| value.kind == Kind::BeginObject);
            } else if key.is("custom") {
                parts.is_other = value.kind == Kind::BeginObject;
            } else if key.is("name") {
                name = Some(value);
            } else if is_arguments(&key) {
                arguments = arguments.or(Some(value));
            }
        }
        parts.index = parts.index.or(key);
        match parts.function {
            Some(function) => {
                for (key, value) in function.members() {
                    if key.is("name") {
                        parts.name = Some(value);
                    } else if is_arguments(&key) {
                        parts.arguments = parts.arguments.or(Some(value));
                    }
                }
            }
            None if parts.is_other => {}
            None => {
                (parts.name, parts.arguments) = (name, arguments);
                parts.is_flat = name.is_some() || arguments.is_some();
            }
        }
        parts
    }

    /// Whether the function's members are not as they should be, in the place and under the name that
    /// they should have.
    pub(super) fn is_odd(&self) -> bool {
        let arguments = self.function.and_then(|function| function.get("arguments"));
        self.is_flat
            || self.arguments.is_some_and(|given| {
                arguments.is_none() || !matches!(given.kind, Kind::String | Kind::Null)
            })
    }

    /// Whether the type is not that of a function's call, although it is one.
    pub(super) fn has_other_kind(&self) -> bool {
        let is_function = self.function.is_some() || self.is_flat;
        is_function && self.kind.is_some_and(|kind| kind.raw() != b"\"function\"")
    }

    /// The arguments as a JSON string, if there are any.
    pub(super) fn text(&self) -> Option<Vec<u8>> {
        let given = self.arguments.filter(|given| !given.is_null())?;
        Some(if given.kind == Kind::String { given.raw().to_vec() } else { quoted_json(&given) })
    }

    pub(super) fn id(&self) -> Option<u64> {
        self.id.filter(is_filled).map(|id| hash(id.raw()))
    }

    pub(super) fn name(&self) -> Option<u64> {
        self.name.filter(is_filled).map(|name| hash(name.raw()))
    }
}

pub(super) fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn is_filled(value: &Value<'_>) -> bool {
    value.kind == Kind::String && value.raw().len() > 2
}

/// Names under which the arguments stand, OpenAI's first.
pub(super) fn is_arguments(key: &Key<'_>) -> bool {
    ["arguments", "parameters", "input", "args", "params"].iter().any(|name| key.is(name))
}
