//! What requests of other APIs have in common as their parameters are read.

use super::write::{duplicate, given};
use crate::error::{Code, GatewayError};
use crate::wire::json::cursor::{Key, Value};
use crate::wire::names::refuse_variant;

/// How many parameters that are not known here may pass: no server has so many, and places of ever so small ones take
/// more memory than the body itself.
const MAX_REST: usize = 1_000;

/// Fills the place of a parameter that is read. Servers differ in which of two counts: so there may be one.
pub(crate) fn fill<'a>(
    slot: &mut Option<Value<'a>>,
    key: Key<'a>,
    value: Value<'a>,
) -> Result<(), GatewayError> {
    if slot.is_some() {
        return Err(duplicate(&key.as_str().unwrap_or_default()));
    }
    *slot = given(value);
    Ok(())
}

/// Lets a parameter pass that is not read, unless its name is another spelling of one that is: of `read`, or of `written`, those that
/// the chat request has of its own.
pub(crate) fn let_pass<'a>(
    rest: &mut Vec<(Key<'a>, Value<'a>)>,
    key: Key<'a>,
    value: Value<'a>,
    read: &[&str],
    written: &[&str],
) -> Result<(), GatewayError> {
    if rest.len() == MAX_REST {
        let message = format!("There are more than {MAX_REST} parameters.");
        return Err(GatewayError::new(Code::UnsupportedParameter, message));
    }
    refuse_variant(&key.name(), read)?;
    refuse_variant(&key.name(), written)?;
    rest.push((key, value));
    Ok(())
}
