//! What a body is, whatever its content-type says.

use super::lines::{Line, MARK, classify};

/// The kind of a body, from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniff {
    /// Nothing but white space, comments or half a field name so far.
    NeedMore,
    /// An event stream.
    Sse,
    /// JSON, or JSON lines, from this offset on; before it only white space, comments and a byte order
    /// mark.
    Json(usize),
    /// Markup: a proxy's error page, a login page.
    Html,
    /// Something else.
    Text,
}

/// Judges by the first bytes of a body (all that came so far). Reads until the first line that says
/// something.
#[must_use]
pub fn sniff(body: &[u8]) -> Sniff {
    if MARK.starts_with(body) {
        return Sniff::NeedMore;
    }
    let mut rest = body.strip_prefix(MARK).unwrap_or(body);
    loop {
        rest = rest.trim_ascii_start();
        let (line, after) =
            match memchr::memchr2(b'\n', b'\r', rest).and_then(|end| rest.split_at_checked(end)) {
                Some((line, after)) => (line, Some(after)),
                None => (rest, None),
            };
        match line.first() {
            None => return Sniff::NeedMore,
            Some(b'{') => return Sniff::Json(body.len() - rest.len()),
            Some(b'<') => return Sniff::Html,
            Some(_) => {}
        }
        if after.is_none() && is_half_field(line) {
            return Sniff::NeedMore;
        }
        match classify(line) {
            Line::Done | Line::Data(_) => return Sniff::Sse,
            Line::Event(_) | Line::Error(_) | Line::Field => return Sniff::Sse,
            Line::Bare(_) if line.first() == Some(&b'[') => {
                let half = after.is_none() && b"[DONE]".starts_with(&line.to_ascii_uppercase());
                return if half { Sniff::NeedMore } else { Sniff::Json(body.len() - rest.len()) };
            }
            Line::Bare(_) => return Sniff::Text,
            Line::Comment(_) | Line::Blank => {}
        }
        match after {
            Some(after) => rest = after,
            None => return Sniff::NeedMore,
        }
    }
}

fn is_half_field(line: &[u8]) -> bool {
    [&b"data:"[..], b"event:", b"id:", b"retry:", b"error:", b"\"[DONE]"]
        .iter()
        .any(|field| field.len() > line.len() && field.starts_with(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn table() {
        for (body, want) in [
            (&b""[..], Sniff::NeedMore),
            (b"\xef\xbb", Sniff::NeedMore),
            (b"\n\r\n ", Sniff::NeedMore),
            (b": keep-alive\n\n", Sniff::NeedMore),
            (b"da", Sniff::NeedMore),
            (b"data: {", Sniff::Sse),
            (b"\xef\xbb\xbfdata:", Sniff::Sse),
            (b": x\n\nevent: a\n", Sniff::Sse),
            (b"id:1\n", Sniff::Sse),
            (b"\n\n{\"a\"", Sniff::Json(2)),
            (b": x\n\n{", Sniff::Json(5)),
            (b"[", Sniff::NeedMore),
            (b"[{", Sniff::Json(0)),
            (b"[DONE]", Sniff::Sse),
            (b"<!doctype html>", Sniff::Html),
            (b"Not Found", Sniff::Text),
            (b"dataset\n", Sniff::Text),
        ] {
            assert_eq!(sniff(body), want, "{}", String::from_utf8_lossy(body));
        }
    }
}
