//! A call written again, where it needs a repair.

use crate::repair::chat::edits::{member, name_of};
use crate::wire::json::cursor::Value;

use super::members::{CallMembers, is_arguments};

/// What is to be written of a call that needs a repair.
#[derive(Default)]
pub(super) struct CallRewrite<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Id<'a>,
    pub(super) adds_kind: bool,
    pub(super) drops_name: bool,
    /// In the place of the arguments that are there, if any.
    pub(super) arguments: Option<Vec<u8>>,
}

#[derive(Default)]
pub(super) enum Id<'a> {
    /// As it is.
    #[default]
    Same,
    Dropped,
    New(&'a [u8]),
}

impl CallRewrite<'_> {
    /// The call again, member by member. What is not named here keeps its bytes.
    pub(super) fn write(&self, call: &Value<'_>, parts: &CallMembers<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(call.raw().len().saturating_add(64));
        out.push(b'{');
        if let Some(index) = self.index {
            out.extend_from_slice(format!("\"index\":{index}").as_bytes());
        }
        if let Id::New(id) = self.id {
            member(&mut out, b"\"id\"", id);
        }
        if self.adds_kind {
            member(&mut out, b"\"type\"", b"\"function\"");
        }
        for (key, value) in call.members() {
            let is_replaced = (self.index.is_some() && key.is("index"))
                || (!matches!(self.id, Id::Same) && key.is("id"))
                || (self.adds_kind && key.is("type"))
                || (parts.is_flat && (key.is("name") || key.is("function") || is_arguments(&key)));
            if is_replaced {
                continue;
            }
            if let (true, Some(function)) = (key.is("function"), parts.function) {
                member(&mut out, name_of(call, &key), &self.function(&function, parts));
                continue;
            }
            member(&mut out, name_of(call, &key), value.raw());
        }
        if parts.is_flat {
            let mut function = vec![b'{'];
            if let Some(name) = parts.name.filter(|_| !self.drops_name) {
                member(&mut function, b"\"name\"", name.raw());
            }
            self.write_arguments(&mut function);
            function.push(b'}');
            member(&mut out, b"\"function\"", &function);
        }
        out.push(b'}');
        out
    }

    fn function(&self, function: &Value<'_>, parts: &CallMembers<'_>) -> Vec<u8> {
        let mut out = vec![b'{'];
        let mut is_written = false;
        for (key, value) in function.members() {
            if key.is("name") && self.drops_name {
                continue;
            }
            let is_given = is_arguments(&key)
                && parts.arguments.is_some_and(|given| given.span() == value.span());
            if is_given && self.arguments.is_some() {
                self.write_arguments(&mut out);
                is_written = true;
                continue;
            }
            member(&mut out, name_of(function, &key), value.raw());
        }
        if !is_written && parts.arguments.is_none() {
            self.write_arguments(&mut out);
        }
        out.push(b'}');
        out
    }

    fn write_arguments(&self, out: &mut Vec<u8>) {
        if let Some(arguments) = &self.arguments {
            member(out, b"\"arguments\"", arguments);
        }
    }
}
