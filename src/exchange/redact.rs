//! The provider's key, taken out of what goes to the client. Servers repeat it when they refuse it: in errors, in headers,
//! and escaped or encoded in either.

use crate::policy::ProviderKey;
use crate::wire::headers::Headers;

/// A beginning of the key of so many bytes is taken out wherever it stands, and a shorter one (of [`ProviderKey::SHORTEST`] or more)
/// where the text was cut behind it.
const TELLING: usize = 12;

/// The longest run of backslashes that is read as one escape, and how often a percent sign may be escaped: what a stream
/// holds back is bounded by it.
const MOST_SLASHES: usize = 8;
const MOST_PERCENT: usize = 4;

const REDACTED: &[u8] = b"[redacted]";

/// `text` without the provider's key; `None` where it is not there. It is found however its characters are written (see
/// [`covered`]), and by its traces (see [`crate::wire::traces`]): parts of it, backwards, interrupted, in base64 or hexadecimal.
pub(super) fn redacted(key: &ProviderKey, text: &[u8]) -> Option<Vec<u8>> {
    let plain = covered(key.expose(), text);
    let rest = plain.as_deref().unwrap_or(text);
    let traces = key.traces().find(rest);
    if traces.is_empty() {
        return plain;
    }
    let (mut out, mut copied) = (Vec::with_capacity(rest.len()), 0);
    for trace in traces {
        out.extend_from_slice(rest.get(copied..trace.start).unwrap_or_default());
        out.extend_from_slice(REDACTED);
        copied = trace.end;
    }
    out.extend_from_slice(rest.get(copied..).unwrap_or_default());
    Some(out)
}

/// The same for what is long and hardly ever tells the key: a quick look comes first.
pub(super) fn without_key(key: &ProviderKey, text: &[u8]) -> Option<Vec<u8>> {
    let may_tell = key.traces().may_be_in(text)
        || ["\\u", "\\x", "%", "&#"]
            .iter()
            .any(|escape| memchr::memmem::find(text, escape.as_bytes()).is_some());
    if may_tell { redacted(key, text) } else { None }
}

/// The same for a header's name or value, at which a quick look comes first. What interrupts a trace there is an escape.
pub(super) fn header_without_key(key: &ProviderKey, text: &[u8]) -> Option<Vec<u8>> {
    if may_be_told(key, text) || key.traces().may_end(text) { redacted(key, text) } else { None }
}

/// Whether some name or value of a head is one that [`header_without_key`] looks at closely: hardly any is.
pub(super) fn may_tell(key: &ProviderKey, headers: &Headers<'_>) -> bool {
    let (traces, harmless) = (key.traces(), key.harmless_names());
    headers.iter().any(|(name, value)| {
        let is_harmless = harmless.is_some_and(|names| names.find(name).is_some());
        (!is_harmless && traces.may_be_in_field(name)) || traces.may_be_in_field(value)
    })
}

/// Whether a text of a head tells the key with nothing in between, or has an escape.
fn may_be_told(key: &ProviderKey, text: &[u8]) -> bool {
    key.traces().may_be_in(text) || memchr::memchr3(b'\\', b'%', b'&', text).is_some()
}

/// `text` without `key`, found however its characters are written: plainly, in capitals, by escapes of
/// JSON and JavaScript (`\\/`, `\\u002d`, `\\x2d`, twice escaped too), of HTML (`&#45;`) or by percent escapes.
fn covered(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    StreamCover::default().cover(key, text, true)
}

/// Covers the key in a stream, however it is cut. Nothing waits but what may be the key's beginning.
#[derive(Debug, Default)]
pub(super) struct StreamCover {
    /// The end of what has come, as long as it may be the key's beginning.
    waiting: Vec<u8>,
}

impl StreamCover {
    /// What goes on in the place of `bytes`; `None` where they go on as they are.
    pub(super) fn push(&mut self, key: &ProviderKey, bytes: &[u8], end: bool) -> Option<Vec<u8>> {
        self.cover(key.expose(), bytes, end)
    }

    fn cover(&mut self, key: &[u8], bytes: &[u8], end: bool) -> Option<Vec<u8>> {
        let joined;
        let is_joined = !self.waiting.is_empty();
        let text = if is_joined {
            self.waiting.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.waiting);
            &joined
        } else {
            bytes
        };
        let mut out = None;
        let (done, upto) = cover(key, text, end, &mut out);
        let unchanged = text.get(done..upto).unwrap_or_default();
        if let Some(out) = &mut out {
            out.extend_from_slice(unchanged);
        } else if is_joined || upto < text.len() {
            out = Some(unchanged.to_vec());
        }
        self.waiting.extend_from_slice(text.get(upto..).unwrap_or_default());
        out
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.waiting.len()
    }
}

/// Where a key may begin in a text: at its first character in either case, or at an escape. Each byte is looked at once, whatever
/// the text is.
struct Starts<'a> {
    text: &'a [u8],
    small: u8,
    large: u8,
    /// The next first character or backslash, and the next of the other escapes; the text's end where there is none.
    letter: usize,
    mark: usize,
}

impl<'a> Starts<'a> {
    fn new(text: &'a [u8], first: u8) -> Self {
        let (small, large) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let mut starts = Self { text, small, large, letter: 0, mark: 0 };
        (starts.letter, starts.mark) = (starts.letter_from(0), starts.mark_from(0));
        starts
    }

    fn letter_from(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        memchr::memchr3(self.small, self.large, b'\\', rest)
            .map_or(self.text.len(), |step| at + step)
    }

    fn mark_from(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        memchr::memchr2(b'%', b'&', rest).map_or(self.text.len(), |step| at + step)
    }

    /// The next one from `at` on, which never goes back.
    fn next(&mut self, at: usize) -> Option<usize> {
        if self.letter < at {
            self.letter = self.letter_from(at);
        }
        if self.mark < at {
            self.mark = self.mark_from(at);
        }
        Some(self.letter.min(self.mark)).filter(|start| *start < self.text.len())
    }
}

/// Writes `text` into `out` as far as it has to change. Says how much of it that was, behind which nothing does, and from where on
/// it may be the beginning of the key: its length where it is not.
fn cover(key: &[u8], text: &[u8], is_end: bool, out: &mut Option<Vec<u8>>) -> (usize, usize) {
    let Some(&first) = key.first() else { return (0, text.len()) };
    let (mut at, mut copied) = (0, 0);
    let mut starts = Starts::new(text, first);
    while let Some(start) = starts.next(at) {
        match match_at(text, start, key, is_end) {
            Match::Whole(end) => {
                let out = out.get_or_insert_default();
                out.extend_from_slice(text.get(copied..start).unwrap_or_default());
                out.extend_from_slice(REDACTED);
                at = end;
                copied = end;
            }
            Match::Cut => return (copied, start),
            Match::No => at = start + 1,
        }
    }
    (copied, text.len())
}

/// Whether the key stands somewhere.
enum Match {
    /// It, or so much of it that it must not be told, ends here.
    Whole(usize),
    /// The text ends before that can be said.
    Cut,
    No,
}

fn match_at(text: &[u8], at: usize, key: &[u8], is_end: bool) -> Match {
    let mut end = at;
    let mut matched = 0;
    for wanted in key {
        match unit(text.get(end..).unwrap_or_default(), *wanted, is_end) {
            Unit::Is(length) => {
                end += length;
                matched += 1;
            }
            Unit::Cut => return Match::Cut,
            Unit::No => break,
        }
    }
    let rest = text.get(end..).unwrap_or_default();
    let is_cut = || {
        rest.is_empty()
            || rest.starts_with(b"\"")
            || rest.starts_with("\u{2026}".as_bytes())
            || rest.starts_with(b"\\u2026")
    };
    let tells = matched == key.len()
        || matched >= TELLING
        || (matched >= ProviderKey::SHORTEST && is_cut());
    if tells { Match::Whole(end) } else { Match::No }
}

/// Whether a text begins with a character, and in how many bytes.
enum Unit {
    Is(usize),
    No,
    /// The text ends inside of what may be its escape.
    Cut,
}

fn unit(text: &[u8], wanted: u8, is_end: bool) -> Unit {
    let ran_out = if is_end { Unit::No } else { Unit::Cut };
    let Some(&byte) = text.first() else { return ran_out };
    let is = |byte: u8| byte.eq_ignore_ascii_case(&wanted);
    if is(byte) && byte != b'\\' {
        return Unit::Is(1);
    }
    let (number, length, radix) = match byte {
        b'\\' => {
            let slashes = text.iter().take(MOST_SLASHES).take_while(|byte| **byte == b'\\').count();
            if wanted == b'\\' {
                return Unit::Is(slashes);
            }
            let digits = |from: usize, count: usize| {
                (text.get(slashes + from..slashes + from + count), slashes + from + count, 16)
            };
            match text.get(slashes) {
                None => return ran_out,
                Some(b'u') if text.get(slashes + 1) == Some(&b'{') => {
                    let inner = text.get(slashes + 2..).unwrap_or_default();
                    let Some(close) = inner.iter().take(9).position(|byte| *byte == b'}') else {
                        return if inner.len() < 9 { ran_out } else { Unit::No };
                    };
                    (inner.get(..close), slashes + 3 + close, 16)
                }
                Some(b'u') => digits(1, 4),
                Some(b'x') => digits(1, 2),
                Some(&byte) => return if is(byte) { Unit::Is(slashes + 1) } else { Unit::No },
            }
        }
        b'%' => {
            let mut from = 1;
            for _ in 0..MOST_PERCENT {
                let rest = text.get(from..).unwrap_or_default();
                if !rest.starts_with(b"25") {
                    break;
                }
                from += 2;
            }
            (text.get(from..from + 2), from + 2, 16)
        }
        b'&' => {
            let Some(close) = text.iter().take(10).position(|byte| *byte == b';') else {
                return if text.len() < 10 { ran_out } else { Unit::No };
            };
            match text.get(1..close).unwrap_or_default() {
                b"amp" => return if wanted == b'&' { Unit::Is(close + 1) } else { Unit::No },
                [b'#', b'x' | b'X', digits @ ..] => (Some(digits), close + 1, 16),
                [b'#', digits @ ..] => (Some(digits), close + 1, 10),
                _ => return Unit::No,
            }
        }
        _ => return Unit::No,
    };
    let Some(digits) = number else { return ran_out };
    let code =
        std::str::from_utf8(digits).ok().and_then(|text| u32::from_str_radix(text, radix).ok());
    match code.map(u8::try_from) {
        Some(Ok(byte)) if is(byte) => Unit::Is(length),
        _ => Unit::No,
    }
}

#[cfg(test)]
mod tests {
    use crate::test;

    use super::may_tell;
    use crate::policy::ProviderKey;
    use crate::wire::headers::Headers;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    const VALUE: &str = "Bearer sk/ab-cdefghijklmnop+=";

    fn redacted(value: &str, text: &[u8]) -> Option<Vec<u8>> {
        super::redacted(&ProviderKey::of(value)?, text)
    }

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
            "SK/AB-CDEFGHIJKLMNOP+=",
            "&#115;k&#x2F;ab-cdefghijklmnop&#43;=",
            "sk%252fab%25252dcdefghijklmnop+=",
            "\\x73\\u{6b}/ab-cdefghijklmnop+=",
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
    fn a_usual_name_may_be_what_tells() {
        let head = Headers::from_pairs(&[("x-envoy-upstream-service-time", b"1")]);
        let told = |key: &str| may_tell(&ProviderKey::of(key).unwrap(), &head);
        assert!(told("x-envoy-upstream-service-time") && told("upstream-service-time-of-mine"));
        assert!(!told("sk-another-1234567890abcdef"));
    }

    #[test]
    fn in_other_alphabets() {
        let url = base64::engine::general_purpose::URL_SAFE;
        for before in ["", "u:", "Bearer ", "user:x"] {
            let all = [before, "sk/ab-cdefghijklmnop+=", " and more"].concat();
            for text in [
                STANDARD_NO_PAD.encode(&all),
                url.encode(&all),
                all.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ] {
                let shown = shown(&format!("({text})!")).unwrap();
                assert_eq!(shown, "([redacted])!", "{all} {text}");
            }
        }
    }

    /// Each took time that grew with the square of the text: a second at a quarter of a megabyte, in which the worker did
    /// nothing else.
    #[test]
    fn texts_that_only_look_like_it_take_no_longer() {
        const SIZE: usize = 1 << 20;
        let (word, digits) = (STANDARD_NO_PAD.encode("sk/ab-cdefghijklmnop+="), "736b2f61622d");
        for text in ["%", "&", "\\", "s", "%25", "&#1", &word, digits] {
            let text = text.repeat(SIZE / text.len());
            let shown = redacted(VALUE, text.as_bytes());
            assert!(shown.is_none_or(|shown| shown.len() < text.len()));
        }
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
        /// However a stream is cut, the same goes on, and all of it.
        #[test]
        fn cuts_do_not_matter(
            text in "(sk-abcdefghij|sk-|\\\\u00|\\\\|%25|%|&#115;|&|[ -~]|\n){0,12}",
            cuts in proptest::collection::vec(0_usize..100, 0..6),
        ) {
            let value = b"sk-abcdefghij";
            let want = covered(value, text.as_bytes()).unwrap_or_else(|| text.clone().into_bytes());
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut cover, mut out, mut from) = (StreamCover::default(), Vec::new(), 0);
            for cut in cuts {
                let piece = &text.as_bytes()[from..cut];
                out.extend(cover.cover(value, piece, false).unwrap_or_else(|| piece.to_vec()));
                from = cut;
            }
            let piece = &text.as_bytes()[from..];
            out.extend(cover.cover(value, piece, true).unwrap_or_else(|| piece.to_vec()));
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&want));
        }

        /// The first look at a head overlooks nothing that a look at each of its texts covers.
        #[test]
        fn a_look_at_a_head_finds_what_is_covered(
            key in "sk-[a-z]{3,20}",
            texts in proptest::collection::vec(("[a-z%&\\\\\"]{0,9}", 0_usize..24, "[ -~]{0,9}"), 0..4),
        ) {
            let key = ProviderKey::of(&key).unwrap();
            let texts: Vec<_> = texts.iter().map(|(before, cut, after)| {
                let told = key.expose().get(..*cut).unwrap_or(key.expose());
                [before.as_bytes(), told, after.as_bytes()].concat()
            }).collect();
            let pairs: Vec<_> = texts.iter().map(|text| ("x", &text[..])).collect();
            let covers = texts.iter().any(|text| header_without_key(&key, text).is_some());
            prop_assert!(!covers || may_tell(&key, &Headers::from_pairs(&pairs)));
            let names = texts.iter().map(|text| (&text[..], &b"x"[..]));
            prop_assert!(!covers || may_tell(&key, &Headers::from_bytes(names)));
        }

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
            let shown = redacted(&ProviderKey::of(&key).unwrap(), text.as_bytes()).unwrap();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            prop_assert!(!shown.contains(&written) && !shown.contains(&key));
            prop_assert!(shown.starts_with(&before) || key.get(..6).is_some_and(|begin| before.contains(begin)) || before.contains('\\') || before.contains('%'));
        }
    }
}
