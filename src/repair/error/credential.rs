//! Errors about the credential that was sent. The credential is the gateway's; a client that reads only
//! `invalid_api_key` would look for the fault in its own key.

use crate::error::ErrorAnswer;

/// What else a 403 is about: what was asked, and from where.
const OTHER_GROUNDS: [&str; 19] = [
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
    // Envoy's own.
    "rbac: access denied",
    "rbac_access_denied",
    "jwt",
];

/// Whether a server refuses the credential that it was sent: every 401, and a 403 that gives no other ground.
#[must_use]
pub fn refuses_credential(answer: &ErrorAnswer) -> bool {
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        OTHER_GROUNDS.iter().any(|ground| text.contains(ground))
    };
    match answer.status {
        401 => !answer.error.message.to_ascii_lowercase().starts_with("jwt "),
        403 => !says(&answer.error.message) && !answer.error.code.as_deref().is_some_and(says),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_http;
    use super::*;
    use crate::test;

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
            (402, "", false),
            (404, r#"{"error":{"message":"API key"}}"#, false),
        ] {
            let (answer, _) = read_http(status, None, body.as_bytes());
            assert_eq!(refuses_credential(&answer), want, "{status} {body}");
        }
    }
}
