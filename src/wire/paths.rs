//! Paths as the most lenient server reads them: one rule for a request's path and for a model id that is one.

use crate::wire::percent;

/// The segments of `path` as the most lenient server reads them: percent escapes decoded (however often), overlong UTF-8
/// and full-width signs read as what they stand for, between `/` or `\`, without parameters (`;x`) and what follows a NUL,
/// without white space and invisible signs around them, in small letters. Empty ones are left out, dots are not resolved.
/// `None` where it is escaped more often than anybody decodes: it has something to hide.
#[must_use]
pub fn lenient_segments(path: &[u8]) -> Option<Vec<String>> {
    let decoded = plain(&percent::decode_fully(path)?);
    let segments = decoded.split(['/', '\\']).map(|segment| {
        let segment = segment.split([';', '\0']).next().unwrap_or_default();
        segment.trim_matches(is_blank).to_lowercase()
    });
    Some(segments.filter(|segment| !segment.is_empty()).collect())
}

/// Whether `segment` is the directory itself or the one above.
#[must_use]
pub fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// `segments` with their dots resolved.
#[must_use]
pub fn resolved(segments: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    for segment in segments {
        match segment.as_str() {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    kept
}

fn is_blank(sign: char) -> bool {
    sign.is_whitespace() || sign.is_control()
}

fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// The text that lenient decoders read: overlong forms of ASCII (`c0 af` for `/`) and what Unicode's compatibility
/// normalisation makes dots and slashes.
fn plain(bytes: &[u8]) -> String {
    let mut shortened = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, length) = match rest {
            [lead @ (0xc0 | 0xc1), next @ 0x80..=0xbf, ..] => ((lead & 1) << 6 | (next & 0x3f), 2),
            [0xe0, middle @ (0x80 | 0x81), next @ 0x80..=0xbf, ..] => {
                ((middle & 1) << 6 | (next & 0x3f), 3)
            }
            _ => (byte, 1),
        };
        shortened.push(byte);
        rest = if length == 1 { tail } else { rest.get(length..).unwrap_or_default() };
    }
    let mut text = String::with_capacity(shortened.len());
    for sign in String::from_utf8_lossy(&shortened).chars() {
        match sign {
            '\u{ff0e}' | '\u{2024}' | '\u{fe52}' => text.push('.'),
            '\u{2025}' => text.push_str(".."),
            '\u{ff0f}' => text.push('/'),
            '\u{ff3c}' | '\u{fe68}' => text.push('\\'),
            '\u{ff1b}' | '\u{fe54}' => text.push(';'),
            sign if is_invisible(sign) => {}
            sign => text.push(sign),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn as_the_most_lenient_reads_it() {
        for (path, want) in [
            (&b"/v1/chat"[..], &["v1", "chat"][..]),
            (b"//V1%2fchat;x=1/", &["v1", "chat"]),
            (b"/a%252f..%255cb", &["a", "..", "b"]),
            (b"a\\b\0c/ d ", &["a", "b", "d"]),
            (b"%c0%ae%c0%ae%c0%afx", &["..", "x"]),
            (b"%e0%80%ae/x", &[".", "x"]),
            ("\u{ff0e}\u{ff0e}\u{ff0f}x".as_bytes(), &["..", "x"]),
            ("\u{200b}../.\u{feff}. /".as_bytes(), &["..", ".."]),
            (b"..;x/..%3b", &["..", ".."]),
            (b"", &[]),
        ] {
            assert_eq!(lenient_segments(path).unwrap(), want, "{path:?}");
        }
        assert_eq!(lenient_segments(b"%25252525252525252f"), None);
    }

    #[test]
    fn dots_lead_up() {
        let resolve = |path: &[u8]| resolved(lenient_segments(path).unwrap()).join("/");
        assert_eq!(resolve(b"/a/./b/../c"), "a/c");
        assert_eq!(resolve(b"/../../a"), "a");
    }
}
