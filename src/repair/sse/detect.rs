//! What a body is, whatever its content-type says.

use super::lines::{Line, MARK, classify};

/// The kind of a body, from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
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
pub fn detect(body: &[u8]) -> BodyKind {
    if MARK.starts_with(body) {
        return BodyKind::NeedMore;
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
            None => return BodyKind::NeedMore,
            Some(b'{') => return BodyKind::Json(body.len() - rest.len()),
            Some(b'<') => return BodyKind::Html,
            Some(_) => {}
        }
        if after.is_none() && is_half_field(line) {
            return BodyKind::NeedMore;
        }
        match classify(line) {
            Line::Done | Line::Data(_) => return BodyKind::Sse,
            Line::Event(_) | Line::Error(_) | Line::Field => return BodyKind::Sse,
            Line::Bare(_) if line.first() == Some(&b'[') => {
                let half = after.is_none() && b"[DONE]".starts_with(&line.to_ascii_uppercase());
                return if half {
                    BodyKind::NeedMore
                } else {
                    BodyKind::Json(body.len() - rest.len())
                };
            }
            Line::Bare(_) => return BodyKind::Text,
            Line::Comment(_) | Line::Blank => {}
        }
        match after {
            Some(after) => rest = after,
            None => return BodyKind::NeedMore,
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
            (&b""[..], BodyKind::NeedMore),
            (b"\xef\xbb", BodyKind::NeedMore),
            (b"\n\r\n ", BodyKind::NeedMore),
            (b": keep-alive\n\n", BodyKind::NeedMore),
            (b"da", BodyKind::NeedMore),
            (b"data: {", BodyKind::Sse),
            (b"\xef\xbb\xbfdata:", BodyKind::Sse),
            (b": x\n\nevent: a\n", BodyKind::Sse),
            (b"id:1\n", BodyKind::Sse),
            (b"\n\n{\"a\"", BodyKind::Json(2)),
            (b": x\n\n{", BodyKind::Json(5)),
            (b"[", BodyKind::NeedMore),
            (b"[{", BodyKind::Json(0)),
            (b"[DONE]", BodyKind::Sse),
            (b"<!doctype html>", BodyKind::Html),
            (b"Not Found", BodyKind::Text),
            (b"dataset\n", BodyKind::Text),
        ] {
            assert_eq!(detect(body), want, "{}", String::from_utf8_lossy(body));
        }
    }
}
