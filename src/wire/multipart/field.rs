//! One part's headers, and the values of the fields that are read.

use super::boundary::is_utf8_charset;
use super::header::{Parametrised, is_control, lower, trim};
use super::{MAX_FACT, invalid};
use crate::error::{Code, GatewayError};
use crate::wire::model_span::{IdCheck, MAX_MODEL_ID_BYTES};
use crate::wire::names::{further_model, is_nearly};

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
    /// The part's own `content-length`.
    length: Option<u64>,
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
        if field == FormField::Model {
            let text = media.is_none_or(|media| {
                media.kind == "text/plain" && is_utf8_charset(media.get("charset"))
            });
            let plain = [lines.transfer_encoding, lines.encoding]
                .into_iter()
                .flatten()
                .all(|how| ["binary", "8bit", "7bit", "identity"].contains(&lower(how).as_str()));
            if has_file_name || !text || !plain {
                return Err(bad_model(
                    "The form field 'model' must be plain text in UTF-8: no file name, no other content type, no transfer encoding.",
                ));
            }
        }
        Ok(Self { field, length: lines.length })
    }

    /// Some servers find the end of a part by its `content-length`, so it has to be right.
    pub fn check_length(&self, actual: u64) -> Result<(), GatewayError> {
        if self.length.is_some_and(|length| length != actual) {
            return Err(invalid("the content-length of a part differs from its length"));
        }
        Ok(())
    }
}

/// The header lines that matter, their values trimmed.
#[derive(Debug, Default)]
struct PartHeaders<'a> {
    disposition: Option<&'a [u8]>,
    media_type: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    length: Option<u64>,
}

impl<'a> PartHeaders<'a> {
    fn parse(block: &'a [u8]) -> Result<Self, GatewayError> {
        let mut lines = Self::default();
        let mut rest = block;
        while let Some(end) = memchr::memmem::find(rest, b"\r\n").filter(|end| *end > 0) {
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = after.get(2..).unwrap_or_default();
            lines.line(line)?;
        }
        Ok(lines)
    }

    fn line(&mut self, line: &'a [u8]) -> Result<(), GatewayError> {
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
        let value = trim(value);
        let again = match lower(name).as_str() {
            "content-disposition" => self.disposition.replace(value).is_some(),
            "content-type" => self.media_type.replace(value).is_some(),
            "content-transfer-encoding" => self.transfer_encoding.replace(value).is_some(),
            "content-encoding" => self.encoding.replace(value).is_some(),
            "content-length" => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let length = length.filter(|_| digits).ok_or_else(unreadable)?;
                self.length.replace(length).is_some()
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
    Ok(match name {
        b"model" => FormField::Model,
        _ if is_nearly(name, "model") => FormField::NearlyModel,
        b"stream" if !has_file_name => FormField::Stream,
        b"response_format" if !has_file_name => FormField::ResponseFormat,
        b"prompt" if !has_file_name => FormField::Prompt,
        _ => further_model(name).map_or(FormField::Other, FormField::FurtherModel),
    })
}

/// The model's value.
pub(super) fn model(value: &[u8], check_id: IdCheck) -> Result<String, GatewayError> {
    let id = std::str::from_utf8(value)
        .map_err(|_| bad_model("The form field 'model' is not valid UTF-8."))?;
    check_id(id)?;
    Ok(id.to_owned())
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
