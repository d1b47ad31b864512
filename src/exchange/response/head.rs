//! What an answer's head says.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::exchange::redact::redacted;
use crate::policy::{HeaderNames, ProviderKey, USUAL_ANSWERS};
use crate::wire::headers::{HeaderEdit, Headers};
use crate::wire::name_table::NameTable;

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

/// What of [`acts_on_others`] is known beforehand.
fn known_acts() -> &'static NameTable<&'static str, bool> {
    static KNOWN: LazyLock<NameTable<&str, bool>> = LazyLock::new(|| {
        NameTable::new(USUAL_ANSWERS.into_iter().map(|name| (name, acts_on_others(name))))
    });
    &KNOWN
}

/// What decides who reads an answer, taken from its head in one walk. Of several values of one name it is the first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AnswerFields<'h> {
    status_text: Option<&'h [u8]>,
    pub content_type: Option<&'h [u8]>,
    content_length: Option<&'h [u8]>,
    content_encoding: Option<&'h [u8]>,
    /// Nobody here can read the body: compressed although not asked for.
    pub is_encoded: bool,
    pub has_retry_after: bool,
}

impl<'h> AnswerFields<'h> {
    pub fn read(headers: &'h Headers<'_>) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers.iter() {
            let field = match name {
                b":status" => &mut fields.status_text,
                b"content-type" => &mut fields.content_type,
                b"content-length" => &mut fields.content_length,
                b"content-encoding" => {
                    fields.is_encoded |= value.split(|byte| *byte == b',').any(is_coding);
                    &mut fields.content_encoding
                }
                b"retry-after" => {
                    fields.has_retry_after = true;
                    continue;
                }
                _ => continue,
            };
            field.get_or_insert(value);
        }
        fields
    }

    /// `:status`; 0 where it is none.
    pub fn status(&self) -> u16 {
        let text = self.status_text.and_then(|status| str::from_utf8(status).ok());
        text.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn has_length(&self) -> bool {
        self.content_length.is_some()
    }

    /// What `content-length` says.
    pub fn length(&self) -> Option<u64> {
        str::from_utf8(self.content_length?).ok()?.parse().ok()
    }

    /// Whether `content-encoding` says something that is no coding (`none`, `utf-8`, nothing at all): the body is
    /// as it is, but clients refuse to read what they can't decode.
    pub fn has_false_coding(&self) -> bool {
        let is_identity = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"identity");
        self.content_encoding.is_some_and(|coding| !is_identity(coding)) && !self.is_encoded
    }
}

/// Removes an upstream's headers under the gateway's own names (what they say is the gateway's to say) and those that
/// act on others than the client. In the others the provider's key is covered; where it is a name, that goes.
/// For heads and trailers. `key`: `None` where a quick look has shown that the key is not there. `redact`: how a name or value
/// is looked at.
pub(super) fn cleaned(
    names: &HeaderNames,
    headers: &Headers<'_>,
    key: Option<&ProviderKey>,
    redact: fn(&ProviderKey, &[u8]) -> Option<Vec<u8>>,
) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    let known = known_acts();
    for (name, text) in headers.iter() {
        let acts = match known.find(name) {
            Some((_, acts)) => *acts,
            None => match str::from_utf8(name) {
                Ok(name) => acts_on_others(name),
                Err(_) => continue,
            },
        };
        let covered = |text| key.and_then(|key| redact(key, text));
        let owned = || String::from_utf8_lossy(name).into_owned();
        if acts || names.begins(name) || name == names.cluster.as_bytes() || covered(name).is_some()
        {
            edits.push(HeaderEdit::remove(owned()));
        } else if let Some(text) = covered(text) {
            let text = String::from_utf8_lossy(&text).into_owned();
            edits.push(HeaderEdit::set(owned(), text));
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

fn is_coding(coding: &[u8]) -> bool {
    CODINGS.iter().any(|known| coding.trim_ascii().eq_ignore_ascii_case(known))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn statuses() {
        for text in [
            "200", "000", "099", "999", "", "2", "20", "+20", "2x0", "0200", "65536", " 200", "-20",
        ] {
            let head = Headers::from_pairs(&[(":status", text.as_bytes())]);
            let fields = AnswerFields::read(&head);
            assert_eq!(fields.status(), text.parse().unwrap_or(0), "{text}");
        }
        assert_eq!(AnswerFields::read(&Headers::default()).status(), 0);
    }

    #[test]
    fn fields() {
        let head = Headers::default();
        let none = AnswerFields::read(&head);
        assert_eq!((none.content_type, none.length(), none.has_length()), (None, None, false));
        assert!(!none.is_encoded && !none.has_false_coding() && !none.has_retry_after);
        let head = Headers::from_pairs(&[
            ("content-type", b"a/b"),
            ("content-type", b"c/d"),
            ("content-length", b"7"),
            ("content-length", b"8"),
            ("retry-after", b""),
        ]);
        let fields = AnswerFields::read(&head);
        assert_eq!((fields.content_type, fields.length()), (Some(&b"a/b"[..]), Some(7)));
        assert!(fields.has_retry_after);
        for (codings, is_encoded, is_false) in [
            (&["identity"][..], false, false),
            (&["gzip"], true, false),
            (&["none"], false, true),
            (&[""], false, true),
            (&["none", "identity, BR "], true, false),
            (&["identity", "none"], false, false),
        ] {
            let pairs: Vec<_> =
                codings.iter().map(|coding| ("content-encoding", coding.as_bytes())).collect();
            let head = Headers::from_pairs(&pairs);
            let fields = AnswerFields::read(&head);
            assert_eq!(fields.is_encoded, is_encoded, "{codings:?}");
            assert_eq!(fields.has_false_coding(), is_false, "{codings:?}");
        }
    }

    #[test]
    fn what_is_usual_acts_as_the_rules_say() {
        for name in USUAL_ANSWERS {
            let known = known_acts().find(name.as_bytes());
            assert_eq!(known.map(|(_, acts)| *acts), Some(acts_on_others(name)), "{name}");
        }
    }

    #[test]
    fn usual_and_other_names_alike() {
        let own = HeaderNames::new("x-own", "x-cluster");
        let head = Headers::from_bytes(
            [&b"set-cookie"[..], b"nel", b"x-own-model", b"x-cluster", b"date", b"x-\xff", b"x-o"]
                .into_iter()
                .map(|name| (name, &b"1"[..])),
        );
        let edits = cleaned(&own, &head, None, |_, _| None);
        let names: Vec<_> = edits.iter().map(HeaderEdit::name).collect();
        assert_eq!(names, ["set-cookie", "nel", "x-own-model", "x-cluster"]);
    }
}
