//! What a top-level member is, by its name: told at once where the name is a usual one.

use crate::error::{Code, GatewayError};
use crate::wire::bytes::is_utf8;
use crate::wire::json::string;
use crate::wire::json::tokenizer::plain_run;
use crate::wire::names::{self, Readings};

/// The longest name of a top-level member, in bytes as it is written; real ones have less than 50. A longer one can't be
/// told from `model` with much put between its letters.
pub(super) const MAX_NAME_BYTES: usize = 4_096;

/// Most top-level members, with those of `extra_body`: each name is held against all that choose a model. No API has a
/// hundred.
pub(super) const MAX_MEMBERS: u32 = 10_000;

/// The same with its quotes.
pub(super) const MAX_KEY_RAW: usize = 2 + MAX_NAME_BYTES;

/// A member whose value is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchedMember {
    Model,
    Stream,
    EncodingFormat,
    Input,
    Prompt,
    N,
    StreamOptions,
    ToolChoice,
    /// What some servers put among the other members (LiteLLM), and others read in its place (Gemini's `google`).
    ExtraBody,
    /// Of no interest.
    Other,
}

/// What a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Member(WatchedMember),
    /// Other parsers may take it for `model` (see [`mod@names`]).
    NearlyModel,
    /// Some server is told further models by the member of this name.
    Further(&'static str),
}

/// What stands between the quotes of a name or string.
#[inline]
pub(super) fn unquoted(raw: &[u8]) -> &[u8] {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

/// What [`of_any_name`] says of a name that many requests have, without its quotes: its length and its letters tell it from
/// all others, so that nothing has to be compared loosely. `None` of other names.
#[inline]
pub(super) fn usual(name: &[u8], counts_inputs: bool) -> Option<WatchedMember> {
    watched(name, counts_inputs).or(match name {
        b"frequency_penalty"
        | b"include"
        | b"input"
        | b"instructions"
        | b"logit_bias"
        | b"logprobs"
        | b"max_completion_tokens"
        | b"max_output_tokens"
        | b"max_tokens"
        | b"messages"
        | b"metadata"
        | b"parallel_tool_calls"
        | b"presence_penalty"
        | b"previous_response_id"
        | b"prompt_cache_key"
        | b"reasoning"
        | b"reasoning_effort"
        | b"response_format"
        | b"seed"
        | b"service_tier"
        | b"stop"
        | b"store"
        | b"system"
        | b"temperature"
        | b"text"
        | b"thinking"
        | b"tools"
        | b"top_k"
        | b"top_logprobs"
        | b"top_p"
        | b"user" => Some(WatchedMember::Other),
        _ => None,
    })
}

/// The member whose value is looked at that is exactly so called.
#[inline]
fn watched(name: &[u8], counts_inputs: bool) -> Option<WatchedMember> {
    Some(match name {
        b"model" => WatchedMember::Model,
        b"stream" => WatchedMember::Stream,
        b"n" => WatchedMember::N,
        b"prompt" => WatchedMember::Prompt,
        b"stream_options" => WatchedMember::StreamOptions,
        b"tool_choice" => WatchedMember::ToolChoice,
        b"encoding_format" => WatchedMember::EncodingFormat,
        b"input" if counts_inputs => WatchedMember::Input,
        _ => return None,
    })
}

/// What a name says, in its quotes and however it is written.
///
/// # Errors
/// `invalid_json` for one that is too long or no Unicode.
#[inline(never)]
pub(super) fn of_any_name(raw: &[u8], counts_inputs: bool) -> Result<Named, GatewayError> {
    if raw.len() > MAX_KEY_RAW {
        return Err(too_long());
    }
    let inner = unquoted(raw);
    let decoded;
    let name = if plain_run(inner) == inner.len() && is_utf8(inner) {
        inner
    } else {
        decoded = string::decode(inner).ok_or_else(not_unicode)?;
        decoded.as_bytes()
    };
    if let Some(member) = watched(name, counts_inputs) {
        return Ok(Named::Member(member));
    }
    let readings = Readings::of(name);
    Ok(Named::Member(if readings.may_be("model") {
        return Ok(Named::NearlyModel);
    } else if let Some(further) = readings.further_model() {
        if further != names::EXTRA_BODY {
            return Ok(Named::Further(further));
        }
        WatchedMember::ExtraBody
    } else if readings.may_be("stream") {
        WatchedMember::Stream
    } else {
        WatchedMember::Other
    }))
}

#[cold]
pub(super) fn too_many() -> GatewayError {
    GatewayError::new(
        Code::InvalidJson,
        format!("The body has more than {MAX_MEMBERS} parameters."),
    )
}

#[cold]
fn too_long() -> GatewayError {
    GatewayError::new(
        Code::InvalidJson,
        format!("The body has a parameter whose name is longer than {MAX_NAME_BYTES} bytes."),
    )
}

#[cold]
fn not_unicode() -> GatewayError {
    GatewayError::new(
        Code::InvalidJson,
        "The body is not valid JSON: the name of a parameter is not valid UTF-8, or has half of a surrogate pair.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    /// Names that requests have or nearly have.
    const NAMES: &str = "model stream n prompt stream_options tool_choice encoding_format input frequency_penalty include \
        instructions logit_bias logprobs max_completion_tokens max_output_tokens max_tokens messages metadata \
        parallel_tool_calls presence_penalty previous_response_id prompt_cache_key reasoning reasoning_effort \
        response_format seed service_tier stop store system temperature text thinking tools top_k top_logprobs top_p user \
        models extra_body fallbacks lora adapters engine preset mode ext o";

    #[test]
    fn a_usual_name_is_what_it_is_among_all() {
        let mut known = 0;
        let mut check = |name: &[u8]| {
            for counts_inputs in [false, true] {
                if let Some(member) = usual(name, counts_inputs) {
                    let raw = [b"\"", name, b"\""].concat();
                    let want = of_any_name(&raw, counts_inputs);
                    assert_eq!(
                        want,
                        Ok(Named::Member(member)),
                        "{}",
                        String::from_utf8_lossy(name)
                    );
                    known += 1;
                }
            }
        };
        for name in NAMES.split_whitespace() {
            check(name.as_bytes());
            // One letter less, another one, and one more.
            for at in 0..name.len() {
                let (head, tail) = name.as_bytes().split_at(at);
                check(&[head, tail.get(1..).unwrap_or_default()].concat());
                for sign in (0..128).filter(|sign| tail.first() != Some(sign)) {
                    check(&[head, &[sign], tail.get(1..).unwrap_or_default()].concat());
                    check(&[head, &[sign], tail].concat());
                }
            }
        }
        assert!(known > 80, "{known}");
        assert_eq!(usual(b"Model", false), None);
    }
}
