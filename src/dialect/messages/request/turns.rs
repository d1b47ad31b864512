//! The messages as turns: joined where one role speaks twice, calls paired with their results.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::blocks::{BlockPath, Content, string};
use super::{MessagesOptions, system};
use crate::dialect::chat::write::{Dropped, given, holds_any, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// The whole conversation.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    /// The system prompt, and system messages that come before everything else.
    pub(super) system: Content<'a>,
    /// User and assistant, by turns.
    pub(super) list: Vec<Turn<'a>>,
}

#[derive(Debug)]
pub(super) enum Turn<'a> {
    Assistant(Assistant<'a>),
    User(User<'a>),
}

/// What the model said and called before anyone answered.
#[derive(Debug, Default)]
pub(super) struct Assistant<'a> {
    pub(super) content: Content<'a>,
    pub(super) calls: Vec<ToolUseTurn<'a>>,
    /// What it thought: strings.
    pub(super) thinking: Vec<Value<'a>>,
}

/// What came back to the model: results, then everything else in its order.
#[derive(Debug, Default)]
pub(super) struct User<'a> {
    /// In the order of the calls that stand in the turn before.
    pub(super) results: Vec<ToolResult<'a>>,
    pub(super) said: Vec<PlainMessage<'a>>,
}

/// A message of its own.
#[derive(Debug)]
pub(super) struct PlainMessage<'a> {
    pub(super) is_system: bool,
    pub(super) content: Content<'a>,
}

#[derive(Debug)]
pub(super) struct ToolUseTurn<'a> {
    /// A string.
    pub(super) id: Value<'a>,
    pub(super) name: Cow<'a, str>,
    pub(super) input: Option<Value<'a>>,
    at: BlockPath,
}

#[derive(Debug)]
pub(super) struct ToolResult<'a> {
    /// A string.
    pub(super) id: Value<'a>,
    pub(super) content: Content<'a>,
    pub(super) is_error: bool,
    /// Its `cache_control`.
    pub(super) mark: Option<Value<'a>>,
    /// Which call of the turn before.
    call: usize,
    at: BlockPath,
}

impl Turns<'_> {
    /// Whether the last message is the beginning of the answer.
    pub(super) fn prefills(&self) -> bool {
        matches!(self.list.last(), Some(Turn::Assistant(last)) if last.calls.is_empty())
    }
}

/// Reads `messages`.
///
/// # Errors
/// With the path: wrong types, calls and results that do not pair up, and in the newest user message what has no form in
/// chat.
pub(super) fn read<'a>(
    messages: Option<Value<'a>>,
    system: Content<'a>,
    options: &MessagesOptions<'_>,
    dropped: &mut Dropped,
) -> Result<Turns<'a>, GatewayError> {
    let messages: Vec<_> = messages.iter().flat_map(Value::elements).collect();
    let role = |message: &Value<'a>| message.get("role").and_then(|role| role.as_str());
    let newest = messages.iter().rposition(|message| role(message).as_deref() == Some("user"));
    let mut reader = TurnReader {
        turns: Turns { system, list: Vec::new() },
        system_anywhere: options.takes.system_anywhere,
        left_out: HashSet::new(),
        thought: Vec::new(),
        dropped,
    };
    for (index, message) in messages.iter().enumerate() {
        if message.kind != Kind::BeginObject {
            return Err(must_be(format!("messages[{index}]"), "an object"));
        }
        let at = BlockPath {
            message: index,
            block: None,
            inner: None,
            is_newest: newest == Some(index),
        };
        for member in ["tool_calls", "function_call"] {
            if message.get(member).is_some_and(|calls| holds_any(&calls)) {
                return Err(refuse(
                    format!("messages[{index}].{member}"),
                    format!(
                        "\"{member}\" is a member of chat completions' messages. Send a block of the type \
                         tool_use for each call."
                    ),
                ));
            }
        }
        let role = role(message);
        let content = match message.get("content").and_then(given) {
            Some(content) if matches!(content.kind, Kind::String | Kind::BeginArray) => content,
            // An answer that said nothing.
            None if role.as_deref() == Some("assistant") => continue,
            _ => return Err(must_be(at.path(""), "a string or an array of blocks")),
        };
        match role.as_deref() {
            Some("user") => reader.user(content, at)?,
            Some("assistant") => reader.assistant(content, at)?,
            Some("system") => reader.system(content, at)?,
            _ => {
                let wanted = "one of \"user\", \"assistant\" and \"system\"";
                return Err(must_be(format!("messages[{index}].role"), wanted));
            }
        }
    }
    let mut turns = reader.turns;
    if turns.list.is_empty() {
        return Err(refuse("messages", "\"messages\" has nothing in it for the model to answer."));
    }
    pair(&mut turns.list)?;
    Ok(turns)
}

struct TurnReader<'a, 'd> {
    turns: Turns<'a>,
    system_anywhere: bool,
    /// Calls that were left out (those of a server's own tools), by id: a result of one goes with it.
    left_out: HashSet<Cow<'a, str>>,
    /// Thinking in a message of its own, which waits for what it led to.
    thought: Vec<Value<'a>>,
    dropped: &'d mut Dropped,
}

impl<'a> TurnReader<'a, '_> {
    fn user(&mut self, content: Value<'a>, at: BlockPath) -> Result<(), GatewayError> {
        let mut said = Content::default();
        let mut results = Vec::new();
        if content.kind == Kind::String {
            said.push_text(Cow::Borrowed(content.inner()), None, true);
        } else {
            said.is_list = true;
        }
        for (index, block) in content.elements().enumerate() {
            let at = BlockPath { block: Some(index), ..at };
            let kind = kind(&block, &at)?;
            if kind == "tool_result" {
                let result = self.result(&block, at)?;
                if !result.id.as_str().is_some_and(|id| self.left_out.remove(&id)) {
                    results.push(result);
                }
            } else if !said.read(&kind, &block, at, self.dropped)? {
                at.leave_out(&kind, ".type", self.dropped)?;
            }
        }
        if !said.is_empty() || !results.is_empty() {
            self.say(results, false, said);
        }
        Ok(())
    }

    fn result(&mut self, block: &Value<'a>, at: BlockPath) -> Result<ToolResult<'a>, GatewayError> {
        let id = string(block, "tool_use_id", &at)?;
        let mut content = Content::default();
        match block.get("content").and_then(given) {
            None => {}
            Some(text) if text.kind == Kind::String => {
                content.push_text(Cow::Borrowed(text.inner()), None, true);
            }
            Some(blocks) if blocks.kind == Kind::BeginArray => {
                content.is_list = true;
                for (index, inner) in blocks.elements().enumerate() {
                    let at = BlockPath { inner: Some(index), ..at };
                    let kind = kind(&inner, &at)?;
                    // Whoever made it, it was a tool: to refuse it would end the session.
                    let at = BlockPath { is_newest: false, ..at };
                    if !content.read(&kind, &inner, at, self.dropped)? {
                        at.leave_out(&kind, ".type", self.dropped)?;
                    }
                }
            }
            Some(_) => return Err(must_be(at.path(".content"), "a string or an array of blocks")),
        }
        let is_error = match block.get("is_error").and_then(given) {
            None => false,
            Some(is_error) => {
                is_error.as_bool().ok_or_else(|| must_be(at.path(".is_error"), "true or false"))?
            }
        };
        let mark = block.get("cache_control").and_then(given);
        Ok(ToolResult { id, content, is_error, mark, call: 0, at })
    }

    fn assistant(&mut self, content: Value<'a>, at: BlockPath) -> Result<(), GatewayError> {
        let thinking = std::mem::take(&mut self.thought);
        let mut turn = Assistant { thinking, ..Assistant::default() };
        if content.kind == Kind::String {
            turn.content.push_text(Cow::Borrowed(content.inner()), None, true);
        } else {
            turn.content.is_list = true;
        }
        for (index, block) in content.elements().enumerate() {
            let at = BlockPath { block: Some(index), ..at };
            let kind = kind(&block, &at)?;
            match &*kind {
                "tool_use" => {
                    let call = call(&block, at)?;
                    // Who answers it answers no other.
                    let _ = call.id.as_str().is_some_and(|id| self.left_out.remove(&id));
                    turn.calls.push(call);
                }
                "thinking" => {
                    let text = block.get("thinking").filter(|text| text.kind == Kind::String);
                    turn.thinking.extend(text.filter(|text| !text.inner().is_empty()));
                }
                // Only the server that sealed it can read it.
                "redacted_thinking" => {}
                kind => {
                    if !turn.content.read(kind, &block, at, self.dropped)? {
                        at.leave_out(kind, ".type", self.dropped)?;
                        self.left_out.extend(block.get("id").and_then(|id| id.as_str()));
                    }
                }
            }
        }
        if turn.content.is_empty() && turn.calls.is_empty() {
            self.thought = turn.thinking;
            return Ok(());
        }
        match self.turns.list.last_mut() {
            Some(Turn::Assistant(last)) => {
                last.content.append(turn.content);
                last.calls.extend(turn.calls);
                last.thinking.extend(turn.thinking);
            }
            _ => self.turns.list.push(Turn::Assistant(turn)),
        }
        Ok(())
    }

    /// A system message among the others. In front of them it belongs to the system prompt; behind them it stays where
    /// it is: in the system prompt it would change what stands before it, and with that the server would lose its
    /// prefix cache of the whole conversation.
    fn system(&mut self, content: Value<'a>, at: BlockPath) -> Result<(), GatewayError> {
        let mut said = Content::default();
        if content.kind == Kind::String {
            said.push_text(system::text(content), None, true);
        } else {
            said.is_list = true;
        }
        for (index, block) in content.elements().enumerate() {
            let at = BlockPath { block: Some(index), ..at };
            let kind = kind(&block, &at)?;
            if kind == "text" {
                let text = string(&block, "text", &at)?;
                let opens = said.is_empty();
                said.push_text(system::text(text), block.get("cache_control"), opens);
            } else {
                at.leave_out(&kind, ".type", self.dropped)?;
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        if self.turns.list.is_empty() {
            self.turns.system.append(said);
        } else if self.system_anywhere {
            self.say(Vec::new(), true, said);
        } else {
            // Most templates take no system message here, or leave it out without a word.
            let mut marked = Content::default();
            marked.push_note("Instruction of the system:");
            marked.append(said);
            self.say(Vec::new(), false, marked);
        }
        Ok(())
    }

    /// Adds to the user's turn that is open, or to a new one.
    fn say(&mut self, results: Vec<ToolResult<'a>>, is_system: bool, content: Content<'a>) {
        self.thought.clear();
        let list = &mut self.turns.list;
        if !matches!(list.last(), Some(Turn::User(_))) {
            list.push(Turn::User(User::default()));
        }
        if let Some(Turn::User(user)) = list.last_mut() {
            user.results.extend(results);
            user.say(is_system, content);
        }
    }
}

impl<'a> User<'a> {
    fn say(&mut self, is_system: bool, content: Content<'a>) {
        if content.is_empty() {
            return;
        }
        match self.said.last_mut() {
            Some(last) if last.is_system == is_system => last.content.append(content),
            _ => self.said.push(PlainMessage { is_system, content }),
        }
    }
}

fn kind<'a>(block: &Value<'a>, at: &BlockPath) -> Result<Cow<'a, str>, GatewayError> {
    if block.kind != Kind::BeginObject {
        return Err(must_be(at.path(""), "an object"));
    }
    let kind = block.get("type").and_then(|kind| kind.as_str());
    kind.ok_or_else(|| must_be(at.path(".type"), "a string"))
}

fn call<'a>(block: &Value<'a>, at: BlockPath) -> Result<ToolUseTurn<'a>, GatewayError> {
    let id = string(block, "id", &at)?;
    let name = string(block, "name", &at)?.as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| must_be(at.path(".name"), "a string that is not empty"))?;
    let input = block.get("input").and_then(given);
    if input.is_some_and(|input| !matches!(input.kind, Kind::BeginObject | Kind::String)) {
        return Err(must_be(at.path(".input"), "an object"));
    }
    Ok(ToolUseTurn { id, name, input, at })
}

/// Finds the call of each result, and puts the results into the order of the calls: templates that show no ids rely on
/// it. An id may come again in another turn: some servers number the calls of every answer from 0.
fn pair(turns: &mut [Turn<'_>]) -> Result<(), GatewayError> {
    let mut rest = turns.iter_mut().peekable();
    // Results in the first turn have no calls before them.
    if let Some(Turn::User(user)) = rest.peek_mut() {
        pair_turn(&[], user)?;
    }
    while let Some(turn) = rest.next() {
        let Turn::Assistant(assistant) = turn else { continue };
        match rest.peek_mut() {
            Some(Turn::User(user)) => pair_turn(&assistant.calls, user)?,
            _ => pair_turn(&assistant.calls, &mut User::default())?,
        }
    }
    Ok(())
}

fn pair_turn(calls: &[ToolUseTurn<'_>], user: &mut User<'_>) -> Result<(), GatewayError> {
    let mut open = HashMap::new();
    for (index, call) in calls.iter().enumerate() {
        match open.entry(call.id.as_str()) {
            Entry::Vacant(slot) => slot.insert((index, false)),
            Entry::Occupied(_) => {
                return Err(refuse(
                    call.at.path(".id"),
                    format!("Another tool_use of this turn has the id {}.", shown(&call.id)),
                ));
            }
        };
    }
    for result in &mut user.results {
        let path = || result.at.path(".tool_use_id");
        let id = shown(&result.id);
        match open.get_mut(&result.id.as_str()) {
            Some((index, answered @ false)) => {
                result.call = *index;
                *answered = true;
            }
            Some(_) => {
                return Err(refuse(path(), format!("There are two results for tool_use {id}.")));
            }
            None => {
                return Err(refuse(
                    path(),
                    format!("The assistant message before it has no tool_use with the id {id}."),
                ));
            }
        }
    }
    let answered =
        |call: &&ToolUseTurn<'_>| open.get(&call.id.as_str()).is_some_and(|(_, done)| *done);
    if let Some(call) = calls.iter().find(|call| !answered(call)) {
        return Err(refuse(
            call.at.path(".id"),
            format!("The message behind it has no tool_result for tool_use {}.", shown(&call.id)),
        ));
    }
    user.results.sort_by_key(|result| result.call);
    Ok(())
}

/// An id for a message, cut to a length that a person reads.
fn shown(id: &Value<'_>) -> String {
    let id = id.as_str().unwrap_or_default();
    let mut short: String = id.chars().take(64).collect();
    if short.len() < id.len() {
        short.push('…');
    }
    short
}
