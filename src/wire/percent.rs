//! Percent-encoding (RFC 3986 section 2.1).

/// Encodes what is no visible ASCII, so that [`decode`] gives the same bytes again.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

/// Decodes once. A broken escape stands for itself, as most servers read it.
#[must_use]
pub fn decode(text: &[u8]) -> Vec<u8> {
    decode_with(text, |_| None)
}

/// The same as the most lenient server reads it: `%u006d`, too, which no standard has and IIS decodes.
#[must_use]
pub fn decode_leniently(text: &[u8]) -> Vec<u8> {
    decode_with(text, |rest| match rest {
        [b'%', b'u' | b'U', digits @ ..] => {
            let digits = digits.get(..4)?.iter();
            let mut code = digits.map(|byte| char::from(*byte).to_digit(16));
            char::from_u32(code.try_fold(0, |code, digit| Some(code << 4 | digit?))?)
        }
        _ => None,
    })
}

/// Decodes once. `long`: the character of a longer escape, in six bytes, at the beginning of a text.
fn decode_with(text: &[u8], long: impl Fn(&[u8]) -> Option<char>) -> Vec<u8> {
    const LONG: usize = 6;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            rest = rest.get(3..).unwrap_or_default();
        } else if let Some(sign) = long(rest) {
            out.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(LONG..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

/// Decodes leniently until nothing is escaped any more; `None` where escapes are left after as many rounds as anybody decodes.
#[must_use]
pub fn decode_fully(text: &[u8]) -> Option<Vec<u8>> {
    const ROUNDS: usize = 4;
    let mut decoded = text.to_vec();
    for _ in 0..ROUNDS {
        let again = decode_leniently(&decoded);
        if again.len() == decoded.len() {
            return Some(decoded);
        }
        decoded = again;
    }
    None
}

/// `text` as one segment of a path: what is none of RFC 3986's unreserved characters, nor `:`, `@` or `+`, is escaped.
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@+".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn decodes_once() {
        for (text, want) in [
            (&b"a%2Fb"[..], &b"a/b"[..]),
            (b"%252F", b"%2F"),
            (b"%", b"%"),
            (b"%4", b"%4"),
            (b"%zz%41", b"%zzA"),
            (b"%ff", b"\xff"),
            (b"", b""),
        ] {
            assert_eq!(decode(text), want);
        }
    }

    #[test]
    fn segments() {
        for (text, want) in [
            ("tiny:latest", "tiny:latest"),
            ("@cf/meta/llama", "@cf%2Fmeta%2Fllama"),
            ("a b%", "a%20b%25"),
            ("\u{fc}?#", "%C3%BC%3F%23"),
        ] {
            assert_eq!(segment(text), want);
            assert_eq!(decode(segment(text).as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn decodes_leniently() {
        for (text, want) in [
            (&b"%u006dodel"[..], &b"model"[..]),
            (b"%U002f%2f", b"//"),
            (b"%u00e9", "\u{e9}".as_bytes()),
            (b"%u006", b"%u006"),
            (b"%ud800x", b"%ud800x"),
            (b"%u+06d", b"%u+06d"),
        ] {
            assert_eq!(decode_leniently(text), want);
        }
        assert_eq!(decode_fully(b"%25u006d").as_deref(), Some(&b"m"[..]));
        assert_eq!(decode(b"%u006d"), b"%u006d");
    }
}
