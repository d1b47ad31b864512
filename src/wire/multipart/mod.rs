//! Finds the form field `model` in a `multipart/form-data` body as the body arrives.
//!
//! The scanner reads every byte once, keeps no byte of a file, and holds at most one part's headers
//! ([`MAX_PART_HEADERS`]) and one short value. It goes on to the end after the model was found,
//! because a second `model` part may still follow.
//!
//! Multipart parsers disagree about many things: bare line feeds, padding after a boundary, text
//! before the first part, a part's `content-length`, escapes in names. A body that two parsers could
//! read differently would let a client show the gateway one model and the upstream another, so it is
//! refused. What browsers, curl and the usual SDKs write is never in doubt (RFC 7578, and the
//! "multipart/form-data encoding algorithm" of HTML).

mod boundary;
mod charset;
mod field;
mod header;
mod part;
#[cfg(test)]
mod tests;

use memchr::memmem;

use crate::error::{Code, GatewayError};
use crate::wire::model_span::{IdCheck, ModelSpan};
use field::{FormField, PartHead};
use part::FormPart;

pub use boundary::{boundary, content_type};

/// Longest accepted header block of one part, its closing empty line included, in bytes.
pub const MAX_PART_HEADERS: usize = 8 * 1024;
/// Most parts of one form.
pub const MAX_PARTS: usize = 1_000;
/// Longest value that is remembered of a field in [`FormFacts`], in bytes.
const MAX_FACT: usize = 64;

/// What other fields say about the answer to expect. Complete only after [`FormScanner::finish`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FormFacts {
    /// The field `stream` asks for a stream.
    pub stream: bool,
    /// The field `response_format` as written (`json`, `text`, `srt`, `vtt`, `verbose_json`, …);
    /// `None` when absent, empty, over 64 bytes or not UTF-8.
    pub response_format: Option<String>,
    /// Bytes of the fields `prompt`.
    pub prompt: u64,
}

/// Reads one body. Errors are final: every later call gives the same one.
#[derive(Debug)]
pub struct FormScanner {
    check_id: IdCheck,
    /// CR LF `--boundary`.
    delimiter: Vec<u8>,
    /// Searches `--boundary`: what stands before it decides whether it is a delimiter.
    finder: memmem::Finder<'static>,
    state: FormState,
    /// Absolute offset of the next byte.
    offset: u64,
    parts: usize,
    /// Parts named `model`, or nearly so.
    spelled_model: usize,
    /// A field by which some server chooses further models.
    further_model: Option<&'static str>,
    found: bool,
    facts: FormFacts,
}

#[derive(Debug)]
enum FormState {
    /// Before the first delimiter; `matched` bytes of CR LF `--boundary` were read.
    Start {
        matched: usize,
    },
    /// After a delimiter, whose line must end in CR LF or be closed by `--`.
    Line {
        first: Option<u8>,
    },
    /// In a part's headers, held until their end.
    Headers {
        held: Vec<u8>,
    },
    /// In a part's data.
    Data(FormPart),
    /// After the closing delimiter.
    End,
    Failed(GatewayError),
}

impl FormScanner {
    /// A scanner for a body with this boundary, as [`boundary()`] gives it.
    #[must_use]
    pub fn new(boundary: &[u8], check_id: IdCheck) -> Self {
        let delimiter = [b"\r\n--".as_slice(), boundary].concat();
        let finder = memmem::Finder::new(dashed(&delimiter)).into_owned();
        Self {
            check_id,
            delimiter,
            finder,
            state: FormState::Start { matched: 0 },
            offset: 0,
            parts: 0,
            spelled_model: 0,
            further_model: None,
            found: false,
            facts: FormFacts::default(),
        }
    }

    /// Reads the next bytes of the body. The model is reported once, when its part is complete.
    ///
    /// # Errors
    /// `invalid_multipart`, `invalid_model`, `duplicate_model`. However the body is cut into chunks,
    /// the error is the same.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Option<ModelSpan>, GatewayError> {
        if let FormState::Failed(error) = &self.state {
            return Err(error.clone());
        }
        let mut rest = chunk;
        let mut found = None;
        while !rest.is_empty() {
            match self.step(&mut rest) {
                Ok(None) => {}
                Ok(model) => found = model,
                Err(error) => {
                    self.state = FormState::Failed(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(found)
    }

    /// The end of the body.
    ///
    /// # Errors
    /// `invalid_multipart` when the closing delimiter has not come, `missing_model`, and whatever
    /// [`FormScanner::push`] has reported.
    pub fn finish(&self) -> Result<(), GatewayError> {
        match &self.state {
            FormState::Failed(error) => Err(error.clone()),
            FormState::End if self.found => Ok(()),
            FormState::End if self.spelled_model > 0 => Err(GatewayError::new(
                Code::MissingModel,
                "The form has no field 'model'. Field names are case-sensitive and are written plainly: use 'model'.",
            )
            .with_param("model")),
            FormState::End => Err(GatewayError::new(
                Code::MissingModel,
                "The form has no field 'model'. Add it, before the file.",
            )
            .with_param("model")),
            _ => Err(invalid("the body ends before the closing boundary '--boundary--'")),
        }
    }

    /// A field by which some server chooses a model beside or after the one in `model`, if there is one so far.
    #[must_use]
    pub fn further_model(&self) -> Option<&'static str> {
        self.further_model
    }

    /// What is known so far about other fields.
    #[must_use]
    pub fn facts(&self) -> &FormFacts {
        &self.facts
    }

    /// Reads a part of `rest`, at least one byte of it.
    fn step(&mut self, rest: &mut &[u8]) -> Result<Option<ModelSpan>, GatewayError> {
        let before = rest.len();
        let mut found = None;
        // The state is put back by every arm; an error leaves `End`, which `push` overwrites.
        self.state = match std::mem::replace(&mut self.state, FormState::End) {
            FormState::Start { matched } => self.start(matched, take_byte(rest))?,
            FormState::Line { first } => line(first, take_byte(rest))?,
            FormState::Headers { held } => self.headers(held, rest)?,
            FormState::Data(part) => {
                let (state, model) = self.data(part, rest)?;
                found = model;
                state
            }
            FormState::End => {
                if !rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
                    return Err(invalid("text follows the closing boundary"));
                }
                *rest = &[];
                FormState::End
            }
            FormState::Failed(error) => return Err(error),
        };
        self.offset = self.offset.saturating_add((before - rest.len()) as u64);
        Ok(found)
    }

    /// The body begins with the first delimiter, for which the leading CR LF may be left out. Any
    /// other text before it is shown by some parsers and not by others.
    fn start(&self, matched: usize, byte: Option<u8>) -> Result<FormState, GatewayError> {
        let matched = if matched == 0 && byte == Some(b'-') { 2 } else { matched };
        if self.delimiter.get(matched).copied() != byte {
            return Err(invalid("the body does not begin with '--' and its boundary"));
        }
        let matched = matched + 1;
        Ok(if matched == self.delimiter.len() {
            FormState::Line { first: None }
        } else {
            FormState::Start { matched }
        })
    }

    fn headers(&mut self, mut held: Vec<u8>, rest: &mut &[u8]) -> Result<FormState, GatewayError> {
        let known = held.len();
        let room = MAX_PART_HEADERS.saturating_sub(known).min(rest.len());
        let (taken, after) = rest.split_at_checked(room).unwrap_or((*rest, &[]));
        held.extend_from_slice(taken);
        // The empty line may stand at once at the start, or its first bytes in an earlier chunk.
        let from = known.saturating_sub(3);
        let end = if held.starts_with(b"\r\n") {
            Some(2)
        } else {
            held.get(from..)
                .and_then(|fresh| memmem::find(fresh, b"\r\n\r\n"))
                .map(|at| from + at + 4)
        };
        let Some(end) = end else {
            if held.len() >= MAX_PART_HEADERS {
                return Err(invalid(format!(
                    "the headers of a part are longer than {MAX_PART_HEADERS} bytes"
                )));
            }
            *rest = after;
            return Ok(FormState::Headers { held });
        };
        let used = end.saturating_sub(known);
        *rest = rest.get(used..).unwrap_or_default();

        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(invalid(format!("the form has more than {MAX_PARTS} parts")));
        }
        let head = PartHead::parse(held.get(..end).unwrap_or_default())?;
        if matches!(head.field, FormField::Model | FormField::NearlyModel) {
            self.spelled_model += 1;
            if self.spelled_model > 1 {
                return Err(GatewayError::new(
                    Code::DuplicateModel,
                    "The form has more than one field 'model'. Send exactly one.",
                )
                .with_param("model"));
            }
        }
        let start = self.offset.saturating_add(used as u64);
        Ok(FormState::Data(FormPart::new(head, start.saturating_sub(end as u64), start)))
    }

    /// Reads data up to the end of its delimiter or to the end of `rest`.
    fn data(
        &mut self,
        mut part: FormPart,
        rest: &mut &[u8],
    ) -> Result<(FormState, Option<ModelSpan>), GatewayError> {
        // A value that is read is kept up to its limit, a delimiter and one byte more.
        let room = part.head.field.limit().map_or(0, |limit| limit + self.delimiter.len() + 1);
        let room = room.saturating_sub(part.value.len());
        // A model that is too long fails at a fixed byte, however the body is cut: look no further.
        let is_model = part.head.field == FormField::Model;
        let chunk: &[u8] = if is_model { rest.get(..room).unwrap_or(rest) } else { rest };
        let end = part.delimiter_end(&self.finder, self.offset, chunk)?;
        let used = end.unwrap_or(chunk.len());
        part.value.extend_from_slice(chunk.get(..room.min(used)).unwrap_or_default());
        *rest = rest.get(used..).unwrap_or_default();
        if end.is_none() {
            if is_model && used == room {
                return Err(field::too_long());
            }
            part.keep_tail(chunk, self.delimiter.len() - 1);
            return Ok((FormState::Data(part), None));
        }
        let seen = (self.offset - part.start).saturating_add(used as u64);
        let length = seen.saturating_sub(self.delimiter.len() as u64);
        part.head.check_length(length)?;
        let found = self.close(part, length)?;
        Ok((FormState::Line { first: None }, found))
    }

    /// Reads the value of a finished part of `length` bytes.
    fn close(&mut self, part: FormPart, length: u64) -> Result<Option<ModelSpan>, GatewayError> {
        let value = usize::try_from(length).ok().and_then(|length| part.value.get(..length));
        match part.head.field {
            FormField::Model => {
                let id = part.head.model(value.unwrap_or_default(), self.check_id)?;
                self.found = true;
                let span = part.start..part.start.saturating_add(length);
                return Ok(Some(ModelSpan {
                    span,
                    length: part.head.length_span(part.header_start),
                    id,
                }));
            }
            FormField::Stream => self.facts.stream = value.is_some_and(field::is_true),
            FormField::ResponseFormat => self.facts.response_format = value.and_then(field::text),
            FormField::Prompt => self.facts.prompt = self.facts.prompt.saturating_add(length),
            FormField::FurtherModel(name) => self.further_model = Some(name),
            FormField::NearlyModel | FormField::Other => {}
        }
        Ok(None)
    }
}

/// The line of a delimiter ends in CR LF, or in `--` when it is the last one. RFC 2046 allows white
/// space before the CR LF; parsers differ on it, and no client writes it.
fn line(first: Option<u8>, byte: Option<u8>) -> Result<FormState, GatewayError> {
    match (first, byte) {
        (None, Some(b'\r' | b'-')) => Ok(FormState::Line { first: byte }),
        (Some(b'\r'), Some(b'\n')) => Ok(FormState::Headers { held: Vec::new() }),
        (Some(b'-'), Some(b'-')) => Ok(FormState::End),
        _ => Err(invalid("other characters follow a boundary on its line")),
    }
}

/// `--boundary` of CR LF `--boundary`.
fn dashed(delimiter: &[u8]) -> &[u8] {
    delimiter.get(2..).unwrap_or_default()
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn invalid(what: impl std::fmt::Display) -> GatewayError {
    GatewayError::new(Code::InvalidMultipart, format!("The multipart form is not valid: {what}."))
}
