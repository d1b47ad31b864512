//! What a finish reason means, in OpenAI's own five or another server's words.

use std::borrow::Cow;

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

/// Words that stand for each of OpenAI's, without case and without what joins their parts.
const MEANINGS: [(FinishReading, &[&str]); 7] = [
    (
        FinishReading::Unfinished,
        &[
            "",
            "null",
            "none",
            "unfinished",
            "inprogress",
            "finishreasonunspecified",
            "unspecified",
            "notfinished",
            "running",
            "generating",
            "streaming",
            "continue",
            "pending",
        ],
    ),
    (
        FinishReading::As("stop"),
        // TGI, Together, Anthropic, Cohere, Gemini, Reka, and what their proxies let through.
        &[
            "stop",
            "eos",
            "eostoken",
            "endturn",
            "stopsequence",
            "stopstring",
            "endoftext",
            "endofsequence",
            "end",
            "complete",
            "completed",
            "completion",
            "done",
            "finish",
            "finished",
            "success",
            "normal",
            "stopped",
            "finishreasonstop",
            "pauseturn",
            "endid",
            "stopid",
            "stopwords",
        ],
    ),
    (
        FinishReading::As("length"),
        &[
            "length",
            "maxtokens",
            "modellength",
            "maxoutputtokens",
            "maxlength",
            "maxnewtokens",
            "tokenlimit",
            "contextlength",
            "contextwindow",
            "modelcontextwindowexceeded",
            "contextwindowexceeded",
            "contextlengthexceeded",
            "finishreasonmaxtokens",
            "truncated",
            "lengthlimit",
            // Cohere's `ERROR_LIMIT`.
            "errorlimit",
        ],
    ),
    (FinishReading::As("tool_calls"), &["toolcalls", "tooluse", "toolcall", "functioncalls"]),
    (
        FinishReading::As("content_filter"),
        &[
            "contentfilter",
            "contentfiltered",
            "sensitive",
            "safety",
            "finishreasonsafety",
            "recitation",
            "blocklist",
            "prohibitedcontent",
            "spii",
            "imagesafety",
            "moderation",
            "guardrail",
            "guardrails",
            "guardrailintervened",
            "refusal",
            "blocked",
            "flagged",
            "riskcontrol",
        ],
    ),
    (FinishReading::As("function_call"), &["functioncall"]),
    (
        FinishReading::Failed,
        &[
            "abort",
            "aborted",
            "insufficientsystemresource",
            "insufficientsystemresources",
            "cancel",
            "cancelled",
            "canceled",
            "interrupted",
            "overloaded",
            "unavailable",
            "unexpectedtoolcall",
            "crashed",
            "killed",
            "preempted",
            "evicted",
        ],
    ),
];

/// Parts of words that no finished answer has.
const FAILURES: [&str; 14] = [
    "error",
    "abort",
    "fail",
    "exception",
    "timeout",
    "timedout",
    "unavailable",
    "outofmemory",
    "cancel",
    "interrupt",
    "disconnect",
    "crash",
    "overload",
    // Bedrock's `malformed_model_output` and `malformed_tool_use`, Gemini's `MALFORMED_RESPONSE`.
    "malformed",
];

/// Parts of words that say what was held back, also beside a failure's: Cohere's `ERROR_TOXIC`.
const FILTERS: [&str; 4] = ["toxic", "prohibited", "recitation", "armor"];

/// How words begin that name the limit at which an answer ended: `max_tokens_reached`, watsonx' `time_limit`.
const LIMITS: [&str; 6] =
    ["maxtoken", "maxcompletion", "maxlength", "maxcontext", "tokenlimit", "timelimit"];

/// What `reason` means.
pub(in super::super) fn meaning(reason: &str) -> FinishReading {
    if let Some(own) = own(reason) {
        return FinishReading::As(own);
    }
    // The longest word of the table has 27 letters.
    let letters = reason.chars().filter(|c| c.is_ascii_alphanumeric()).take(64);
    let word: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let known = MEANINGS.iter().find(|(_, words)| words.contains(&word.as_str()));
    match (known, reason.split_once(':')) {
        (Some((meaning, _)), _) => *meaning,
        (None, _) if FILTERS.iter().any(|part| word.contains(part)) => {
            FinishReading::As("content_filter")
        }
        (None, _) if FAILURES.iter().any(|part| word.contains(part)) => FinishReading::Failed,
        (None, _) if LIMITS.iter().any(|start| word.starts_with(start)) => {
            FinishReading::As("length")
        }
        // Gemini's `content_filter: PROHIBITED_CONTENT`: what it is, and which.
        (None, Some((what, which))) => match (meaning_of_word(what), meaning_of_word(which)) {
            (_, FinishReading::Failed) => FinishReading::Failed,
            (FinishReading::Other | FinishReading::Unfinished, which) => which,
            (what, _) => what,
        },
        (None, None) => FinishReading::Other,
    }
}

/// What one word of a reason means.
fn meaning_of_word(word: &str) -> FinishReading {
    let letters = word.chars().filter(|c| c.is_ascii_alphanumeric()).take(64);
    let word: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let known = MEANINGS.iter().find(|(_, words)| !word.is_empty() && words.contains(&&*word));
    known.map_or(FinishReading::Other, |(meaning, _)| *meaning)
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
                ],
            ),
            (FinishReading::Other, &["tired", "limit_of_patience", "time"]),
        ] {
            for word in words {
                assert_eq!(meaning(word), meant, "{word}");
            }
        }
    }
}
