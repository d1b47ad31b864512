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
        MemberPlace::Root => name == b"finish_reason" || usage::is_other_name(name),
        MemberPlace::Choice => matches!(
            name,
            b"finishReason"
                | b"native_finish_reason"
                | b"stop_reason"
                | b"done_reason"
                | b"finish_details"
                | b"usage"
                | b"error"
        ),
        MemberPlace::Body => {
            matches!(
                name,
                b"finish_reason" | b"usage" | b"text" | b"function_call" | b"tool_call" | b"error"
            )
        }
    }
}
