//! Errors that are not JSON: plain text, HTML and XML pages, Envoy's own local replies.

/// The longest message that leaves, in characters; a longer one is cut and ends in `…`.
pub const MAX_MESSAGE_CHARS: usize = 4096;

/// How much of a page is read for its message, in bytes: titles stand at the top.
const MAX_PAGE_BYTES: usize = 65_536;

/// `text` as a message: control characters other than newline and tab left out, bounded.
pub fn clean(text: &str) -> String {
    let mut kept = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    let mut message: String = kept.by_ref().take(MAX_MESSAGE_CHARS).collect();
    if kept.next().is_some() {
        message.pop();
        message.push('…');
    }
    message
}

/// Runs of white space become one space; none at the ends.
pub fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_PAGE_BYTES));
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Whether `text` (its white space trimmed) is a page of markup rather than a sentence.
pub fn is_markup(text: &str) -> bool {
    let head = text.trim_start_matches('\u{feff}').trim_start();
    let mut chars = head.chars();
    if chars.next() != Some('<') {
        return false;
    }
    match chars.next() {
        Some('!' | '?') => true,
        // `<html>`, `<Error>`; but not `<unk> is no token`: a page also closes an element.
        Some(c) if c.is_ascii_alphabetic() => {
            head.contains("</") || starts_with_tag(&head.to_ascii_lowercase(), "html")
        }
        _ => false,
    }
}

fn starts_with_tag(lower: &str, name: &str) -> bool {
    lower
        .strip_prefix('<')
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// What a page says: its message without markup, and the code that an XML error body names.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// Title, heading or first text; empty when the page shows none.
    pub message: String,
    /// `<Code>` of an XML error (S3 and its kind).
    pub code: Option<String>,
    /// It is a page for people, not an XML error.
    pub is_html: bool,
}

/// Reads an HTML or XML page.
pub fn page(text: &str) -> ErrorPage {
    let text = head_of(text, MAX_PAGE_BYTES);
    // Lower-casing ASCII keeps every offset, so a span found in `lower` is one of `text` too.
    let lower = text.to_ascii_lowercase();
    let code = element(text, &lower, "code").map(plain).filter(|code| !code.is_empty());
    let named = ["message", "faultstring", "title", "h1"]
        .iter()
        .filter_map(|name| element(text, &lower, name))
        .map(plain)
        .find(|found| !found.is_empty() && !says_nothing(found));
    let message = named.unwrap_or_else(|| {
        let start = lower.find("<body").or_else(|| lower.find("</head>")).unwrap_or(0);
        let body = text.get(start..).unwrap_or_default();
        let shown = plain(&without_hidden(body));
        if shown.is_empty() {
            element(text, &lower, "title").map(plain).unwrap_or_default()
        } else {
            shown.chars().take(512).collect()
        }
    });
    // `<Code>` is an error code in XML only; in HTML the element sets type.
    let is_html = ["<html", "<body", "<!doctype html", "<title", "<center"]
        .iter()
        .any(|begin| lower.contains(begin));
    ErrorPage { message, code: code.filter(|_| !is_html), is_html }
}

/// Titles that pages carry whatever went wrong.
fn says_nothing(title: &str) -> bool {
    ["error", "error response", "error page", "server error", "oops"]
        .iter()
        .any(|dull| title.trim_end_matches(['!', '.', ':']).eq_ignore_ascii_case(dull))
}

/// The first `limit` bytes of `text`, cut at a character.
fn head_of(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The content of the first element `name`, markup included.
fn element<'a>(text: &'a str, lower: &str, name: &str) -> Option<&'a str> {
    let mut from = 0;
    loop {
        let open = from + lower.get(from..)?.find('<')?;
        if starts_with_tag(lower.get(open..)?, name) {
            let start = open + lower.get(open..)?.find('>')? + 1;
            let rest = lower.get(start..)?;
            let mut end = rest.len();
            let mut search = 0;
            while let Some(close) = rest.get(search..).and_then(|tail| tail.find("</")) {
                let at = search + close;
                if rest.get(at + 2..).is_some_and(|tail| tail.starts_with(name)) {
                    end = at;
                    break;
                }
                search = at + 2;
            }
            return text.get(start..start + end);
        }
        from = open + 1;
    }
}

/// `html` without comments, scripts and styles.
fn without_hidden(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let mut out = String::with_capacity(html.len());
    let mut from = 0;
    while let Some(open) = lower.get(from..).and_then(|tail| tail.find('<')).map(|at| from + at) {
        let rest = lower.get(open..).unwrap_or_default();
        let close = if rest.starts_with("<!--") {
            Some("-->")
        } else if starts_with_tag(rest, "script") {
            Some("</script>")
        } else if starts_with_tag(rest, "style") {
            Some("</style>")
        } else {
            None
        };
        let (kept, next) = match close {
            Some(close) => {
                (open, rest.find(close).map_or(html.len(), |at| open + at + close.len()))
            }
            None => (open + 1, open + 1),
        };
        out.push_str(html.get(from..kept).unwrap_or_default());
        if close.is_some() {
            out.push(' ');
        }
        from = next;
    }
    out.push_str(html.get(from..).unwrap_or_default());
    out
}

/// Markup to text: tags become spaces, entities characters, white space single spaces. What entities
/// spelled is stripped too, so nothing that leaves can be read as a tag.
fn plain(markup: &str) -> String {
    collapse(&strip_tags(&decode_entities(&strip_tags(markup))))
}

fn strip_tags(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len());
    let mut rest = markup;
    // Whether a bracket may still close: not looked for again once there was none.
    let mut closed = true;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        if after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            out.push(' ');
            // A tag that is never closed: only its bracket goes, the words stay.
            let tail = if closed { after.split_once('>') } else { None };
            rest = match tail {
                Some((_, tail)) => tail,
                None => {
                    closed = false;
                    after
                }
            };
        } else {
            out.push('<');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(10).position(|byte| byte == b';');
        let decoded = end.and_then(|end| entity(after.get(..end)?).zip(after.get(end + 1..)));
        match decoded {
            Some((c, tail)) => {
                out.push(c);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "middot" => '·',
        "bull" => '•',
        "copy" => '©',
        _ => return None,
    })
}

/// One of Envoy's own replies said clearly: message and code. The texts are those of Envoy's router
/// and HTTP connection manager.
pub fn envoy_reply(text: &str) -> Option<(String, &'static str)> {
    let upstream = |message: &str| Some((message.to_owned(), "upstream_error"));
    if let Some(rest) =
        text.strip_prefix("upstream connect error or disconnect/reset before headers")
    {
        let reason = rest.split_once("reset reason:").map(|(_, reason)| reason.trim());
        let mut message =
            String::from("The upstream could not be reached, or hung up before it answered");
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            message.push_str(" (");
            message.push_str(reason);
            message.push(')');
        }
        message.push('.');
        return Some((message, "upstream_error"));
    }
    match text {
        "no healthy upstream" => {
            upstream("The upstream has no healthy host at the moment. Try again later.")
        }
        "upstream request timeout" | "upstream response timeout" => {
            upstream("The upstream did not answer within the route's timeout.")
        }
        "stream timeout" => upstream("The stream was idle for too long and was closed."),
        "request timeout" => upstream("The request took too long to arrive and was closed."),
        "upstream max stream duration reached" | "downstream duration timeout" => {
            upstream("The exchange took longer than the gateway allows.")
        }
        "upstream protocol error" => upstream("The upstream broke the HTTP protocol."),
        "Payload Too Large" | "request_payload_too_large" => Some((
            "The request is larger than what the gateway may buffer.".to_owned(),
            "request_too_large",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn pages_become_their_title_heading_or_first_text() {
        for (html, want) in [
            (
                "<html><head><title>502 Bad Gateway</title></head><body><h1>x</h1></body></html>",
                "502 Bad Gateway",
            ),
            ("<HTML><BODY><H1 class=a>Not\n  Found</H1><p>z</BODY></HTML>", "Not Found"),
            (
                "<!doctype html><title></title><h1>a &amp; b &#39;c&#x27; &lt;d&gt; &bogus;</h1>",
                "a & b 'c' &bogus;",
            ),
            (
                "<html><title>Error</title><body><script>if (a<b) alert(1)</script><pre>Cannot POST /v1/x</pre>",
                "Cannot POST /v1/x",
            ),
            (
                "<html><body><!-- <h2>no</h2> --><style>p{}</style><p>Gone <b>away</b></p>",
                "Gone away",
            ),
            ("<html></html>", ""),
            ("<html><title>Error</title></html>", "Error"),
            ("<html><title>cut", "cut"),
            ("<p>a < b</p>", "a < b"),
        ] {
            assert_eq!(page(html).message, want, "{html}");
            assert_eq!(page(html).code, None, "{html}");
        }
    }

    #[test]
    fn xml_errors_name_a_code() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(
            page(xml),
            ErrorPage {
                message: "Access Denied".to_owned(),
                code: Some("AccessDenied".to_owned()),
                is_html: false,
            }
        );
    }

    #[test]
    fn text_that_only_begins_like_a_tag_is_text() {
        assert!(!is_markup("<unk> is not allowed"));
        assert!(!is_markup("a <html>"));
        assert!(is_markup("\u{feff} \n<HTML lang=en>"));
        assert!(is_markup("<Error><Code>x</Code></Error>"));
        assert!(is_markup("<!DOCTYPE html>"));
    }

    #[test]
    fn messages_are_bounded_and_printable() {
        assert_eq!(clean("a\u{0}\u{1b}[31mb\nc\td\u{7f}"), "a[31mb\nc\td");
        let long = clean(&"ä".repeat(MAX_MESSAGE_CHARS + 1));
        assert_eq!(long.chars().count(), MAX_MESSAGE_CHARS);
        assert!(long.ends_with('…'));
        let exact = "ä".repeat(MAX_MESSAGE_CHARS);
        assert_eq!(clean(&exact), exact);
    }

    #[test]
    fn envoy_replies_are_said_clearly() {
        let (message, code) = envoy_reply(
            "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
        )
        .unwrap();
        assert!(message.ends_with("(connection timeout)."), "{message}");
        assert_eq!(code, "upstream_error");
        assert!(envoy_reply("no healthy upstream").is_some());
        assert!(envoy_reply("model not found").is_none());
    }
}
