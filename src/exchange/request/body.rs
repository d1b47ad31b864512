//! A request's body as it comes: counted, scanned for its model, and checked to its end.

use crate::error::{Code, GatewayError};
use crate::exchange::usage::Estimate;
use crate::policy::model::check_id;
use crate::policy::operation::{BodyKind, Operation};
use crate::policy::{Limits, UsageSettings};
use crate::telemetry::usage::{BYTES_A_TOKEN, RequestText, tokens_of, writes_text};
use crate::wire::json::{self, scan::BodyFacts};
use crate::wire::model_span::ModelSpan;
use crate::wire::multipart;

/// The body as far as it has come.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub reader: BodyReader,
    /// `content-length`.
    pub declared: Option<u64>,
    pub counted: u64,
    /// It ends with trailers, which need chunked framing.
    pub trailers: bool,
    /// Where it names no model, the provider's default is meant.
    pub has_default_model: bool,
    /// Counts its text, where that is wanted.
    pub text: Option<Box<RequestText>>,
    /// Not every model may be asked: a server must not be told others beside the one that was checked.
    pub is_restricted: bool,
}

/// The scanner for the operation's kind of body.
#[derive(Debug)]
pub(super) enum BodyReader {
    Json(Box<json::scan::JsonScanner>),
    Multipart(Box<multipart::FormScanner>),
}

impl BodyReader {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<ModelSpan>, GatewayError> {
        match self {
            Self::Json(scanner) => scanner.push(bytes),
            Self::Multipart(scanner) => scanner.push(bytes),
        }
    }

    fn finish(&mut self) -> Result<(), GatewayError> {
        match self {
            Self::Json(scanner) => scanner.finish(),
            Self::Multipart(scanner) => scanner.finish(),
        }
    }

    pub fn facts(&self) -> BodyFacts {
        match self {
            Self::Json(scanner) => scanner.facts(),
            Self::Multipart(scanner) => {
                BodyFacts { stream: scanner.facts().stream, ..BodyFacts::default() }
            }
        }
    }

    /// Whether the text is complete, so that its end must follow.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Json(scanner) => scanner.is_complete(),
            Self::Multipart(scanner) => scanner.finish().is_ok(),
        }
    }
}

impl RequestBody {
    /// Bytes that are held of it as long as none goes on.
    pub fn held(&self) -> usize {
        usize::try_from(self.counted).unwrap_or(usize::MAX)
    }

    /// Reads the next bytes, and the end where it is one. `searching`: the model is not known yet.
    pub fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        searching: bool,
        limits: &Limits,
    ) -> Result<Option<ModelSpan>, GatewayError> {
        self.counted = self.counted.saturating_add(bytes.len() as u64);
        if self.counted > limits.max_request_bytes {
            return Err(too_large(limits.max_request_bytes));
        }
        let found = self.reader.push(bytes)?;
        self.check_further_model()?;
        if let Some(text) = &mut self.text {
            text.push(bytes);
        }
        // Where the model ends decides, not how much came with it: the same body is judged the same
        // way in one piece and in many.
        let held = found.as_ref().map_or(self.counted, |found| found.span.end);
        if searching && held > limits.max_buffered_bytes {
            return Err(too_much_held(limits.max_buffered_bytes));
        }
        if self.is_complete(end) {
            match self.reader.finish() {
                Err(error) if error.code == Code::MissingModel && self.means_default() => {}
                finished => finished?,
            }
        }
        Ok(found)
    }

    /// What the request is estimated to take. `complete`: all of the body has been read.
    pub fn estimate(&self, operation: Operation, usage: UsageSettings, complete: bool) -> Estimate {
        let default = || Some(u64::from(usage.default_max_tokens));
        let (input, most) = match (&self.text, &self.reader) {
            (Some(text), _) if complete => {
                (text.input(), text.most(writes_text(operation).then(default).flatten()))
            }
            // What it says of the answer may still come.
            (Some(text), _) => {
                (self.declared.unwrap_or(self.counted) / BYTES_A_TOKEN, text.most(None))
            }
            // Files are no text.
            (None, BodyReader::Multipart(scanner)) => (tokens_of(scanner.facts().prompt), 0),
            (None, BodyReader::Json(_)) => (0, 0),
        };
        let most = if writes_text(operation) { most } else { 0 };
        Estimate { input, total: input.saturating_add(most) }
    }

    /// Whether the body tells of further models although it may not.
    ///
    /// # Errors
    /// `unsupported_parameter`.
    pub fn check_further_model(&self) -> Result<(), GatewayError> {
        let further = match &self.reader {
            BodyReader::Json(scanner) => scanner.further_model(),
            BodyReader::Multipart(scanner) => scanner.further_model(),
        };
        match further {
            Some(name) if self.is_restricted => Err(GatewayError::new(
                Code::UnsupportedParameter,
                format!(
                    "Not every model may be used here, and \"{name}\" may name others than \"model\" does, or another server. Leave it out."
                ),
            )
            .with_param(name)),
            _ => Ok(()),
        }
    }

    /// Whether a body that is complete leaves its model to the provider.
    pub fn means_default(&self) -> bool {
        self.has_default_model
            && match &self.reader {
                BodyReader::Json(scanner) => scanner.names_none(),
                BodyReader::Multipart(_) => false,
            }
    }

    /// Whether no more bytes will come. With a declared length this is known in the call that brings
    /// the last byte, so that a body which is wrong at its end is never handed on in full.
    pub fn is_complete(&self, end: bool) -> bool {
        end || self.declared == Some(self.counted)
    }
}

/// The scanner for an operation's body; `None` for an operation without one.
pub(super) fn reader(
    operation: Operation,
    content_type: Option<&[u8]>,
) -> Result<Option<BodyReader>, GatewayError> {
    let counts_inputs = operation == Operation::Embeddings;
    Ok(match operation.body_kind() {
        BodyKind::Json => {
            Some(BodyReader::Json(Box::new(json::scan::JsonScanner::new(counts_inputs, check_id))))
        }
        BodyKind::Multipart => {
            let boundary = multipart::boundary(content_type.unwrap_or_default())?;
            Some(BodyReader::Multipart(Box::new(multipart::FormScanner::new(&boundary, check_id))))
        }
        BodyKind::None => None,
    })
}

pub(super) fn too_large(limit: u64) -> GatewayError {
    GatewayError::new(Code::RequestTooLarge, format!("The body is larger than {limit} bytes."))
}

fn too_much_held(limit: u64) -> GatewayError {
    GatewayError::new(
        Code::RequestTooLarge,
        format!(
            "No model in the first {limit} bytes of the body. Put `model` first, before large values \
             and files: then the rest need not be held."
        ),
    )
    .with_param("model")
}
