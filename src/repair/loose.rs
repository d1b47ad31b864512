//! JSON as programs write it that print an object instead of serialising it, or hand it to a script.
//!
//! | comes | leaves as |
//! | --- | --- |
//! | a comma before a closing bracket | without it |
//! | `'text'`, `u'text'` (Python, JavaScript) | `"text"` |
//! | `True`, `False`, `None`, `undefined` | `true`, `false`, `null` |
//! | `(1, 2)` (a Python tuple) | `[1, 2]` |
//! | `call({…});`, `)]}',`, `for(;;);`, `while(1);`, a code fence around it | what it is around |
//! | `b'{…}'`, `'{…}'` | what the quotes are around |
//!
//! Only what is JSON afterwards counts. One pass without recursion; nothing here is tried on a text that is JSON.

use std::borrow::Cow;

use crate::wire::json::cursor;
use crate::wire::json::tokenizer::Kind;

/// The longest text that is read so, in bytes: what is larger is no slip of a small program.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Beginnings that keep browsers from running an answer as a script.
const GUARDS: [&[u8]; 6] =
    [b")]}',", b")]}'", b"for(;;);", b"for (;;);", b"while(1);", b"while (1);"];

/// The text as JSON: an object or a list. `None` where it is neither even so.
#[must_use]
pub fn to_json(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let text = &*lossy(text);
    let unwrapped = unwrap(text.trim_ascii());
    if let Some(inside) = unquoted(unwrapped) {
        // What the quotes were around is JSON, or Python once more.
        return checked(inside.clone()).or_else(|| checked(rewrite(unwrap(inside.trim_ascii()))?));
    }
    if unwrapped.len() < text.trim_ascii().len()
        && let Some(json) = checked(unwrapped.to_vec())
    {
        return Some(json);
    }
    checked(rewrite(unwrapped)?)
}

/// A line for each object where one list of them was due: that list. `None` where it is something else.
#[must_use]
pub fn lines(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let text = &*lossy(text);
    let mut out = vec![b'['];
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| !line.is_empty()) {
        let is_object = cursor::parse(line).is_ok_and(|value| value.kind == Kind::BeginObject);
        is_object.then_some(())?;
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(line);
    }
    out.push(b']');
    (out.len() > 2).then_some(out)
}

/// JSON is UTF-8: the text with U+FFFD for what is not.
fn lossy(text: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(mended) => Cow::Owned(mended.into_bytes()),
    }
}

fn checked(mut json: Vec<u8>) -> Option<Vec<u8>> {
    if json.trim_ascii().len() < json.len() {
        json = json.trim_ascii().to_vec();
    }
    let kind = cursor::parse(&json).ok()?.kind;
    matches!(kind, Kind::BeginObject | Kind::BeginArray).then_some(json)
}

/// The text without a guard, a fence or a call around it.
fn unwrap(mut text: &[u8]) -> &[u8] {
    if let Some(guard) = GUARDS.iter().find(|guard| text.starts_with(guard)) {
        text = text.get(guard.len()..).unwrap_or_default().trim_ascii();
    }
    if let Some(fenced) = text.strip_prefix(b"```") {
        let word = fenced.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let fenced = fenced.get(word..).unwrap_or_default().trim_ascii();
        return fenced.strip_suffix(b"```").unwrap_or(fenced).trim_ascii();
    }
    let name = text.iter().take_while(|byte| is_name(**byte)).count();
    let called = text.get(name..).and_then(|rest| rest.strip_prefix(b"("));
    match called {
        Some(called) if name > 0 => {
            let called = called.trim_ascii();
            let called = called.strip_suffix(b";").unwrap_or(called).trim_ascii();
            called.strip_suffix(b")").map_or(text, <[u8]>::trim_ascii)
        }
        _ => text,
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.')
}

/// What stands between single quotes that are around all of the text.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"b").unwrap_or(text);
    let inside = text.strip_prefix(b"'")?;
    let mut out = vec![b'"'];
    let end = string(inside, b'\'', &mut out)?;
    (end == inside.len()).then_some(())?;
    let decoded = serde_json::from_slice::<String>(&out).ok()?;
    Some(decoded.into_bytes())
}

/// The text again, token by token.
fn rewrite(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().saturating_add(16));
    // Of each open bracket, what closes it in JSON.
    let mut open = Vec::new();
    // Where the last comma stands, if nothing but white space has come since.
    let mut comma = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte.is_ascii_whitespace() {
            out.push(byte);
            at += 1;
            continue;
        }
        let last = comma.take();
        match byte {
            b',' => {
                comma = Some(out.len());
                out.push(b',');
                at += 1;
            }
            b'{' | b'[' | b'(' => {
                open.push(if byte == b'{' { b'}' } else { b']' });
                out.push(if byte == b'{' { b'{' } else { b'[' });
                at += 1;
            }
            b'}' | b']' | b')' => {
                if let Some(comma) = last {
                    out.remove(comma);
                }
                out.push(open.pop()?);
                at += 1;
            }
            b'"' | b'\'' => {
                at += 1;
                out.push(b'"');
                at += string(text.get(at..)?, byte, &mut out)?;
            }
            _ if byte.is_ascii_alphabetic() => {
                let rest = text.get(at..)?;
                let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                let (word, behind) = rest.split_at_checked(len)?;
                let is_prefix = matches!(behind.first(), Some(b'"' | b'\''))
                    && matches!(word, b"u" | b"b" | b"r" | b"f" | b"U" | b"B");
                if !is_prefix {
                    out.extend_from_slice(match word {
                        b"True" => b"true",
                        b"False" => b"false",
                        b"None" | b"undefined" | b"nan" | b"NaN" | b"inf" | b"Infinity" => b"null",
                        _ => word,
                    });
                }
                at += len;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    open.is_empty().then_some(out)
}

/// Writes the string that `text` begins with (behind its quote), up to and with the closing quote of JSON. Returns how
/// many bytes of `text` that were; `None` where it does not end.
fn string(text: &[u8], quote: u8, out: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            _ if byte == quote => {
                out.push(b'"');
                return Some(at);
            }
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => {
                let escaped = *text.get(at)?;
                at += 1;
                match escaped {
                    b'\'' => out.push(b'\''),
                    // JSON's own.
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u' => {
                        out.extend_from_slice(&[b'\\', escaped]);
                    }
                    b'x' => {
                        out.extend_from_slice(b"\\u00");
                        out.extend_from_slice(text.get(at..at + 2)?);
                        at += 2;
                    }
                    b'U' => {
                        let digits = std::str::from_utf8(text.get(at..at + 8)?).ok()?;
                        let found = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                        out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
                        at += 8;
                    }
                    _ => out.extend_from_slice(&[b'\\', b'\\', escaped]),
                }
            }
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn table() {
        for (text, want) in [
            (r#"{"a":[1,2,],}"#, Some(r#"{"a":[1,2]}"#)),
            (r#"{"a":"x,}",}"#, Some(r#"{"a":"x,}"}"#)),
            ("[1 , ]", Some("[1  ]")),
            (
                r#"{'a': "it's", 'b': 'say "x"', 'c': None, 'd': [True, False]}"#,
                Some(r#"{"a": "it's", "b": "say \"x\"", "c": null, "d": [true, false]}"#),
            ),
            (
                r"{'a': 'it\'s', 'b': 'é\xe9\U0001f600\n'}",
                Some("{\"a\": \"it's\", \"b\": \"é\\u00e9😀\\n\"}"),
            ),
            ("{u'a': (1, 2,), 'b': ('x',)}", Some(r#"{"a": [1, 2], "b": ["x"]}"#)),
            (r#"callback({"a":1});"#, Some(r#"{"a":1}"#)),
            (r#"window.cb( {"a":1} )"#, Some(r#"{"a":1}"#)),
            (")]}',\n{\"a\":1}", Some(r#"{"a":1}"#)),
            (r#"for(;;);{"a":1}"#, Some(r#"{"a":1}"#)),
            ("```json\n{\"a\":1}\n```", Some(r#"{"a":1}"#)),
            (r#"b'{"a":"x\\"y"}'"#, Some(r#"{"a":"x\"y"}"#)),
            (r#"'{"a":1}'"#, Some(r#"{"a":1}"#)),
            // None of them.
            (r#"{"a":1"#, None),
            (r#"{"a" 1}"#, None),
            ("{'a': ['}", None),
            ("Internal Server Error", None),
            ("error(no worker)", None),
            ("'text'", None),
            ("it's", None),
            ("{,}", Some("{}")),
            ("[1,,2]", None),
            ("{'a': <Response [500]>}", None),
            ("(1)", Some("[1]")),
            ("", None),
        ] {
            let got = to_json(text.as_bytes());
            assert_eq!(got.as_deref().map(String::from_utf8_lossy).as_deref(), want, "{text}");
        }
        let replaced = Some("{\"a\":\"\u{fffd}\"}".as_bytes().to_vec());
        assert_eq!(to_json(b")]}',{\"a\":\"\xff\"}"), replaced);
        assert_eq!(to_json(b"{'a': '\xff'}").map(|json| json.len()), Some(12));
        assert_eq!(lines(b"{\"a\":1}\r\n\n{}\n"), Some(b"[{\"a\":1},{}]".to_vec()));
        for text in [&b"{}\n1"[..], b"", b"\n", b"{\n}"] {
            assert_eq!(lines(text), None);
        }
        assert_eq!(to_json(&vec![b'['; MAX_BYTES + 1]), None);
        assert_eq!(to_json(&vec![b'['; 100_000]), None);
    }
}
