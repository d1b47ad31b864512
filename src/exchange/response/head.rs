//! What an answer's head says.

use std::borrow::Cow;

use super::redact::{SHORTEST_ENCODED, covered, redacted};
use crate::policy::HeaderNames;
use crate::wire::headers::{HeaderEdit, Headers};

/// Headers of an upstream's answer that stay when its head is replaced, beside those that begin with
/// `x-ratelimit` or `ratelimit`.
const KEPT: [&str; 4] = ["retry-after", "retry-after-ms", "x-should-retry", "www-authenticate"];

/// What an upstream's answer may not do: set cookies in a browser, tell it where to go next time, which other pages may
/// read the answer or where to report, make a proxy in front deliver something else, or have Envoy take the host out of
/// service. Which page may read an answer is for Envoy's CORS filter to say.
fn acts_on_others(name: &str) -> bool {
    match name {
        "accept-ch"
        | "alt-svc"
        | "clear-site-data"
        | "content-security-policy"
        | "content-security-policy-report-only"
        | "critical-ch"
        | "document-policy"
        | "expect-ct"
        | "feature-policy"
        | "nel"
        | "observe-browsing-topics"
        | "origin-agent-cluster"
        | "permissions-policy"
        | "proxy-authenticate"
        | "proxy-connection"
        | "public-key-pins"
        | "public-key-pins-report-only"
        | "refresh"
        | "report-to"
        | "reporting-endpoints"
        | "service-worker-allowed"
        | "set-cookie"
        | "set-cookie2"
        | "set-login"
        | "sourcemap"
        | "speculation-rules"
        | "strict-transport-security"
        | "supports-loading-mode"
        | "surrogate-control"
        | "x-lighttpd-send-file"
        | "x-reproxy-url"
        | "x-sendfile"
        | "x-sendfile2"
        | "x-sourcemap" => true,
        // Envoy writes these itself, and the last two say no more than a status does.
        "x-envoy-upstream-service-time"
        | "x-envoy-attempt-count"
        | "x-envoy-overloaded"
        | "x-envoy-ratelimited" => false,
        // Asks proxies not to hold a stream back.
        "x-accel-buffering" => false,
        _ => ["access-control-", "attribution-reporting-", "cross-origin-", "x-accel-", "x-envoy-"]
            .iter()
            .any(|prefix| name.starts_with(prefix)),
    }
}

/// Headers of good answers in which no server repeats a credential in another alphabet.
fn is_usual(name: &str) -> bool {
    matches!(
        name,
        ":status"
            | "cache-control"
            | "content-length"
            | "content-type"
            | "date"
            | "server"
            | "transfer-encoding"
            | "vary"
            | "x-request-id"
    )
}

/// `:status`; 0 where it is none.
pub(super) fn status(headers: &Headers) -> u16 {
    headers
        .get(":status")
        .and_then(|status| str::from_utf8(status).ok())
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// Removes an upstream's headers under the gateway's own names (what they say is the gateway's to say) and those that
/// act on others than the client. In the others the provider's key is covered; `value`: the header that carries it.
/// For heads and trailers.
pub(super) fn cleaned(
    names: &HeaderNames,
    headers: &Headers,
    value: Option<&str>,
) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    // One look at the whole head: hardly any answer repeats the key.
    let tells = value.is_some_and(|value| covered(value, headers.block()).is_some());
    for (name, text) in headers.iter() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if acts_on_others(name) || name.starts_with(&*names.prefix) || name == &*names.cluster {
            edits.push(HeaderEdit::remove(name.to_owned()));
        } else if (tells || (text.len() >= SHORTEST_ENCODED && !is_usual(name)))
            && let Some(text) = value.and_then(|value| redacted(value, text))
        {
            let text = String::from_utf8_lossy(&text).into_owned();
            edits.push(HeaderEdit::set(name.to_owned(), text));
        }
    }
    edits
}

/// The headers of an upstream's answer that stay when its head is replaced, without the key in `value`.
pub(super) fn kept(headers: &Headers, value: Option<&str>) -> Vec<(Cow<'static, str>, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)))
        .filter(|(name, _)| {
            let limit = name.starts_with("x-ratelimit") || name.starts_with("ratelimit");
            limit || KEPT.contains(name)
        })
        .map(|(name, text)| {
            let covered = value.and_then(|value| redacted(value, text.as_bytes()));
            let covered = covered.map(|text| String::from_utf8_lossy(&text).into_owned());
            (name.to_owned().into(), covered.unwrap_or_else(|| text.to_owned()))
        })
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

/// What a body without a JSON label gets.
pub(super) fn label(is_labelled: bool) -> Vec<HeaderEdit> {
    if is_labelled {
        return Vec::new();
    }
    vec![HeaderEdit::set("content-type", "application/json")]
}

pub(super) fn content_length(length: usize) -> HeaderEdit {
    HeaderEdit::set("content-length", length.to_string())
}
