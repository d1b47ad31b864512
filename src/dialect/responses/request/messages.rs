//! The chat messages: what the items become.
//!
//! Three things are different in chat. Calls stand in the assistant's message, and their outputs
//! directly behind it. Reasoning, where a server wants it back, is a member of that message. And the
//! system message is one, and first.
//!
//! **System and developer messages** at the beginning join the one system message, in their order, behind
//! `instructions`. The templates of most open models know no `developer` role, and many refuse a
//! system message that is not the first (Qwen 3.5 and later, Mistral: "System message must be at the
//! beginning") or leave it out without a word (gpt-oss). One that comes later **stays where it is**: in
//! the first message it would change what stands before it, and with that the server would lose its
//! prefix cache of the whole conversation. It goes as a user message that says whose instruction it
//! is, or as a system message where the server takes those anywhere.
//!
//! **Images and files in a tool's output** go into a user message behind the outputs: a chat tool
//! message holds text only (API reference, and hosted servers refuse others).

use super::ChatRequestOptions;
use super::content::{self, ContentPath, Formless, GatewayNote, MessagePart};
use super::items::{Entry, HistoryCall, Items};
use super::names::RequestTools;
use crate::dialect::chat::write::ChatRequestBody;
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Stands before a compaction that came back.
const SUMMARY: &str = "Summary of the conversation so far:";

/// What the model is asked where the conversation is to be compacted.
const COMPACT: &str = "Write a summary that takes the place of this conversation: whoever goes on from \
    here sees the summary alone. Say what the user asked for and decided, in the user's own words where \
    they matter; what was done and found, with every name, path, command, value and error that is still \
    needed; what is open, and what comes next. Answer with the summary and nothing else.";

/// Writes the elements of `messages`; says whether there were any. `compacts`: the model is to
/// summarise them.
///
/// # Errors
/// Naming the content part that has no form in chat.
pub(super) fn write<'a>(
    instructions: Option<Value<'a>>,
    items: &Items<'a>,
    names: &RequestTools<'a>,
    compacts: bool,
    options: &ChatRequestOptions<'_>,
    out: &mut ChatRequestBody<'_>,
) -> Result<bool, GatewayError> {
    let mut writer = MessageWriter {
        out,
        names,
        calls: &items.calls,
        opened: &items.opened,
        newest: items.newest,
        options,
        any: false,
        parts: Vec::new(),
        thought: Vec::new(),
        turn: AssistantTurn::default(),
    };
    writer.system(instructions, &items.system)?;
    for entry in &items.entries {
        writer.entry(entry)?;
    }
    writer.end_turn()?;
    if compacts && writer.any {
        writer.open("user");
        writer.out.name("content");
        writer.out.string(COMPACT);
        writer.out.raw(b"}");
    }
    Ok(writer.any)
}

/// What the model said and called before anyone answered: one assistant message.
#[derive(Default)]
struct AssistantTurn<'a> {
    parts: Vec<MessagePart<'a>>,
    calls: Vec<usize>,
    reasoning: Vec<Thought<'a>>,
}

/// A piece of what the model thought.
#[derive(Clone, Copy)]
enum Thought<'a> {
    /// As it stands in the request.
    Said(Value<'a>),
    /// It came sealed: an index into [`Items::opened`].
    Unsealed(usize),
}

struct MessageWriter<'w, 'o, 'a> {
    out: &'w mut ChatRequestBody<'o>,
    names: &'w RequestTools<'a>,
    calls: &'w [HistoryCall<'a>],
    opened: &'w [Vec<u8>],
    /// See [`Items::newest`].
    newest: usize,
    options: &'w ChatRequestOptions<'w>,
    any: bool,
    /// Room for the parts of one message.
    parts: Vec<MessagePart<'a>>,
    /// Reasoning that waits for what it led to.
    thought: Vec<Thought<'a>>,
    turn: AssistantTurn<'a>,
}

impl<'a> MessageWriter<'_, '_, 'a> {
    fn system(
        &mut self,
        instructions: Option<Value<'a>>,
        contents: &[(Value<'a>, ContentPath)],
    ) -> Result<(), GatewayError> {
        let mut parts = Vec::new();
        if let Some(text) = instructions.filter(|text| !text.inner().is_empty()) {
            parts.push(MessagePart::Text { text, object: None, opens: true });
        }
        for &(content, at) in contents {
            content::read(content, at, Formless::Refused, &mut parts)?;
        }
        if !parts.is_empty() {
            self.open("system");
            self.content(&parts);
            self.out.raw(b"}");
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry<'a>) -> Result<(), GatewayError> {
        match *entry {
            Entry::User(content, at) => {
                self.end_turn()?;
                self.thought.clear();
                self.message("user", None, content, at)?;
            }
            Entry::Unasked { namespace, name, output: (output, at) } => {
                self.end_turn()?;
                self.thought.clear();
                let note = GatewayNote::OutputUnasked { namespace, name };
                self.message("user", Some(note), output, at)?;
            }
            Entry::Instruction(_, content, _) if is_empty(content) => {}
            Entry::Instruction(role, content, at) => {
                self.end_turn()?;
                if self.options.takes.system_anywhere {
                    self.message("system", None, content, at)?;
                } else {
                    self.message("user", Some(GatewayNote::Instruction(role)), content, at)?;
                }
            }
            Entry::Assistant(content, at) => {
                // Two messages are two messages, unless calls stand between them: those have not been
                // answered, so it is one answer of the model, and the calls must come last in it.
                if self.turn.calls.is_empty() {
                    self.end_turn()?;
                }
                self.turn.reasoning.append(&mut self.thought);
                let mut parts = std::mem::take(&mut self.turn.parts);
                content::read(content, at, self.formless(at), &mut parts)?;
                self.turn.parts = parts;
            }
            Entry::HistoryCall(call) => {
                self.turn.reasoning.append(&mut self.thought);
                self.turn.calls.push(call);
            }
            Entry::Outputs => {
                self.end_turn()?;
                self.thought.clear();
            }
            Entry::Reasoning(texts) => {
                let texts = texts.elements();
                self.thought.extend(
                    texts
                        .filter_map(|text| text.get("text"))
                        .filter(|text| text.kind == Kind::String && !text.inner().is_empty())
                        .map(Thought::Said),
                );
            }
            Entry::Unsealed(opened) => self.thought.push(Thought::Unsealed(opened)),
            Entry::Compaction(opened) => {
                self.end_turn()?;
                self.thought.clear();
                self.open("user");
                self.out.raw(br#","content":""#);
                self.out.raw(SUMMARY);
                self.out.raw(br"\n\n");
                self.unsealed(opened);
                self.out.raw(br#""}"#);
            }
        }
        Ok(())
    }

    fn formless(&mut self, at: ContentPath) -> Formless<'_> {
        let is_kept = at.index >= self.newest && at.field != "output";
        if is_kept { Formless::Refused } else { Formless::LeftOut(&mut self.out.dropped) }
    }

    /// A message of this content, behind a line of the gateway's own.
    fn message(
        &mut self,
        role: &str,
        note: Option<GatewayNote<'a>>,
        content: Value<'a>,
        at: ContentPath,
    ) -> Result<(), GatewayError> {
        let mut parts = std::mem::take(&mut self.parts);
        parts.clear();
        parts.extend(note.map(MessagePart::Note));
        content::read(content, at, self.formless(at), &mut parts)?;
        self.open(role);
        self.content(&parts);
        self.out.raw(b"}");
        self.parts = parts;
        Ok(())
    }

    /// Writes what came sealed, escaped, without quotes.
    fn unsealed(&mut self, opened: usize) {
        let text = self.opened.get(opened).map(Vec::as_slice).unwrap_or_default();
        let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
        self.out.raw(inner.unwrap_or_default());
    }

    fn end_turn(&mut self) -> Result<(), GatewayError> {
        let AssistantTurn { mut parts, mut calls, mut reasoning } = std::mem::take(&mut self.turn);
        // Servers refuse a message that says nothing, and the model knows nothing less without it.
        let spoke = parts.iter().any(|part| !part.is_empty());
        if !spoke && calls.is_empty() {
            return Ok(());
        }
        self.open("assistant");
        if spoke {
            self.content(&parts);
        } else {
            // What a chat server itself answers with calls and no text.
            self.out.raw(br#","content":null"#);
        }
        if let Some(field) = self.options.reasoning_field.filter(|_| !reasoning.is_empty()) {
            self.out.raw(b",");
            self.out.string(field);
            self.out.raw(b":\"");
            for (index, text) in reasoning.iter().enumerate() {
                self.out.raw(if index > 0 { &b"\\n\\n"[..] } else { b"" });
                match *text {
                    Thought::Said(text) => self.out.raw(text.inner()),
                    Thought::Unsealed(opened) => self.unsealed(opened),
                }
            }
            self.out.raw(b"\"");
        }
        if !calls.is_empty() {
            self.tool_calls(&calls);
        }
        self.out.raw(b"}");
        self.outputs(&calls)?;
        // The room is used again.
        parts.clear();
        calls.clear();
        reasoning.clear();
        self.turn = AssistantTurn { parts, calls, reasoning };
        Ok(())
    }

    fn tool_calls(&mut self, calls: &[usize]) {
        self.out.name("tool_calls");
        self.out.raw(b"[");
        for (index, call) in calls.iter().filter_map(|&call| self.calls.get(call)).enumerate() {
            self.out.raw(if index > 0 { &b","[..] } else { b"" });
            self.out.call_head(call.id, self.options.provider);
            self.out.raw(b"\"");
            self.out.raw(self.names.chat(call.tool));
            self.out.raw(br#"","arguments":"#);
            if call.custom {
                self.out.raw(br#""{\"input\":"#);
                self.out.escaped(call.payload.raw());
                self.out.raw(br#"}""#);
            } else {
                self.out.arguments(call.payload);
            }
            self.out.raw(b"}}");
        }
        self.out.raw(b"]");
    }

    /// Outputs in the order of their calls: templates that show no ids rely on it.
    fn outputs(&mut self, calls: &[usize]) -> Result<(), GatewayError> {
        let mut media = Vec::new();
        let mut parts = std::mem::take(&mut self.parts);
        for call in calls.iter().filter_map(|&call| self.calls.get(call)) {
            let Some((output, at)) = call.output else { continue };
            parts.clear();
            content::read(output, at, self.formless(at), &mut parts)?;
            let has_media = parts.iter().any(|part| !part.is_text());
            if has_media {
                media.push(MessagePart::Note(GatewayNote::OutputOf(call.id)));
                media.extend(parts.iter().filter(|part| !part.is_text()));
                parts.retain(MessagePart::is_text);
            }
            self.open("tool");
            self.out.name("tool_call_id");
            self.out.call_id(call.id);
            if has_media && parts.is_empty() {
                self.out.raw(br#","content":"The output is in the user message that follows.""#);
            } else {
                self.content(&parts);
            }
            self.out.raw(b"}");
        }
        self.parts = parts;
        if !media.is_empty() {
            self.open("user");
            self.content(&media);
            self.out.raw(b"}");
        }
        Ok(())
    }

    fn open(&mut self, role: &str) {
        self.out.raw(if self.any { &b",{\"role\":\""[..] } else { b"{\"role\":\"" });
        self.out.raw(role);
        self.out.raw(b"\"");
        self.any = true;
    }

    fn content(&mut self, parts: &[MessagePart<'_>]) {
        self.out.name("content");
        content::write(parts, self.out);
    }
}

/// Whether nothing is said by a message of this content.
fn is_empty(content: Value<'_>) -> bool {
    content.raw() == b"\"\""
        || (content.kind == Kind::BeginArray && content.elements().next().is_none())
}
