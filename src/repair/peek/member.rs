//! The members of an answer that are looked at, by their names.

use crate::policy::operation::Operation;
use crate::repair::chat::silent::{MemberPlace, must_be_silent};
use crate::repair::error::may_mean_error;

/// The member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerMember {
    /// `choices`: a good answer if it has an element.
    Choices,
    /// Another result: good if it has an element.
    Result,
    /// `text`: good, where texts are what was asked for.
    Text,
    /// `object` and `type`, which may say `error`.
    Label,
    /// A name of an error: suspect if there is anything in it.
    Error,
    /// `error` itself, which is made null before choices also where there is nothing in it.
    OwnError,
    Usage,
    /// In a choice.
    Index,
    Message,
    FinishReason,
    /// It must be a string.
    Said,
    /// It must be a string or null.
    Content,
    ToolCalls,
    Function,
    Id,
    /// It may not say anything.
    Silent,
    /// The answer's `id` and `model`: strings.
    Head,
    /// When it was made: whole seconds.
    Created,
    /// It must be `assistant`.
    Role,
    /// It must be `function`.
    CallKind,
    /// One of the three token counts.
    Count(u8),
    Other,
}

/// Whether answers have choices that are read member by member.
pub fn is_chat(operation: Operation) -> bool {
    matches!(operation, Operation::ChatCompletions | Operation::Completions)
}

/// Whether answers have a text, and nothing else is one.
pub(super) fn is_transcript(operation: Operation) -> bool {
    matches!(operation, Operation::Transcriptions | Operation::Translations)
}

/// The meaning of a top-level name (quotes included) in an answer to `operation`. A name spelled with
/// escapes means nothing here, so it proves nothing good.
pub(super) fn top_name(raw: &[u8], operation: Operation) -> AnswerMember {
    match raw {
        b"\"choices\"" if is_chat(operation) => AnswerMember::Choices,
        // They are no answer to anything else, and may be broken off.
        b"\"choices\"" => AnswerMember::Other,
        b"\"usage\"" => AnswerMember::Usage,
        // Images have their own list, and are read where it is missing.
        b"\"results\"" | b"\"output\"" | b"\"models\"" if operation.makes_images() => {
            AnswerMember::Other
        }
        // A chat answer has choices, and nothing else is one.
        b"\"results\"" | b"\"data\"" | b"\"output\"" | b"\"models\""
            if !is_chat(operation) && !is_transcript(operation) =>
        {
            AnswerMember::Result
        }
        b"\"text\"" if is_transcript(operation) => AnswerMember::Text,
        b"\"object\"" | b"\"type\"" => AnswerMember::Label,
        b"\"id\"" | b"\"model\"" if is_chat(operation) => AnswerMember::Head,
        b"\"created\"" if is_chat(operation) => AnswerMember::Created,
        _ if is_chat(operation) && is_silent(MemberPlace::Root, raw) => AnswerMember::Silent,
        b"\"error\"" if is_chat(operation) => AnswerMember::OwnError,
        _ if may_mean_error(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()) => {
            AnswerMember::Error
        }
        _ => AnswerMember::Other,
    }
}

/// Whether the readers of choices would look at a member with this name (quotes included).
fn is_silent(place: MemberPlace, raw: &[u8]) -> bool {
    must_be_silent(place, raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default())
}

pub(super) fn choice_name(raw: &[u8], operation: Operation) -> AnswerMember {
    match raw {
        b"\"index\"" => AnswerMember::Index,
        b"\"message\"" if operation == Operation::ChatCompletions => AnswerMember::Message,
        b"\"text\"" if operation == Operation::Completions => AnswerMember::Text,
        b"\"finish_reason\"" => AnswerMember::FinishReason,
        b"\"delta\"" | b"\"message\"" => AnswerMember::Silent,
        _ if is_silent(MemberPlace::Choice, raw) => AnswerMember::Silent,
        _ => AnswerMember::Other,
    }
}

/// OpenAI's names of the three token counts.
pub(super) fn count_name(raw: &[u8]) -> AnswerMember {
    match raw {
        b"\"prompt_tokens\"" => AnswerMember::Count(0),
        b"\"completion_tokens\"" => AnswerMember::Count(1),
        b"\"total_tokens\"" => AnswerMember::Count(2),
        _ => AnswerMember::Other,
    }
}

pub(super) fn message_name(raw: &[u8]) -> AnswerMember {
    match raw {
        b"\"content\"" | b"\"reasoning_content\"" | b"\"reasoning\"" => AnswerMember::Content,
        b"\"role\"" => AnswerMember::Role,
        b"\"refusal\"" => AnswerMember::Content,
        b"\"tool_calls\"" => AnswerMember::ToolCalls,
        _ if is_silent(MemberPlace::Body, raw) => AnswerMember::Silent,
        _ => AnswerMember::Other,
    }
}

pub(super) fn call_name(raw: &[u8]) -> AnswerMember {
    match raw {
        b"\"function\"" => AnswerMember::Function,
        b"\"id\"" => AnswerMember::Id,
        b"\"type\"" => AnswerMember::CallKind,
        _ => AnswerMember::Other,
    }
}
