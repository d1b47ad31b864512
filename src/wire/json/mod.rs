//! JSON read as bytes: where things stand, not what they are worth.
//!
//! [`tokenizer`] is the one grammar (RFC 8259, strict, resumable at any byte). [`scan`] reads a
//! request's body with it while it arrives; [`chunk`] has the texts that the ends of chunks cut; [`cursor`] walks a text that is there as a whole. Neither
//! builds a tree.

mod checked;
pub mod chunk;
pub mod cursor;
pub mod scan;
pub mod string;
pub mod tokenizer;

use std::fmt;

/// How deep arrays and objects may nest. Python's parser stops at about 1,000, serde_json at 128; no
/// known request comes near.
pub const MAX_DEPTH: u32 = 512;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// A byte that the grammar does not allow, at this offset.
    Unexpected(u64),
    /// More than [`MAX_DEPTH`] arrays and objects inside each other.
    TooDeep,
    /// The text ends before its value does.
    Truncated,
    /// Something other than white space follows the value, at this offset.
    Trailing(u64),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(at) => write!(f, "unexpected byte at offset {at}"),
            Self::TooDeep => write!(f, "nested more than {MAX_DEPTH} levels deep"),
            Self::Truncated => f.write_str("it ends too early"),
            Self::Trailing(at) => write!(f, "more data after the value, at offset {at}"),
        }
    }
}
