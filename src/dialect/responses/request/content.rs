//! Content: a string or parts, of a message or of a tool's output.

use crate::dialect::chat::attached::own_id;
use crate::dialect::chat::write::{ChatRequestBody, Dropped, given, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Which content: `input[index].field`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContentPath {
    pub(super) index: usize,
    pub(super) field: &'static str,
}

impl ContentPath {
    fn part(self, part: usize, member: &str) -> String {
        let Self { index, field } = self;
        format!("input[{index}].{field}[{part}].{member}")
    }
}

impl std::fmt::Display for ContentPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "input[{}].{}", self.index, self.field)
    }
}

/// One part, on its way to a chat message.
#[derive(Debug, Clone, Copy)]
pub(super) enum MessagePart<'a> {
    /// A text. `object` is the part that it came from, where that has members of its own to carry
    /// (`cache_control`). `opens`: it is the first of its message.
    Text { text: Value<'a>, object: Option<Value<'a>>, opens: bool },
    /// An image, by URL.
    Image { url: Value<'a>, detail: Option<Value<'a>>, object: Value<'a> },
    /// A file, in itself or by id.
    File {
        data: Option<Value<'a>>,
        id: Option<Value<'a>>,
        name: Option<Value<'a>>,
        object: Value<'a>,
    },
    /// A part that is the same in both APIs.
    Same(Value<'a>),
    /// A line of the gateway's own, about what stands behind it.
    Note(GatewayNote<'a>),
}

/// What a line of the gateway's own says.
#[derive(Debug, Clone, Copy)]
pub(super) enum GatewayNote<'a> {
    /// Which call, by its id, the parts behind it are the output of.
    OutputOf(Value<'a>),
    /// Which tool gave the output behind it, though no call asked for it.
    OutputUnasked { namespace: Option<Value<'a>>, name: Option<Value<'a>> },
    /// That what stands behind it is an instruction, by the role of its message.
    Instruction(&'static str),
}

impl MessagePart<'_> {
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    /// An empty text.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text { text, .. } if text.inner().is_empty())
    }
}

/// What becomes of parts that have no form in chat.
pub(super) enum Formless<'d> {
    /// They are refused: the client has just made them, and can make them otherwise.
    Refused,
    /// They are left out and named: they are history, or a tool made them, and to refuse them would end the session.
    LeftOut(&'d mut Dropped),
}

impl Formless<'_> {
    /// Leaves out what `name` stands for, or refuses it.
    fn part<T>(
        &mut self,
        name: &str,
        refusal: impl FnOnce() -> GatewayError,
    ) -> Result<Option<T>, GatewayError> {
        match self {
            Self::Refused => Err(refusal()),
            Self::LeftOut(dropped) => {
                dropped.add(name);
                Ok(None)
            }
        }
    }
}

/// Reads content, and appends it to `parts`.
///
/// # Errors
/// Naming the part's member, for values of wrong types, and for what has no form in chat where that is refused.
pub(super) fn read<'a>(
    content: Value<'a>,
    at: ContentPath,
    mut formless: Formless<'_>,
    parts: &mut Vec<MessagePart<'a>>,
) -> Result<(), GatewayError> {
    match content.kind {
        Kind::String => parts.push(MessagePart::Text { text: content, object: None, opens: true }),
        Kind::BeginArray => {
            for (index, element) in content.elements().enumerate() {
                parts.extend(read_part(element, at, index, &mut formless)?);
            }
        }
        // A tool that had nothing to say.
        Kind::Null => {}
        _ => return Err(must_be(at.to_string(), "a string or an array of parts")),
    }
    Ok(())
}

/// The members of a part that have a meaning here.
#[derive(Default)]
struct PartMembers<'a> {
    kind: Option<Value<'a>>,
    text: Option<Value<'a>>,
    refusal: Option<Value<'a>>,
    image_url: Option<Value<'a>>,
    detail: Option<Value<'a>>,
    file_id: Option<Value<'a>>,
    file_data: Option<Value<'a>>,
    file_url: Option<Value<'a>>,
    filename: Option<Value<'a>>,
    /// There are members that the conversion does not know.
    extras: bool,
}

/// Members of a text part that are not carried as they are: its own, and what only an answer has.
const TEXT_MEMBERS: &[&str] = &["type", "text", "refusal", "annotations", "logprobs", "id"];
const IMAGE_MEMBERS: &[&str] = &["type", "image_url", "detail", "file_id", "id"];
const FILE_MEMBERS: &[&str] =
    &["type", "file_data", "file_id", "file_url", "filename", "detail", "id"];

fn read_part<'a>(
    part: Value<'a>,
    at: ContentPath,
    index: usize,
    formless: &mut Formless<'_>,
) -> Result<Option<MessagePart<'a>>, GatewayError> {
    if part.kind != Kind::BeginObject {
        return Err(must_be(format!("{at}[{index}]"), "an object"));
    }
    let mut members = PartMembers::default();
    for (key, value) in part.members() {
        let slot = match &*key.name() {
            b"type" => &mut members.kind,
            b"text" => &mut members.text,
            b"refusal" => &mut members.refusal,
            b"image_url" => &mut members.image_url,
            b"detail" => &mut members.detail,
            b"file_id" => &mut members.file_id,
            b"file_data" => &mut members.file_data,
            b"file_url" => &mut members.file_url,
            b"filename" => &mut members.filename,
            b"annotations" | b"logprobs" | b"id" => continue,
            _ => {
                members.extras |= !value.is_null();
                continue;
            }
        };
        *slot = given(value);
    }
    let kind = members.kind.and_then(|kind| kind.as_str());
    let path = |member: &str| at.part(index, member);
    let string = |name: &str, value: Option<Value<'a>>| match value {
        Some(value) if value.kind == Kind::String => Ok(value),
        _ => Err(must_be(path(name), "a string")),
    };
    match kind.as_deref() {
        Some(kind @ ("input_text" | "output_text" | "text" | "refusal")) => {
            // What the model refused in is text for it. Chat has a member for refusals, but the
            // templates of self-hosted models do not show it to the model.
            let text = match kind {
                "refusal" => string("refusal", members.refusal)?,
                _ => string("text", members.text)?,
            };
            let object = members.extras.then_some(part);
            Ok(Some(MessagePart::Text { text, object, opens: index == 0 }))
        }
        Some("input_image") => {
            if members.file_id.is_some() {
                return formless.part("input_image.file_id", || no_stored_file(path("file_id")));
            }
            let url = string("image_url", members.image_url)?;
            if members.detail.is_some_and(|detail| detail.kind != Kind::String) {
                return Err(must_be(path("detail"), "a string"));
            }
            Ok(Some(MessagePart::Image { url, detail: members.detail, object: part }))
        }
        Some("input_file") => {
            if members.file_url.is_some() {
                return formless.part("input_file.file_url", || no_file_by_url(path("file_url")));
            }
            let PartMembers { file_data: data, file_id: id, filename: name, .. } = members;
            for (member, value) in [("file_data", data), ("file_id", id), ("filename", name)] {
                if value.is_some() {
                    string(member, value)?;
                }
            }
            if data.is_none() && id.is_none() {
                return Err(must_be(path("file_data"), "a string"));
            }
            Ok(Some(MessagePart::File { data, id, name, object: part }))
        }
        // The same in both APIs, or a chat server's own.
        Some("input_audio" | "image_url" | "video_url" | "audio_url" | "file") => {
            Ok(Some(MessagePart::Same(part)))
        }
        Some(kind) => formless.part(kind, || {
            refuse(
                path("type"),
                "A content part of this type is not supported. Supported are input_text, output_text, \
                 refusal, input_image, input_file and input_audio.",
            )
        }),
        None => Err(must_be(path("type"), "a string")),
    }
}

fn no_file_by_url(param: String) -> GatewayError {
    refuse(
        param,
        "Files by URL are not supported: chat completions has no such part. Send the file in \
         \"file_data\".",
    )
}

fn no_stored_file(param: String) -> GatewayError {
    refuse(
        param,
        "Images by file id are not supported: chat completions has no such part. Send the image \
         in \"image_url\", as a URL or as data.",
    )
}

/// Writes content: a string where it is nothing but text, else chat parts.
///
/// Not every chat server takes parts, so text is joined as servers join it that take only strings:
/// parts of one message by a line's end, messages by an empty line.
pub(super) fn write(parts: &[MessagePart<'_>], out: &mut ChatRequestBody<'_>) {
    if parts
        .iter()
        .all(|part| matches!(part, MessagePart::Text { object: None, .. } | MessagePart::Note(_)))
    {
        out.raw(b"\"");
        for (index, part) in parts.iter().enumerate() {
            out.raw(match (index, part) {
                (0, _) => &b""[..],
                (_, MessagePart::Text { opens: false, .. }) => b"\\n",
                _ => b"\\n\\n",
            });
            match part {
                MessagePart::Text { text, .. } => out.raw(text.inner()),
                MessagePart::Note(note) => write_note(*note, out),
                _ => {}
            }
        }
        out.raw(b"\"");
        return;
    }
    out.raw(b"[");
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.raw(b",");
        }
        write_part(part, out);
    }
    out.raw(b"]");
}

fn write_part(part: &MessagePart<'_>, out: &mut ChatRequestBody<'_>) {
    match *part {
        MessagePart::Text { text, object, .. } => {
            out.raw(br#"{"type":"text","text":"#);
            out.value(text);
            out.extras(object, TEXT_MEMBERS);
            out.raw(b"}");
        }
        MessagePart::Image { url, detail, object } => {
            out.raw(br#"{"type":"image_url","image_url":{"url":"#);
            out.value(url);
            if let Some(detail) = detail {
                out.name("detail");
                // Chat knows auto, low and high.
                match detail.inner() {
                    b"original" => out.raw(br#""high""#),
                    _ => out.value(detail),
                }
            }
            out.raw(b"}");
            out.extras(Some(object), IMAGE_MEMBERS);
            out.raw(b"}");
        }
        MessagePart::File { data, id, name, object } => {
            out.raw(br#"{"type":"file","file":{"#);
            let members = [("filename", name), ("file_data", data), ("file_id", id)];
            let present = members.iter().filter_map(|(key, value)| Some((key, (*value)?)));
            for (index, (key, value)) in present.enumerate() {
                out.raw(if index > 0 { &b",\""[..] } else { b"\"" });
                out.raw(key);
                out.raw(b"\":");
                out.value(value);
            }
            out.raw(b"}");
            out.extras(Some(object), FILE_MEMBERS);
            out.raw(b"}");
        }
        MessagePart::Same(part) => out.value(part),
        MessagePart::Note(note) => {
            out.raw(br#"{"type":"text","text":""#);
            write_note(note, out);
            out.raw(br#""}"#);
        }
    }
}

fn write_note(note: GatewayNote<'_>, out: &mut ChatRequestBody<'_>) {
    match note {
        GatewayNote::OutputOf(id) => {
            out.raw(b"Output of the tool call ");
            out.raw(own_id(id.inner()));
        }
        GatewayNote::OutputUnasked { name: None, .. } => out.raw(b"Output of a tool"),
        GatewayNote::OutputUnasked { namespace, name: Some(name) } => {
            out.raw(b"Output of the tool ");
            if let Some(namespace) = namespace {
                out.raw(namespace.inner());
                out.raw(b".");
            }
            out.raw(name.inner());
        }
        GatewayNote::Instruction(role) => {
            out.raw(b"Instruction of the ");
            out.raw(role);
        }
    }
    out.raw(b":");
}
