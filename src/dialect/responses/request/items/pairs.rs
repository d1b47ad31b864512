//! Calls, and what answers them.

use std::borrow::Cow;

use super::{Entry, HistoryCall, ItemMembers, ItemReader, path, shown, string};
use crate::dialect::chat::write::{must_be, refuse};
use crate::dialect::responses::request::content::ContentPath;
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

impl<'a> ItemReader<'_, 'a> {
    pub(super) fn call(
        &mut self,
        members: &ItemMembers<'a>,
        index: usize,
        payload: Value<'a>,
        custom: bool,
    ) -> Result<(), GatewayError> {
        let (id, key) = call_id(members, index)?;
        let name = text(members.name, index, "name")?;
        let namespace = match members.namespace.filter(|namespace| namespace.raw() != b"\"\"") {
            Some(namespace) => Some(text(Some(namespace), index, "namespace")?),
            None => None,
        };
        let tool = self.names.called(namespace, name, custom)?;
        if self.open.insert(key, self.items.calls.len()).is_some() {
            let id = shown(&id);
            return Err(refuse(
                path(index, "call_id"),
                format!("Function call {id} is there twice, and the first has no output yet."),
            ));
        }
        self.items.entries.push(Entry::HistoryCall(self.items.calls.len()));
        self.items.calls.push(HistoryCall { index, tool, custom, id, payload, output: None });
        Ok(())
    }

    pub(super) fn output(
        &mut self,
        members: &ItemMembers<'a>,
        index: usize,
    ) -> Result<(), GatewayError> {
        let at = ContentPath { index, field: "output" };
        let output = match members.output {
            Some(output) if matches!(output.kind, Kind::String | Kind::BeginArray | Kind::Null) => {
                output
            }
            _ => return Err(must_be(at.to_string(), "a string or an array of parts")),
        };
        self.made(index);
        if members.call_id.is_none() {
            // The API's own types have `call_id` optional, with a name in its place.
            for (member, value) in [("name", members.name), ("namespace", members.namespace)] {
                if value.is_some() {
                    string(value, index, member)?;
                }
            }
            let filled = |value: &Value<'_>| !value.inner().is_empty();
            self.items.entries.push(Entry::Unasked {
                namespace: members.namespace.filter(filled),
                name: members.name.filter(filled),
                output: (output, at),
            });
            return Ok(());
        }
        let (id, key) = call_id(members, index)?;
        let call = self.open.remove(&key).and_then(|call| self.items.calls.get_mut(call));
        let Some(call) = call else {
            if self.left_out.remove(&key) {
                return Ok(());
            }
            let id = shown(&id);
            return Err(refuse(
                path(index, "call_id"),
                format!("No tool call found for function call output with call_id {id}."),
            ));
        };
        call.output = Some((output, at));
        self.items.entries.push(Entry::Outputs);
        Ok(())
    }
}

/// A string with something in it.
fn text<'a>(
    value: Option<Value<'a>>,
    index: usize,
    member: &str,
) -> Result<Cow<'a, str>, GatewayError> {
    value
        .and_then(|value| value.as_str())
        .filter(|text| !text.is_empty())
        .ok_or_else(|| must_be(path(index, member), "a string that is not empty"))
}

fn call_id<'a>(
    members: &ItemMembers<'a>,
    index: usize,
) -> Result<(Value<'a>, Cow<'a, str>), GatewayError> {
    let key = text(members.call_id, index, "call_id")?;
    let id = string(members.call_id, index, "call_id")?;
    Ok((id, key))
}
