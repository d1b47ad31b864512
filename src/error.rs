//! The gateway's own errors, and the one JSON shape in which every error leaves.
//!
//! The shape is OpenAI's error object (API reference, "Error codes"):
//! `{"error":{"message":string,"type":string,"param":string|null,"code":string|null}}`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

/// `type` of an error whose source gave none, by HTTP status.
#[must_use]
pub fn default_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

/// The `error` member of the envelope. Serialises in OpenAI's order, then the fields in `extra`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorObject {
    /// What went wrong and what to do, for a person.
    pub message: String,
    /// OpenAI's error type, such as `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The request's parameter that is at fault.
    pub param: Option<String>,
    /// A stable code. Always a string, as OpenAI types it: clients in typed languages stumble over a number.
    pub code: Option<String>,
    /// Further fields that an upstream gave inside its error object.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a ErrorObject,
}

impl ErrorObject {
    /// The bytes of `{"error":{…}}`, without a final newline.
    #[must_use]
    pub fn to_envelope(&self) -> Vec<u8> {
        // Serialising a struct of strings and JSON values can't fail; were it to, the fallback is
        // still a valid envelope.
        serde_json::to_vec(&Envelope { error: self }).unwrap_or_else(|_| {
            br#"{"error":{"message":"internal error","type":"api_error","param":null,"code":"internal_error"}}"#
                .to_vec()
        })
    }
}

/// An HTTP error answer: a status (400 to 599) and its error object.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorAnswer {
    /// The HTTP status that the client sees.
    pub status: u16,
    /// The body's `error` member.
    pub error: ErrorObject,
    /// Which of the gateway's own errors it is; `None` for an upstream's.
    pub own: Option<Code>,
    /// It came as a web page: from a proxy or a firewall before the server, which itself writes none.
    pub is_page: bool,
}

/// The codes of the gateway's own errors. Names and statuses are a public contract (docs/reference.md,
/// "Errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No virtual key, several, or one that is not known.
    InvalidApiKey,
    /// The virtual key is switched off.
    VirtualKeyRevoked,
    /// The virtual key's `expires_at` has passed.
    VirtualKeyExpired,
    /// The virtual key's allowlist does not name the model.
    ModelNotAllowed,
    /// No bound provider serves the model id.
    ModelNotFound,
    /// The path under the prefix is no known operation.
    UnknownUrl,
    /// The operation exists, for another method.
    MethodNotAllowed,
    /// The body names no model.
    MissingModel,
    /// The model is not a usable string.
    InvalidModel,
    /// The body names the model more than once.
    DuplicateModel,
    /// A parameter beside one of the gateway's own that servers may take for the same.
    DuplicateParameter,
    /// The body is not one JSON object.
    InvalidJson,
    /// The body is not a well-formed multipart form.
    InvalidMultipart,
    /// The chosen provider does not offer the operation.
    UnsupportedOperation,
    /// A parameter that can't be carried over to the provider.
    UnsupportedParameter,
    /// The cache header holds an unknown mode.
    CacheOverrideInvalid,
    /// The body is larger than a limit.
    RequestTooLarge,
    /// The body is compressed.
    UnsupportedContentEncoding,
    /// One of Envoy's own limits is reached.
    RateLimitExceeded,
    /// The worker holds as much as it may.
    Overloaded,
    /// Envoy sent the request to another provider's cluster.
    Misrouted,
    /// The upstream failed without saying how.
    UpstreamError,
    /// An answer ended before it was complete.
    UpstreamStreamTruncated,
    /// The upstream's answer can't be expressed in OpenAI's shape.
    InvalidUpstreamResponse,
    /// A fault of the gateway's own.
    InternalError,
}

impl Code {
    /// The `code` string of the envelope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidApiKey => "invalid_api_key",
            Self::VirtualKeyRevoked => "virtual_key_revoked",
            Self::VirtualKeyExpired => "virtual_key_expired",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::UnknownUrl => "unknown_url",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MissingModel => "missing_model",
            Self::InvalidModel => "invalid_model",
            Self::DuplicateModel => "duplicate_model",
            Self::DuplicateParameter => "duplicate_parameter",
            Self::InvalidJson => "invalid_json",
            Self::InvalidMultipart => "invalid_multipart",
            Self::UnsupportedOperation => "unsupported_operation",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::CacheOverrideInvalid => "cache_override_invalid",
            Self::RequestTooLarge => "request_too_large",
            Self::UnsupportedContentEncoding => "unsupported_content_encoding",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::Overloaded => "overloaded",
            Self::Misrouted => "misrouted",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamStreamTruncated => "upstream_stream_truncated",
            Self::InvalidUpstreamResponse => "invalid_upstream_response",
            Self::InternalError => "internal_error",
        }
    }

    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidApiKey => 401,
            Self::VirtualKeyRevoked | Self::VirtualKeyExpired | Self::ModelNotAllowed => 403,
            Self::ModelNotFound | Self::UnknownUrl => 404,
            Self::MethodNotAllowed => 405,
            Self::MissingModel
            | Self::InvalidModel
            | Self::DuplicateModel
            | Self::DuplicateParameter
            | Self::InvalidJson
            | Self::InvalidMultipart
            | Self::UnsupportedOperation
            | Self::UnsupportedParameter
            | Self::CacheOverrideInvalid => 400,
            Self::RequestTooLarge => 413,
            Self::UnsupportedContentEncoding => 415,
            Self::RateLimitExceeded => 429,
            Self::UpstreamError
            | Self::UpstreamStreamTruncated
            | Self::InvalidUpstreamResponse
            | Self::Misrouted => 502,
            Self::Overloaded => 503,
            Self::InternalError => 500,
        }
    }
}

/// An error that the gateway itself answers with.
///
/// ```
/// use openai_gateway_filter::error::{Code, GatewayError};
///
/// let error = GatewayError::new(Code::InvalidModel, "\"model\" must be a string.").with_param("model");
/// let answer = error.to_answer();
/// assert_eq!(answer.status, 400);
/// assert!(answer.error.to_envelope().starts_with(br#"{"error":{"message":"\"model\" must be a string.""#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayError {
    /// Which error; decides the status.
    pub code: Code,
    /// What was wrong and what to do. Holds no secret and no allowlist.
    pub message: String,
    /// The HTTP status: [`Code::status`], unless an operation's clients expect another.
    pub status: u16,
    /// The parameter at fault, if there is one: `model`, or a path such as `input[3].type`.
    pub param: Option<Cow<'static, str>>,
}

impl GatewayError {
    /// An error without a `param`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: code.status(), param: None }
    }

    /// A fault of the gateway's own, of which its log says more.
    #[must_use]
    pub fn failed() -> Self {
        Self::new(Code::InternalError, "The gateway failed. See its log.")
    }

    /// The same error, blaming `param`.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same error under another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The error as an HTTP answer.
    #[must_use]
    pub fn to_answer(&self) -> ErrorAnswer {
        let status = self.status;
        ErrorAnswer {
            status,
            error: ErrorObject {
                message: self.message.clone(),
                kind: default_type(status).to_owned(),
                param: self.param.as_deref().map(str::to_owned),
                code: Some(self.code.as_str().to_owned()),
                extra: Map::new(),
            },
            own: Some(self.code),
            is_page: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn envelope_has_openai_order_and_escapes() {
        let answer =
            GatewayError::new(Code::InvalidModel, "bad \"id\"").with_param("model").to_answer();
        assert_eq!(answer.status, 400);
        assert_eq!(
            String::from_utf8(answer.error.to_envelope()).unwrap(),
            r#"{"error":{"message":"bad \"id\"","type":"invalid_request_error","param":"model","code":"invalid_model"}}"#
        );
    }
}
