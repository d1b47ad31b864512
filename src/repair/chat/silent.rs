//! Members that may not say anything in an answer that goes on unread.
//!
//! The readers of whole answers ([`super::root`], [`super::choice`]) move what stands there to where clients
//! look, or take it for an error. What passes by them ([`crate::repair::peek`] for plain answers, the scan of
//! [`crate::repair::sse`] for chunks) asks here what would have been read.

use super::usage;

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum MemberPlace {
    /// Beside the choices.
    Root,
    Choice,
    /// In a message or a delta.
    Body,
}

/// Whether a member with this name (without its quotes) has to be null for an answer to go on unread.
#[inline]
pub(in super::super) fn must_be_silent(place: MemberPlace, name: &[u8]) -> bool {
    match place {
        MemberPlace::Root => {
            is_foreign(name)
                || name == b"finish_reason"
                || is_calls(name)
                || usage::is_other_name(name)
        }
        MemberPlace::Choice => {
            is_foreign(name)
                || is_calls(name)
                || matches!(
                    name,
                    b"finishReason"
                        | b"native_finish_reason"
                        | b"stop_reason"
                        | b"done_reason"
                        | b"finish_details"
                        | b"usage"
                        | b"error"
                )
        }
        MemberPlace::Body => {
            is_foreign(name)
                || matches!(
                    name,
                    b"finish_reason"
                        | b"usage"
                        | b"text"
                        | b"function_call"
                        | b"tool_call"
                        | b"error"
                )
        }
    }
}

/// Whether a name may be one of OpenAI's as another language's serialiser writes it (`Content`, `toolCalls`).
#[inline]
pub(super) fn is_foreign(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'A'..=b'Z'))
        || matches!(name, b"toolCalls" | b"reasoningContent" | b"functionCall")
        || is_thinking(name)
}

/// Names of reasoning beside the two that clients know (GitHub's Copilot, relays).
#[inline]
pub(super) fn is_thinking(name: &[u8]) -> bool {
    matches!(name, b"reasoning_text" | b"thinking" | b"thinking_content" | b"thought")
}

/// Whether a member holds calls, which belong into a message.
#[inline]
fn is_calls(name: &[u8]) -> bool {
    matches!(name, b"tool_calls" | b"function_call" | b"toolCalls" | b"functionCall")
}
