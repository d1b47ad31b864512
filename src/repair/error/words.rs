//! Failures that are told in a word or a sentence: a choice that was broken off, a text where JSON was due.

use serde_json::Value;

use super::ok::of_cause;
use super::{Code, ErrorAnswer, of_text, own, settle, shape, status};
use crate::repair::loose;

/// What an answer that is broken off or no answer stands for.
const BAD_GATEWAY: u16 = 502;

/// The error of a choice that was broken off: with `reason` as its finish reason, and `cause` (JSON) under
/// `error`.
#[must_use]
pub fn from_choice(reason: Option<&str>, cause: Option<&[u8]>) -> ErrorAnswer {
    let cause = cause.and_then(|cause| serde_json::from_slice::<Value>(cause).ok());
    let is_reason =
        |cause: &Value| reason.is_some() && cause.get("type").and_then(Value::as_str) == reason;
    // An object that is the reason names itself, and says more.
    let names = cause.as_ref().is_some_and(is_reason);
    if let Some(mut answer) = cause.and_then(|cause| of_cause(&cause)) {
        if names && let Some(reason) = reason {
            answer.error.message = format!("{} (finish_reason {reason:?})", answer.error.message);
        }
        return answer;
    }
    let reason = reason.unwrap_or("error");
    own(
        Code::UpstreamError,
        format!("The upstream broke the answer off: its finish_reason is {reason:?}."),
    )
}

/// The error that a text is which came where JSON was due: its words are the message.
#[must_use]
pub fn from_words(words: &[u8]) -> ErrorAnswer {
    let text = String::from_utf8_lossy(words);
    let mut text = text.trim();
    let unquoted = serde_json::from_str::<String>(text);
    if let Ok(inner) = &unquoted {
        text = inner.trim();
    }
    // What comes behind "Error:" says which.
    if let Some((label, rest)) = text.split_once(':')
        && label.eq_ignore_ascii_case("error")
        && !rest.trim().is_empty()
    {
        text = rest.trim();
    }
    let loose = || serde_json::from_slice(&loose::to_json(text.as_bytes())?).ok();
    let json = serde_json::from_str::<Value>(text).ok().or_else(loose);
    let draft = json.as_ref().and_then(shape::read).or_else(|| of_text(text, None));
    let status = draft.as_ref().and_then(|draft| status::of_hints(&draft.hints));
    settle(status.unwrap_or(BAD_GATEWAY), draft, || {
        "The upstream reported an error without saying which.".to_owned()
    })
}

/// The error of an answer without an answer in it: whatever words are in it are the message. `lack`: what it has not.
#[must_use]
pub fn no_answer(body: &[u8], lack: &str) -> ErrorAnswer {
    /// Members that hold what was meant.
    const CONTAINERS: [&str; 4] = ["data", "result", "response", "body"];
    let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let inside = CONTAINERS.iter().filter_map(|name| value.get(name));
    let told = std::iter::once(&value).chain(inside).filter_map(shape::read);
    match told.into_iter().find(|draft| draft.message.is_some()) {
        Some(draft) => settle(BAD_GATEWAY, Some(draft), String::new),
        None => own(Code::InvalidUpstreamResponse, format!("The upstream's answer has {lack}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn words_are_the_message() {
        for (words, want) in [
            ("upstream worker went away", "upstream worker went away"),
            ("error: worker panicked", "worker panicked"),
            ("\"worker died\"", "worker died"),
            ("<html><title>Bad gateway</title></html>", "Bad gateway"),
            ("\"{\\\"error\\\":{\\\"message\\\":\\\"no quota\\\"}}\"", "no quota"),
        ] {
            assert_eq!(from_words(words.as_bytes()).error.message, want);
        }
    }
}
