//! Server-sent events that drift, made canonical: `data: <json>\n\n` … `data: [DONE]\n\n`.
//!
//! [`SseNormalizer`] is pure: chunks of the upstream's body in, bytes for the client out. How it goes:
//!
//! 1. Bytes are cut into lines at LF, CR and CRLF, wherever the chunks end (`lines`, `normalizer`).
//! 2. Lines become payloads. A payload is passed on as soon as its JSON is complete, whatever comes
//!    next; only JSON that goes on over several lines is collected (`pending`).
//! 3. `scan` reads a payload once. What needs no repair leaves as the very bytes that came in, and a
//!    chunk whose every event is canonical is not copied at all (`output`).
//!    `template` spares the next payload even that one reading if it has the same shape, and where its
//!    whole event is in the chunk, steps 1 and 2 as well (`normalizer::fast_path`).
//! 4. The rest is looked at member by member and edited in place: chunks by the table that plain answers
//!    are read with ([`super::chat`]), other protocols' events in `typed` and `transcript`.
//!
//! The concatenated output depends on the input's bytes alone, not on how they were cut into chunks.
//! The one exception is meant: usage that follows `[DONE]` in the same chunk is put before it, because
//! `[DONE]` waits for no other chunk.

mod chunk;
mod detect;
mod errors;
mod lines;
mod normalizer;
mod output;
mod pending;
mod sanitize;
mod scan;
mod template;
// The recorded streams are files: natively only.
mod order;
#[cfg(not(target_arch = "wasm32"))]
#[cfg(test)]
mod tests;
mod transcript;
mod typed;
mod whole;

pub use detect::{StreamFormat, detect};
pub use errors::in_canonical_event;
pub use normalizer::SseNormalizer;
pub use output::StreamOutput;
pub(super) use sanitize::one_line;

use crate::error::ErrorAnswer;
use crate::repair::chat::{Api, RequestFacts};

/// Which protocol the stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// `chat.completion.chunk` objects, then `[DONE]`.
    Chat,
    /// `text_completion` objects, then `[DONE]`.
    Completions,
    /// `transcript.text.*` events (OpenAI).
    Transcription,
    /// The Responses API's own events: `event:` lines are kept, no `[DONE]` is added.
    Responses,
    /// The Messages API's own events, each with its `event:` line, no `[DONE]`. How an error is told there is its
    /// dialect's to say: see [`SseNormalizer::take_late_error`].
    Messages,
}

impl StreamKind {
    /// The API whose chunks these are.
    fn api(self) -> Option<Api> {
        match self {
            Self::Chat => Some(Api::Chat),
            Self::Completions => Some(Api::Completions),
            Self::Transcription | Self::Responses | Self::Messages => None,
        }
    }
}

/// What a normaliser needs to know beforehand.
#[derive(Debug, Clone)]
pub struct Options {
    /// The stream's protocol.
    pub kind: StreamKind,
    /// Bytes that one line or one event may have; above, the stream ends in an error.
    pub max_event_bytes: usize,
    /// Replaces `model` of every event (Responses: inside `response`, Messages: inside `message`).
    pub response_model: Option<String>,
    /// What was asked for.
    pub request: RequestFacts,
}

/// How the upstream's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// As HTTP says.
    Clean,
    /// The connection was lost. Envoy calls no hook of a filter then: only tests say this.
    #[cfg_attr(not(feature = "testing"), expect(dead_code))]
    Reset,
}

/// What is known about the answer's head. It goes on only when this is no longer `Undecided`.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamHead {
    /// No event so far, and few comments: they are kept until there is one. Nothing is to be sent yet.
    Undecided,
    /// A stream: status 200, `content-type: text/event-stream`, no `content-length`.
    Stream,
    /// The first event was an error, or there was none: answer with this instead. Nothing else follows.
    Error(ErrorAnswer),
}
