//! The provider's key, taken out of what goes to the client. Servers repeat it when they refuse it: in errors, in headers,
//! and escaped in either.

/// Shorter credentials are placeholders such as `EMPTY`, and may be parts of any word: they are no secret
/// that an answer could give away.
const SHORTEST_KEY: usize = 6;

/// A beginning of the key of so many bytes is taken out wherever it stands, and a shorter one (of [`SHORTEST_KEY`] or more)
/// where the text was cut behind it.
const TELLING: usize = 12;

const REDACTED: &[u8] = b"[redacted]";

/// `text` without the secret part of a credential header's `value`; `None` where it is not there. It is found however its
/// characters are written: plainly, by JSON's escapes (`\\/`, `\\u002d`, twice escaped too) or by percent escapes.
pub(super) fn redacted(value: &str, text: &[u8]) -> Option<Vec<u8>> {
    let key = value.rsplit(' ').next().filter(|key| key.len() >= SHORTEST_KEY)?.as_bytes();
    let first = *key.first()?;
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(rest) = text.get(at..) {
        // A character that may begin the key: itself, or an escape.
        let Some(step) = memchr::memchr3(first, b'\\', b'%', rest) else { break };
        at += step;
        match match_at(text, at, key) {
            Some(end) => {
                let out = out.get_or_insert_default();
                out.extend_from_slice(text.get(copied..at).unwrap_or_default());
                out.extend_from_slice(REDACTED);
                at = end;
                copied = end;
            }
            None => at += 1,
        }
    }
    let mut out = out?;
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(out)
}

/// Where the key, or so much of it that it must not be told, ends that begins at `at`.
fn match_at(text: &[u8], at: usize, key: &[u8]) -> Option<usize> {
    let mut end = at;
    let mut matched = 0;
    for wanted in key {
        match unit(text.get(end..).unwrap_or_default()) {
            Some((byte, length)) if byte == *wanted => {
                end += length;
                matched += 1;
            }
            _ => break,
        }
    }
    let rest = text.get(end..).unwrap_or_default();
    let is_cut = || {
        rest.is_empty()
            || rest.starts_with(b"\"")
            || rest.starts_with("\u{2026}".as_bytes())
            || rest.starts_with(b"\\u2026")
    };
    let tells = matched == key.len() || matched >= TELLING || (matched >= SHORTEST_KEY && is_cut());
    tells.then_some(end)
}

/// The character that `text` begins with, and how many bytes write it.
fn unit(text: &[u8]) -> Option<(u8, usize)> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    match text {
        [b'\\', ..] => {
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            match text.get(slashes..)? {
                [b'u', b'0', b'0', high, low, ..] => {
                    hex(&[*high, *low]).map(|byte| (byte, slashes + 5))
                }
                [byte, ..] => Some((*byte, slashes + 1)),
                [] => None,
            }
        }
        [b'%', high, low, ..] => {
            hex(&[*high, *low]).map_or(Some((b'%', 1)), |byte| Some((byte, 3)))
        }
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    const VALUE: &str = "Bearer sk/ab-cdefghijklmnop+=";

    fn shown(text: &str) -> Option<String> {
        redacted(VALUE, text.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn however_it_is_written() {
        for text in [
            "sk/ab-cdefghijklmnop+=",
            "sk\\/ab-cdefghijklmnop+=",
            "sk\\\\\\/ab-cdefghijklmnop+=",
            "\\u0073\\u006b\\u002Fab-cdefghijklmnop\\u002b=",
            "sk%2Fab%2dcdefghijklmnop%2B%3D",
            "sk/ab-cdefghi",
        ] {
            assert_eq!(
                shown(&format!("x{text}y {text}.")).unwrap().matches("[redacted]").count(),
                2,
                "{text}"
            );
            assert!(!shown(&format!("<{text}>")).unwrap().contains("ab-cde"), "{text}");
        }
        assert_eq!(shown("{\"m\":\"sk/ab-cd\"}").unwrap(), "{\"m\":\"[redacted]\"}");
        assert_eq!(shown("at the end sk/ab-c").unwrap(), "at the end [redacted]");
        assert_eq!(shown("cut: sk/ab-cde\u{2026}").unwrap(), "cut: [redacted]\u{2026}");
        assert_eq!(shown("s sk/ab-cdefghijklmnop+=").unwrap(), "s [redacted]");
    }

    #[test]
    fn what_is_no_key_stays() {
        for text in ["", "sk/ab", "sk/ab-c is its beginning", "%", "\\", "%zz\\u00", "skate"] {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(redacted("Bearer EMPTY", b"EMPTY"), None);
        assert_eq!(redacted("", b""), None);
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever stands around it, a key is not told, and what is no part of it stays.
        #[test]
        fn the_key_is_never_told(
            key in "[a-zA-Z0-9_-]{12,40}",
            before in ".{0,20}",
            after in ".{0,20}",
            escaped in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let written: String = key.chars().zip(escaped).map(|(c, escaped)| {
                if escaped { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
            }).collect();
            let text = format!("{before} {written} {after}");
            let shown = redacted(&format!("Bearer {key}"), text.as_bytes()).unwrap();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            prop_assert!(!shown.contains(&written) && !shown.contains(&key));
            prop_assert!(shown.starts_with(&before) || key.get(..6).is_some_and(|begin| before.contains(begin)) || before.contains('\\') || before.contains('%'));
        }
    }
}
