//! How much work one conversion may be.

use crate::error::{Code, GatewayError};
use crate::wire::json::tokenizer::{Kind, Tokenizer};

use super::write::not_json;

/// How many JSON values a request that is converted may hold, at any depth. A coding agent's longest sessions have some
/// ten thousand; 31 MiB of tiny ones would hold a worker for most of a second.
pub const MAX_VALUES: usize = 100_000;

/// Refuses a body with more than [`MAX_VALUES`] values.
///
/// # Errors
/// `request_too_large`, and `invalid_json`.
pub(crate) fn check_values(body: &[u8]) -> Result<(), GatewayError> {
    // Each takes a byte, and one that parts it from the next.
    if body.len() / 2 < MAX_VALUES {
        return Ok(());
    }
    let mut tokenizer = Tokenizer::new();
    let (mut at, mut values) = (0, 0_usize);
    while let Some(token) = tokenizer.next(body, &mut at, u32::MAX).map_err(not_json)? {
        values += usize::from(!matches!(token.kind, Kind::Key | Kind::EndArray | Kind::EndObject));
        if values > MAX_VALUES {
            return Err(GatewayError::new(
                Code::RequestTooLarge,
                format!("The body holds more than {MAX_VALUES} values: too many to convert."),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn values_at_any_depth_count() {
        for (head, count) in [("", MAX_VALUES - 3), ("{\"a\":[", MAX_VALUES - 5)] {
            let tail = if head.is_empty() { "" } else { "]}" };
            let body = |count: usize| {
                format!("[0,{head}{}{tail},\"{}\"]", vec!["1"; count].join(","), "x".repeat(40))
            };
            let body = |more| body(count - 1 + more).replace("[0,,", "[0,");
            assert!(check_values(body(0).as_bytes()).is_ok());
            let error = check_values(body(3).as_bytes()).unwrap_err();
            assert_eq!(error.code, Code::RequestTooLarge);
        }
    }
}
