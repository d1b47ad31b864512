//! What a finish reason means, in OpenAI's own five or another server's words.

use std::borrow::Cow;

use crate::repair::spelling;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// What a finish reason says of its choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum FinishReading {
    /// It goes on.
    Unfinished,
    /// It is complete, or complete as far as it may be: OpenAI's word for that.
    As(&'static str),
    /// It is complete, in a word that says no more than that: clients that know OpenAI's five read `stop`,
    /// and the word goes on as `native_finish_reason`.
    Other,
    /// It was broken off: what was said is no answer.
    Failed,
}

/// Whole reasons that no rule on their parts would read so, as [`Parts`] spells them.
const MEANINGS: [(FinishReading, &[&str]); 5] = [
    (
        FinishReading::Unfinished,
        &[
            "",
            "null",
            "nil",
            "none",
            "undefined",
            "unset",
            "unfinished",
            "inprogress",
            "unspecified",
            "notspecified",
            "notfinished",
            "running",
            "generating",
            "processing",
            "streaming",
            "continue",
            "pending",
            // xAI's `REASON_INVALID`, the zero of its list.
            "invalid",
        ],
    ),
    (
        FinishReading::As("stop"),
        // TGI, Together, Anthropic, Cohere, Gemini, Reka, and what their proxies let through.
        &[
            "stop",
            "endturn",
            "endoftext",
            "endofsequence",
            "completion",
            "finish",
            "success",
            "normal",
            "pauseturn",
            "endid",
            "stopid",
            "eostoken",
            "stopsequence",
            "stopstring",
            "stopwords",
            "delimiter",
        ],
    ),
    // Cohere's `ERROR_LIMIT`.
    (FinishReading::As("length"), &["errorlimit"]),
    (FinishReading::As("content_filter"), &["spii", "pii", "riskcontrol"]),
    (FinishReading::As("function_call"), &["functioncall"]),
];

/// What reasons mean by a part of them. The first of these that has one counts: what was held back for what it says, what was
/// broken off, what was held back by a filter, what ended at a limit, what calls.
const PARTS: [(FinishReading, &[&str]); 5] = [
    // Also beside a failure's: Cohere's `ERROR_TOXIC`.
    (FinishReading::As("content_filter"), &["toxic", "prohibited", "recitation", "armor"]),
    (
        FinishReading::Failed,
        &[
            "error",
            "abort",
            "fail",
            "exception",
            "timeout",
            "timedout",
            "deadline",
            "unavailable",
            "outofmemory",
            "cancel",
            "interrupt",
            "disconnect",
            "crash",
            "overload",
            "killed",
            "preempt",
            "evicted",
            "insufficient",
            "resource",
            "ratelimit",
            "quota",
            "billing",
            "usagelimit",
            // Bedrock's `malformed_model_output` and `malformed_tool_use`, Gemini's `MALFORMED_RESPONSE`.
            "malformed",
            // Gemini's `UNEXPECTED_TOOL_CALL`, `TOO_MANY_TOOL_CALLS` and `MISSING_THOUGHT_SIGNATURE`.
            "unexpected",
            "toomany",
            "missing",
            "invalid",
        ],
    ),
    (
        FinishReading::As("content_filter"),
        &[
            "filter",
            "safety",
            "blocked",
            "blocklist",
            "sensitive",
            "moderation",
            "moderated",
            "guardrail",
            "refus",
            "flagged",
            "policy",
            "censor",
            "spii",
        ],
    ),
    (
        FinishReading::As("length"),
        &[
            "length",
            "limit",
            "maximum",
            "maxtoken",
            "maxlen",
            "maxnew",
            "maxoutput",
            "maxcompletion",
            "modellen",
            "truncat",
            "incomplete",
            "context",
            "budget",
            "exceed",
            "exhaust",
            "cutoff",
        ],
    ),
    (FinishReading::As("tool_calls"), &["toolcall", "tooluse", "functioncall"]),
];

/// Words that say so where they stand alone between others: `<FinishReason.STOP: 'STOP'>`, `Some(Stop)`.
const WORDS: [(FinishReading, &[&str]); 2] = [
    (FinishReading::As("length"), &["max", "len"]),
    (
        FinishReading::As("stop"),
        &["stop", "stopped", "eos", "end", "complete", "completed", "done", "finished"],
    ),
];

/// A reason without its spelling: case, what joins its words, and what it is called where it is printed.
struct Parts {
    /// The words, in lower case.
    words: Vec<String>,
    /// All of them, with nothing between.
    joined: String,
}

impl Parts {
    fn of(reason: &str) -> Self {
        let mut words = spelling::words(reason);
        // `FINISH_REASON_LENGTH`, `CompletionsFinishReason.TOKEN_LIMIT_REACHED`: behind its name stands what it is.
        let named = words.iter().rposition(|word| word.ends_with("reason"));
        if let Some(named) = named.filter(|at| at + 1 < words.len()) {
            words.drain(..=named);
        }
        // `<FinishReason.STOP: 1>`.
        if words.iter().any(|word| !is_number(word)) {
            words.retain(|word| !is_number(word));
        }
        let joined = words.concat();
        let value = joined.strip_prefix("finishreason").filter(|value| !value.is_empty());
        let joined = value.unwrap_or(&joined).to_owned();
        Self { words, joined }
    }

    fn meaning(&self) -> FinishReading {
        let is_whole = |known: &[&str]| known.contains(&self.joined.as_str());
        let has_part = |parts: &[&str]| parts.iter().any(|part| self.joined.contains(part));
        let has_word =
            |known: &[&str]| self.words.iter().any(|word| known.contains(&word.as_str()));
        let found = MEANINGS.iter().find(|(_, known)| is_whole(known));
        let found = found.or_else(|| PARTS.iter().find(|(_, parts)| has_part(parts)));
        let found = found.or_else(|| WORDS.iter().find(|(_, known)| has_word(known)));
        found.map_or(FinishReading::Other, |(meaning, _)| *meaning)
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// What `reason` means.
pub(in super::super) fn meaning(reason: &str) -> FinishReading {
    match own(reason) {
        Some(own) => FinishReading::As(own),
        None => Parts::of(reason).meaning(),
    }
}

/// OpenAI's own words.
fn own(reason: &str) -> Option<&'static str> {
    ["stop", "length", "tool_calls", "content_filter", "function_call"]
        .into_iter()
        .find(|own| *own == reason)
}

/// Whether `reason` is one of OpenAI's own, as it must be written.
pub(in super::super) fn is_own(reason: &[u8]) -> bool {
    matches!(reason, b"stop" | b"length" | b"tool_calls" | b"content_filter" | b"function_call")
}

/// How deep a word is looked for.
const MAX_NESTING: u8 = 3;

/// The word that a value says its reason with: its own, that of an object (SGLang's
/// `{"type": "stop", "matched": 2}`) or of a list's first element, or one of Gemini's numbers (protobuf's
/// `FinishReason`). From 5 on the lists that programs have of them disagree: such a number is a word that nobody
/// knows.
pub(in super::super) fn word<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    word_within(value, MAX_NESTING)
}

fn word_within<'a>(value: &Value<'a>, nesting: u8) -> Option<Cow<'a, str>> {
    let nesting = nesting.checked_sub(1)?;
    match value.kind {
        Kind::String => value.as_str(),
        Kind::BeginObject => ["type", "reason", "name", "finish_reason"]
            .into_iter()
            .find_map(|name| word_within(&value.get(name)?, nesting)),
        Kind::BeginArray => word_within(&value.elements().next()?, nesting),
        Kind::True => Some("stop".into()),
        Kind::Number => match value.raw() {
            b"0" => Some("unspecified".into()),
            b"1" => Some("stop".into()),
            b"2" => Some("length".into()),
            b"3" | b"4" => Some("safety".into()),
            other => std::str::from_utf8(other).ok().map(Cow::Borrowed),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn words_of_a_kind_mean_the_same() {
        for (meant, words) in [
            (
                FinishReading::Failed,
                &[
                    "malformed_model_output",
                    "malformed_tool_use",
                    "MALFORMED_RESPONSE",
                    "MALFORMED_FUNCTION_CALL",
                    "FinishReason.MALFORMED",
                    "max_tokens_error",
                    "time_limit_error",
                    "ERROR",
                    "FINISH_REASON_ERROR",
                    "FinishReason.UNEXPECTED_TOOL_CALL",
                    "TOO_MANY_TOOL_CALLS",
                    "insufficient_system_resource",
                    "RESOURCE_EXHAUSTED",
                    "rate_limit_exceeded",
                    "usage_limit_reached",
                    "context canceled",
                    "context deadline exceeded",
                    "content_filter_error",
                    "invalid_tool_call",
                ][..],
            ),
            (
                FinishReading::As("length"),
                &[
                    "ERROR_LIMIT",
                    "max_tokens_reached",
                    "max_token",
                    "MaxCompletionTokens",
                    "token_limit",
                    "token_limit_reached",
                    "time_limit",
                    "max_length_reached",
                    "max_context_length",
                    "FINISH_REASON_LENGTH",
                    "FinishReason.LENGTH",
                    "<FinishReason.LENGTH: 'length'>",
                    "<FinishReason.LENGTH: 2>",
                    "FinishReason::Length",
                    "CompletionsFinishReason.TOKEN_LIMIT_REACHED",
                    "REASON_MAX_LEN",
                    "REASON_MAX_CONTEXT",
                    "finishReasonMaxTokens",
                    "FINISHREASONLENGTH",
                    "Some(Length)",
                    "maximum_tokens",
                    "maxlen",
                    "MAX",
                    "limit",
                    "Limit",
                    "stopped_limit",
                    "output-token-budget",
                    "context_window_full",
                    "incomplete",
                    "truncation",
                    "tool_call_limit",
                    "STOP_REASON_MAX_TOKENS",
                ],
            ),
            (
                FinishReading::As("content_filter"),
                &[
                    "ERROR_TOXIC",
                    "toxicity",
                    "PROHIBITED_CONTENT",
                    "prohibited",
                    "IMAGE_RECITATION",
                    "IMAGE_PROHIBITED_CONTENT",
                    "MODEL_ARMOR",
                    "content_filter: RECITATION",
                    "content_filter: OTHER",
                    "FINISH_REASON_BLOCKLIST",
                    "FINISH_REASON_SPII",
                    "FinishReason.SPII",
                    "FinishReason.IMAGE_SAFETY",
                    "CompletionsFinishReason.CONTENT_FILTERED",
                    "policy_violation",
                    "Refused",
                ],
            ),
            (
                FinishReading::As("tool_calls"),
                &[
                    "FINISH_REASON_TOOL_CALLS",
                    "REASON_TOOL_CALL",
                    "FinishReason.ToolUse",
                    "function_calls",
                    "STOP_TOOL_CALLS",
                ],
            ),
            (
                FinishReading::As("function_call"),
                &["FUNCTION_CALL", "CompletionsFinishReason.FUNCTION_CALL"],
            ),
            (
                FinishReading::As("stop"),
                &[
                    "FINISH_REASON_STOP",
                    "finishreasonstop",
                    "REASON_STOP",
                    "<FinishReason.STOP: 'STOP'>",
                    "<FinishReason.STOP: 1>",
                    "CompletionsFinishReason.STOPPED",
                    "StopReason.END_TURN",
                    "stop_reason_eos",
                    "Some(Stop)",
                    "stop: </s>",
                    "delimiter",
                ],
            ),
            (
                FinishReading::Unfinished,
                &[
                    "",
                    " ",
                    "FINISH_REASON_UNSPECIFIED",
                    "<FinishReason.FINISH_REASON_UNSPECIFIED: 0>",
                    "FinishReason.NONE",
                    "REASON_INVALID",
                    "NOT_FINISHED",
                ],
            ),
            (
                FinishReading::Other,
                &[
                    "tired",
                    "time",
                    "7",
                    "FINISH_REASON_OTHER",
                    "backend",
                    "reason",
                    "finish_reason",
                ],
            ),
        ] {
            for word in words {
                assert_eq!(meaning(word), meant, "{word}");
            }
        }
    }

    fn capitalised(part: &str) -> String {
        let (first, rest) = part.split_at(1);
        first.to_uppercase() + rest
    }

    /// How a reason is written makes no difference to what it means.
    #[test]
    fn spelling_makes_no_difference() {
        for word in
            ["length", "max_tokens", "tool_calls", "content_filter", "end_turn", "abort", "stop"]
        {
            let meant = meaning(word);
            let pascal: String = word.split('_').map(capitalised).collect();
            let screaming = word.to_uppercase();
            for spelled in [
                screaming.clone(),
                pascal.clone(),
                word.replace('_', "-"),
                word.replace('_', " "),
                word.replace('_', ""),
                format!("FINISH_REASON_{screaming}"),
                format!("FinishReason.{screaming}"),
                format!("FinishReason::{pascal}"),
                format!("ChatFinishReason{pascal}"),
                format!("<StopReason.{screaming}: '{word}'>"),
                format!("Some({pascal})"),
            ] {
                assert_eq!(meaning(&spelled), meant, "{spelled}");
            }
        }
    }
}
