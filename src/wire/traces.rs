//! Traces of a secret in a text: what a server tells of it, however it is written.
//!
//! A run of [`WINDOW`] of its letters and digits is a trace, wherever in the secret it begins, forwards or backwards, and so is
//! a run of its beginning in hexadecimal or base64 (of any alignment and alphabet). Capitals and what stands between the
//! letters (spaces, dashes, line feeds in base64, colons in hexadecimal, escapes of all of these) do not matter.
//!
//! A text is looked at once, letter by letter, by a rolling hash.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// So many letters and digits in a row are a trace.
const WINDOW: usize = 12;

/// The same of a secret that has fewer than [`WINDOW`]: then only of what encodes it, since the secret itself may be a word.
const SHORT_WINDOW: usize = 7;

/// How much of a secret's beginning is looked for in other alphabets, in bytes.
const ENCODED: usize = 24;

/// What a look at a head compares, in bytes.
const GRAM: usize = 6;

/// Which places a look at a head compares: each so many bytes, which any run of `GRAM + STRIDE - 1` covers.
const STRIDE: usize = GRAM;

/// Bits of the filter in front of the grams.
const FILTER_BITS: usize = 1 << 14;

/// What is known of one secret. `Debug` shows nothing of it.
pub struct Traces {
    window: usize,
    /// Hashes of the secret's own runs, sorted.
    plain: Box<[u64]>,
    /// Hashes of runs in other alphabets, sorted.
    encoded: Box<[u64]>,
    /// Every [`GRAM`] bytes of the secret in all its writings, in one case, sorted.
    grams: Box<[u64]>,
    /// Two bits for each gram.
    filter: Box<[u64; FILTER_BITS / 64]>,
    /// `STRIDE`, or less where the secret is short.
    stride: usize,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces([redacted])")
    }
}

impl Traces {
    /// The traces of `secret`.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let backwards: Vec<u8> = secret.iter().rev().copied().collect();
        let encoded = encodings(secret.get(..ENCODED).unwrap_or(secret));
        let letters = secret.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
        let is_short = letters < WINDOW;
        let window = if is_short { SHORT_WINDOW } else { WINDOW };
        let mut plain = Vec::new();
        if !is_short {
            for text in [secret, &backwards] {
                hash_runs(text, window, &mut plain);
            }
        }
        let mut hidden = Vec::new();
        for text in &encoded {
            hash_runs(text, window, &mut hidden);
        }
        let written = [secret, &backwards].into_iter().chain(encoded.iter().map(Vec::as_slice));
        let grams = sorted(written.flat_map(grams_of).collect());
        let mut filter = Box::new([0_u64; FILTER_BITS / 64]);
        for gram in &grams {
            for bit in filter_bits(*gram) {
                if let Some(word) = filter.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        Self {
            window,
            plain: sorted(plain),
            encoded: sorted(hidden),
            grams,
            filter,
            stride: secret.len().saturating_sub(GRAM - 1).clamp(1, STRIDE),
        }
    }

    /// Whether a head may hold traces that nothing interrupts: one quick look at all of it. `false` is certain, but for escapes.
    #[inline]
    #[must_use]
    pub fn may_be_in(&self, text: &[u8]) -> bool {
        match self.stride {
            STRIDE => {
                let (grams, rest) = text.as_chunks();
                grams.iter().any(|gram| self.knows(gram))
                    || text.last_chunk().is_some_and(|last| !rest.is_empty() && self.knows(last))
            }
            stride => {
                let windows = text.windows(GRAM).step_by(stride);
                windows.filter_map(<[u8]>::first_chunk).any(|gram| self.knows(gram))
            }
        }
    }

    /// The same of a header's name or value, and whether it ends with what the secret holds, or has an escape (a few other signs
    /// count as one). What is shorter than [`GRAM`] tells nothing.
    #[inline]
    #[must_use]
    pub fn may_be_in_field(&self, text: &[u8]) -> bool {
        text.len() >= GRAM && (has_escape(text) || self.may_be_in(text) || self.may_end(text))
    }

    /// Whether a text ends with what the secret holds.
    #[must_use]
    pub fn may_end(&self, text: &[u8]) -> bool {
        text.last_chunk().is_some_and(|last| self.knows(last))
    }

    #[inline]
    fn knows(&self, bytes: &[u8; GRAM]) -> bool {
        let gram = gram(bytes);
        let [one, other] = filter_bits(gram);
        self.has(one) && self.has(other) && self.grams.binary_search(&gram).is_ok()
    }

    #[inline]
    fn has(&self, bit: usize) -> bool {
        self.filter.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Where traces stand in a text, in order. None goes beyond a quote or a line feed that is not escaped: what JSON and events
    /// are made of stays.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut run = Run::new(self.window);
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let (sign, length) = sign(rest);
            match sign {
                Sign::Letter(letter) => {
                    // What stands in a word that is covered already is not looked at again: each word is walked once.
                    let covered = found.last().map_or(0, |last| last.end);
                    if let Some((hash, start)) = run.push(letter, at)
                        && at + length > covered
                    {
                        let mut span = start..at + length;
                        let is_encoded = self.encoded.binary_search(&hash).is_ok();
                        if is_encoded {
                            span = around(text, span);
                        }
                        if is_encoded || self.plain.binary_search(&hash).is_ok() {
                            add(&mut found, span);
                        }
                    }
                }
                Sign::Between => {}
                Sign::Barrier => run.clear(),
            }
            at += length;
        }
        found
    }
}

/// Adds a trace to those before it, of which it may be a part.
fn add(found: &mut Vec<Range<usize>>, span: Range<usize>) {
    match found.last_mut() {
        Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
        _ => found.push(span),
    }
}

/// All of the word in another alphabet that a trace stands in.
fn around(text: &[u8], span: Range<usize>) -> Range<usize> {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let (before, after) = (text.get(..span.start), text.get(span.end..));
    let start = before.unwrap_or_default().iter().rposition(|byte| !belongs(byte));
    let end = after.unwrap_or_default().iter().position(|byte| !belongs(byte));
    start.map_or(0, |at| at + 1)..end.map_or(text.len(), |at| span.end + at)
}

/// A text in hexadecimal, and in base64 as it may stand there: whatever precedes it, its letters are one of three.
fn encodings(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![text.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()];
    const PADDING: [u8; 2] = [0; 2];
    for shift in 0..=PADDING.len() {
        let encoded =
            STANDARD_NO_PAD.encode([PADDING.get(..shift).unwrap_or_default(), text].concat());
        let inside = (shift * 8).div_ceil(6)..(shift + text.len()) * 8 / 6;
        let inside = encoded.as_bytes().get(inside).unwrap_or_default().to_vec();
        let url = inside.iter().map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            byte => *byte,
        });
        let url: Vec<u8> = url.collect();
        if url != inside {
            all.push(url);
        }
        all.push(inside);
    }
    all
}

fn sorted(mut values: Vec<u64>) -> Box<[u64]> {
    values.sort_unstable();
    values.dedup();
    values.into()
}

fn grams_of(text: &[u8]) -> impl Iterator<Item = u64> {
    text.windows(GRAM).filter_map(<[u8]>::first_chunk).map(gram)
}

/// Bytes as a number, in one case (which also makes few signs the same).
#[inline]
fn gram(bytes: &[u8; GRAM]) -> u64 {
    const ONE_CASE: u64 = 0x2020_2020_2020;
    let [a, b, c, d, e, f] = *bytes;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) | ONE_CASE
}

/// Whether a text may have a backslash, `%` or `&` in it: eight bytes at a time, which overlap at the end. What a byte is xored
/// with is nothing where it is the same, but for the last two bits of `%` and `&`.
#[inline]
fn has_escape(text: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let zeros = |bytes: u64| bytes.wrapping_sub(EACH) & !bytes;
    let has = |bytes: &[u8; 8]| {
        let bytes = u64::from_le_bytes(*bytes);
        let slashes = zeros(bytes ^ (EACH * u64::from(b'\\')));
        let others = zeros((bytes & !(EACH * 3)) ^ (EACH * u64::from(b'$')));
        (slashes | others) & (EACH << 7) != 0
    };
    match (text.last_chunk(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(last), ..) => has(last) || text.as_chunks().0.iter().any(has),
        (None, Some([a, b, c, d]), Some([e, f, g, h])) => has(&[*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => text.iter().any(|byte| matches!(byte, b'\\' | b'%' | b'&')),
    }
}

#[inline]
fn filter_bits(gram: u64) -> [usize; 2] {
    let mixed = gram.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [mixed >> 50, mixed >> 36].map(|bits| bits as usize % FILTER_BITS)
}

/// The hashes of all runs of letters in a text.
fn hash_runs(text: &[u8], window: usize, hashes: &mut Vec<u64>) {
    let mut run = Run::new(window);
    let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
    hashes.extend(letters.filter_map(|letter| Some(run.push(letter.to_ascii_lowercase(), 0)?.0)));
}

/// The last letters that have come: a rolling hash of them, and where each stands.
struct Run {
    /// The last ones, in a ring.
    letters: [(u8, usize); WINDOW],
    window: usize,
    /// How many have come.
    count: usize,
    hash: u64,
    /// What the oldest one counts in the hash.
    oldest: u64,
}

impl Run {
    const BASE: u64 = 0x0100_0000_01b3;

    fn new(window: usize) -> Self {
        let window = window.clamp(1, WINDOW);
        let oldest = (1..window).fold(1_u64, |power, _| power.wrapping_mul(Self::BASE));
        Self { letters: [(0, 0); WINDOW], window, count: 0, hash: 0, oldest }
    }

    /// Adds a letter. The hash of the run that ends with it, and where that begins, once there are enough.
    fn push(&mut self, letter: u8, at: usize) -> Option<(u64, usize)> {
        let place = self.letters.get_mut(self.count % self.window)?;
        let (gone, _) = std::mem::replace(place, (letter, at));
        if self.count >= self.window {
            self.hash = self.hash.wrapping_sub(self.oldest.wrapping_mul(u64::from(gone)));
        }
        self.hash = self.hash.wrapping_mul(Self::BASE).wrapping_add(u64::from(letter));
        self.count += 1;
        let (_, start) = self.letters.get(self.count % self.window)?;
        (self.count >= self.window).then_some((self.hash, *start))
    }

    fn clear(&mut self) {
        (self.count, self.hash) = (0, 0);
    }
}

/// What stands at one place of a text.
enum Sign {
    /// A letter or digit, in small.
    Letter(u8),
    /// Something that may stand between two letters.
    Between,
    /// The end of a text within the text.
    Barrier,
}

/// What a text begins with, and in how many bytes: plainly, or by an escape of JSON, JavaScript, HTML or URLs.
fn sign(text: &[u8]) -> (Sign, usize) {
    let Some(&byte) = text.first() else { return (Sign::Barrier, 1) };
    let number = |from: usize, count: usize| {
        let digits = str::from_utf8(text.get(from..from + count)?).ok()?;
        Some((u32::from_str_radix(digits, 16).ok()?, from + count))
    };
    let escaped = match byte {
        b'"' | b'\n' | b'\r' => return (Sign::Barrier, 1),
        b'\\' => {
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            match text.get(slashes) {
                Some(b'u') => number(slashes + 1, 4),
                Some(b'x') => number(slashes + 1, 2),
                Some(b'b' | b'f' | b'n' | b'r' | b't' | b'"') => {
                    return (Sign::Between, slashes + 1);
                }
                _ => return (Sign::Between, slashes),
            }
        }
        b'%' => {
            let again = text.get(1..).unwrap_or_default().chunks(2);
            number(1 + 2 * again.take_while(|pair| *pair == b"25").count(), 2)
        }
        b'&' => {
            let end = text.iter().take(10).position(|byte| *byte == b';');
            end.and_then(|end| {
                let code = match text.get(1..end)? {
                    [b'#', b'x' | b'X', digits @ ..] => {
                        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?
                    }
                    [b'#', digits @ ..] => str::from_utf8(digits).ok()?.parse().ok()?,
                    // A sign by its name.
                    _ => 0,
                };
                Some((code, end + 1))
            })
        }
        _ => Some((u32::from(byte), 1)),
    };
    let (code, length) = escaped.unwrap_or((0, 1));
    match u8::try_from(code) {
        Ok(letter) if letter.is_ascii_alphanumeric() => {
            (Sign::Letter(letter.to_ascii_lowercase()), length)
        }
        _ => (Sign::Between, length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    const SECRET: &str = "sk-alpha-secret-90b1";

    /// `text` with a dot for each trace.
    fn shown(secret: &str, text: &str) -> String {
        let found = Traces::of(secret.as_bytes()).find(text.as_bytes());
        let mut out = text.to_owned();
        for span in found.into_iter().rev() {
            out.replace_range(span, ".");
        }
        out
    }

    fn hex(separator: &str) -> String {
        let digits: Vec<String> = SECRET.bytes().map(|byte| format!("{byte:02X}")).collect();
        digits.join(separator)
    }

    #[test]
    fn however_it_is_hidden() {
        let backwards: String = SECRET.chars().rev().collect();
        let base64 = STANDARD_NO_PAD.encode(SECRET);
        let (head, tail) = SECRET.split_at(9);
        let spaced =
            |separator: &str| SECRET.chars().map(String::from).collect::<Vec<_>>().join(separator);
        for text in [
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            backwards,
            spaced(" "),
            spaced("\u{200b}"),
            spaced("\\u200b"),
            spaced("\\n"),
            SECRET.replace('-', "\u{2011}"),
            SECRET.replace('-', "&hyphen;"),
            format!("{}...{}", head, tail),
            format!("{}\\\"+\\\"{}", head, tail),
            SECRET.bytes().map(|byte| format!("\\\\u{:04x}", byte)).collect(),
            SECRET.bytes().map(|byte| format!("%2525{:02x}", byte)).collect(),
            SECRET.bytes().map(|byte| format!("&#{byte};")).collect(),
            hex(""),
            hex(":"),
            hex(" "),
            format!("{}\\n{}", base64.split_at(8).0, base64.split_at(8).1),
            base64,
        ] {
            let shown = shown(SECRET, &format!("(é {text})"));
            assert!(matches!(shown.as_str(), "(é .)" | "(é .;)"), "{text}: {shown}");
        }
        assert_eq!(shown(SECRET, "key lpha-secret-90b1 x"), "key . x");
        assert_eq!(shown(SECRET, "alpha-secret-9"), ".");
        assert_eq!(shown(SECRET, "a\"sk-alpha\",\"secret-90b1\""), "a\"sk-alpha\",\"secret-90b1\"");
    }

    #[test]
    fn what_is_no_trace_stays() {
        for text in
            ["", "sk-alpha-se", "alpha-secret", "%", "\\", "&", "secret alpha sk", "\\u00", "%2"]
        {
            assert_eq!(shown(SECRET, text), text);
        }
        // A short one may be a word.
        assert_eq!(shown("changeme", "change me, changeme"), "change me, changeme");
        assert_eq!(shown("changeme", &STANDARD_NO_PAD.encode("u:changeme!")), ".");
        assert_eq!(shown("", "x"), "x");
        assert_eq!(format!("{:?}", Traces::of(b"sk-1")), "Traces([redacted])");
    }

    #[test]
    fn a_quick_look_finds_what_nothing_interrupts() {
        for secret in [SECRET, "abcdef", "abcdefgh", "sk+alpha/secret-of-many-characters-and-more"]
        {
            let traces = Traces::of(secret.as_bytes());
            let base64 = STANDARD_NO_PAD.encode(format!("u:{secret}"));
            for padding in 0..13 {
                let padding = "=".repeat(padding);
                for text in [secret, &secret.to_uppercase(), &base64] {
                    assert!(
                        traces.may_be_in(format!("{padding}{text}{padding}").as_bytes()),
                        "{text}"
                    );
                }
            }
            assert!(!traces.may_be_in(b"content-type\0application/json\0x-request-id\0req_1\0"));
            assert!(traces.may_end(&secret.as_bytes()[..6]) && !traces.may_end(b"no-key"));
            assert!(!traces.may_be_in(b"") && !traces.may_end(b"short"));
        }
    }

    #[test]
    fn escapes_are_seen_wherever_they_stand() {
        let traces = Traces::of(SECRET.as_bytes());
        for escape in ["\\", "%", "&"] {
            for (before, after) in
                (0..13).flat_map(|before| (0..13).map(move |after| (before, after)))
            {
                let text = ["=".repeat(before), escape.to_owned(), "=".repeat(after)].concat();
                assert_eq!(traces.may_be_in_field(text.as_bytes()), text.len() >= GRAM, "{text}");
            }
        }
        for text in ["", "200", "application/json", "Fri, 21 Nov 2025 10:00:00 GMT", "x-request-id"]
        {
            assert!(!traces.may_be_in_field(text.as_bytes()), "{text}");
        }
    }
}
