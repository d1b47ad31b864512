//! Errors about the credential that was sent. The credential is the gateway's; a client that reads only
//! `invalid_api_key` would look for the fault in its own key.

use crate::error::ErrorAnswer;

/// What else a 403 is about: what was asked, from where, and who else refused it.
const OTHER_GROUNDS: [&str; 31] = [
    "moderat",
    "flagged",
    "content",
    "policy",
    "policies",
    "safety",
    "harmful",
    "region",
    "country",
    "territory",
    "location",
    "terms of",
    "quota",
    "balance",
    "billing",
    "credits",
    // Firewalls and their like, where they answer in text or JSON: Cloudflare's `error code: 1020`.
    "error code: 1",
    "firewall",
    "captcha",
    "cloudflare",
    "request blocked",
    "request is blocked",
    "request was blocked",
    "request has been blocked",
    "ip address",
    "your ip ",
    "allowlist",
    "whitelist",
    // Envoy's own.
    "rbac: access denied",
    "rbac_access_denied",
    "jwt",
];

/// What a 400 says that is about the key (Gemini, xAI). Each is a sentence about it, so that the words of a request that are
/// repeated are seldom one.
const REFUSALS: [&str; 8] = [
    "api key not valid",
    "api key not found",
    "api key expired",
    "api key is invalid",
    "api key is not valid",
    "invalid api key",
    "incorrect api key",
    "pass a valid api key",
];

/// Whether a server refuses the credential that it was sent: every 401, a 403 that gives no other ground, and a 400 that says
/// so. A web page is a proxy's or a firewall's, which never looked at a credential.
#[must_use]
pub fn refuses_credential(answer: &ErrorAnswer) -> bool {
    let has = |text: &str, words: &[&str]| {
        let text = text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    let says = |text: &str| has(text, &OTHER_GROUNDS);
    match answer.status {
        400 => has(&answer.error.message, &REFUSALS),
        401 => !answer.error.message.to_ascii_lowercase().starts_with("jwt "),
        403 => {
            !answer.is_page
                && !says(&answer.error.message)
                && !answer.error.code.as_deref().is_some_and(says)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_http;
    use super::*;
    use crate::test;

    const CLOUDFLARE: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>Attention Required! | Cloudflare</title></head><body><h1 data-translate=\"block_headline\">Sorry, you have been blocked</h1></body></html>";

    #[test]
    fn grounds() {
        for (status, body, want) in [
            (401, "", true),
            (
                401,
                r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#,
                true,
            ),
            (401, r#"{"message":"Unauthorized","request_id":"r"}"#, true),
            (403, "", true),
            (403, r#"{"error":"Forbidden"}"#, true),
            (
                403,
                r#"{"error":{"message":"You do not have permission to use this endpoint"}}"#,
                true,
            ),
            (403, r#"{"error":{"message":"Your input was flagged by moderation"}}"#, false),
            (403, r#"{"error":{"message":"no","code":"content_policy_violation"}}"#, false),
            (
                403,
                r#"{"error":{"code":"unsupported_country_region_territory","message":"Country not supported"}}"#,
                false,
            ),
            (403, "RBAC: access denied", false),
            (403, r#"{"error":{"message":"Quota exhausted"}}"#, false),
            (403, r#"{"error":{"message":"Insufficient account balance"}}"#, false),
            (401, "Jwt is missing", false),
            (403, CLOUDFLARE, false),
            (
                403,
                "<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center><hr><center>nginx</center></body></html>",
                false,
            ),
            (
                403,
                "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>",
                false,
            ),
            (
                403,
                "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY><H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>Request blocked.</BODY></HTML>",
                false,
            ),
            (403, "<!doctype html><meta charset=\"utf-8\"><title>403</title>403 Forbidden", false),
            (
                403,
                r#"{"error":{"message":"<html><title>Attention Required! | Cloudflare</title></html>"}}"#,
                false,
            ),
            (403, "error code: 1020", false),
            (403, r#"{"message":"Request blocked by the web application firewall"}"#, false),
            (403, r#"{"error":{"message":"Your IP address is not allowed"}}"#, false),
            (
                403,
                "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
                true,
            ),
            (401, "<html><title>401 Authorization Required</title></html>", true),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
                true,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT"}}"#,
                true,
            ),
            (
                400,
                r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai."}"#,
                true,
            ),
            (
                400,
                r#"{"error":{"message":"Invalid 'tools[0].function.name': 'get_api_key' is taken","param":"tools"}}"#,
                false,
            ),
            (402, "", false),
            (404, r#"{"error":{"message":"API key"}}"#, false),
        ] {
            let (answer, _) = read_http(status, None, body.as_bytes());
            assert_eq!(refuses_credential(&answer), want, "{status} {body}");
        }
    }
}
