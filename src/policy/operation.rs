//! The operations of the OpenAI API that the gateway knows, and how a request names one.

use crate::error::{Code, GatewayError};

/// One operation (docs/reference.md, "Operations"). The names are those of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// POST /chat/completions
    ChatCompletions,
    /// POST /completions
    Completions,
    /// POST /embeddings
    Embeddings,
    /// POST /responses
    Responses,
    /// POST /messages
    Messages,
    /// POST /messages/count_tokens
    CountTokens,
    /// POST /responses/compact
    ResponsesCompact,
    /// POST /responses/input_tokens
    ResponsesInputTokens,
    /// POST /moderations
    Moderations,
    /// GET and HEAD /models and /models/{id}
    Models,
    /// POST /audio/transcriptions
    Transcriptions,
    /// POST /audio/translations
    Translations,
    /// POST /audio/speech
    Speech,
    /// POST /images/generations
    ImageGeneration,
    /// POST /images/edits and /images/variations
    ImageEdit,
    /// POST /rerank
    Rerank,
    /// any /files…
    Files,
    /// any /batches…
    Batches,
}

/// What the body of an operation's request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// One JSON object with a top-level `model`.
    Json,
    /// `multipart/form-data` with a field `model`.
    Multipart,
    /// No model is named in a body.
    None,
}

impl Operation {
    /// Every operation that can be offered, in the order of the table in docs/reference.md.
    pub const ALL: [Self; 16] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Moderations,
        Self::Messages,
        Self::CountTokens,
        Self::Models,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::ImageGeneration,
        Self::ImageEdit,
        Self::Rerank,
        Self::Files,
        Self::Batches,
    ];

    /// Whether images are what it answers.
    #[must_use]
    pub const fn makes_images(self) -> bool {
        matches!(self, Self::ImageGeneration | Self::ImageEdit)
    }

    /// The name used in configuration and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::ResponsesCompact => "responses_compact",
            Self::ResponsesInputTokens => "responses_input_tokens",
            Self::Moderations => "moderations",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Speech => "speech",
            Self::ImageGeneration => "image_generation",
            Self::ImageEdit => "image_edit",
            Self::Rerank => "rerank",
            Self::Files => "files",
            Self::Batches => "batches",
        }
    }

    /// The operation of a configuration name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == name)
    }

    /// The operation that a provider is offered for where it answers this one.
    #[must_use]
    pub fn offered_as(self) -> Self {
        match self {
            Self::ResponsesCompact | Self::ResponsesInputTokens => Self::Responses,
            other => other,
        }
    }

    /// The operation of a name that [`Self::as_str`] gave, also of one that is offered as another.
    #[must_use]
    pub fn from_note(name: &str) -> Option<Self> {
        let parts = [Self::ResponsesCompact, Self::ResponsesInputTokens];
        Self::ALL.into_iter().chain(parts).find(|operation| operation.as_str() == name)
    }

    /// Whether a request may leave its model to the provider.
    #[must_use]
    pub fn has_default_model(self) -> bool {
        self == Self::Moderations
    }

    /// Whether it is of Anthropic's Messages API, whose errors have a shape of their own.
    #[must_use]
    pub fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }

    /// What the request's body is.
    #[must_use]
    pub fn body_kind(self) -> BodyKind {
        match self {
            Self::Transcriptions | Self::Translations | Self::ImageEdit => BodyKind::Multipart,
            Self::Models | Self::Files | Self::Batches => BodyKind::None,
            _ => BodyKind::Json,
        }
    }
}

/// A set of operations, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperationSet(u32);

impl OperationSet {
    /// Whether the set holds `operation`, or the one that it is offered as.
    #[must_use]
    pub fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation.offered_as() as u8) != 0
    }
}

impl FromIterator<Operation> for OperationSet {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().fold(0, |bits, operation| bits | (1 << operation as u8)))
    }
}

/// A request's target, relative to `path_prefix`: the operation, and the path that is appended to the
/// provider's base path (begins with `/`, query string kept).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTarget<'a> {
    /// The operation.
    pub operation: Operation,
    /// Path after the prefix, without query; a trailing slash is dropped.
    pub path: &'a str,
    /// The raw query string after `?`, if there is one.
    pub query: Option<&'a str>,
}

/// Finds the operation of a request under the prefix. `rest` is `:path` after `path_prefix`, query
/// included.
///
/// ```
/// use openai_gateway_filter::error::Code;
/// use openai_gateway_filter::policy::operation::{Operation, classify};
///
/// let target = classify(b"GET", "/models/groq/llama-3.3-70b?a=b").unwrap();
/// assert_eq!((target.operation, target.query), (Operation::Models, Some("a=b")));
/// assert_eq!(classify(b"GET", "/chat/completions").unwrap_err().code, Code::MethodNotAllowed);
/// ```
///
/// # Errors
/// `unknown_url` and `method_not_allowed`.
pub fn classify<'a>(method: &[u8], rest: &'a str) -> Result<RequestTarget<'a>, GatewayError> {
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    let (operation, allowed): (Operation, &[&str]) = match path {
        "/chat/completions" => (Operation::ChatCompletions, &["POST"]),
        "/completions" => (Operation::Completions, &["POST"]),
        "/embeddings" => (Operation::Embeddings, &["POST"]),
        "/responses" => (Operation::Responses, &["POST"]),
        "/responses/compact" => (Operation::ResponsesCompact, &["POST"]),
        "/responses/input_tokens" => (Operation::ResponsesInputTokens, &["POST"]),
        "/messages" => (Operation::Messages, &["POST"]),
        "/messages/count_tokens" => (Operation::CountTokens, &["POST"]),
        "/moderations" => (Operation::Moderations, &["POST"]),
        "/models" => (Operation::Models, &["GET", "HEAD"]),
        "/audio/transcriptions" => (Operation::Transcriptions, &["POST"]),
        "/audio/translations" => (Operation::Translations, &["POST"]),
        "/audio/speech" => (Operation::Speech, &["POST"]),
        "/images/generations" => (Operation::ImageGeneration, &["POST"]),
        "/images/edits" | "/images/variations" => (Operation::ImageEdit, &["POST"]),
        "/rerank" => (Operation::Rerank, &["POST"]),
        _ if path.starts_with("/models/") => (Operation::Models, &["GET", "HEAD"]),
        _ if path == "/files" || path.starts_with("/files/") => (Operation::Files, &[]),
        _ if path == "/batches" || path.starts_with("/batches/") => (Operation::Batches, &[]),
        _ => {
            return Err(GatewayError::new(
                Code::UnknownUrl,
                format!(
                    "Unknown request URL: {}. See the list of operations that this gateway serves.",
                    printable(path, 200)
                ),
            ));
        }
    };
    if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed.as_bytes() == method) {
        return Err(GatewayError::new(
            Code::MethodNotAllowed,
            format!("Not allowed: {path} takes {}.", allowed.join(" and ")),
        ));
    }
    Ok(RequestTarget { operation, path, query })
}

/// `text` for a message: at most `limit` characters, control characters left out.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(limit).collect();
    if text.chars().count() > limit {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn operation(method: &str, rest: &str) -> Result<Operation, Code> {
        classify(method.as_bytes(), rest).map(|t| t.operation).map_err(|e| e.code)
    }

    #[test]
    fn table() {
        for (method, rest, want) in [
            ("POST", "/chat/completions", Ok(Operation::ChatCompletions)),
            ("POST", "/chat/completions/", Ok(Operation::ChatCompletions)),
            ("POST", "/chat/completions?a=b", Ok(Operation::ChatCompletions)),
            ("GET", "/chat/completions", Err(Code::MethodNotAllowed)),
            ("POST", "/chat/completionsx", Err(Code::UnknownUrl)),
            ("POST", "/messages?beta=true", Ok(Operation::Messages)),
            ("POST", "/messages/count_tokens", Ok(Operation::CountTokens)),
            ("POST", "/messages/batches", Err(Code::UnknownUrl)),
            ("GET", "/messages", Err(Code::MethodNotAllowed)),
            ("GET", "/models", Ok(Operation::Models)),
            ("HEAD", "/models", Ok(Operation::Models)),
            ("HEAD", "/models/a/b", Ok(Operation::Models)),
            ("HEAD", "/responses", Err(Code::MethodNotAllowed)),
            ("POST", "/responses/compact", Ok(Operation::ResponsesCompact)),
            ("POST", "/responses/input_tokens/", Ok(Operation::ResponsesInputTokens)),
            ("GET", "/responses/compact", Err(Code::MethodNotAllowed)),
            ("POST", "/responses/other", Err(Code::UnknownUrl)),
            ("POST", "/moderations", Ok(Operation::Moderations)),
            ("GET", "/models/a/b/c", Ok(Operation::Models)),
            ("POST", "/models", Err(Code::MethodNotAllowed)),
            ("DELETE", "/files/x", Ok(Operation::Files)),
            ("POST", "/filesystem", Err(Code::UnknownUrl)),
            ("GET", "/batches", Ok(Operation::Batches)),
            ("POST", "/images/variations", Ok(Operation::ImageEdit)),
            ("POST", "", Err(Code::UnknownUrl)),
        ] {
            assert_eq!(operation(method, rest), want, "{method} {rest}");
        }
    }

    #[test]
    fn names_round_trip() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.as_str()), Some(operation));
            assert_eq!(Operation::from_note(operation.as_str()), Some(operation));
        }
        for part in [Operation::ResponsesCompact, Operation::ResponsesInputTokens] {
            assert_eq!(Operation::from_note(part.as_str()), Some(part));
            assert_eq!(Operation::from_name(part.as_str()), None);
            let set: OperationSet = [Operation::Responses].into_iter().collect();
            assert!(set.contains(part) && !OperationSet::default().contains(part));
        }
    }
}
