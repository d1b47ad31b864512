//! The list of calls in a delta or a message, and what stands for one.

use crate::repair::chat::calls::CallPosition;
use crate::repair::chat::{WholeOrChunk, content};
use crate::telemetry::counters::Repair;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;

use super::ChoiceReader;
use super::said::is_object;

/// The calls that a list holds, or what stands for one: a map, whose keys are their indices, or the only call.
pub(super) fn listed<'v>(calls: &Value<'v>) -> Vec<(Option<u64>, Value<'v>)> {
    let index = |key: Key<'v>| key.as_str().and_then(|key| key.parse().ok());
    match calls.kind {
        Kind::BeginArray => {
            let inner = |value: Value<'v>| match value.kind {
                Kind::BeginArray => value.elements().filter(is_object).collect(),
                Kind::BeginObject => vec![value],
                _ => Vec::new(),
            };
            calls.elements().flat_map(inner).map(|call| (None, call)).collect()
        }
        Kind::BeginObject => {
            let keyed = calls.members().map(|(key, call)| {
                Some((Some(index(key)?), call)).filter(|(_, call)| is_object(call))
            });
            match keyed.collect::<Option<Vec<(Option<u64>, Value<'v>)>>>() {
                Some(mut map) => {
                    map.sort_by_key(|(index, _)| *index);
                    map
                }
                None => vec![(None, *calls)],
            }
        }
        _ => Vec::new(),
    }
}

impl<'v> ChoiceReader<'_, 'v, '_> {
    pub(super) fn calls(&mut self, calls: &Value<'v>) {
        match calls.kind {
            Kind::BeginArray if calls.elements().any(|call| call.kind == Kind::BeginArray) => {
                self.call_list(calls, &listed(calls));
            }
            Kind::BeginArray => {
                let list = listed(calls);
                for (position, (_, call)) in list.iter().enumerate() {
                    if let Some(with) = self.call(call, position, None, list.len()) {
                        self.note(Repair::ToolCalls);
                        self.edits.replace(call, with);
                    }
                }
            }
            Kind::BeginObject => self.call_list(calls, &listed(calls)),
            // A list that was made a text.
            Kind::String => {
                let text = calls.as_str().unwrap_or_default();
                let list = cursor::parse(text.trim().as_bytes());
                self.call_list(calls, &list.map(|list| listed(&list)).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// What is to stand in the place of a call, if it isn't right.
    pub(super) fn call(
        &mut self,
        call: &Value<'_>,
        position: usize,
        key: Option<u64>,
        count: usize,
    ) -> Option<Vec<u8>> {
        let place = CallPosition { choice: self.index, position, key, is_alone: count == 1 };
        let (made, seed) = (&mut self.progress.calls, self.about.seed);
        match self.about.form {
            WholeOrChunk::Whole => made.whole(call, place, seed),
            WholeOrChunk::Chunk => made.delta(call, place, seed),
        }
    }

    /// Writes the list in the place of what stands for it; null where there is no call in it.
    pub(super) fn call_list(&mut self, given: &Value<'v>, list: &[(Option<u64>, Value<'_>)]) {
        self.note(Repair::ToolCalls);
        let calls: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(at, (key, call))| {
                let with = self.call(call, at, *key, list.len());
                with.unwrap_or_else(|| call.raw().to_vec())
            })
            .collect();
        let list = if calls.is_empty() {
            b"null".to_vec()
        } else {
            [b"[", &calls.join(&b","[..])[..], b"]"].concat()
        };
        self.edits.replace(given, list);
    }

    /// The call of the API before tools.
    pub(super) fn function_call(&mut self, call: &Value<'v>) {
        let arguments = call.get("arguments");
        if let Some(arguments) = arguments.filter(|a| !matches!(a.kind, Kind::String | Kind::Null))
        {
            self.note(Repair::ToolCalls);
            self.edits.replace(&arguments, content::quoted_json(&arguments));
        }
    }
}
