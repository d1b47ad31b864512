//! Rules for names, header names and URLs.

use std::net::Ipv6Addr;

use crate::error::Code;
use crate::policy::operation::{Operation, classify};

/// `[A-Za-z0-9._-]+`
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// `[A-Za-z_][A-Za-z0-9_]*`: what a shell and Kubernetes take for the name of a variable.
pub(super) fn is_variable(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Printable ASCII without spaces: safe in a header value, a log line and a metric's tag.
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A non-empty text without control characters.
pub(super) fn is_printable(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// A header name in lower case, or `None` if it is no token (RFC 9110, 5.6.2). Pseudo headers are
/// no tokens.
pub(super) fn header_name(text: &str) -> Option<String> {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (!text.is_empty() && text.bytes().all(is_tchar)).then(|| text.to_ascii_lowercase())
}

/// Headers that frame or route a message: HTTP's own, Envoy's and those that the gateway settles.
const RESERVED: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "accept-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "x-request-id",
];

/// Whether a configured header may not have this (lower-case) name.
pub(super) fn is_reserved(header: &str) -> bool {
    RESERVED.contains(&header)
}

/// Headers that carry a client's credential.
pub(super) const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "x-api-key", "api-key"];

/// Whether headers that begin with `prefix` include one that a request needs.
pub(super) fn shadows_a_header(prefix: &str) -> bool {
    RESERVED
        .iter()
        .chain(&CREDENTIAL_HEADERS)
        .chain(&["accept", "cache-control", "user-agent", "x-envoy-", "x-forwarded-"])
        .any(|header| header.starts_with(prefix))
}

/// The parts of `base_url` that a request is sent with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    /// `host[:port]`, host in lower case, the port as it is written.
    pub(super) authority: String,
    /// Without trailing slash; `/v1` if the URL has no path.
    pub(super) path: String,
}

impl BaseUrl {
    /// The error says what is wrong, without a part of the URL: it may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        if !is_visible(url) {
            return Err("must be printable ASCII without spaces, and not empty");
        }
        let rest = match url.split_once("://") {
            Some((scheme, rest))
                if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
            {
                rest
            }
            _ => return Err("must begin with http:// or https://"),
        };
        if rest.contains('#') {
            return Err("must not hold a fragment");
        }
        if rest.contains('?') {
            return Err("must not hold a query");
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("must not hold user information; use auth instead");
        }
        check_authority(authority)?;
        let path = path.trim_end_matches('/');
        if path.contains('\\') {
            return Err("must not hold a backslash");
        }
        if ends_at_an_operation(path) {
            return Err(
                "must end before /chat/completions, /embeddings and the like: a request adds what it asks for, often to /v1",
            );
        }
        Ok(Self {
            authority: authority.to_ascii_lowercase(),
            path: if path.is_empty() { "/v1" } else { path }.to_owned(),
        })
    }
}

/// Whether a path goes on to an operation, or half of the way (`/v1/chat`). Behind a version alone a word such as `models` is
/// plain: it may also be a server's own first segment.
fn ends_at_an_operation(path: &str) -> bool {
    let is_version = |segment: &str| {
        let rest = segment.strip_prefix('v').unwrap_or_default();
        rest.starts_with(|first: char| first.is_ascii_digit())
    };
    path.match_indices('/').filter_map(|(at, _)| path.split_at_checked(at)).any(|(before, rest)| {
        let is_behind_version = is_version(before.rsplit('/').next().unwrap_or_default());
        if ["/chat", "/audio", "/images"].contains(&rest) {
            return is_behind_version;
        }
        // What stands behind these is no operation's, but a name.
        if ["/models/", "/files/", "/batches/"].iter().any(|start| rest.starts_with(start)) {
            return false;
        }
        match classify(b"POST", rest) {
            Ok(found) => {
                is_behind_version
                    || !matches!(found.operation, Operation::Files | Operation::Batches)
            }
            Err(error) => is_behind_version && error.code == Code::MethodNotAllowed,
        }
    })
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let (host_is_good, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => (false, ""),
        },
        None => match authority.find(':').and_then(|at| authority.split_at_checked(at)) {
            Some((host, port)) => (is_name(host), port),
            None => (is_name(authority), ""),
        },
    };
    if !host_is_good {
        return Err("holds no valid host");
    }
    let port_is_good = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|port| port != 0)
        });
    if port_is_good { Ok(()) } else { Err("holds a port that is no number from 1 to 65535") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn base_urls() {
        for (url, authority, path) in [
            ("https://api.groq.com/openai/v1", "api.groq.com", "/openai/v1"),
            ("https://api.groq.com/openai/v1/", "api.groq.com", "/openai/v1"),
            ("HTTP://LocalHost:8000", "localhost:8000", "/v1"),
            ("http://localhost:8000/", "localhost:8000", "/v1"),
            ("http://localhost//", "localhost", "/v1"),
            ("https://Example.COM:443/V1", "example.com:443", "/V1"),
            ("http://10.0.0.1:80/a%20b", "10.0.0.1:80", "/a%20b"),
            ("http://[::1]:8000/x", "[::1]:8000", "/x"),
            ("http://vllm_svc.ns", "vllm_svc.ns", "/v1"),
            // No operation's, though a segment is called like one.
            ("https://a.services.ai.azure.com/models", "a.services.ai.azure.com", "/models"),
            ("https://a/hf/models/meta/llama/v1", "a", "/hf/models/meta/llama/v1"),
            ("https://a/batches/v1", "a", "/batches/v1"),
            ("https://a/chat", "a", "/chat"),
            ("https://a/v1beta/openai/models/", "a", "/v1beta/openai/models"),
            ("https://a/v1/chatter", "a", "/v1/chatter"),
        ] {
            let want = BaseUrl { authority: authority.to_owned(), path: path.to_owned() };
            assert_eq!(BaseUrl::parse(url), Ok(want), "{url}");
        }
        for (url, want) in [
            ("", "not empty"),
            ("http://a b", "spaces"),
            ("http://ex\u{e4}mple.com", "ASCII"),
            ("localhost:8000", "http://"),
            ("ftp://x", "http://"),
            ("unix:///x", "http://"),
            ("http://", "host"),
            ("http:///v1", "host"),
            ("http://:80", "host"),
            ("http://[::1", "host"),
            ("http://[x]", "host"),
            ("http://a*b", "host"),
            ("http://a:", "port"),
            ("http://a:0", "port"),
            ("http://a:65536", "port"),
            ("http://a:+80", "port"),
            ("http://a:80:80", "port"),
            ("http://[::1]80", "port"),
            ("http://u:s3cret@a/v1", "user information"),
            ("http://a/v1?k=s3cret", "query"),
            ("http://a?k", "query"),
            ("http://a/#f", "fragment"),
            ("http://a/v1\\x", "backslash"),
            ("https://api.openai.com/v1/chat/completions/", "/chat/completions"),
            ("https://a/chat/completions", "must end before"),
            ("https://a/openai/v1/completions", "must end before"),
            ("https://a/v1/embeddings", "must end before"),
            ("https://a/v1/responses", "must end before"),
            ("https://a/v1/responses/compact", "must end before"),
            ("https://a/v1/messages", "must end before"),
            ("https://a/v1/messages/count_tokens", "must end before"),
            ("https://a/v1/models", "must end before"),
            ("https://a/v1/audio/speech", "must end before"),
            ("https://a/v2/rerank", "must end before"),
            ("https://a/v1/chat", "must end before"),
            ("https://a/v1/images", "must end before"),
            ("https://a/v1/files", "must end before"),
        ] {
            let error = BaseUrl::parse(url).unwrap_err();
            assert!(error.contains(want), "{url}: {error}");
            assert!(!error.contains("s3cret"));
        }
    }

    #[test]
    fn header_names() {
        assert_eq!(header_name("X-Api-Key").as_deref(), Some("x-api-key"));
        for text in ["", ":path", "a b", "a:", "\u{e4}", "a\n", "a(b)", "a/b"] {
            assert_eq!(header_name(text), None, "{text:?}");
        }
        assert!(is_reserved("transfer-encoding") && !is_reserved("x-key"));
        assert!(shadows_a_header("x") && shadows_a_header("content"));
        assert!(!shadows_a_header("x-langwatch"));
    }

    #[test]
    fn names() {
        assert!(is_variable("_a9") && is_variable("GROQ_API_KEY"));
        for text in ["", "9a", "a-b", "a.b", "a b", "a=b", "\u{e4}", "a\n"] {
            assert!(!is_variable(text), "{text:?}");
        }
        assert!(is_name("a.B_9-") && !is_name("") && !is_name("a/b") && !is_name("\u{e4}"));
        assert!(is_visible("alice@example.com") && !is_visible("a b") && !is_visible(""));
        assert!(is_printable("ü b") && !is_printable("a\u{85}") && !is_printable(""));
    }
}
