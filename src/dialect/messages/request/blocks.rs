//! Content blocks: what each becomes.

use std::borrow::Cow;

use super::Escaped;
use super::tools::chat_name;
use crate::dialect::chat::text::escaped;
use crate::dialect::chat::write::{Dropped, given, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Where a block stands: `messages[message].content[block]`, and inside of a tool's result `.content[inner]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPath {
    pub(super) message: usize,
    /// `None` for content that is a string.
    pub(super) block: Option<usize>,
    pub(super) inner: Option<usize>,
    /// What has no form in chat is refused here: the client has just made it, and can make it otherwise.
    pub(super) is_newest: bool,
}

impl BlockPath {
    /// The path of the block's `member`, which begins with a dot or is empty.
    pub(super) fn path(&self, member: &str) -> String {
        let mut path = format!("messages[{}].content", self.message);
        for index in [self.block, self.inner] {
            match index {
                Some(index) if path.ends_with(']') => path.push_str(&format!(".content[{index}]")),
                Some(index) => path.push_str(&format!("[{index}]")),
                None => {}
            }
        }
        path.push_str(member);
        path
    }

    /// What has no form in chat: refused where it is new, else left out and named.
    pub(super) fn leave_out(
        &self,
        name: &str,
        member: &str,
        dropped: &mut Dropped,
    ) -> Result<(), GatewayError> {
        if self.is_newest {
            return Err(refuse(
                self.path(member),
                format!(
                    "\"{name}\" has no form in a chat request. Supported are text, image, document \
                     and tool_result."
                ),
            ));
        }
        dropped.add(name);
        Ok(())
    }
}

/// What a message, or a tool's result, says.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) parts: Vec<ContentPart<'a>>,
    /// Some of it came as a list of blocks.
    pub(super) is_list: bool,
}

/// One part of a chat message. `mark`: its `cache_control`.
#[derive(Debug)]
pub(super) enum ContentPart<'a> {
    /// `opens`: it is the first of its message.
    Text {
        text: Escaped<'a>,
        mark: Option<Value<'a>>,
        opens: bool,
    },
    Image {
        source: Source<'a>,
        mark: Option<Value<'a>>,
    },
    /// A PDF.
    File {
        source: Source<'a>,
        name: Option<Value<'a>>,
        mark: Option<Value<'a>>,
    },
}

/// Where the bytes of an image or a file are. Strings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Url(Value<'a>),
    Data { media_type: Option<Value<'a>>, data: Value<'a> },
}

impl<'a> Content<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Another message's content behind this one's.
    pub(super) fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.is_list |= other.is_list;
    }

    /// Whether the next text is the first of this message.
    fn opens(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a line of the gateway's own.
    pub(super) fn push_note(&mut self, note: &str) {
        self.push_text(Cow::Owned(escaped(note.as_bytes())), None, true);
    }

    /// Reads a block that says something to the model in itself: text, images, documents and what is like them. False
    /// for any other kind.
    pub(super) fn read(
        &mut self,
        kind: &str,
        block: &Value<'a>,
        at: BlockPath,
        dropped: &mut Dropped,
    ) -> Result<bool, GatewayError> {
        let mark = block.get("cache_control");
        let opens = self.opens();
        match kind {
            "text" => {
                let text = string(block, "text", &at)?;
                self.push_text(Cow::Borrowed(text.inner()), mark, opens);
            }
            "image" => {
                let mark = mark.filter(|mark| !mark.is_null());
                if let Some(source) = source("image", block, at, dropped)? {
                    self.parts.push(ContentPart::Image { source, mark });
                }
            }
            "document" => self.document(block, mark, at, dropped)?,
            "search_result" => self.push_text(Cow::Owned(search_result(block)), mark, opens),
            "tool_reference" => {
                let name = block.get("tool_name").and_then(|name| name.as_str());
                let name = name.unwrap_or_default();
                let text = format!("Tool available: {}", chat_name(&name));
                self.push_text(Cow::Owned(escaped(text.as_bytes())), mark, opens);
            }
            // What stands in the place of the messages before it.
            "compaction" => {
                if let Some(text) = block.get("content").filter(|text| text.kind == Kind::String) {
                    self.push_text(Cow::Borrowed(text.inner()), mark, opens);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A document's title and context, and what it says.
    fn push_lines(
        &mut self,
        title: Option<Value<'a>>,
        context: Option<Value<'a>>,
        words: Option<Value<'a>>,
        mark: Option<Value<'a>>,
    ) {
        let lines: Vec<_> = [title, context, words].iter().flatten().map(Value::inner).collect();
        let opens = self.opens();
        match *lines {
            [line] => self.push_text(Cow::Borrowed(line), mark, opens),
            _ => self.push_text(Cow::Owned(lines.join(&b"\\n\\n"[..])), mark, opens),
        }
    }

    fn document(
        &mut self,
        block: &Value<'a>,
        mark: Option<Value<'a>>,
        at: BlockPath,
        dropped: &mut Dropped,
    ) -> Result<(), GatewayError> {
        let text = |name: &str| {
            block.get(name).filter(|text| text.kind == Kind::String && !text.inner().is_empty())
        };
        let cites = block.get("citations").and_then(|citations| citations.get("enabled"));
        if cites.and_then(|cites| cites.as_bool()) == Some(true) {
            dropped.add("document.citations");
        }
        let Some(holder) = block.get("source").filter(|source| source.kind == Kind::BeginObject)
        else {
            return Err(must_be(at.path(".source"), "an object"));
        };
        match holder.get("type").and_then(|kind| kind.as_str()).as_deref() {
            Some("text") => {
                let Some(data) = holder.get("data").filter(|data| data.kind == Kind::String) else {
                    return Err(must_be(at.path(".source.data"), "a string"));
                };
                self.push_lines(text("title"), text("context"), Some(data), mark);
            }
            // Blocks of its own.
            Some("content") => {
                let words = holder.get("content").filter(|text| text.kind == Kind::String);
                // The mark of a list is that of its own blocks.
                let mark = mark.filter(|_| words.is_some());
                self.push_lines(text("title"), text("context"), words, mark);
                for inner in holder.get("content").iter().flat_map(Value::elements) {
                    let kind = inner.get("type").and_then(|kind| kind.as_str());
                    let kind = kind.unwrap_or_default();
                    let nested = kind == "document" || !self.read(&kind, &inner, at, dropped)?;
                    if nested {
                        dropped.add(&format!("document.{kind}"));
                    }
                }
            }
            Some("url") => dropped.add("document.url"),
            _ => {
                if let Some(source) = source("document", block, at, dropped)? {
                    let mark = mark.filter(|mark| !mark.is_null());
                    if text("context").is_some() {
                        dropped.add("document.context");
                    }
                    self.parts.push(ContentPart::File { source, name: text("title"), mark });
                }
            }
        }
        Ok(())
    }
}

/// The source of an image or a PDF; `None` for one that has no form in chat and is left out.
fn source<'a>(
    kind: &str,
    block: &Value<'a>,
    at: BlockPath,
    dropped: &mut Dropped,
) -> Result<Option<Source<'a>>, GatewayError> {
    let Some(holder) = block.get("source").filter(|source| source.kind == Kind::BeginObject) else {
        return Err(must_be(at.path(".source"), "an object"));
    };
    let member = |name: &str| match holder.get(name).filter(|value| value.kind == Kind::String) {
        Some(value) => Ok(value),
        None => Err(must_be(at.path(&format!(".source.{name}")), "a string")),
    };
    match member("type")?.as_str().unwrap_or_default().as_ref() {
        "base64" => {
            let media_type = if kind == "image" || holder.get("media_type").is_some() {
                Some(member("media_type")?)
            } else {
                None
            };
            Ok(Some(Source::Data { media_type, data: member("data")? }))
        }
        "url" => Ok(Some(Source::Url(member("url")?))),
        other => {
            at.leave_out(&format!("{kind}.{other}"), ".source.type", dropped)?;
            Ok(None)
        }
    }
}

/// A search result as text: its title, its source and what was found.
fn search_result(block: &Value<'_>) -> Vec<u8> {
    let text = |value: Option<Value<'_>>| {
        value.filter(|text| text.kind == Kind::String).map(|text| text.inner().to_vec())
    };
    let content = block.get("content");
    let mut lines = vec![text(block.get("title")), text(block.get("source")), text(content)];
    lines.extend(content.iter().flat_map(Value::elements).map(|block| text(block.get("text"))));
    let lines: Vec<_> = lines.into_iter().flatten().filter(|line| !line.is_empty()).collect();
    lines.join(&b"\\n"[..])
}

/// A block's member that must be a string.
pub(super) fn string<'a>(
    block: &Value<'a>,
    name: &str,
    at: &BlockPath,
) -> Result<Value<'a>, GatewayError> {
    block
        .get(name)
        .and_then(given)
        .filter(|value| value.kind == Kind::String)
        .ok_or_else(|| must_be(at.path(&format!(".{name}")), "a string"))
}
