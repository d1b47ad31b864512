//! Percent-encoding (RFC 3986 section 2.1).

/// Decodes once. A broken escape stands for itself, as most servers read it.
#[must_use]
pub fn decode(text: &[u8]) -> Vec<u8> {
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
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

/// Decodes until nothing is escaped any more; `None` where escapes are left after as many rounds as anybody decodes.
#[must_use]
pub fn decode_fully(text: &[u8]) -> Option<Vec<u8>> {
    const ROUNDS: usize = 4;
    let mut decoded = text.to_vec();
    for _ in 0..ROUNDS {
        let again = decode(&decoded);
        if again.len() == decoded.len() {
            return Some(decoded);
        }
        decoded = again;
    }
    None
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
}
