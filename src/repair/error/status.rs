//! Which HTTP status an error stands for when it came under HTTP 200: its number if that is one, else
//! its name, else the vendor's own number, else 502.

use serde_json::Value;

pub use names::from_name;

use super::printed;

mod names;

/// The status that leaves for a status that came. CDN statuses outside the registry (Cloudflare's
/// 520-527) become the registered one of the same meaning, so that every client retries alike. 529 and 530
/// are not a CDN's alone, and stay. What is no status of HTTP at all becomes 502.
#[must_use]
pub fn registered(status: u16) -> u16 {
    match status {
        520 | 521 | 523 | 525..=527 => 502,
        522 | 524 => 504,
        // No class of HTTP's: clients would take it for a good answer, or for none.
        600.. => 502,
        _ => status,
    }
}

/// A code that is an HTTP error status itself: 400 to 599, as a number or a numeric string, also with its phrase.
pub fn from_number(code: &Value) -> Option<u16> {
    if let Some(status) = code.as_str().and_then(printed::leading) {
        return Some(registered(status));
    }
    let number = integer(code)?;
    u16::try_from(number).ok().filter(|status| (400..=599).contains(status)).map(registered)
}

/// The status that an error under HTTP 200 stands for, by its number, name or vendor's number.
pub fn of_hints(hints: &[Value]) -> Option<u16> {
    hints
        .iter()
        .find_map(from_number)
        .or_else(|| hints.iter().filter_map(Value::as_str).find_map(from_name))
        .or_else(|| hints.iter().filter_map(integer).find_map(from_vendor))
}

/// The whole number that a code spells, as a number or in a string.
pub fn integer(code: &Value) -> Option<i64> {
    match code {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// How many words a name may have that stand apart, as in `Too Many Requests`: more are a sentence.
const MAX_APART: usize = 4;

/// A name without its spelling: lower case letters and digits, without a final `error` or `exception`.
/// `None` for what is no name but a sentence.
pub fn key(name: &str) -> Option<String> {
    if name.len() > 96 || name.split_whitespace().nth(MAX_APART).is_some() {
        return None;
    }
    let mut key: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    for suffix in ["error", "exception"] {
        if let Some(stem) = key.strip_suffix(suffix) {
            key = stem.to_owned();
        }
    }
    Some(key)
}

/// gRPC's numbers (`google.rpc.Code`).
pub fn from_grpc(code: i64) -> Option<u16> {
    Some(match code {
        1 => 499,
        2 | 13 | 15 => 500,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => return None,
    })
}

/// The numbers that vendors made up, for codes that are no HTTP status.
pub fn from_vendor(code: i64) -> Option<u16> {
    Some(match code {
        // MiniMax `base_resp.status_code` (API reference, "Error codes").
        1001 => 504,
        1002 | 1039 | 1041 | 2045 | 2056 => 429,
        1004 | 2049 => 401,
        1008 => 402,
        1013 | 1024 | 1033 => 500,
        1026 | 1027 | 1042 | 2013 => 400,
        // Zhipu's GLM (docs.bigmodel.cn, "Error codes"), where MiniMax has no other meaning for the number.
        1000 | 1003 => 401,
        1110..=1112 | 1120 | 1121 | 1220 | 1309 => 403,
        1113 => 402,
        1210 | 1212..=1215 | 1261 | 1300 | 1301 => 400,
        1211 | 1221 | 1222 => 404,
        1230 | 1231 | 1234 => 500,
        1302..=1305 | 1308 | 1310..=1313 => 429,
        // Cloudflare Workers AI ("Errors"), whose docs name the statuses; 5007 is "No such model".
        3003 | 5004 | 5005 => 400,
        3023 | 3041 | 5016 | 5018 => 403,
        3042 | 5007 => 404,
        3006 => 413,
        3036 | 3040 => 429,
        3007 | 3008 => 504,
        // LMDeploy's proxy (`lmdeploy/serve/proxy/utils.py`, `ErrorCodes`).
        10400 => 404,
        10401 => 503,
        10402 => 504,
        // FastChat (`fastchat/constants.py`, `ErrorCode`): those whose first three digits mislead.
        40103 => 403,
        40301 => 404,
        40302 | 40303 => 400,
        42903 | 50005 => 503,
        50006 => 504,
        // Five digits, the first three of them an HTTP status: FastChat, and many gateways.
        40000..=42999 | 50000..=50499 => u16::try_from(code / 100)
            .ok()
            .filter(|status| matches!(status, 400..=409 | 413 | 422 | 429 | 500..=504))?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use serde_json::json;

    #[test]
    fn statuses_that_are_none() {
        for (came, leaves) in
            [(400, 400), (522, 504), (529, 529), (599, 599), (600, 502), (999, 502)]
        {
            assert_eq!(registered(came), leaves);
        }
    }

    #[test]
    fn numbers() {
        for (code, want) in [
            (json!(429), Some(429)),
            (json!("404"), Some(404)),
            (json!("429 Too Many Requests"), Some(429)),
            (json!(524), Some(504)),
            (json!(523), Some(502)),
            (json!(529), Some(529)),
            (json!(503.0), Some(503)),
            (json!(200), None),
            (json!(1008), None),
            (json!(-400), None),
            (json!("4o4"), None),
            (json!(null), None),
        ] {
            assert_eq!(from_number(&code), want, "{code}");
        }
    }

    #[test]
    fn vendor_numbers() {
        for (code, want) in [
            (1008, Some(402)),
            (10402, Some(504)),
            (1302, Some(429)),
            (1305, Some(429)),
            (1113, Some(402)),
            (1261, Some(400)),
            (1002, Some(429)),
            (42901, Some(429)),
            (50002, Some(500)),
            (41900, None),
            (7, None),
        ] {
            assert_eq!(from_vendor(code), want, "{code}");
        }
    }
}
