//! The chat messages: what the turns become.
//!
//! Results stand directly behind their calls, in the calls' order. Images and files in them go into a user message behind
//! the results, since a chat tool message holds text only; so does what the user said beside the results. Text goes as a
//! string where it is nothing but text: not every server takes parts. There it is joined as servers join parts: those of
//! one message by a line's end, messages by an empty line.

use std::borrow::Cow;

use super::MessagesOptions;
use super::blocks::{Content, ContentPart, Source};
use super::tools::chat_name;
use super::turns::{Assistant, ToolUseTurn, Turn, Turns, User};
use crate::dialect::chat::attached::own_id;
use crate::dialect::chat::write::ChatRequestBody;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::{Kind, string_end};

/// Writes the array of messages.
pub(super) fn write(
    turns: &Turns<'_>,
    options: &MessagesOptions<'_>,
    out: &mut ChatRequestBody<'_>,
) {
    let mut writer = MessagesWriter { out, options, any: false };
    writer.out.raw(b"[");
    if !turns.system.is_empty() {
        writer.message("system", &turns.system);
    }
    for turn in &turns.list {
        match turn {
            Turn::Assistant(assistant) => writer.assistant(assistant),
            Turn::User(user) => writer.user(user),
        }
    }
    writer.out.raw(b"]");
}

struct MessagesWriter<'w, 'o> {
    out: &'w mut ChatRequestBody<'o>,
    options: &'w MessagesOptions<'w>,
    any: bool,
}

impl MessagesWriter<'_, '_> {
    fn open(&mut self, role: &str) {
        self.out.raw(if self.any { &b",{\"role\":\""[..] } else { b"{\"role\":\"" });
        self.out.raw(role);
        self.out.raw(b"\"");
        self.any = true;
    }

    fn message(&mut self, role: &str, content: &Content<'_>) {
        self.open(role);
        self.content(&content.parts, content.is_list);
        self.out.raw(b"}");
    }

    fn assistant(&mut self, turn: &Assistant<'_>) {
        self.open("assistant");
        if turn.content.is_empty() {
            // What a chat server itself answers with calls and no text.
            self.out.raw(br#","content":null"#);
        } else {
            self.content(&turn.content.parts, turn.content.is_list);
        }
        if let Some(field) = self.options.reasoning_field.filter(|_| !turn.thinking.is_empty()) {
            self.out.raw(b",");
            self.out.string(field);
            self.out.raw(b":\"");
            for (index, text) in turn.thinking.iter().enumerate() {
                self.out.raw(if index > 0 { &b"\\n\\n"[..] } else { b"" });
                self.out.raw(text.inner());
            }
            self.out.raw(b"\"");
        }
        if !turn.calls.is_empty() {
            self.out.name("tool_calls");
            self.out.raw(b"[");
            for (index, call) in turn.calls.iter().enumerate() {
                self.out.raw(if index > 0 { &b","[..] } else { b"" });
                self.call(call);
            }
            self.out.raw(b"]");
        }
        self.out.raw(b"}");
    }

    fn call(&mut self, call: &ToolUseTurn<'_>) {
        self.out.call_head(call.id, self.options.provider);
        self.out.string(&chat_name(&call.name));
        self.out.raw(br#","arguments":"#);
        match call.input {
            Some(input) if input.kind == Kind::String => self.out.arguments(input),
            Some(input) if input.kind == Kind::BeginObject => {
                self.out.raw(b"\"");
                self.out.escaped(&compact(input.raw()));
                self.out.raw(b"\"");
            }
            _ => self.out.raw(br#""{}""#),
        }
        self.out.raw(b"}}");
    }

    fn user(&mut self, turn: &User<'_>) {
        let mut media: Vec<ContentPart<'_>> = Vec::new();
        for result in &turn.results {
            let parts: Vec<_> = result.content.parts.iter().collect();
            let (mut texts, others): (Vec<_>, Vec<_>) =
                parts.into_iter().map(ContentPart::shared).partition(ContentPart::is_text);
            if !others.is_empty() {
                if texts.is_empty() {
                    texts.push(ContentPart::note(
                        b"The output is in the user message that follows.",
                    ));
                }
                media.push(ContentPart::note(
                    &[b"Output of the tool call ", own_id(result.id.inner()), b":"].concat(),
                ));
                media.extend(others);
            }
            if result.is_error {
                match texts.first_mut() {
                    Some(ContentPart::Text { text, .. }) => {
                        *text = Cow::Owned([b"Error: ", text.as_ref()].concat());
                    }
                    _ => texts.push(ContentPart::note(b"Error: ")),
                }
            }
            if let Some(ContentPart::Text { mark, .. }) = texts.last_mut() {
                *mark = mark.or(result.mark);
            }
            self.open("tool");
            self.out.name("tool_call_id");
            self.out.call_id(result.id);
            let marked = result.content.is_list || result.mark.is_some();
            self.content(&texts, marked && !texts.is_empty());
            self.out.raw(b"}");
        }
        let mut said = turn.said.iter().peekable();
        if !media.is_empty() {
            let first = said.next_if(|said| !said.is_system);
            let parts = first.iter().flat_map(|first| first.content.parts.iter());
            media.extend(parts.map(ContentPart::shared));
            self.open("user");
            self.content(&media, true);
            self.out.raw(b"}");
        }
        for said in said {
            self.message(if said.is_system { "system" } else { "user" }, &said.content);
        }
    }

    /// Writes `content`: a string where it is nothing but text, unless it came as a list whose marks may go along.
    fn content(&mut self, parts: &[ContentPart<'_>], is_list: bool) {
        self.out.name("content");
        let marks = self.options.cache_control;
        if (is_list && marks) || !parts.iter().all(ContentPart::is_text) {
            self.out.raw(b"[");
            for (index, part) in parts.iter().enumerate() {
                self.out.raw(if index > 0 { &b","[..] } else { b"" });
                part.write(marks, self.out);
            }
            self.out.raw(b"]");
            return;
        }
        self.out.raw(b"\"");
        for (index, part) in parts.iter().enumerate() {
            let ContentPart::Text { text, opens, .. } = part else { continue };
            self.out.raw(match (index, opens) {
                (0, _) => &b""[..],
                (_, true) => b"\\n\\n",
                (_, false) => b"\\n",
            });
            self.out.raw(text);
        }
        self.out.raw(b"\"");
    }
}

impl<'a> ContentPart<'a> {
    fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    /// A text of the gateway's own, escaped.
    fn note(text: &[u8]) -> ContentPart<'static> {
        ContentPart::Text { text: Cow::Owned(text.to_vec()), mark: None, opens: true }
    }

    /// The same part, without a copy of its text.
    fn shared(&self) -> ContentPart<'_> {
        match self {
            Self::Text { text, mark, opens } => {
                ContentPart::Text { text: Cow::Borrowed(text), mark: *mark, opens: *opens }
            }
            Self::Image { source, mark } => ContentPart::Image { source: *source, mark: *mark },
            Self::File { source, name, mark } => {
                ContentPart::File { source: *source, name: *name, mark: *mark }
            }
        }
    }

    fn write(&self, marks: bool, out: &mut ChatRequestBody<'_>) {
        let mark = match self {
            Self::Text { text, mark, .. } => {
                out.raw(br#"{"type":"text","text":""#);
                out.raw(text);
                out.raw(b"\"");
                mark
            }
            Self::Image { source, mark } => {
                out.raw(br#"{"type":"image_url","image_url":{"url":"#);
                source.write(b"image/png", out);
                out.raw(b"}");
                mark
            }
            Self::File { source, name, mark } => {
                out.raw(br#"{"type":"file","file":{"filename":"#);
                match name {
                    Some(name) => out.value(*name),
                    None => out.raw(br#""document.pdf""#),
                }
                out.raw(br#","file_data":"#);
                source.write(b"application/pdf", out);
                out.raw(b"}");
                mark
            }
        };
        if let Some(mark) = mark.filter(|_| marks) {
            out.name("cache_control");
            out.value(mark);
        }
        out.raw(b"}");
    }
}

impl Source<'_> {
    /// Writes it as a URL.
    fn write(&self, media_type: &[u8], out: &mut ChatRequestBody<'_>) {
        match self {
            Self::Url(url) => out.value(*url),
            Self::Data { media_type: given, data } => {
                out.raw(b"\"data:");
                out.raw(given.as_ref().map_or(media_type, Value::inner));
                out.raw(b";base64,");
                out.raw(data.inner());
                out.raw(b"\"");
            }
        }
    }
}

/// JSON without the white space between its tokens. Not copied where there is none.
fn compact(json: &[u8]) -> Cow<'_, [u8]> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut kept) = (0, 0);
    while let Some(rest) = json.get(at..).filter(|rest| !rest.is_empty()) {
        match rest.iter().position(|byte| *byte == b'"' || is_space(byte)) {
            None => break,
            Some(next) if rest.get(next) == Some(&b'"') => {
                let string = rest.get(next + 1..).unwrap_or_default();
                at += next + 1 + string_end(string).map_or(string.len(), |end| end + 1);
            }
            Some(next) => {
                at += next;
                out.get_or_insert_default().extend(json.get(kept..at).unwrap_or_default());
                let spaces = json.get(at..).unwrap_or_default();
                at += spaces.iter().position(|byte| !is_space(byte)).unwrap_or(spaces.len());
                kept = at;
            }
        }
    }
    match out {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.extend_from_slice(json.get(kept..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}
