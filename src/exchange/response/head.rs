//! What an answer's head says.

use std::borrow::Cow;

use crate::policy::HeaderNames;
use crate::wire::headers::{HeaderEdit, Headers};

/// Headers of an upstream's answer that stay when its head is replaced, beside those that begin with
/// `x-ratelimit` or `ratelimit`.
const KEPT: [&str; 4] = ["retry-after", "retry-after-ms", "x-should-retry", "www-authenticate"];

/// `:status`; 0 where it is none.
pub(super) fn status(headers: &Headers) -> u16 {
    headers
        .get(":status")
        .and_then(|status| str::from_utf8(status).ok())
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// Removes an upstream's headers under the gateway's own prefix: what they say is the gateway's to say.
pub(super) fn forged(names: &HeaderNames, headers: &Headers) -> Vec<HeaderEdit> {
    headers
        .iter()
        .filter(|(name, _)| name.starts_with(names.prefix.as_bytes()))
        .filter_map(|(name, _)| std::str::from_utf8(name).ok())
        .map(|name| HeaderEdit::remove(name.to_owned()))
        .collect()
}

/// The headers of an upstream's answer that stay when its head is replaced.
pub(super) fn kept(headers: &Headers) -> Vec<(Cow<'static, str>, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)))
        .filter(|(name, _)| {
            let limit = name.starts_with("x-ratelimit") || name.starts_with("ratelimit");
            limit || KEPT.contains(name)
        })
        .map(|(name, value)| (name.to_owned().into(), value.to_owned()))
        .collect()
}

/// Whether nobody here can read the body.
pub(super) fn is_encoded(headers: &Headers) -> bool {
    headers
        .get("content-encoding")
        .is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
}
