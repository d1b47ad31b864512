//! Whether what an answer has under `error` says that there is one: one judgement for all who read answers.

use std::borrow::Cow;

use super::json::cursor::{self, Value};
use super::json::tokenizer::Kind;

/// Objects and lists in each other that are looked through.
const MAX_LEVELS: u8 = 8;

/// Names of an error's code: one that says success speaks for all of the object.
const CODES: [&str; 4] = ["code", "status", "status_code", "error_code"];

/// Words that say that all went well.
const SUCCESS: [&str; 7] = ["ok", "success", "succeeded", "none", "null", "false", "no error"];

/// Whether the value of an `error` member says that there is an error: something, and not that all went well.
#[must_use]
pub fn means_failure(value: &Value<'_>) -> bool {
    fails(value, MAX_LEVELS)
}

/// The same of a value as it is written. What can't be read is one.
#[must_use]
pub fn says_failure(raw: &[u8]) -> bool {
    cursor::parse(raw).map_or(true, |value| means_failure(&value))
}

/// Whether a code says success, as a number or a word: 0, 2xx, 20000, `ok` and the like.
#[must_use]
pub fn is_success(code: &str) -> bool {
    let code = code.trim();
    let is_good = |number: i64| matches!(number, 0 | 200..=299 | 20_000);
    match (code.parse::<i64>(), code.parse::<f64>()) {
        (Ok(number), _) => is_good(number),
        // `0.0`, `2e2`: only small numbers can be one of them.
        (_, Ok(number)) => number.fract() == 0.0 && number.abs() < 1e6 && is_good(number as i64),
        _ => SUCCESS.iter().any(|word| code.eq_ignore_ascii_case(word)),
    }
}

fn fails(value: &Value<'_>, levels: u8) -> bool {
    let Some(deeper) = levels.checked_sub(1) else { return true };
    match value.kind {
        Kind::BeginObject => {
            let code = CODES.iter().filter_map(|name| code(&value.get(name)?)).next();
            !code.is_some_and(|code| is_success(&code))
                && value.members().any(|(_, member)| fails(&member, deeper))
        }
        Kind::BeginArray => value.elements().any(|element| fails(&element, deeper)),
        Kind::String | Kind::Number => code(value).is_some_and(|code| !is_success(&code)),
        Kind::True => true,
        _ => false,
    }
}

/// A code, or a text in the place of one; `None` for nothing and for what is none.
fn code<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    let text = match value.kind {
        Kind::Number => String::from_utf8_lossy(value.raw()),
        // Half of a surrogate pair is no word, and says something.
        Kind::String => value.as_str().unwrap_or(Cow::Borrowed("?")),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn what_says_that_all_went_well_is_no_error() {
        for (value, want) in [
            ("null", false),
            ("false", false),
            ("0", false),
            ("-0.0", false),
            ("200", false),
            ("2e2", false),
            ("\"\"", false),
            ("\" \\n\"", false),
            ("\"ok\"", false),
            ("\"Success\"", false),
            ("\"\\u006fk\"", false),
            ("\"no error\"", false),
            ("\"false\"", false),
            ("\"0\"", false),
            ("{}", false),
            ("[]", false),
            ("[null,{}]", false),
            (r#"{"code":0,"message":"success"}"#, false),
            (r#"{"code":"0","message":""}"#, false),
            (r#"{"code":200,"message":"OK"}"#, false),
            (r#"{"code":204}"#, false),
            (r#"{"code":null,"message":null}"#, false),
            (r#"{"code":"","status":"ok","message":"done"}"#, false),
            (r#"{"code":null,"details":{"why":"","more":[]}}"#, false),
            (r#"{"message":"OK"}"#, false),
            ("true", true),
            ("1", true),
            ("1e300", true),
            ("-1", true),
            ("\"no worker\"", true),
            ("\"\\ud800\"", true),
            (r#"{"message":"no worker"}"#, true),
            (r#"{"message":"no worker","code":""}"#, true),
            (r#"{"message":"no worker","code":null}"#, true),
            (r#"{"code":1302,"message":"busy"}"#, true),
            (r#"{"details":{"why":"busy"}}"#, true),
            (r#"[{"message":"no worker"}]"#, true),
            ("{", true),
            ("", true),
        ] {
            assert_eq!(says_failure(value.as_bytes()), want, "{value}");
        }
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        assert!(says_failure(deep.as_bytes()), "nobody looks so far");
    }
}
