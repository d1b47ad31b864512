//! Embeddings of any server in OpenAI's shape:
//! `{"object":"list","data":[{"object":"embedding","index":i,"embedding":…}],"model":…,"usage":{…}}`.
//!
//! An answer is looked at as it arrives ([`Recogniser`]), and goes one of three ways:
//! - it is spec-shaped, as far as its first items show: it streams on, byte for byte;
//! - it is spec-shaped but for the number format or a missing field: [`Converter`] rewrites it as it
//!   streams, holding no more than one number;
//! - anything else, and every answer below [`WINDOW`] bytes, is held and read as a whole ([`answer`]).
//!
//! Numbers that stay numbers are copied as text. Nothing is pooled, padded or guessed: what OpenAI's
//! shape can't say is an error.

mod convert;
mod read;
mod rebuild;
mod recognise;
mod vector;

use std::borrow::Cow;

pub use convert::Converter;
pub use rebuild::rebuild;
pub use recognise::{Recogniser, Verdict, WINDOW};

use super::error::from_ok;
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::operation::Operation;

/// How the client wants its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Arrays of numbers, OpenAI's default.
    #[default]
    Float,
    /// Base64 of little-endian f32, which the official SDKs ask for by themselves.
    Base64,
}

/// What the request says about its answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// How many texts or token lists the request's `input` holds, where that could be told.
    pub inputs: Option<usize>,
    /// The request's `encoding_format`.
    pub format: Format,
    /// The model id, for an answer that names none.
    pub model: String,
}

/// The answer for a whole body with status 200: the body itself where it is canonical, else a new one.
///
/// # Errors
/// The error that the body is, or 502 `invalid_upstream_response` for what can't be expressed.
pub fn answer<'a>(body: &'a [u8], facts: &Facts) -> Result<Cow<'a, [u8]>, Box<ErrorAnswer>> {
    if let Some(error) = from_ok(Operation::Embeddings, body) {
        // NaN is no JSON: say so rather than that the body is broken.
        return Err(Box::new(match rebuild(body, facts) {
            Err(flaw) if read::holds_nan(body) => flaw.to_answer(),
            _ => error,
        }));
    }
    rebuild(body, facts).map_err(|error| Box::new(error.to_answer()))
}

fn invalid(what: impl std::fmt::Display) -> GatewayError {
    GatewayError::new(
        Code::InvalidUpstreamResponse,
        format!("The upstream's embeddings can't be given in OpenAI's format: {what}."),
    )
}

#[cfg(test)]
mod tests;
