//! Names that mean an error, in one table: for the look at an answer's first bytes, for whole answers and
//! for the events of a stream.

/// They hold the error itself.
pub(super) const ERRORS: [&str; 7] =
    ["error", "errors", "fault", "Error", "exception", "failure", "err"];

/// They hold its code.
pub(super) const CODES: [&str; 9] = [
    "error_code",
    "errorCode",
    "errcode",
    "retcode",
    "ret_code",
    "resultCode",
    "ErrorCode",
    "errno",
    "err_no",
];

/// They hold an error of a vendor's own, also beside a result.
const VENDORS: [&str; 3] = ["base_resp", "x_groq", "Response"];

/// They hold what an error says, where nothing says that all went well.
pub(super) const MESSAGES: [&str; 12] = [
    "detail",
    "message",
    "msg",
    "errmsg",
    "retmsg",
    "error_msg",
    "error_message",
    "errorMessage",
    "errorMsg",
    "Message",
    "error_description",
    "reason",
];

/// Whether a member's name is an exception's (`throttlingException`, `external_model_error`): an object there is the error.
pub(super) fn is_exception(name: &str) -> bool {
    ["Exception", "_exception", "Error", "_error"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|kind| !matches!(kind, "" | "last" | "no")))
}

/// Whether a top-level name may mean an error.
#[must_use]
pub fn may_mean_error(name: &[u8]) -> bool {
    [&ERRORS[..], &CODES, &VENDORS, &MESSAGES]
        .iter()
        .any(|names| names.iter().any(|known| known.as_bytes() == name))
}
