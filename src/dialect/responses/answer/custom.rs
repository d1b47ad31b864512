//! The input of a custom tool, out of the arguments of the function that stands for it.
//!
//! The request offers a `custom` tool as a function with one string argument, `input`. A chat server
//! answers with `{"input":"…"}` as a string, in pieces that may end anywhere. What stands between the
//! inner quotes is already a JSON string's inside, so it is passed on as it is.
//!
//! Models write this JSON themselves, so it is read with patience, and nothing that may be input is
//! lost: arguments of another shape are the input as a whole; a backslash that escapes nothing, a raw
//! line break and a quote after which the object does not end belong to the text. Members after
//! `input`, which no tool was asked to have, are left out.

use crate::wire::json::{string, tokenizer};

use crate::dialect::chat::text::{Halves, Text, escaped};

/// How arguments begin. White space may stand before the bytes at [`SPACED`].
const OPENING: &[u8] = b"{\"input\":\"";
const SPACED: [usize; 4] = [0, 1, 8, 9];

/// A custom tool's input while it comes.
#[derive(Debug, Default)]
pub(super) struct CustomInput {
    /// Of the arguments themselves.
    outer: Halves,
    state: InputState,
    text: Text,
}

#[derive(Debug)]
enum InputState {
    /// How much of [`OPENING`] was read, and all that was.
    Opening(usize, Vec<u8>),
    /// Between the quotes of the input.
    Inside,
    /// An escape that is not complete, from its backslash.
    Escape(Vec<u8>),
    /// From a quote that should be the closing one; whether the brace was read as well.
    Behind(Vec<u8>, bool),
    /// Whatever follows is no input.
    Ended,
    /// All of it is input.
    Plain,
}

impl Default for InputState {
    fn default() -> Self {
        Self::Opening(0, Vec::new())
    }
}

impl CustomInput {
    /// Adds a piece of the arguments (what stands between the quotes of a JSON string). Returns what
    /// of the input is new.
    pub(super) fn push(&mut self, inner: &[u8]) -> &[u8] {
        let mut clean = Vec::with_capacity(inner.len());
        self.outer.push(inner, &mut clean);
        self.read(&clean)
    }

    /// The arguments are complete, or will not be. Returns what of the input is new.
    pub(super) fn finish(&mut self) -> &[u8] {
        let before = self.text.raw().len();
        let mut clean = Vec::new();
        self.outer.finish(&mut clean);
        self.read(&clean);
        if let InputState::Opening(_, held) = std::mem::replace(&mut self.state, InputState::Ended)
        {
            self.text.push(&escaped(&held));
        }
        self.text.finish();
        self.text.raw().get(before..).unwrap_or_default()
    }

    /// The input so far, escaped, without quotes.
    pub(super) fn raw(&self) -> &[u8] {
        self.text.raw()
    }

    /// Reads arguments without a cut surrogate pair.
    fn read(&mut self, clean: &[u8]) -> &[u8] {
        let mut found = Vec::new();
        if let Some(text) = string::decode(clean) {
            let mut rest = text.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                rest = match self.state {
                    InputState::Inside => match self.run(rest, &mut found) {
                        [] => &[],
                        [byte, after @ ..] => {
                            self.byte(*byte, &mut found);
                            after
                        }
                    },
                    InputState::Plain => {
                        found.extend_from_slice(&escaped(rest));
                        &[]
                    }
                    InputState::Ended => &[],
                    _ => {
                        self.byte(byte, &mut found);
                        after
                    }
                };
            }
        }
        self.text.push(&found)
    }

    /// Passes on what needs no look; the rest begins with a byte that does.
    fn run<'a>(&self, text: &'a [u8], found: &mut Vec<u8>) -> &'a [u8] {
        let (plain, rest) =
            text.split_at_checked(tokenizer::plain_run(text)).unwrap_or((text, &[]));
        found.extend_from_slice(plain);
        rest
    }

    fn byte(&mut self, byte: u8, found: &mut Vec<u8>) {
        self.state = match std::mem::replace(&mut self.state, InputState::Inside) {
            InputState::Opening(at, held) => opening(at, held, byte, found),
            InputState::Inside => inside(byte, found),
            InputState::Escape(held) => escape(held, byte, found),
            InputState::Behind(held, closed) => behind(held, closed, byte, found),
            InputState::Ended => InputState::Ended,
            InputState::Plain => {
                found.extend_from_slice(&escaped(&[byte]));
                InputState::Plain
            }
        };
    }
}

fn opening(at: usize, mut held: Vec<u8>, byte: u8, found: &mut Vec<u8>) -> InputState {
    held.push(byte);
    if OPENING.get(at) == Some(&byte) {
        return if at + 1 == OPENING.len() {
            InputState::Inside
        } else {
            InputState::Opening(at + 1, held)
        };
    }
    if SPACED.contains(&at) && is_space(byte) {
        return InputState::Opening(at, held);
    }
    found.extend_from_slice(&escaped(&held));
    InputState::Plain
}

fn inside(byte: u8, found: &mut Vec<u8>) -> InputState {
    match byte {
        b'"' => return InputState::Behind(vec![byte], false),
        b'\\' => return InputState::Escape(vec![byte]),
        // Raw line breaks and the like, which JSON does not allow in a string.
        0..0x20 => found.extend_from_slice(&escaped(&[byte])),
        _ => found.push(byte),
    }
    InputState::Inside
}

fn escape(mut held: Vec<u8>, byte: u8, found: &mut Vec<u8>) -> InputState {
    let goes_on = match held.len() {
        1 => matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u'),
        _ => byte.is_ascii_hexdigit(),
    };
    if !goes_on {
        // The backslash itself was meant.
        found.push(b'\\');
        found.extend_from_slice(&held);
        return inside(byte, found);
    }
    held.push(byte);
    if held.get(1) == Some(&b'u') && held.len() < 6 {
        return InputState::Escape(held);
    }
    found.extend_from_slice(&held);
    InputState::Inside
}

fn behind(mut held: Vec<u8>, closed: bool, byte: u8, found: &mut Vec<u8>) -> InputState {
    match byte {
        _ if is_space(byte) => held.push(byte),
        b'}' if !closed => {
            held.push(byte);
            return InputState::Behind(held, true);
        }
        b',' if !closed => return InputState::Ended,
        _ => {
            found.extend_from_slice(&escaped(&held));
            return inside(byte, found);
        }
    }
    InputState::Behind(held, closed)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    /// The input, decoded, however the arguments are cut in two, and cut byte by byte.
    fn unwrapped(arguments: &str) -> String {
        let raw = escaped(arguments.as_bytes());
        let cut = |cuts: &[usize]| {
            let mut input = CustomInput::default();
            let mut shown = Vec::new();
            let mut from = 0;
            for &at in cuts.iter().chain([&raw.len()]) {
                shown.extend_from_slice(input.push(&raw[from..at]));
                from = at;
            }
            shown.extend_from_slice(input.finish());
            assert_eq!(shown, input.raw());
            string::decode(&shown).unwrap().into_owned()
        };
        let whole = cut(&[]);
        // Where a JSON string may be cut: not inside an escape.
        let mut places = vec![0];
        while *places.last().unwrap() < raw.len() {
            let at = *places.last().unwrap();
            let width = match raw[at] {
                b'\\' if raw[at + 1] == b'u' => 6,
                b'\\' => 2,
                byte => 1.max(byte.leading_ones() as usize),
            };
            places.push(at + width);
        }
        for &at in &places {
            assert_eq!(cut(&[at]), whole);
        }
        assert_eq!(cut(&places), whole);
        whole
    }

    #[test]
    fn the_one_argument_is_unwrapped() {
        for (arguments, want) in [
            (r#"{"input":"ls -l"}"#, "ls -l"),
            (" {\n \"input\" :\t\"a\" } \n", "a"),
            (r#"{"input":""}"#, ""),
            (
                r#"{"input":"*** Begin Patch\n+\"x\" \\ \/ \t\u00e9é\ud83d\ude00"}"#,
                "*** Begin Patch\n+\"x\" \\ / \té\u{e9}\u{1f600}",
            ),
            (r#"{"input":"half \ud83d"}"#, "half \u{fffd}"),
        ] {
            assert_eq!(unwrapped(arguments), want, "{arguments}");
        }
    }

    #[test]
    fn what_models_get_wrong_is_kept() {
        for (arguments, want) in [
            ("{\"input\":\"a\nb\"}", "a\nb"),
            (r#"{"input":"\d+ \uZ \u12"}"#, r"\d+ \uZ \u12"),
            (r#"{"input":"say "hi" now"}"#, r#"say "hi" now"#),
            (r#"{"input":"{"a":{"b":"c"}}"}"#, r#"{"a":{"b":"c"}}"#),
            (r#"{"input":"x","why":"y"}"#, "x"),
            // Cut by the token limit.
            (r#"{"input":"x"#, "x"),
            (r#"{"input":"x\"#, "x"),
            (r#"{"input":"x""#, "x"),
        ] {
            assert_eq!(unwrapped(arguments), want, "{arguments}");
        }
    }

    #[test]
    fn another_shape_is_the_input() {
        for arguments in [
            "",
            "{",
            "{}",
            "ls -l",
            r#""ls""#,
            r#"{"inp"#,
            r#"{"cmd":"ls"}"#,
            r#"{"input":{"a":1}}"#,
            "null\n",
        ] {
            assert_eq!(unwrapped(arguments), arguments);
        }
    }

    #[test]
    fn a_pair_cut_between_pieces_is_joined() {
        let mut input = CustomInput::default();
        let mut shown = Vec::new();
        for piece in [r#"{\"input\":\"a\ud83d"#, r"\ude00", r"b\\ud83", r"d\\u", r#"de00\"}"#] {
            shown.extend_from_slice(input.push(piece.as_bytes()));
        }
        shown.extend_from_slice(input.finish());
        assert_eq!(string::decode(&shown).unwrap(), "a\u{1f600}b\u{1f600}");
    }
}
