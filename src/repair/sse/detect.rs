//! What a body is, whatever its content-type says.

use super::lines::{Line, MARK, classify};

/// The kind of a body, from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
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
pub fn detect(body: &[u8]) -> StreamFormat {
    if MARK.starts_with(body) {
        return StreamFormat::NeedMore;
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
            None => return StreamFormat::NeedMore,
            Some(b'{') => return StreamFormat::Json(body.len() - rest.len()),
            Some(b'<') => return StreamFormat::Html,
            Some(_) => {}
        }
        if after.is_none() && is_half_field(line) {
            return StreamFormat::NeedMore;
        }
        match classify(line) {
            Line::Done | Line::Data(_) => return StreamFormat::Sse,
            Line::Event(_) | Line::Error(_) | Line::Field => return StreamFormat::Sse,
            Line::Bare(_) if line.first() == Some(&b'[') => {
                let half = after.is_none() && b"[DONE]".starts_with(&line.to_ascii_uppercase());
                return if half {
                    StreamFormat::NeedMore
                } else {
                    StreamFormat::Json(body.len() - rest.len())
                };
            }
            Line::Bare(_) => return StreamFormat::Text,
            Line::Comment(_) | Line::Blank => {}
        }
        match after {
            Some(after) => rest = after,
            None => return StreamFormat::NeedMore,
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
            (&b""[..], StreamFormat::NeedMore),
            (b"\xef\xbb", StreamFormat::NeedMore),
            (b"\n\r\n ", StreamFormat::NeedMore),
            (b": keep-alive\n\n", StreamFormat::NeedMore),
            (b"da", StreamFormat::NeedMore),
            (b"data: {", StreamFormat::Sse),
            (b"\xef\xbb\xbfdata:", StreamFormat::Sse),
            (b": x\n\nevent: a\n", StreamFormat::Sse),
            (b"id:1\n", StreamFormat::Sse),
            (b"\n\n{\"a\"", StreamFormat::Json(2)),
            (b": x\n\n{", StreamFormat::Json(5)),
            (b"[", StreamFormat::NeedMore),
            (b"[{", StreamFormat::Json(0)),
            (b"[DONE]", StreamFormat::Sse),
            (b"<!doctype html>", StreamFormat::Html),
            (b"Not Found", StreamFormat::Text),
            (b"dataset\n", StreamFormat::Text),
        ] {
            assert_eq!(detect(body), want, "{}", String::from_utf8_lossy(body));
        }
    }
}
