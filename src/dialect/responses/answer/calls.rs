//! The tool calls of an answer so far: which were begun, and which names may still grow.

use std::collections::HashSet;

use crate::dialect::chat::calls::CallNumbers;
use crate::wire::json::{cursor, string};

use super::AnswerContext;

/// The calls of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) slots: Vec<CallSlot>,
    pub(super) places: CallNumbers,
    /// The client's ids: OpenAI's SDKs take two calls of one id for a fault.
    pub(super) ids: HashSet<Vec<u8>>,
    pub(super) awaited: Option<usize>,
    offered: Option<Vec<String>>,
}

#[derive(Debug)]
pub(super) enum CallSlot {
    /// Its name may not be complete: the item shows when it is.
    Awaited { id: Vec<u8>, name: Vec<u8>, early: Vec<u8> },
    /// The item.
    Open(usize),
    /// It has none: it was cut before its name.
    LeftOut,
}

impl Calls {
    /// Whether `name` is one that was offered, and can't be the beginning of another.
    pub(super) fn is_complete(&mut self, name: &[u8], context: &AnswerContext) -> bool {
        let Some(name) = string::decode(name) else { return false };
        let offered = self.offered.get_or_insert_with(|| offered(context));
        let mut known = false;
        for other in offered.iter().filter(|other| other.starts_with(&*name)) {
            if other.len() > name.len() {
                return false;
            }
            known = true;
        }
        known
    }
}

/// The names of the functions that the chat server was offered.
fn offered(context: &AnswerContext) -> Vec<String> {
    let mut names: Vec<String> = context.tools.0.keys().cloned().collect();
    let tools = context.repeated.iter().find(|(name, _)| *name == "tools");
    let Some(Ok(tools)) = tools.map(|(_, raw)| cursor::parse(raw)) else { return names };
    for tool in tools.elements() {
        let (mut is_function, mut called) = (false, None);
        for (key, value) in tool.members() {
            if key.is("type") {
                is_function = value.as_str().as_deref() == Some("function");
            } else if key.is("name") {
                called = value.as_str();
            }
        }
        if is_function && let Some(called) = called {
            names.push(called.into_owned());
        }
    }
    names
}
