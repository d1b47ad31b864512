//! Which API's client asks, and with that the shape of its errors.

use super::Reply;
use crate::dialect::messages;
use crate::error::{ErrorAnswer, GatewayError};
use crate::policy::HeaderNames;
use crate::policy::operation::Operation;

/// Whose errors a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Face {
    /// OpenAI's.
    #[default]
    Openai,
    /// Anthropic's.
    Anthropic,
}

impl Face {
    /// Of a request's path behind the prefix, query included, before anything else is known of it. `versioned`: it names
    /// a version of Anthropic's API, as all of its clients do.
    pub fn of_path(path: &[u8], versioned: bool) -> Self {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let under = |root: &[u8]| {
            path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        if under(b"/messages") || (versioned && under(b"/models")) {
            Self::Anthropic
        } else {
            Self::Openai
        }
    }

    /// Of an operation that is known.
    pub fn of_operation(operation: Operation) -> Self {
        if operation.is_anthropic() { Self::Anthropic } else { Self::Openai }
    }

    /// The body of an error.
    pub fn error_body(self, answer: &ErrorAnswer, request_id: Option<&str>) -> Vec<u8> {
        match self {
            Self::Openai => answer.error.to_envelope(),
            Self::Anthropic => messages::error::envelope(answer, request_id),
        }
    }

    /// The code that no member of the body has room for: the value of `<prefix>-error`.
    pub fn error_header(self, answer: &ErrorAnswer) -> Option<&str> {
        match self {
            Self::Openai => None,
            Self::Anthropic => messages::error::own_code(answer),
        }
    }

    /// An error of the gateway's own as a reply.
    pub fn error(
        self,
        error: &GatewayError,
        names: &HeaderNames,
        request_id: Option<&str>,
    ) -> Reply {
        let mut reply = self.upstreams_error(&error.to_answer(), names, request_id);
        reply.code = Some(error.code);
        reply
    }

    /// An error that an upstream answered as a reply.
    pub fn upstreams_error(
        self,
        answer: &ErrorAnswer,
        names: &HeaderNames,
        request_id: Option<&str>,
    ) -> Reply {
        let body = self.error_body(answer, request_id);
        let mut reply = Reply::json(answer.status, body, names, request_id);
        if let Some(code) = self.error_header(answer) {
            reply.headers.push((names.error.to_string().into(), code.to_owned()));
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn a_path_tells_whose_client_it_is() {
        for (path, versioned, want) in [
            ("/messages", false, Face::Anthropic),
            ("/messages?beta=true", false, Face::Anthropic),
            ("/messages/batches", true, Face::Anthropic),
            ("/messagesx", true, Face::Openai),
            ("/models", false, Face::Openai),
            ("/models", true, Face::Anthropic),
            ("/models/a/b?x", true, Face::Anthropic),
            ("/chat/completions", true, Face::Openai),
            ("", true, Face::Openai),
        ] {
            assert_eq!(Face::of_path(path.as_bytes(), versioned), want, "{path}");
        }
    }
}
