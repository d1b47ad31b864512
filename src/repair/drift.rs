//! A JSON body with something around it: blank lines or comments while the server was queueing, a
//! `data:` before it or a `data: [DONE]` after it.

use std::ops::Range;

/// Where the JSON of `body` stands: the body without a byte order mark, white space, comment lines
/// (`: keep-alive`), SSE's `data:` and event fields before it, and without what SSE may leave behind
/// it. Only framing goes: the span begins and ends with the bytes of a value.
#[must_use]
pub fn trim_drift(body: &[u8]) -> Range<usize> {
    let mut start = 0;
    loop {
        let rest = body.get(start..).unwrap_or_default();
        let skip = leading(rest);
        if skip == 0 {
            break;
        }
        start += skip;
    }
    let mut end = body.len();
    loop {
        let rest = body.get(start..end).unwrap_or_default();
        let keep = trailing(rest);
        if keep == rest.len() {
            break;
        }
        end = start + keep;
    }
    start..end
}

/// White space, and the control characters that outside of strings are mended to it.
fn is_blank(byte: &u8) -> bool {
    *byte <= b' '
}

/// How many bytes of framing `rest` begins with; one kind at a time.
fn leading(rest: &[u8]) -> usize {
    if rest.starts_with(b"\xEF\xBB\xBF") {
        return 3;
    }
    let blank = rest.iter().take_while(|byte| is_blank(byte)).count();
    if blank > 0 {
        return blank;
    }
    if rest.starts_with(b"data:") {
        return 5;
    }
    if [&b":"[..], b"event:", b"id:", b"retry:"].iter().any(|field| rest.starts_with(field)) {
        return rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
    }
    0
}

/// How many bytes of `rest` are left when one piece of framing at its end is gone.
fn trailing(rest: &[u8]) -> usize {
    let blank = rest.iter().rev().take_while(|byte| is_blank(byte)).count();
    if blank > 0 {
        return rest.len() - blank;
    }
    // The last line, unless it is the only one: then it is the body.
    let Some(line_start) = rest.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) else {
        return rest.len();
    };
    let line = rest.get(line_start + 1..).unwrap_or_default();
    let payload = line.strip_prefix(b"data:").unwrap_or(line).trim_ascii();
    let payload = payload.strip_prefix(b"\"").unwrap_or(payload);
    let payload = payload.strip_suffix(b"\"").unwrap_or(payload);
    let framing = payload.eq_ignore_ascii_case(b"[DONE]")
        || line.starts_with(b":")
        || (payload.is_empty() && line.starts_with(b"data:"));
    if framing { line_start } else { rest.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn json(body: &str) -> &str {
        body.get(trim_drift(body.as_bytes())).unwrap()
    }

    #[test]
    fn only_framing_goes() {
        for (body, want) in [
            ("{}", "{}"),
            ("", ""),
            (" \n\n{\"a\":1}\n", "{\"a\":1}"),
            ("\u{feff}{}", "{}"),
            (": keep-alive\n\n: keep-alive\r\n\r\n{}", "{}"),
            ("data: {\"a\":\n1}\n\ndata: [DONE]\n\n", "{\"a\":\n1}"),
            ("event: message\nid: 1\ndata: {}\n\n", "{}"),
            ("{}\n\ndata: \"[done]\"", "{}"),
            ("{}\n[DONE]", "{}"),
            ("{}\n: bye\n", "{}"),
            ("[1,\n2]", "[1,\n2]"),
            (": only", ""),
            ("\0{}\u{b}\0\n", "{}"),
            ("{\"a\":\"data: [DONE]\"}", "{\"a\":\"data: [DONE]\"}"),
        ] {
            assert_eq!(json(body), want, "{body:?}");
        }
    }
}
