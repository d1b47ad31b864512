//! Tool calls: which item each delta belongs to, and by which name and id the client knows it.

use crate::dialect::chat::arguments::ArgumentsText;
use crate::dialect::chat::calls::{CallDelta, MAX_NAME_BYTES, NAMELESS, add_name, clean};
use crate::dialect::chat::text::{escaped, quoted};
use crate::wire::json::string;

use super::CalledTool;
use super::builder::ResponseBuilder;
use super::calls::CallSlot;
use super::custom::CustomInput;
use super::events::ResponseEvents;
use super::items::{CallPayload, ItemContent, ItemPosition, OutputCall};
use super::response::IncompleteReason;

impl ResponseBuilder {
    /// A delta of a tool call.
    pub(super) fn call(&mut self, delta: &CallDelta<'_>) {
        let bytes = delta.id.len() + delta.name.len() + delta.arguments.len();
        let found = self.calls.places.find(delta);
        if (found.is_some() && bytes == 0) || !self.spend(bytes) {
            return;
        }
        let slot = match found {
            Some(slot) => slot,
            None => match self.begin_call(delta) {
                Some(slot) => slot,
                None => return,
            },
        };
        match self.calls.slots.get_mut(slot) {
            Some(CallSlot::Awaited { id, name, early }) => {
                if id.is_empty() {
                    *id = clean(&delta.id);
                }
                add_name(name, &clean(delta.name));
                early.extend_from_slice(&delta.arguments);
                let (has_early, name) = (!early.is_empty(), name.clone());
                let is_complete = has_early
                    || name.len() > MAX_NAME_BYTES
                    || self.calls.is_complete(&name, &self.options.context);
                if !name.is_empty() && is_complete {
                    self.open_awaited();
                }
            }
            Some(&mut CallSlot::Open(item)) => self.arguments(item, &delta.arguments),
            Some(CallSlot::LeftOut) | None => {}
        }
    }

    /// A new call: what came before it is complete.
    fn begin_call(&mut self, delta: &CallDelta<'_>) -> Option<usize> {
        self.seal();
        // Its item is paid for when it opens; this is the slot's room.
        if !self.spend(delta.id.len().saturating_add(64)) {
            return None;
        }
        let slot = self.calls.slots.len();
        self.calls.slots.push(CallSlot::Awaited {
            id: Vec::new(),
            name: Vec::new(),
            early: Vec::new(),
        });
        self.calls.places.add(delta);
        self.calls.awaited = Some(slot);
        Some(slot)
    }

    /// Shows the call whose name was awaited.
    pub(super) fn open_awaited(&mut self) {
        let Some(slot) = self.calls.awaited.take() else { return };
        let index = self.items.len();
        let Some(slot) = self.calls.slots.get_mut(slot) else { return };
        let CallSlot::Awaited { id, name, early } = std::mem::replace(slot, CallSlot::Open(index))
        else {
            return;
        };
        if name.trim_ascii().is_empty() {
            *slot = CallSlot::LeftOut;
            // The limit cut it before anyone knew what is called.
            if self.reason() != Some(IncompleteReason::MaxOutputTokens) {
                self.invalid(NAMELESS);
            }
            return;
        }
        let made_up = || format!("call_{}_{index}", self.options.id).into_bytes();
        let mut call_id = if id.is_empty() { made_up() } else { id };
        if !self.calls.ids.insert(call_id.clone()) {
            call_id = made_up();
            self.calls.ids.insert(call_id.clone());
        }
        let (name, namespace, custom) = self.called(name);
        let said = if custom {
            CallPayload::Input(CustomInput::default())
        } else {
            CallPayload::Arguments(ArgumentsText::default())
        };
        if self.open(ItemContent::Call(OutputCall { call_id, name, namespace, said })) {
            self.arguments(index, &early);
        }
    }

    /// What the client calls the function of this name: name, namespace, whether it is a custom tool.
    fn called(&self, name: Vec<u8>) -> (Vec<u8>, Option<Vec<u8>>, bool) {
        let known = string::decode(&name).and_then(|name| self.options.context.tools.0.get(&*name));
        match known {
            Some(CalledTool { name, namespace, custom }) => {
                let namespace = namespace.as_ref().map(|namespace| escaped(namespace.as_bytes()));
                (escaped(name.as_bytes()), namespace, *custom)
            }
            None => (name, None, false),
        }
    }

    fn arguments(&mut self, index: usize, inner: &[u8]) {
        if inner.is_empty() {
            return;
        }
        let Some(item) = self.items.get_mut(index) else { return };
        let place = item.place(&self.options.id, index);
        let ItemContent::Call(call) = &mut item.body else { return };
        let name = call.said.delta_event();
        self.events.delta(name, place, None, call.said.push(inner));
    }
}

impl CallPayload {
    fn delta_event(&self) -> &'static str {
        match self {
            Self::Arguments(_) => "response.function_call_arguments.delta",
            Self::Input(_) => "response.custom_tool_call_input.delta",
        }
    }
}

impl OutputCall {
    /// Nothing more is said to the tool.
    pub(super) fn close(&mut self, events: &mut ResponseEvents, place: ItemPosition<'_>) {
        let name = self.said.delta_event();
        events.delta(name, place, None, self.said.finish());
        let raw = self.said.raw();
        match self.said {
            CallPayload::Arguments(_) => {
                events.write("response.function_call_arguments.done", |out| {
                    place.write(None, out);
                    // In openai-node's types, not in openai-python's.
                    out.extend_from_slice(b",\"name\":");
                    quoted(&self.name, out);
                    out.extend_from_slice(b",\"arguments\":");
                    quoted(raw, out);
                });
            }
            CallPayload::Input(_) => {
                events.done("response.custom_tool_call_input.done", place, None, "input", raw);
            }
        }
    }
}
