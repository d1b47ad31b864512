//! How long the values of a text are that the tokenizer has checked: only quotes, escapes and brackets need to be told
//! apart, which is done for many bytes at once.

use super::tokenizer::block::{Brackets, brackets, equal_bytes};
use super::tokenizer::{plain_run, string_end};

/// Bytes that are looked at together.
const WIDE: usize = 64;
/// Every second bit, the lowest first.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// Length of the string that `text` begins with, quotes included, and whether there are escapes in it.
#[inline]
pub(super) fn string_length(text: &[u8]) -> Option<(usize, bool)> {
    let inner = text.get(1..)?;
    let plain = plain_run(inner);
    if inner.get(plain) == Some(&b'"') {
        return Some((plain + 2, false));
    }
    let rest = inner.get(plain..)?;
    Some((plain + string_end(rest)? + 2, true))
}

/// Length of the array or object that `text` begins with.
pub(super) fn container_length(text: &[u8]) -> Option<usize> {
    let mut walk = BracketWalk::default();
    let (blocks, rest) = text.as_chunks::<WIDE>();
    for (index, block) in blocks.iter().enumerate() {
        if let Some(end) = walk.end_in(block) {
            return Some(index * WIDE + end);
        }
    }
    let mut last = [b' '; WIDE];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    Some(text.len() - rest.len() + walk.end_in(&last)?)
}

/// The way through a container, a block at a time.
#[derive(Default)]
struct BracketWalk {
    depth: u32,
    /// All bits where the last block ended inside of a string.
    inside: u64,
    /// The last block ended behind a `\` that escapes what comes.
    escapes: bool,
}

impl BracketWalk {
    /// How many bytes of the block belong to the container, if it ends there.
    #[inline]
    fn end_in(&mut self, block: &[u8; WIDE]) -> Option<usize> {
        let quotes = equal_bytes(block, b'"') & !self.escaped(equal_bytes(block, b'\\'));
        let strings = if quotes == 0 { self.inside } else { within(quotes) ^ self.inside };
        self.inside = if strings >> (WIDE - 1) == 1 { u64::MAX } else { 0 };
        // Texts are long, and have brackets of their own at the most.
        if strings == u64::MAX {
            return None;
        }
        let Brackets { opens, closes } = brackets(block);
        let opens = opens & !strings;
        let mut rest = opens | (closes & !strings);
        while rest != 0 {
            let at = rest.trailing_zeros();
            rest &= rest - 1;
            if opens >> at & 1 == 1 {
                self.depth += 1;
            } else {
                self.depth = self.depth.checked_sub(1)?;
                if self.depth == 0 {
                    return Some(at as usize + 1);
                }
            }
        }
        None
    }

    /// The bytes that a `\` before them escapes.
    #[inline]
    fn escaped(&mut self, slashes: u64) -> u64 {
        if slashes == 0 {
            return u64::from(std::mem::take(&mut self.escapes));
        }
        // Of a run of them, each first one escapes the next: those at even places of a run that begins at an even place, and at
        // odd ones of one that begins at an odd place. A carry through the run tells which it is.
        let before = u64::from(self.escapes);
        let escaping = slashes & !before;
        let follows = escaping << 1 | before;
        let odd_starts = escaping & !EVEN & !follows;
        let (even_runs, overflows) = odd_starts.overflowing_add(escaping);
        self.escapes = overflows;
        let inverted = even_runs << 1;
        (EVEN ^ inverted) & follows
    }
}

/// The bytes from each quote that opens to the one that closes, the closing one not among them.
#[inline]
fn within(quotes: u64) -> u64 {
    let mut all = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        all ^= all << shift;
    }
    all
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use proptest::prelude::*;

    use super::*;

    /// The same, a byte at a time.
    fn walked(text: &[u8]) -> Option<usize> {
        let (mut depth, mut inside, mut escaped) = (0_u32, false, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if inside => escaped = true,
                b'"' => inside = !inside,
                b'[' | b'{' if !inside => depth += 1,
                b']' | b'}' if !inside => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn json() -> impl Strategy<Value = String> {
        let text = prop::collection::vec(
            prop::sample::select(vec!["\\\\", "\\\"", "a", "[", "}", "{", "ä", "\\n", "xyzxyzxyz"]),
            0..40,
        );
        let leaf = prop_oneof![
            text.prop_map(|pieces| format!("\"{}\"", pieces.concat())),
            Just("1".to_owned()),
            Just(" null ".to_owned())
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(inner, 0..5).prop_map(|all| {
                    let members: Vec<_> =
                        all.iter().map(|value| format!("\"k\\\\\":{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn many_bytes_at_once_end_where_single_ones_do(json in json(), behind in "[ ,\\]}a]{0,80}") {
            let text = format!("[{json}]{behind}");
            prop_assert_eq!(container_length(text.as_bytes()), walked(text.as_bytes()));
            let cut = &text.as_bytes()[..text.len() - behind.len() - 1];
            prop_assert_eq!(container_length(cut), None);
        }

        #[test]
        fn a_string_ends_where_the_grammar_says(json in json()) {
            let inner = crate::wire::json::string::encode(&json);
            let has = inner.contains(&b'\\');
            prop_assert_eq!(string_length(&inner), Some((inner.len(), has)));
        }
    }
}
