//! The numbers of a vector, as decimals and as base64 of little-endian f32 (OpenAI's
//! `encoding_format`), piece by piece.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// Standard alphabet; padding or none; servers that cut corners leave bits in the last group.
const DECODE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest number that is read, in bytes. f64 needs at most 1,077 digits to be exact.
pub(super) const MAX_NUMBER: usize = 2_048;

/// Why a vector can't leave in OpenAI's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorError {
    /// NaN, Infinity, null, or a number beyond f32.
    NotFinite,
    /// No number at all.
    Empty,
    /// Something other than numbers.
    NotNumbers,
    /// A string that is not base64 of whole f32s.
    NotBase64,
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a vector holds NaN, Infinity or null, which JSON can't express",
            Self::Empty => "a vector is empty",
            Self::NotNumbers => "a vector holds something other than numbers",
            Self::NotBase64 => "a vector is a string that is not base64 of 32-bit floats",
        })
    }
}

/// The f32 that is nearest to the number `text`; the text is the number's own, so it is rounded once.
pub(super) fn parse_f32(text: &[u8]) -> Result<f32, VectorError> {
    let number: f32 = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() <= MAX_NUMBER)
        .and_then(|text| text.parse().ok())
        .ok_or(VectorError::NotNumbers)?;
    if number.is_finite() { Ok(number) } else { Err(VectorError::NotFinite) }
}

/// Whether the number `text` stays finite in every client. Only an exponent, hundreds of digits or a
/// word (`NaN`, `inf`) may not.
pub(super) fn is_finite(text: &[u8]) -> bool {
    if text.len() < 300 && !text.iter().any(|byte| matches!(byte, b'e' | b'E' | b'n' | b'N')) {
        return true;
    }
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite))
}

/// f32s to base64, whole groups at a time.
#[derive(Debug, Default)]
pub(super) struct ToBase64 {
    bytes: Vec<u8>,
}

/// 768 floats: a multiple of 3 bytes, so that no padding comes inside.
const GROUP: usize = 3_072;

impl ToBase64 {
    pub(super) fn push(&mut self, number: f32, out: &mut Vec<u8>) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
        if self.bytes.len() >= GROUP {
            self.finish(out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.bytes.len().div_ceil(3) * 4, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        // The room is exact, so this can't fail; a shorter result would be cut off.
        let written = STANDARD.encode_slice(&self.bytes, room).unwrap_or(0);
        out.truncate(start + written);
        self.bytes.clear();
    }
}

/// A JSON string's bytes to f32s as a JSON array. Escapes are read too: PHP writes `\/`, .NET writes
/// `\u002B` for `+`. The URL-safe alphabet is taken as well.
#[derive(Debug)]
pub(super) struct ToFloats {
    escape: Escape,
    /// Base64 characters that wait for a whole group.
    group: Vec<u8>,
    padded: bool,
    /// Bytes of a float that waits for the rest.
    rest: Vec<u8>,
    opened: bool,
    any: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Slash,
    /// Hex digits still to come, and the value so far.
    Hex(u8, u32),
}

impl ToFloats {
    pub(super) fn new() -> Self {
        Self {
            escape: Escape::None,
            group: Vec::new(),
            padded: false,
            rest: Vec::new(),
            opened: false,
            any: false,
        }
    }

    /// The next bytes of the string, without its quotes.
    pub(super) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), VectorError> {
        if !std::mem::replace(&mut self.opened, true) {
            out.push(b'[');
        }
        for &byte in text {
            match self.escape {
                Escape::None if byte == b'\\' => self.escape = Escape::Slash,
                Escape::None => self.symbol(byte, out)?,
                Escape::Slash if byte == b'u' => self.escape = Escape::Hex(4, 0),
                Escape::Slash => {
                    self.escape = Escape::None;
                    match byte {
                        b'/' => self.symbol(b'/', out)?,
                        b'n' | b'r' => {}
                        _ => return Err(VectorError::NotBase64),
                    }
                }
                Escape::Hex(left, value) => {
                    let digit = char::from(byte).to_digit(16).ok_or(VectorError::NotBase64)?;
                    let value = value * 16 + digit;
                    if left > 1 {
                        self.escape = Escape::Hex(left - 1, value);
                    } else {
                        self.escape = Escape::None;
                        self.symbol(u8::try_from(value).map_err(|_| VectorError::NotBase64)?, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), VectorError> {
        self.decode(out)?;
        if !self.rest.is_empty() || self.escape != Escape::None {
            return Err(VectorError::NotBase64);
        }
        out.push(b']');
        Ok(())
    }

    fn symbol(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), VectorError> {
        let symbol = match byte {
            b'=' => {
                self.padded = true;
                return Ok(());
            }
            b'-' => b'+',
            b'_' => b'/',
            _ => byte,
        };
        if self.padded {
            return Err(VectorError::NotBase64);
        }
        self.group.push(symbol);
        if self.group.len() == GROUP {
            self.decode(out)?;
        }
        Ok(())
    }

    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), VectorError> {
        DECODE.decode_vec(&self.group, &mut self.rest).map_err(|_| VectorError::NotBase64)?;
        self.group.clear();
        let (floats, rest) = self.rest.as_chunks::<4>();
        for &float in floats {
            let number = f32::from_le_bytes(float);
            if !number.is_finite() {
                return Err(VectorError::NotFinite);
            }
            if std::mem::replace(&mut self.any, true) {
                out.push(b',');
            }
            write_f32(number, out);
        }
        self.rest = rest.to_vec();
        Ok(())
    }
}

/// The shortest decimals that read back as the same f32: 0.1 for 0.1f32, not 0.10000000149.
fn write_f32(number: f32, out: &mut Vec<u8>) {
    let start = out.len();
    // Writing a finite number to memory can't fail; were it to, a zero keeps the array whole.
    if serde_json::to_writer(&mut *out, &number).is_err() {
        out.truncate(start);
        out.push(b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn floats(text: &str) -> Result<String, VectorError> {
        let mut out = Vec::new();
        let mut decoder = ToFloats::new();
        decoder.push(text.as_bytes(), &mut out)?;
        decoder.finish(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn decodes_every_spelling() {
        for (text, want) in [
            ("AACAPgAAAL8AAIA/", "[0.25,-0.5,1.0]"),
            ("AACAPgAAAL8AAIA\\/", "[0.25,-0.5,1.0]"),
            ("AACAPgAAAL8AAIA\\u002f", "[0.25,-0.5,1.0]"),
            ("AACAPgAAAL8AAIA_", "[0.25,-0.5,1.0]"),
            ("zczMPQ==", "[0.1]"),
            ("zczMPQ", "[0.1]"),
            ("AQAAAA==", "[1e-45]"),
            ("", "[]"),
        ] {
            assert_eq!(floats(text).as_deref(), Ok(want), "{text}");
        }
        for text in ["AACA", "not base64!", "AACAPg==AAAA", "A", "AACAPg=\\", "AACAP\\u0100"] {
            assert_eq!(floats(text), Err(VectorError::NotBase64), "{text}");
        }
        assert_eq!(floats("AADAfw=="), Err(VectorError::NotFinite));
    }

    #[test]
    fn encodes_what_it_decodes() {
        let numbers: Vec<f32> = (0..5_000u16).map(|i| (f32::from(i) - 2_500.0) / 777.0).collect();
        let mut text = Vec::new();
        let mut encoder = ToBase64::default();
        for &number in &numbers {
            encoder.push(number, &mut text);
        }
        encoder.finish(&mut text);
        let decimals = floats(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<f32>>(&decimals).unwrap(), numbers);
    }

    #[test]
    fn numbers_are_rounded_once_and_stay_finite() {
        assert_eq!(parse_f32(b"0.1"), Ok(0.1));
        assert_eq!(parse_f32(b"1e999"), Err(VectorError::NotFinite));
        assert_eq!(parse_f32(b"x"), Err(VectorError::NotNumbers));
        assert!(is_finite(b"0.123456789") && is_finite(b"1e-400") && !is_finite(b"-1E400"));
    }
}
