//! Where a request's body names its model.

use std::ops::Range;

use crate::error::GatewayError;

/// The longest model id that a scanner reports, in bytes; real ones have less than 200.
pub const MAX_MODEL_ID_BYTES: usize = 1_024;

/// The model id of a request's body and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpan {
    /// Offsets in the body of what an edit replaces: in JSON the string with its quotes, in a form
    /// exactly the field's bytes.
    pub span: Range<u64>,
    /// The digits of the length that a form's part tells of itself, which changes with the id: servers that go by it would read
    /// a part of the id, or beyond it. They stand before it.
    pub length: Option<Range<u64>>,
    /// The id, decoded; the scanner's [`IdCheck`] has let it pass.
    pub id: String,
}

/// Says whether an id may be one. The scanners ask it as soon as the id is complete, so that a body is judged the same
/// however it is cut.
pub type IdCheck = fn(&str) -> Result<(), GatewayError>;

/// The check of the scanners' own tests: what an id may be is `policy`'s, and none of it is needed to
/// see that a refusal ends the reading.
#[cfg(test)]
pub(crate) fn check_in_tests(id: &str) -> Result<(), GatewayError> {
    if id.is_empty() || id.len() > MAX_MODEL_ID_BYTES || id.contains(char::is_control) {
        return Err(GatewayError::new(crate::error::Code::InvalidModel, "refused"));
    }
    Ok(())
}
