//! Whose turn it is: blocks are opened, told of and closed one after another.

use crate::dialect::chat::calls::NAMELESS;
use crate::dialect::chat::text::escaped;
use crate::dialect::chat::{Answer, Finish};
use crate::dialect::messages::answer::blocks::ContentBlock;
use crate::dialect::messages::answer::input::ArgumentsState;
use crate::wire::json::string;

use super::MessageBuilder;

impl MessageBuilder {
    /// Tells of what is new, and opens the blocks whose turn it is. `is_end`: nothing is added any more.
    pub(super) fn show(&mut self, is_end: bool) {
        while !self.has_ended() {
            if is_end && self.is_cut_before_its_name() {
                self.blocks.remove(self.open);
                continue;
            }
            let count = self.blocks.len();
            let is_last = self.open.saturating_add(1) >= count;
            if !self.is_started && !self.start(is_last, is_end) {
                return;
            }
            let Some(block) = self.blocks.get_mut(self.open) else { return };
            let goes_on = is_last && !is_end;
            if goes_on {
                return block.delta(self.open, &mut self.events);
            }
            let is_over = match block {
                ContentBlock::Thinking(..) | ContentBlock::Text(..) => true,
                ContentBlock::Call(call) => {
                    is_end
                        || matches!(
                            call.input.state(),
                            ArgumentsState::Object | ArgumentsState::Null | ArgumentsState::Broken
                        )
                }
            };
            if is_over {
                block.finish();
            }
            block.delta(self.open, &mut self.events);
            if !is_over || !self.close() {
                return;
            }
        }
    }

    /// Whether the block whose turn it is is a call that `max_tokens` cut before anyone knew what is called.
    fn is_cut_before_its_name(&self) -> bool {
        self.finish == Some(Finish::Length)
            && matches!(self.blocks.get(self.open), Some(ContentBlock::Call(call)) if call.is_nameless())
    }

    /// Writes the first event of the block whose turn it is. False while there is none, or a call whose name may go on.
    fn start(&mut self, is_last: bool, is_end: bool) -> bool {
        let index = self.open;
        let Some(block) = self.blocks.get_mut(index) else { return false };
        if let ContentBlock::Call(call) = block {
            let is_nameless = call.is_nameless();
            let is_early = call.input.state() == ArgumentsState::Blank && !call.is_named;
            if is_last && !is_end && (is_nameless || is_early) {
                return false;
            }
            if is_nameless {
                self.invalid(NAMELESS);
                return false;
            }
            self.settle(index);
        }
        if let Some(block) = self.blocks.get(index) {
            block.start(index, &mut self.events);
        }
        self.is_started = true;
        true
    }

    /// Closes the block that is open. False where the answer has failed with it.
    fn close(&mut self) -> bool {
        let index = self.open;
        let is_cut = self.finish == Some(Finish::Length);
        if let Some(ContentBlock::Call(call)) = self.blocks.get_mut(index) {
            match call.input.state() {
                ArgumentsState::Blank | ArgumentsState::Object | ArgumentsState::Null => {}
                ArgumentsState::Open | ArgumentsState::Broken if is_cut => call.is_cut = true,
                ArgumentsState::Open | ArgumentsState::Broken => {
                    let name = string::decode(&call.name).unwrap_or_default();
                    let name: String = name.chars().take(64).collect();
                    self.invalid(&format!(
                        "The upstream called the tool {name:?} with arguments that are no JSON object."
                    ));
                    return false;
                }
            }
        }
        self.events.block("content_block_stop", index, |_| {});
        self.open = index.saturating_add(1);
        self.is_started = false;
        true
    }

    /// Gives a call its id and the name by which the client knows the tool.
    fn settle(&mut self, index: usize) {
        let made_up = || format!("toolu_{}_{index}", self.options.id).into_bytes();
        let Some(ContentBlock::Call(call)) = self.blocks.get_mut(index) else { return };
        if std::mem::replace(&mut call.is_named, true) {
            return;
        }
        if call.id.is_empty() || self.ids.contains(&call.id) {
            call.id = made_up();
        }
        self.ids.insert(call.id.clone());
        let renamed = &self.options.context.renamed;
        let known = string::decode(&call.name).and_then(|name| renamed.get(&*name));
        if let Some(name) = known {
            call.name = escaped(name.as_bytes());
        }
    }
}
