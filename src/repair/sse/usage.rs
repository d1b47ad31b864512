//! What `usage` objects say.

use crate::wire::json::cursor::Value;

/// Whether a token count other than zero is given. Servers put `{0,0,0}` or nulls where they know
/// nothing yet.
pub(super) fn counts(usage: &Value<'_>) -> bool {
    usage.members().any(|(key, value)| {
        value.as_f64().is_some_and(|count| count > 0.0)
            && key.as_str().is_some_and(|key| key.contains("token"))
    })
}
