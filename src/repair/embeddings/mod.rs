//! Embeddings of any server in OpenAI's shape:
//! `{"object":"list","data":[{"object":"embedding","index":i,"embedding":…}],"model":…,"usage":{…}}`.
//!
//! An answer is looked at as it arrives ([`Recogniser`]), and goes one of three ways:
//! - it is spec-shaped, as far as its first items show: it streams on, byte for byte;
//! - it is spec-shaped but for the number format or a missing field: [`EmbeddingsConverter`] rewrites it as it
//!   streams, holding no more than one number;
//! - anything else, and every answer below [`recognise::WINDOW`] bytes, is held and read as a whole ([`answer`]).
//!
//! Numbers that stay numbers are copied as text. Nothing is pooled, padded or guessed: what OpenAI's
//! shape can't say is an error.

mod convert;
mod read;
mod rebuild;
mod recognise;
mod vector;

use std::borrow::Cow;

pub use convert::EmbeddingsConverter;
pub use recognise::{Recogniser, Recognition};

use super::drift::trim_drift;
use super::error::from_ok;
use super::proxied;
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::policy::operation::Operation;
use crate::wire::json::cursor;

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
pub struct EmbeddingsFacts {
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
pub fn answer<'a>(
    body: &'a [u8],
    facts: &EmbeddingsFacts,
) -> Result<Cow<'a, [u8]>, Box<ErrorAnswer>> {
    if let Some(inside) = proxied::good(body) {
        return match rebuild::rebuild(&inside, facts) {
            Ok((_, out)) => Ok(Cow::Owned(out.into_owned())),
            Err(fault) => Err(Box::new(fault.to_answer())),
        };
    }
    let fault = match rebuild::rebuild(body, facts) {
        // Vectors are no error, whatever is said beside them but under `error`.
        Ok((vectors, out)) if vectors > 0 => return Ok(out),
        Ok((_, out)) => {
            return from_ok(Operation::Embeddings, body)
                .map_or(Ok(out), |error| Err(Box::new(error)));
        }
        Err(fault) => fault.to_answer(),
    };
    let error = from_ok(Operation::Embeddings, body).or_else(|| of_an_item(body));
    Err(Box::new(error.unwrap_or(fault)))
}

/// What an item says in the place of its vector: batch servers fail item by item.
fn of_an_item(body: &[u8]) -> Option<ErrorAnswer> {
    let top = cursor::parse(body.get(trim_drift(body))?).ok()?;
    let lists = ["data", "embeddings", "results", "predictions", "output"];
    let items = lists.iter().filter_map(|name| top.get(name)).chain([top]);
    items
        .flat_map(|list| list.elements())
        .filter(|item| item.get("error").is_some_and(|error| !error.is_null()))
        .find_map(|item| from_ok(Operation::Rerank, item.raw()))
}

fn invalid(what: impl std::fmt::Display) -> GatewayError {
    GatewayError::new(
        Code::InvalidUpstreamResponse,
        format!("The upstream's embeddings can't be given in OpenAI's format: {what}."),
    )
}

#[cfg(test)]
mod tests;
