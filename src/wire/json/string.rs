//! The value of a JSON string (RFC 8259 section 7).

use std::borrow::Cow;

/// Decodes the bytes between a string's quotes. `None` for invalid UTF-8, a lone surrogate or a broken
/// escape. Borrows when there is no escape.
#[must_use]
pub fn decode(inner: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(inner).ok()?;
    let mut plain = super::tokenizer::plain_run(inner);
    if plain == inner.len() {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (head, tail) = rest.split_at_checked(plain)?;
        out.push_str(head);
        let mut chars = tail.chars();
        match chars.next() {
            None => return Some(Cow::Owned(out)),
            Some('\\') => out.push(escape(&mut chars)?),
            Some(c) => out.push(c),
        }
        rest = chars.as_str();
        plain = super::tokenizer::plain_run(rest.as_bytes());
    }
}

/// What an escape stands for, behind its `\`.
fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = hex4(chars)?;
            if (0xD800..0xDC00).contains(&high) {
                (chars.next()? == '\\' && chars.next()? == 'u').then_some(())?;
                let low = hex4(chars)?;
                (0xDC00..0xE000).contains(&low).then_some(())?;
                char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?
            } else {
                char::from_u32(high)?
            }
        }
        c @ ('"' | '\\' | '/') => c,
        _ => return None,
    })
}

fn hex4(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |value, _| Some(value * 16 + chars.next()?.to_digit(16)?))
}

/// `text` as a JSON string, quotes included.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    write(text, &mut out);
    out
}

/// Writes `text` as a JSON string, quotes included.
pub fn write(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = super::tokenizer::plain_run(rest);
        let (head, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        out.extend_from_slice(head);
        let Some((&special, tail)) = tail.split_first() else { break };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = tail;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn decodes() {
        assert_eq!(decode(b"abc").unwrap(), "abc");
        assert_eq!(decode(b"a\\u00e9\\n\\/\\\"").unwrap(), "a\u{e9}\n/\"");
        assert_eq!(decode(b"\\ud83d\\ude00").unwrap(), "\u{1f600}");
        for broken in [&b"\\ud83d"[..], b"\\ud83dx", b"\\udc00", b"\xff", b"\\u12", b"\\"] {
            assert_eq!(decode(broken), None);
        }
    }

    #[test]
    fn encode_is_what_serde_json_reads() {
        let all: String = (0..300u32).filter_map(char::from_u32).collect();
        let back: String = serde_json::from_slice(&encode(&all)).unwrap();
        assert_eq!(back, all);
    }
}
