//! A text in the place of audio: what went wrong, whatever its label and its status say.

use crate::error::ErrorAnswer;
use crate::policy::operation::Operation;
use crate::repair::error::{from_ok, from_words, no_answer};
use crate::repair::sse::{StreamFormat, detect};
use crate::wire::json::cursor;
use crate::wire::json::tokenizer::Kind;

/// No error has more bytes.
pub(super) const MAX_ERROR_BYTES: usize = 16 * 1024;

/// Whether a whole body in the place of audio is no audio but a text, events aside.
pub(super) fn is_text(body: &[u8]) -> bool {
    body.len() <= MAX_ERROR_BYTES && may_be_text(body) && detect(body) != StreamFormat::Sse
}

/// The error that a text is in the place of audio.
pub(super) fn failure(said: &[u8]) -> ErrorAnswer {
    let lacks = || no_answer(said, "no audio");
    match cursor::parse(said).map(|root| root.kind) {
        Ok(Kind::BeginObject) => from_ok(Operation::Speech, said).unwrap_or_else(lacks),
        Ok(Kind::BeginArray) => from_ok(Operation::Rerank, said).unwrap_or_else(lacks),
        _ => from_ok(Operation::Speech, said).unwrap_or_else(|| from_words(said)),
    }
}

/// Whether bytes may be the beginning of a text: UTF-8 without control characters. Every format of audio has
/// others among its first bytes, and so have samples.
pub(super) fn may_be_text(bytes: &[u8]) -> bool {
    let is_control =
        |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || *byte == 0x7f;
    // The first bytes nearly always decide.
    if bytes.iter().take(64).any(is_control) {
        return false;
    }
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !bytes.iter().any(is_control)
}
