//! What an answer's head says.

use std::borrow::Cow;

use crate::exchange::redact::redacted;
use crate::policy::{HeaderNames, ProviderKey};
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
        // Envoy writes these itself, and the last two say no more than a status does (but see `KEEPS_TO_HOST`).
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

/// `:status`; 0 where it is none.
pub(super) fn status(headers: &Headers) -> u16 {
    headers
        .get(":status")
        .and_then(|status| str::from_utf8(status).ok())
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// Removes an upstream's headers under the gateway's own names (what they say is the gateway's to say) and those that
/// act on others than the client. In the others the provider's key is covered; where it is a name, that goes.
/// For heads and trailers. `key`: `None` where a quick look has shown that the key is not there. `redact`: how a name or value
/// is looked at.
pub(super) fn cleaned(
    names: &HeaderNames,
    headers: &Headers,
    key: Option<&ProviderKey>,
    redact: fn(&ProviderKey, &[u8]) -> Option<Vec<u8>>,
) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    for (name, text) in headers.iter() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let covered = |text| key.and_then(|key| redact(key, text));
        if acts_on_others(name)
            || name.starts_with(&*names.prefix)
            || name == &*names.cluster
            || covered(name.as_bytes()).is_some()
        {
            edits.push(HeaderEdit::remove(name.to_owned()));
        } else if let Some(text) = covered(text) {
            let text = String::from_utf8_lossy(&text).into_owned();
            edits.push(HeaderEdit::set(name.to_owned(), text));
        }
    }
    edits
}

/// Whether a header of an upstream's answer stays when its head is replaced.
pub(in crate::exchange) fn is_kept(name: &str) -> bool {
    name.starts_with("x-ratelimit") || name.starts_with("ratelimit") || KEPT.contains(&name)
}

/// The headers of an upstream's answer that stay when its head is replaced, without the provider's key.
pub(in crate::exchange) fn kept(
    headers: &Headers,
    key: Option<&ProviderKey>,
) -> Vec<(Cow<'static, str>, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)))
        .filter(|(name, _)| is_kept(name))
        .filter_map(|(name, text)| {
            let covered = |text: &str| key.and_then(|key| redacted(key, text.as_bytes()));
            if covered(name).is_some() {
                return None;
            }
            let covered = covered(text).map(|text| String::from_utf8_lossy(&text).into_owned());
            Some((name.to_owned().into(), covered.unwrap_or_else(|| text.to_owned())))
        })
        .collect()
}

/// Headers by which an answer keeps Envoy from asking the next provider.
pub(super) const KEEPS_TO_HOST: [&str; 2] = ["x-envoy-overloaded", "x-envoy-ratelimited"];

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
