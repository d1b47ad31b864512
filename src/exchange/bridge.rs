//! A request that goes upstream as another one, and what its answer needs of it.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use crate::dialect::seal::AnswerSealer;
use crate::dialect::{messages, responses};
use crate::policy::operation::Operation;
use crate::policy::{MessagesApi, Provider, ProviderKind, ResponsesApi};

/// Where the chat request goes, behind the provider's base path.
pub(super) const CHAT_PATH: &str = "/chat/completions";

/// Which conversion a provider's request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    /// A Responses request into a chat request.
    Responses,
    /// A Messages request into a chat request.
    Messages,
    /// A Messages request into one for the server's own tokenizer.
    Tokenize,
    /// The same of a Responses request.
    TokenizeResponses,
}

impl Conversion {
    /// What `operation` needs toward `provider`; `None` where it goes as it is.
    pub fn of(operation: Operation, provider: &Provider) -> Option<Self> {
        match operation {
            Operation::Responses | Operation::ResponsesCompact
                if provider.responses_api == ResponsesApi::Chat =>
            {
                Some(Self::Responses)
            }
            Operation::ResponsesInputTokens if provider.responses_api == ResponsesApi::Chat => {
                Some(Self::TokenizeResponses)
            }
            Operation::Messages if provider.messages_api == MessagesApi::Chat => {
                Some(Self::Messages)
            }
            Operation::CountTokens if provider.messages_api == MessagesApi::Chat => {
                Some(Self::Tokenize)
            }
            _ => None,
        }
    }

    /// What has to hold the whole body, for a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Responses | Self::TokenizeResponses => "the Responses API over chat completions",
            Self::Messages | Self::Tokenize => "the Messages API over chat completions",
        }
    }

    /// Where the converted request goes; `asked`: the client's own path and query, behind the prefix.
    pub fn path(self, provider: &Provider, asked: &str) -> String {
        let base = &*provider.base_path;
        match self {
            Self::Responses => {
                let query = asked.find('?').and_then(|at| asked.get(at..)).unwrap_or_default();
                [base, CHAT_PATH, query].concat()
            }
            // Its query is Anthropic's alone.
            Self::Messages => [base, CHAT_PATH].concat(),
            // It stands beside `/v1`.
            Self::Tokenize | Self::TokenizeResponses => {
                [base.strip_suffix("/v1").unwrap_or(base), "/tokenize"].concat()
            }
        }
    }
}

/// The path of a request as `provider` gets it; `asked`: the client's own path and query, behind the prefix.
#[must_use]
pub fn upstream_path(operation: Operation, provider: &Provider, asked: &str) -> String {
    Conversion::of(operation, provider).map_or_else(
        || [&*provider.base_path, asked].concat(),
        |conversion| conversion.path(provider, asked),
    )
}

/// Whether tokens can be counted by `provider`: by itself, or by vLLM's tokenizer.
pub(super) fn counts_tokens(provider: &Provider) -> bool {
    provider.messages_api == MessagesApi::Native || provider.kind == ProviderKind::Vllm
}

/// The same for the Responses API.
pub(super) fn counts_input_tokens(provider: &Provider) -> bool {
    provider.responses_api == ResponsesApi::Native || provider.kind == ProviderKind::Vllm
}

/// A request that was sent as another one: what its answer needs of it.
#[derive(Debug)]
pub(super) enum Bridge {
    /// A Responses request as a chat request.
    Responses {
        context: Rc<responses::AnswerContext>,
        id: String,
        /// Where the answer has something to seal.
        sealer: Option<Rc<AnswerSealer>>,
    },
    /// A Messages request as a chat request.
    Messages { context: Rc<messages::MessageContext>, id: String },
    /// A count of tokens by the server's tokenizer, for this operation.
    Tokenize(Operation),
}

impl Bridge {
    /// Bytes that are kept for the answer.
    pub fn held(&self) -> usize {
        match self {
            Self::Responses { context, .. } => context.held(),
            Self::Messages { context, .. } => context.held(),
            Self::Tokenize(_) => 0,
        }
    }

    /// The operation whose answer the upstream gives.
    pub fn answered_as(&self) -> Operation {
        match self {
            Self::Responses { .. } | Self::Messages { .. } => Operation::ChatCompletions,
            Self::Tokenize(operation) => *operation,
        }
    }
}

/// What makes the ids of an answer unique: Envoy's `x-request-id`, so that they can be found in its
/// logs, and a random number, since a client may send one id with several requests.
pub(super) fn unique_id(request_id: Option<&str>) -> String {
    /// A UUID without its dashes.
    const LONGEST: usize = 32;
    /// Hexadecimal digits of the random number.
    const DIGITS: usize = 16;
    let given = request_id.unwrap_or_default();
    let mut id = String::with_capacity(LONGEST + DIGITS);
    id.extend(given.chars().filter(char::is_ascii_alphanumeric).take(LONGEST));
    // std draws its hash keys from the host's random numbers.
    let random = RandomState::new().hash_one(0);
    let _always = write!(id, "{random:0DIGITS$x}");
    id
}
