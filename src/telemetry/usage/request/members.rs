//! What the members of a request say of what it may take.

use std::borrow::Cow;

use crate::wire::json::string;

/// What a top-level member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Text, at any depth, or tokens.
    Text,
    /// The same, of which each element of a list is answered for itself.
    Prompts,
    /// How many tokens the answer may have.
    Most,
    /// How many answers there are to be.
    Answers,
    /// Nothing of interest.
    Nothing,
}

/// What the name of a member further in says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Text,
    NoText,
    /// What something is.
    Type,
    /// Where the content of a document or picture stands.
    Source,
    /// That content, as the member beside it says that names its type.
    Data,
}

/// What the top-level member of a name says, for servers that ignore case (Go's) as well.
pub(super) fn says(name: &[u8]) -> Says {
    match name {
        _ if name.iter().any(u8::is_ascii_uppercase) => says(&name.to_ascii_lowercase()),
        b"messages" | b"input" | b"suffix" | b"system" | b"instructions" | b"tools"
        | b"functions" | b"query" | b"documents" => Says::Text,
        b"prompt" => Says::Prompts,
        // The last two are llama.cpp's and TGI's own, which count before OpenAI's.
        b"max_tokens"
        | b"max_completion_tokens"
        | b"max_output_tokens"
        | b"n_predict"
        | b"max_new_tokens" => Says::Most,
        b"n" | b"best_of" => Says::Answers,
        _ => Says::Nothing,
    }
}

pub(super) fn named(name: &[u8]) -> Named {
    match name {
        b"type" => Named::Type,
        b"source" => Named::Source,
        b"data" => Named::Data,
        _ if is_no_text(name) => Named::NoText,
        _ => Named::Text,
    }
}

/// Whether a string, with its quotes, is `text`.
pub(super) fn is_text(raw: &[u8]) -> bool {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    string::decode(inner).is_some_and(|text| text.as_bytes() == b"text")
}

/// Whether the value of a member of this name is no text for the model: what things are, where they are, and what they
/// look like.
fn is_no_text(name: &[u8]) -> bool {
    matches!(
        name,
        b"role"
            | b"id"
            | b"url"
            | b"file_data"
            | b"media_type"
            | b"signature"
            | b"encrypted_content"
            | b"ttl"
            | b"detail"
            | b"status"
            | b"format"
    ) || name.ends_with(b"_id")
        || name.ends_with(b"_url")
}

/// What a number, or a text that holds one, says that counts something. A negative one is none; where it is too large, it is the
/// largest.
pub(super) fn count(raw: &[u8]) -> Option<u64> {
    let inner = raw.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let text =
        inner.map_or_else(|| std::str::from_utf8(raw).ok().map(Cow::Borrowed), string::decode)?;
    let number: f64 = text.trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    (number >= 0.0).then_some(number as u64)
}
