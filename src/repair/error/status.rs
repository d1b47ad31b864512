//! Which HTTP status an error stands for when it came under HTTP 200: its number if that is one, else
//! its name, else the vendor's own number, else 502.

use serde_json::Value;

use super::printed;

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

/// A name without its spelling: lower case letters and digits, without a final `error` or `exception`.
/// `None` for what is no name but a sentence.
pub fn key(name: &str) -> Option<String> {
    // The longest name in the tables has 28 letters.
    if name.len() > 64 || name.contains(char::is_whitespace) {
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

/// A well-known code or type name: OpenAI's, Anthropic's, Google's canonical ones, the exception names
/// of vLLM and SGLang, DashScope's. Spelling (case, `_`, `-`, `.`, a final `Error` or `Exception`)
/// does not matter.
pub fn from_name(name: &str) -> Option<u16> {
    // Anthropic's own, which its SDK retries by; a server of another kind that is overloaded says 503.
    if name.trim().eq_ignore_ascii_case("overloaded_error") {
        return Some(529);
    }
    let key = key(name)?;
    Some(match key.as_str() {
        "badrequest"
        | "invalidrequest"
        | "invalidargument"
        | "invalidparameter"
        | "invalidparameters"
        | "invalidinput"
        | "failedprecondition"
        | "outofrange"
        | "contextlengthexceeded"
        | "contextwindowexceeded"
        | "maxtokensexceeded"
        | "contentfilter"
        | "contentpolicyviolation"
        | "datainspectionfailed"
        | "invalidprompt"
        | "invalidvalue"
        | "unsupportedparameter"
        | "unsupportedvalue"
        | "tooluse"
        | "toolusefailed"
        | "jsonvalidatefailed"
        | "stringabovemaxlength" => 400,
        "authentication"
        | "unauthenticated"
        | "unauthorized"
        | "invalidapikey"
        | "invalidauthentication"
        | "incorrectapikey"
        | "invalidtoken"
        | "accountdeactivated" => 401,
        "billing"
        | "paymentrequired"
        | "insufficientbalance"
        | "insufficientcredits"
        | "arrearage" => 402,
        "permission"
        | "permissiondenied"
        | "forbidden"
        | "accessdenied"
        | "modelaccessdenied"
        | "unsupportedcountryregionterritory" => 403,
        "notfound" | "modelnotfound" | "modelnotexist" | "unknownmodel" | "nosuchmodel"
        | "deploymentnotfound" | "resourcenotfound" => 404,
        "methodnotallowed" => 405,
        "conflict" | "aborted" | "alreadyexists" => 409,
        "requesttoolarge" | "payloadtoolarge" => 413,
        "unprocessableentity" | "validation" | "requestvalidation" => 422,
        "ratelimit"
        | "ratelimitexceeded"
        | "ratelimitreached"
        | "ratelimited"
        | "toomanyrequests"
        | "insufficientquota"
        | "quotaexceeded"
        | "resourceexhausted"
        | "throttling"
        | "throttlingratequota"
        | "throttlingallocationquota"
        | "throttled"
        | "tokens"
        | "requests"
        | "enginebusy" => 429,
        // TGI answers a failed generation so (`router/src/server.rs`).
        "generation" => 424,
        "cancelled" | "canceled" | "clientclosedrequest" => 499,
        "internal"
        | "internalserver"
        | "server"
        | "api"
        | "serverside"
        | "internalfailure"
        | "unknown"
        | "dataloss"
        | "incompletegeneration" => 500,
        "notimplemented" | "unimplemented" => 501,
        "badgateway" => 502,
        "overloaded" | "serviceunavailable" | "unavailable" | "modeloverloaded"
        | "overcapacity" | "modelloading" | "capacityexceeded" | "serveroverloaded"
        | "engineoverloaded" | "slowdown" => 503,
        "timeout" | "requesttimeout" | "deadlineexceeded" | "gatewaytimeout" | "apitimeout" => 504,
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
        // Cloudflare Workers AI: "No such model".
        5007 => 404,
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
    fn names_in_any_spelling() {
        for (name, want) in [
            ("rate_limit_exceeded", Some(429)),
            ("RESOURCE_EXHAUSTED", Some(429)),
            ("RateLimitError", Some(429)),
            ("rate_limit_error", Some(429)),
            ("insufficient_quota", Some(429)),
            ("Throttling.RateQuota", Some(429)),
            ("invalid_api_key", Some(401)),
            ("UNAUTHENTICATED", Some(401)),
            ("AuthenticationError", Some(401)),
            ("model_not_found", Some(404)),
            ("NotFoundError", Some(404)),
            ("context_length_exceeded", Some(400)),
            ("BadRequestError", Some(400)),
            ("InvalidParameter", Some(400)),
            ("overloaded_error", Some(529)),
            ("Overloaded_Error", Some(529)),
            ("engine_overloaded_error", Some(503)),
            ("overloaded", Some(503)),
            ("InternalServerError", Some(500)),
            ("server_error", Some(500)),
            ("The model was not found", None),
            ("whatever", None),
            ("error", None),
        ] {
            assert_eq!(from_name(name), want, "{name}");
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
