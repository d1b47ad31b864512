//! Strings, a block of bytes at a time.

use super::block::{LARGE, LEN, first_special, specials};
use super::inside::Inside;
use super::look::{Look, string_rest};

/// How a string goes on, by offsets in the chunk.
#[derive(Debug, PartialEq)]
pub(super) enum Run {
    /// To its end: the byte behind the closing quote.
    Ends(usize),
    /// Beyond the chunk; how far it was read.
    Cut(Inside, usize),
    /// With a byte that it can't go on with.
    Wrong(usize),
}

/// How many blocks are looked at one by one, before many are together.
const SHORT_BLOCKS: usize = 4;

/// How many bytes at the start of `bytes` are neither `"`, `\` nor a control character.
#[inline]
#[must_use]
pub fn plain_run(bytes: &[u8]) -> usize {
    match bytes.first_chunk().and_then(first_special) {
        Some(first) => first,
        None => long_plain_run(bytes),
    }
}

fn long_plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(wide) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let hits = specials(wide);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize;
        }
        at += wide.len();
    }
    at + short_plain_run(bytes.get(at..).unwrap_or_default())
}

/// For fewer bytes than are looked at together.
fn short_plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if let Some(first) = first_special(block) {
            return at + first;
        }
        at += LEN;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    at + rest.iter().position(special).unwrap_or(rest.len())
}

/// Where the string ends whose inside `text` begins with: the offset of its closing quote. `None` where
/// the grammar allows no such string.
#[inline]
#[must_use]
pub fn string_end(text: &[u8]) -> Option<usize> {
    let plain = plain_run(text);
    if text.get(plain) == Some(&b'"') {
        return Some(plain);
    }
    match string_rest(text, plain) {
        Run::Ends(end) => end.checked_sub(1),
        Run::Cut(..) | Run::Wrong(_) => None,
    }
}

/// The byte behind a string's closing quote, if that is near `at`, inside of it: names and most values
/// are short.
#[inline]
pub(super) fn short_string(chunk: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..SHORT_BLOCKS {
        let block = chunk.get(at..)?.first_chunk()?;
        if let Some(first) = first_special(block) {
            return (block.get(first) == Some(&b'"')).then_some(at + first + 1);
        }
        at += LEN;
    }
    None
}

/// Reads a string from `at`, inside of it, with what looks at its bytes. Always a part of its caller, which decides which
/// instructions it is made of.
#[inline(always)]
pub(super) fn string_rest_with(look: impl Look, chunk: &[u8], mut at: usize) -> Run {
    let mut plain = 0;
    let mut escapes = Escapes::default();
    while let Some(wide) = chunk.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        let bytes = look.string_bytes(wide);
        let escaped = escapes.next(bytes.slashes);
        // Texts have many escapes, at no place that could be foretold: what only passes over them decides nothing. Left are the
        // string's end, what is wrong, and escapes of six bytes and rare letters.
        let mut hits =
            (bytes.quotes & !escaped) | (escaped & !(bytes.quotes | bytes.slashes | bytes.letters));
        if bytes.has_control {
            hits |= specials(wide) & !bytes.quotes & !bytes.slashes;
        }
        while hits != 0 {
            let bit = hits.trailing_zeros();
            let is_escaped = (escaped >> bit) & 1 != 0;
            match special(chunk, at + bit as usize - usize::from(is_escaped)) {
                Ok(_) => hits &= hits - 1,
                Err(run) => return run,
            }
        }
        at += wide.len();
        plain = if bytes.slashes == 0 { plain + wide.len() } else { 0 };
        // A file in JSON goes on like this for long, and some texts do.
        if plain >= LARGE {
            plain = 0;
            let (blocks, _) = chunk.get(at..).unwrap_or_default().as_chunks::<LARGE>();
            at += blocks.iter().take_while(|block| look.is_plain(block)).count() * LARGE;
        }
    }
    if escapes.is_open() {
        match special(chunk, at - 1) {
            Ok(next) => at = next,
            Err(run) => return run,
        }
    }
    loop {
        at += short_plain_run(chunk.get(at..).unwrap_or_default());
        match special(chunk, at) {
            Ok(next) => at = next,
            Err(run) => return run,
        }
    }
}

/// Which bytes stand behind a `\`, 64 at a time.
#[derive(Default)]
struct Escapes {
    /// 1 where the first byte of the next block does.
    carried: u64,
}

impl Escapes {
    /// Those of the next block, whose `\` are these. No branch: in `\\\n` it would take the number of `\` to tell.
    #[inline(always)]
    fn next(&mut self, slashes: u64) -> u64 {
        // Each run of `\` begins with one that escapes. To subtract them borrows along the run, and so tells its bytes at odd
        // places from those at even ones (a way known from simdjson).
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let begins = slashes & !self.carried;
        let odd = ((begins << 1) | ODD).wrapping_sub(begins) ^ ODD;
        let escaped = odd ^ (slashes | self.carried);
        self.carried = (odd & slashes) >> 63;
        escaped
    }

    fn is_open(&self) -> bool {
        self.carried != 0
    }
}

/// Whether `byte` is a whole escape, behind a `\`.
#[inline]
pub(super) fn is_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// The byte behind the escape at `at`, or how the string ends there.
#[inline(never)]
fn special(chunk: &[u8], at: usize) -> Result<usize, Run> {
    match (chunk.get(at), chunk.get(at + 1)) {
        (Some(b'"'), _) => Err(Run::Ends(at + 1)),
        (Some(b'\\'), Some(&byte)) if is_escape(byte) => Ok(at + 2),
        (Some(b'\\'), Some(b'u')) => {
            let digits = chunk.get(at + 2..).unwrap_or_default();
            let digits = digits.get(..4).unwrap_or(digits);
            if let Some(bad) = digits.iter().position(|byte| !byte.is_ascii_hexdigit()) {
                return Err(Run::Wrong(at + 2 + bad));
            }
            let next = at + 2 + digits.len();
            match 4 - digits.len() {
                0 => Ok(next),
                left => Err(Run::Cut(Inside::Hex(left as u8), next)),
            }
        }
        (Some(b'\\'), Some(_)) => Err(Run::Wrong(at + 1)),
        (Some(b'\\'), None) => Err(Run::Cut(Inside::Escape, at + 1)),
        (Some(_), _) => Err(Run::Wrong(at)),
        (None, _) => Err(Run::Cut(Inside::String, at)),
    }
}
