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

/// Headers of a redirect that name the address.
pub(super) const LEADS_ELSEWHERE: [&str; 3] = ["location", "content-location", "refresh"];

/// The codings that there are (RFC 9110, section 8.4.1; RFC 8878; IANA's registry), with their old names.
const CODINGS: [&[u8]; 9] =
    [b"gzip", b"x-gzip", b"deflate", b"br", b"zstd", b"compress", b"x-compress", b"dcb", b"dcz"];

/// Whether nobody here can read the body: compressed although not asked for.
pub(super) fn is_encoded(headers: &Headers) -> bool {
    let is_coding =
        |coding: &[u8]| CODINGS.iter().any(|known| coding.trim_ascii().eq_ignore_ascii_case(known));
    headers
        .iter()
        .filter(|(name, _)| *name == b"content-encoding")
        .any(|(_, value)| value.split(|byte| *byte == b',').any(is_coding))
}

/// Whether `content-encoding` says something that is no coding (`none`, `utf-8`, nothing at all): the body is
/// as it is, but clients refuse to read what they can't decode.
pub(super) fn has_false_coding(headers: &Headers) -> bool {
    let said = headers.get("content-encoding");
    said.is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
        && !is_encoded(headers)
}
