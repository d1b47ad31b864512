//! What the values of a chat answer count as, whatever servers write for "nothing".

use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// A count; `None` for what is no number, negative, or beyond what JSON's readers hold exactly.
pub(crate) fn whole_number(value: &Value<'_>) -> Option<u64> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    value.as_f64().filter(|number| (0.0..=MAX_SAFE).contains(number)).map(|number| number as u64)
}

/// A string that is not empty.
pub(crate) fn is_filled(value: &Value<'_>) -> bool {
    value.kind == Kind::String && value.raw().len() > 2
}

/// Not null, false or empty.
pub(crate) fn is_told(value: &Value<'_>) -> bool {
    !matches!(value.raw(), b"null" | b"false" | b"\"\"" | b"{}" | b"[]" | b"0")
}
