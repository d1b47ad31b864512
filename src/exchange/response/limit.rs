//! What Envoy's own rate limits answer in the upstream's place: a client reads it as the error that it is.
//!
//! A limit that stands before this filter answers without it: Envoy gives an answer to the filters that saw the request.

use crate::error::{Code, GatewayError};
use crate::wire::headers::Headers;

/// What Envoy says of an answer of its local and its global rate limit.
const REACHED: [&str; 2] = ["local_rate_limited", "request_rate_limited"];
/// What it says where the service that knows the limits has not answered, and requests are not to pass then.
const FAILED: &str = "rate_limiter_error";
/// When to try again where the limit does not say: it is refilled in part all the time.
const SOON: u64 = 1;

/// An answer of Envoy's rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum RateLimit {
    /// There is nothing left, for so many seconds.
    Reached(u64),
    /// Nobody knows.
    Unknown,
}

impl RateLimit {
    /// What an error is of which Envoy says `details`; `None` where no limit gave it. An operator may choose its status.
    pub(super) fn of(details: &str, headers: &Headers) -> Option<Self> {
        if REACHED.contains(&details) {
            return Some(Self::Reached(seconds(headers)));
        }
        (details == FAILED).then_some(Self::Unknown)
    }

    pub(super) fn error(self) -> GatewayError {
        match self {
            Self::Reached(seconds) => GatewayError::new(
                Code::RateLimitExceeded,
                format!("A limit of this gateway is reached. Try again in {seconds} s."),
            ),
            Self::Unknown => GatewayError::new(
                Code::InternalError,
                "The service that knows the limits of this gateway has not answered, so the request was not let \
                 through. Try again.",
            ),
        }
    }

    /// `retry-after`, where it is known.
    pub(super) fn retry_after(self) -> Option<u64> {
        match self {
            Self::Reached(seconds) => Some(seconds),
            Self::Unknown => None,
        }
    }
}

/// In how many seconds there will be more. A reset in 0 seconds is none: something is left, but less than was asked for.
fn seconds(headers: &Headers) -> u64 {
    let reset = headers.get("x-ratelimit-reset").and_then(|reset| str::from_utf8(reset).ok());
    reset.and_then(|reset| reset.trim().parse().ok()).filter(|&reset| reset > 0).unwrap_or(SOON)
}
