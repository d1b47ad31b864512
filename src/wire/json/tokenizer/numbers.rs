//! Numbers that are there as a whole, and lists of them.

use super::block::{LEN, NumberBytes, equal_bytes, first_no_digit, number_bytes};

/// How many digits `bytes` begin with.
#[inline]
fn digit_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if let Some(first) = first_no_digit(block) {
            return at + first;
        }
        at += LEN;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// The length of the number that `bytes` begin with. `None` if it is not known to end here, or is none:
/// that is for the byte by byte reader to say.
pub(super) fn whole_number(bytes: &[u8]) -> Option<usize> {
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digit_run(bytes.get(at..)?),
        _ => return None,
    };
    if bytes.get(at)? == &b'.' {
        at += 1 + some_digits(bytes.get(at + 1..)?)?;
    }
    if let b'e' | b'E' = bytes.get(at)? {
        at += 1 + usize::from(matches!(bytes.get(at + 1)?, b'+' | b'-'));
        at += some_digits(bytes.get(at..)?)?;
    }
    // A digit can only follow a leading zero, which is wrong.
    (!bytes.get(at)?.is_ascii_digit()).then_some(at)
}

#[inline]
fn some_digits(bytes: &[u8]) -> Option<usize> {
    Some(digit_run(bytes)).filter(|&run| run > 0)
}

/// How many bytes at the start of `bytes`, which follow a number in an array, are further whole
/// numbers with their commas.
pub(super) fn more_numbers(bytes: &[u8]) -> usize {
    let mut at = 0;
    // One by one where that must be: with an exponent, or at the end.
    while let Some([b',', rest @ ..]) = bytes.get(at..) {
        let space = usize::from(rest.first() == Some(&b' '));
        let Some(length) = rest.get(space..).and_then(whole_number) else { break };
        at += 1 + space + length;
        while let Some(wide) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let run = plain_numbers(wide);
            if run == 0 {
                break;
            }
            at += run;
        }
    }
    at
}

/// How many bytes of `wide` are commas, each with a number without exponent behind it. They end before
/// the last such comma, which tells where its number ends. 0 if anything is wrong with them.
///
/// Each bit stands for a byte. The sum of the digits and of the bits at which runs of digits begin has
/// a bit where each of those runs ends, since the carry goes through it.
#[inline]
fn plain_numbers(wide: &[u8; 64]) -> usize {
    let NumberBytes { digits, points, minuses, commas } = number_bytes(wide);
    let known = digits | points | minuses | commas;
    // Most servers write none.
    let spaces = if known == u64::MAX { 0 } else { equal_bytes(wide, b' ') };
    let known = known | spaces;
    // All ones below the first byte that is none of these.
    let known = known & !known.wrapping_add(1);
    let last = 63 - ((commas & known) | 1).leading_zeros();
    let inside = (1 << last) - 1;
    let (digits, points) = (digits & inside, points & inside);
    let (minuses, spaces) = (minuses & inside, spaces & inside);

    let behind_commas = (commas & inside) << 1;
    let spaced = behind_commas & spaces;
    let starts = (behind_commas & !spaces) | (spaced << 1);
    let integers = (starts & !minuses) | ((starts & minuses) << 1);
    let integer_ends = digits.wrapping_add(integers) & !digits;
    let second_digits = (integers << 1) & digits;
    let zeros = if second_digits == 0 { 0 } else { equal_bytes(wide, b'0') };
    let fractions = points << 1;
    let fraction_ends = digits.wrapping_add(fractions) & !digits;
    let ends = (integer_ends & !points) | fraction_ends;

    let wrong = (!commas & 1)
        | (spaces & !spaced)
        | (minuses & !starts)
        | ((integers | fractions) & !digits)
        | (((integers & zeros) << 1) & second_digits)
        | (points & !integer_ends)
        | (ends & !commas);
    if wrong == 0 { last as usize } else { 0 }
}
