//! Which HTTP status the name of an error stands for: one that is known as a whole, or by its parts.

use super::key;
use crate::repair::spelling;

/// A well-known code or type name: OpenAI's, Anthropic's, Google's canonical ones, the exception names
/// of vLLM and SGLang, DashScope's; another name by its parts. Spelling (case, `_`, `-`, `.`, a final `Error` or
/// `Exception`) does not matter.
pub fn from_name(name: &str) -> Option<u16> {
    known(name).or_else(|| from_parts(name)).or_else(|| described(name))
}

/// gRPC's codes as tonic describes them, where the code should be (xAI).
const DESCRIBED: [(u16, &str); 12] = [
    (400, "client specified an invalid argument"),
    (400, "operation was attempted past the valid range"),
    (400, "the system is not in a state required for the operation's execution"),
    (401, "the request does not have valid authentication credentials"),
    (403, "the caller does not have permission to execute the specified operation"),
    (404, "some requested entity was not found"),
    (429, "some resource has been exhausted"),
    (499, "the operation was cancelled"),
    (500, "unrecoverable data loss or corruption"),
    (501, "operation is not implemented or not supported"),
    (503, "the service is currently unavailable"),
    (504, "deadline expired before operation could complete"),
];

fn described(name: &str) -> Option<u16> {
    let said = |(_, words): &&(u16, &str)| name.trim().eq_ignore_ascii_case(words);
    DESCRIBED.iter().find(said).map(|(status, _)| *status)
}

fn known(name: &str) -> Option<u16> {
    // Anthropic's own, which its SDK retries by; a server of another kind that is overloaded says 503.
    if name.trim().eq_ignore_ascii_case("overloaded_error") {
        return Some(529);
    }
    let key = key(name)?;
    // TGI's `validation` and FastAPI's `RequestValidationError`; AWS' and Java's exception is a 400.
    if key == "validation" && name.ends_with("Exception") {
        return Some(400);
    }
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
        "requesttoolarge" | "requestentitytoolarge" | "payloadtoolarge" | "contenttoolarge" => 413,
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

/// What names say by a part of them, and by one of the second list where that has any. The first line that fits counts, so what is
/// more particular stands before what is less. A part between `_` is a whole word.
///
/// Rates and quotas come before the keys, endpoints and parameters that they are about; what is said of the service before
/// what is said of the request; `invalid` and `missing` come last.
const PARTS: [(u16, &[&str], &[&str]); 31] = [
    (400, &["context"], &["length", "window", "size", "limit", "exceed", "overflow", "long"]),
    (504, &["timeout", "timedout", "deadline"], &[]),
    // Money.
    (402, &["arrear", "overdue", "payment", "_credit_", "_credits_", "recharge"], &[]),
    (402, &["insufficient", "notenough", "_no_", "_low_"], &["balance", "fund"]),
    // Rates and quotas.
    (429, &["quota", "throttl", "toomany", "billing", "burst", "perminute", "perday"], &[]),
    (429, &["_rate_", "ratelimit"], &[]),
    (429, &["usage", "request", "hard", "soft", "spend", "budget", "daily"], &["limit", "exceed"]),
    (429, &["tpm", "rpm", "tpd", "rpd", "qps", "qpm", "ipm"], &["limit", "exceed"]),
    (429, &["concurren", "inflight"], &["limit", "exceed", "request", "max"]),
    // The service.
    (503, &["overload", "unavailable", "notready", "capacity", "_busy_", "_loading_"], &[]),
    (503, &["slowdown", "maintenance", "noavailable", "nohealthy", "coldstart"], &[]),
    (503, &["queue"], &["full", "long", "limit", "exceed"]),
    (413, &["request", "payload", "body", "entity", "file", "image"], &["toolarge", "toobig"]),
    (400, &["token", "input", "prompt", "length", "size", "char"], &["limit", "exceed", "toolong"]),
    (429, &["limit"], &["exceed", "reach", "hit"]),
    // What was said.
    (400, &["contentfilter", "contentpolicy", "policyviolation", "moderation", "sensitive"], &[]),
    (400, &["safety", "responsibleai", "riskcontrol", "inspection", "flagged", "guardrail"], &[]),
    // Who asks.
    (403, &["forbidden", "accessdenied", "permission", "notauthorized", "unauthorizedaccess"], &[]),
    (
        403,
        &["model", "account", "user", "region", "country", "_ip_"],
        &["notallowed", "disabled", "suspended", "locked", "banned", "restricted", "blocked"],
    ),
    (401, &["unauthorized", "unauthenticated", "authentication", "invalidauth", "authfail"], &[]),
    (401, &["apikey", "accesskey", "credential", "signature", "unrecognizedclient"], &[]),
    (401, &["token"], &["invalid", "expired", "missing", "revoked"]),
    // What is asked for.
    (404, &["notfound", "notexist", "nosuch", "unknownmodel", "unknownurl"], &[]),
    (404, &["model", "endpoint"], &["notopen", "decommission", "deprecat", "retired"]),
    (400, &["responseformat", "responseschema"], &[]),
    (502, &["upstream", "badgateway", "badresponse", "invalidresponse"], &[]),
    (422, &["unprocessable"], &[]),
    (499, &["cancel"], &[]),
    (500, &["internal", "servererror", "systemerror", "serviceerror", "outofmemory"], &[]),
    (400, &["invalid", "badrequest", "malformed", "unsupported", "notsupported"], &[]),
    (400, &["missing", "required", "illegal", "outofrange", "validation", "unrecognized"], &[]),
];

fn from_parts(name: &str) -> Option<u16> {
    // Words that stand apart are a sentence, of which parts say little.
    if name.contains(char::is_whitespace) || name.len() > 96 {
        return None;
    }
    let words = spelling::words(name);
    let joined = words.concat();
    let apart = format!("_{}_", words.join("_"));
    let has = |part: &&str| match part.starts_with('_') {
        true => apart.contains(part),
        false => joined.contains(part),
    };
    let fits = |(_, parts, beside): &&(u16, &[&str], &[&str])| {
        parts.iter().any(has) && (beside.is_empty() || beside.iter().any(has))
    };
    PARTS.iter().find(fits).map(|(status, ..)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

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
            ("", None),
            ("model_error", None),
            ("LoadBalancerError", None),
            ("FAILED", None),
        ] {
            assert_eq!(from_name(name), want, "{name}");
        }
    }

    /// None of these but the last few is known as a whole.
    #[test]
    fn names_of_servers_by_their_parts() {
        for (status, names) in [
            (
                429,
                &[
                    "RateLimitExceeded.EndpointRPMExceeded",
                    "RateLimitExceeded.FoundationModelRPMExceeded",
                    "ModelAccountTpmRateLimitExceeded",
                    "AccountRateLimitExceeded",
                    "InflightBatchsizeExceeded",
                    "QuotaExceeded",
                    "SetLimitExceeded",
                    "limit_requests",
                    "limit_burst_rate",
                    "Throttling.BurstRate",
                    "Throttling.AllocationQuota",
                    "RequestLimitExceeded",
                    "RequestLimitExceeded.GlobalRegionUinLimitExceeded",
                    "ServiceQuotaExceededException",
                    "ThrottlingException",
                    "TooManyRequestsException",
                    "com.amazon.coral.availability#ThrottlingException",
                    "insufficient_user_quota",
                    "pre_consume_token_quota_failed",
                    "usage_limit_reached",
                    "billing_hard_limit_reached",
                    "billing_not_active",
                    "rate_limit_reached_error",
                    "exceeded_current_quota_error",
                    "rpm_limit_exceeded",
                    "ModelTPMLimit",
                    "concurrency_limit_reached",
                    "tokens_per_minute_exceeded",
                    "budget_exceeded",
                    "queue_rate_exceeded",
                    "Too Many Requests",
                    "rate limit exceeded",
                ][..],
            ),
            (
                402,
                &[
                    "AccountOverdueError",
                    "insufficient_account_balance",
                    "credits_exhausted",
                    "no_credits",
                    "payment_required",
                ],
            ),
            (
                401,
                &[
                    "InvalidApiKey",
                    "api_key_invalid",
                    "APIKeyMissing",
                    "UnrecognizedClientException",
                    "InvalidSignatureException",
                    "ExpiredTokenException",
                    "token_expired",
                    "AuthFailure.SecretIdNotFound",
                    "credential_missing",
                    "invalid_authentication_error",
                ],
            ),
            (
                403,
                &[
                    "AccessDeniedException",
                    "AccessDenied.Unpurchased",
                    "access_denied_error",
                    "account_suspended",
                    "model_not_allowed",
                    "UserNotAuthorized",
                    "permission_error",
                    "OperationDenied.PermissionMissing",
                ],
            ),
            (
                404,
                &[
                    "InvalidEndpointOrModel.NotFound",
                    "InvalidEndpoint.NotFound",
                    "ModelNotOpen",
                    "NoSuchModel",
                    "model_decommissioned",
                    "not_found_error",
                    "ResourceNotFoundException",
                    "NotFoundException",
                ],
            ),
            (413, &["request_entity_too_large", "PayloadTooLargeError", "image_too_large"]),
            (
                400,
                &[
                    "tokens_limit_reached",
                    "InputTokenLimitExceeded",
                    "context_window_overflow",
                    "SensitiveContentDetected",
                    "InputTextSensitiveContentDetected.PolicyViolation",
                    "ResponsibleAIPolicyViolation",
                    "InvalidParameter.UnsupportedModel",
                    "MissingParameter",
                    "model_not_supported",
                    "invalid_response_format",
                    "ValidationException",
                    "missing_required_parameter",
                    "bad_request_error",
                ],
            ),
            (
                503,
                &[
                    "server_is_overloaded",
                    "ServerOverloaded",
                    "model_is_overloaded",
                    "ModelNotReadyException",
                    "ServiceUnavailableException",
                    "no_available_channel",
                    "system_busy",
                    "model_loading",
                    "insufficient_capacity",
                    "queue_full",
                ],
            ),
            (
                504,
                &[
                    "ModelTimeoutException",
                    "upstream_timeout",
                    "RequestTimedOut",
                    "inference_timeout",
                    "timeout_error",
                    "DEADLINE_EXCEEDED",
                ],
            ),
            (
                502,
                &[
                    "upstream_error",
                    "bad_response_status_code",
                    "invalid_upstream_response",
                    "bad_gateway_error",
                ],
            ),
            (
                500,
                &[
                    "InternalServiceError",
                    "InternalError.Algo",
                    "internal_error",
                    "InternalServerException",
                    "CudaOutOfMemoryError",
                ],
            ),
            (499, &["request_canceled", "RequestCancelledError"]),
        ] {
            for name in names {
                assert_eq!(from_name(name), Some(status), "{name}");
            }
        }
    }
}
