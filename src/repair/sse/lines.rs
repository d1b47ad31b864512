//! What one line of the stream is.

/// The byte order mark in UTF-8.
pub(super) const MARK: &[u8] = "\u{feff}".as_bytes();

/// A line without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing, or nothing but white space and marks.
    Blank,
    /// With its colon.
    Comment(&'a [u8]),
    /// Value without white space around it; may be empty.
    Data(&'a [u8]),
    /// `[DONE]` in any case, quoted or not, with or without `data:`.
    Done,
    Event(&'a [u8]),
    /// llama.cpp's `error: {…}`.
    Error(&'a [u8]),
    /// A field that is not passed on, such as `id:` and `retry:`.
    Field,
    /// No field name: JSON, or part of it, or nothing that matters.
    Bare(&'a [u8]),
}

#[inline]
pub(super) fn classify(line: &[u8]) -> Line<'_> {
    if let Some(value) = line.strip_prefix(b"data:") {
        return data(value);
    }
    let text = unmarked(line);
    match text.first() {
        None => return Line::Blank,
        Some(b':') => return Line::Comment(text),
        Some(_) if is_done(text) => return Line::Done,
        Some(_) => {}
    }
    let (name, value) = match text.iter().position(|&byte| byte == b':') {
        Some(colon) => (text.get(..colon), text.get(colon + 1..).unwrap_or_default()),
        // A name alone is a field with an empty value (WHATWG, "event stream interpretation").
        None => (Some(text), &b""[..]),
    };
    let name = name.unwrap_or_default().trim_ascii_end();
    let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
    match () {
        () if is("data") => data(value),
        () if is("event") => Line::Event(value.trim_ascii()),
        () if is("error") => Line::Error(trim(value)),
        () if is("id") || is("retry") => Line::Field,
        () => Line::Bare(text),
    }
}

#[inline]
fn data(mut value: &[u8]) -> Line<'_> {
    loop {
        value = trim(value);
        match value.strip_prefix(b"data:") {
            Some(rest) => value = rest,
            None if is_done(value) => return Line::Done,
            None => return Line::Data(value),
        }
    }
}

/// The value of a `data:` line as the specification reads it, only the one space behind the colon taken away: up to the
/// white space at its end, and that.
pub(super) fn exact_value(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
    let value = line.get(colon.saturating_add(1)..).unwrap_or_default();
    let value = value.strip_prefix(b" ").unwrap_or(value);
    value.split_at_checked(value.trim_ascii_end().len()).unwrap_or((value, &[]))
}

/// Without white space around it and control characters before it: RFC 7464 puts a record separator before each
/// text, and some servers send zeros to keep a connection alive.
#[inline]
fn unmarked(line: &[u8]) -> &[u8] {
    let mut text = trim(line);
    while let [0 | 0x1e, rest @ ..] = text {
        text = trim(rest);
    }
    text
}

/// Without white space around it, and without the byte order mark of a text that was pasted in.
#[inline]
fn trim(mut text: &[u8]) -> &[u8] {
    text = text.trim_ascii();
    while let Some(rest) = text.strip_prefix(MARK) {
        text = rest.trim_ascii_start();
    }
    text
}

/// No payload begins so, and what follows on the line says nothing: a `[DONE]` is known as such
/// before its line ends, as some servers never end it.
#[inline]
fn is_done(text: &[u8]) -> bool {
    if !matches!(text.first(), Some(b'[' | b'"' | b'\'')) {
        return false;
    }
    let text = text.strip_prefix(b"\"").or_else(|| text.strip_prefix(b"'")).unwrap_or(text);
    text.trim_ascii_start().get(..6).is_some_and(|head| head.eq_ignore_ascii_case(b"[DONE]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn exact_values() {
        for (line, want) in [
            (&b"data: a"[..], (&b"a"[..], &b""[..])),
            (b"data:a\t ", (b"a", b"\t ")),
            (b"data:   a", (b"  a", b"")),
            (b"data:\ta:b", (b"\ta:b", b"")),
            (b" DATA : a ", (b"a", b" ")),
            (b"data: data: a", (b"data: a", b"")),
            (b"data: \xef\xbb\xbfa", (b"\xef\xbb\xbfa", b"")),
            (b"data:   ", (b"", b"  ")),
            (b"data:", (b"", b"")),
            (b"data", (b"", b"")),
        ] {
            assert_eq!(exact_value(line), want, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn table() {
        for (line, want) in [
            (&b""[..], Line::Blank),
            (b": hi", Line::Comment(b": hi")),
            (b":", Line::Comment(b":")),
            (b"data: {}", Line::Data(b"{}")),
            (b"data:{}", Line::Data(b"{}")),
            (b"data:data: data:  {} ", Line::Data(b"{}")),
            (b" data: {}", Line::Data(b"{}")),
            (b"data:", Line::Data(b"")),
            (b"data", Line::Data(b"")),
            (b"data: [DONE]", Line::Done),
            (b"data:  [done] ", Line::Done),
            (b"data: \"[Done]\"", Line::Done),
            (b"[DONE]", Line::Done),
            (b" [DONE]", Line::Done),
            (b"data: \xef\xbb\xbf{}", Line::Data(b"{}")),
            (b"data: [1]", Line::Data(b"[1]")),
            (b"event: error", Line::Event(b"error")),
            (b"error: {}", Line::Error(b"{}")),
            (b"id:1", Line::Field),
            (b"retry: 3", Line::Field),
            (b"  \"error\": {", Line::Bare(b"\"error\": {")),
            (b" {\"a\":1}", Line::Bare(b"{\"a\":1}")),
            (b"text", Line::Bare(b"text")),
            (b" \t", Line::Blank),
            (b"\0", Line::Blank),
            (b"\x1e \0", Line::Blank),
            (b" : hi", Line::Comment(b": hi")),
            (b"\x1e: hi", Line::Comment(b": hi")),
            (b"\x1e[DONE]", Line::Done),
            (b"\0 [DONE]", Line::Done),
            (b"\x1e{\"a\":1}", Line::Bare(b"{\"a\":1}")),
        ] {
            assert_eq!(classify(line), want, "{}", String::from_utf8_lossy(line));
        }
    }
}
