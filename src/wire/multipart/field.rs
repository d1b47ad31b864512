//! One part's headers, and the values of the fields that are read.

use std::ops::Range;

use super::charset::Charset;
use super::header::{Parametrised, is_control, lower, trim, trim_start};
use super::{MAX_FACT, invalid};
use crate::error::{Code, GatewayError};
use crate::wire::model_span::{IdCheck, MAX_MODEL_ID_BYTES};
use crate::wire::names::Readings;

/// Which field a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormField {
    Model,
    /// A name that some server takes for `model` (see [`crate::wire::names`]).
    NearlyModel,
    /// One of the names beside it by which some server chooses models.
    FurtherModel(&'static str),
    Stream,
    ResponseFormat,
    /// Text for the model.
    Prompt,
    /// Everything else, and every part with a file name.
    Other,
}

impl FormField {
    /// How many bytes of its value are kept, `None` for none.
    pub fn limit(self) -> Option<usize> {
        match self {
            Self::Model => Some(MAX_MODEL_ID_BYTES),
            Self::Stream | Self::ResponseFormat => Some(MAX_FACT),
            Self::NearlyModel | Self::FurtherModel(_) | Self::Prompt | Self::Other => None,
        }
    }
}

/// What a part's headers say.
#[derive(Debug)]
pub(super) struct PartHead {
    pub field: FormField,
    /// Its charset or transfer encoding says the same as UTF-8 for ASCII alone.
    ascii_only: bool,
    /// The part's own `content-length`.
    length: Option<PartLength>,
}

/// A part's `content-length` and where its digits stand in the block of headers.
#[derive(Debug)]
struct PartLength {
    value: u64,
    span: Range<usize>,
}

impl PartHead {
    /// Reads a block of header lines, its closing empty line included.
    pub fn parse(block: &[u8]) -> Result<Self, GatewayError> {
        let lines = PartHeaders::parse(block)?;
        let disposition =
            lines.disposition.ok_or_else(|| invalid("a part has no content-disposition header"))?;
        let disposition = Parametrised::parse(disposition)
            .filter(|parsed| parsed.kind == "form-data")
            .ok_or_else(|| invalid("the content-disposition of a part can't be read"))?;
        let media = lines
            .media_type
            .map(|value| {
                Parametrised::parse(value)
                    .ok_or_else(|| invalid("the content-type of a part can't be read"))
            })
            .transpose()?;
        // A nested form: some servers look for fields inside it.
        if media.as_ref().is_some_and(|media| {
            media.kind.starts_with("multipart/") || media.kind.starts_with("message/")
        }) {
            return Err(invalid("a part is a multipart body or a message itself"));
        }
        let has_file_name =
            disposition.parameters.iter().any(|(name, _)| name.starts_with("filename"));
        let field = classify(field_name(&disposition)?, has_file_name)?;
        let charset = match field {
            FormField::Model => plain_text(&disposition, media.as_ref(), &lines).ok_or_else(|| {
                bad_model(
                    "The form field 'model' must be plain text in UTF-8: no file name, no other content type or parameter, no transfer encoding.",
                )
            })?,
            _ => Charset::Utf8,
        };
        Ok(Self { field, ascii_only: charset != Charset::Utf8, length: lines.length })
    }

    /// The model that the part names.
    pub fn model(&self, value: &[u8], check_id: IdCheck) -> Result<String, GatewayError> {
        let id = std::str::from_utf8(value)
            .map_err(|_| bad_model("The form field 'model' is not valid UTF-8."))?;
        if self.ascii_only && !id.is_ascii() {
            return Err(bad_model(
                "The form field 'model' must be ASCII beside this charset or content-transfer-encoding. Send it as plain UTF-8, without them.",
            ));
        }
        check_id(id)?;
        Ok(id.to_owned())
    }

    /// Where the digits of its length stand in the body, for headers that begin at `start`.
    pub fn length_span(&self, start: u64) -> Option<Range<u64>> {
        let span = &self.length.as_ref()?.span;
        Some(start.saturating_add(span.start as u64)..start.saturating_add(span.end as u64))
    }

    /// Some servers find the end of a part by its `content-length`, so it has to be right.
    pub fn check_length(&self, actual: u64) -> Result<(), GatewayError> {
        if self.length.as_ref().is_some_and(|length| length.value != actual) {
            return Err(invalid("the content-length of a part differs from its length"));
        }
        Ok(())
    }
}

/// How the model's part is to be read, where every parser reads the same text: those that decode it by a transfer encoding, or
/// by a charset (in RFC 2231's form `charset*`, too), would read another model than those that don't.
fn plain_text(
    disposition: &Parametrised<'_>,
    media: Option<&Parametrised<'_>>,
    lines: &PartHeaders<'_>,
) -> Option<Charset> {
    let charset = match media {
        None => Charset::Utf8,
        Some(media) => {
            let known = media.parameters.iter().all(|(name, _)| name == "charset");
            Charset::of(media.get("charset")).filter(|_| known && media.kind == "text/plain")?
        }
    };
    let is_named_alone = disposition.parameters.iter().all(|(name, _)| name == "name");
    let is_plain = lines.encoding.is_none_or(|value| lower(value) == "identity");
    let charset = match lines.transfer_encoding.map(lower).as_deref() {
        None | Some("8bit") => charset,
        // formidable reads a field as Latin-1 then, but takes one with a content type for a file.
        Some("binary") if media.is_some() => charset,
        Some("binary" | "7bit") => Charset::Ascii,
        Some(_) => return None,
    };
    (is_named_alone && is_plain).then_some(charset)
}

/// The header lines that matter, their values trimmed.
#[derive(Debug, Default)]
struct PartHeaders<'a> {
    disposition: Option<&'a [u8]>,
    media_type: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    length: Option<PartLength>,
}

impl<'a> PartHeaders<'a> {
    fn parse(block: &'a [u8]) -> Result<Self, GatewayError> {
        let mut lines = Self::default();
        let mut rest = block;
        while let Some(end) = memchr::memmem::find(rest, b"\r\n").filter(|end| *end > 0) {
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            lines.line(line, block.len() - rest.len())?;
            rest = after.get(2..).unwrap_or_default();
        }
        Ok(lines)
    }

    /// One line, which begins at `start` of the block.
    fn line(&mut self, line: &'a [u8], start: usize) -> Result<(), GatewayError> {
        let unreadable = || invalid("a header line of a part can't be read");
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(invalid("a header of a part is continued on a second line"));
        }
        let colon = memchr::memchr(b':', line).ok_or_else(unreadable)?;
        let (name, value) = line.split_at_checked(colon).ok_or_else(unreadable)?;
        let value = value.get(1..).unwrap_or_default();
        // A name that begins with "--" could be a boundary to a parser that looks for these first. A sign beside `-`
        // is none to some: bottle reads `Content_Disposition`.
        let is_plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let control = value.iter().any(|byte| is_control(*byte) && *byte != b'\t');
        if name.is_empty() || !is_plain || name.starts_with(b"--") || control {
            return Err(unreadable());
        }
        let value_start = start + (line.len() - trim_start(value).len());
        let value = trim(value);
        let again = match lower(name).as_str() {
            "content-disposition" => self.disposition.replace(value).is_some(),
            "content-type" => self.media_type.replace(value).is_some(),
            "content-transfer-encoding" => self.transfer_encoding.replace(value).is_some(),
            "content-encoding" => self.encoding.replace(value).is_some(),
            "content-length" => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let value_end = value_start + value.len();
                let value = length.filter(|_| digits).ok_or_else(unreadable)?;
                self.length.replace(PartLength { value, span: value_start..value_end }).is_some()
            }
            _ => false,
        };
        if again { Err(invalid("a part has the same header twice")) } else { Ok(()) }
    }
}

/// The `name` parameter. It has to come first: a parser that searches for `name=` finds the end of
/// `filename=` otherwise.
fn field_name<'a>(disposition: &Parametrised<'a>) -> Result<&'a [u8], GatewayError> {
    let extended = |(name, _): &(String, &[u8])| name.starts_with("name*");
    if disposition.parameters.iter().any(extended) {
        return Err(invalid("a part has an extended name parameter (name*)"));
    }
    match disposition.parameters.first() {
        Some((first, name)) if first == "name" => Ok(name),
        _ => Err(invalid("the content-disposition of a part does not begin with its name")),
    }
}

/// A name is compared as written. What some parsers decode further is refused: a backslash, a `;` (where they end the
/// parameter), the `=?` of an encoded word (RFC 2047: Tomcat, Python's email), bytes that are no UTF-8, and a byte order
/// mark (which undici takes away).
fn classify(name: &[u8], has_file_name: bool) -> Result<FormField, GatewayError> {
    let text =
        std::str::from_utf8(name).map_err(|_| invalid("the name of a part is not valid UTF-8"))?;
    if text.contains(['\\', ';', '\u{feff}']) || text.contains("=?") {
        return Err(invalid(
            "the name of a part holds a backslash, a semicolon, a byte order mark or an encoded word (=?)",
        ));
    }
    if name.eq_ignore_ascii_case(b"_charset_") {
        return Err(invalid("a field _charset_ is not supported; forms are read as UTF-8"));
    }
    let readings = Readings::of(name);
    Ok(match name {
        b"model" => FormField::Model,
        _ if readings.may_be("model") => FormField::NearlyModel,
        b"stream" if !has_file_name => FormField::Stream,
        b"response_format" if !has_file_name => FormField::ResponseFormat,
        b"prompt" if !has_file_name => FormField::Prompt,
        _ => readings.further_model().map_or(FormField::Other, FormField::FurtherModel),
    })
}

pub(super) fn too_long() -> GatewayError {
    bad_model(format!("The form field 'model' is longer than {MAX_MODEL_ID_BYTES} bytes."))
}

fn bad_model(message: impl Into<String>) -> GatewayError {
    GatewayError::new(Code::InvalidModel, message).with_param("model")
}

/// What form libraries read as true.
pub(super) fn is_true(value: &[u8]) -> bool {
    ["true", "1", "on", "yes", "t", "y"].contains(&lower(trim(value)).as_str())
}

/// A short text, `None` when it is empty, too long or not UTF-8.
pub(super) fn text(value: &[u8]) -> Option<String> {
    let fits = (1..=MAX_FACT).contains(&value.len());
    std::str::from_utf8(value).ok().filter(|_| fits).map(str::to_owned)
}
