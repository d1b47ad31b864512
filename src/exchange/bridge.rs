//! A request that goes upstream as another one, and what its answer needs of it.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::request::{Rewrite, Rewritten, internal, named};
use crate::dialect::seal::AnswerSealer;
use crate::dialect::{cache_control, drop_params, messages, responses};
use crate::error::{Code, GatewayError};
use crate::policy::operation::Operation;
use crate::policy::{MessagesApi, Provider, ProviderKind, ResponsesApi};
use crate::wire::splice::{self, Edit};

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
            Self::Messages { .. } | Self::Tokenize(_) => 0,
        }
    }

    /// Converts the complete body `whole` of a request. `id` makes the ids of its answer unique.
    ///
    /// # Errors
    /// What can't be carried over, and `request_too_large` where the converted request would be.
    pub fn rewritten(
        conversion: Conversion,
        rewrite: &Rewrite<'_>,
        whole: &[u8],
        id: String,
    ) -> Result<Rewritten, GatewayError> {
        let (provider, decision) = (rewrite.provider, rewrite.decision);
        let model = &*decision.target.model;
        let (bridge, body, dropped) = match conversion {
            Conversion::Responses => {
                let options = responses_options(rewrite);
                let chat = responses::request::to_chat(whole, &options)?;
                let context = Rc::new(chat.context);
                let seals = context.seals_reasoning || context.form.is_compaction();
                let sealer = decision.sealer.clone().filter(|_| seals);
                let sealer = sealer.map(|sealer| Rc::new(AnswerSealer::new(sealer)));
                (Self::Responses { context, id, sealer }, chat.body, chat.dropped)
            }
            Conversion::TokenizeResponses => {
                let options = responses_options(rewrite);
                let (body, dropped) = responses::request::to_tokenize(whole, &options)?;
                (Self::Tokenize(decision.operation), body, dropped)
            }
            Conversion::Messages => {
                let options = messages_options(provider, model);
                let chat = messages::request::to_chat(whole, &options)?;
                (Self::Messages { context: Rc::new(chat.context), id }, chat.body, chat.dropped)
            }
            Conversion::Tokenize => {
                let options = messages_options(provider, model);
                let (body, dropped) = messages::request::to_tokenize(whole, &options)?;
                (Self::Tokenize(decision.operation), body, dropped)
            }
        };
        let (with, dropped) = settled(rewrite, body, dropped)?;
        let edits = vec![Edit { span: 0..whole.len(), with }];
        Ok(Rewritten { edits, bridge: Some(bridge), dropped })
    }

    /// The operation whose answer the upstream gives.
    pub fn answered_as(&self) -> Operation {
        match self {
            Self::Responses { .. } | Self::Messages { .. } => Operation::ChatCompletions,
            Self::Tokenize(operation) => *operation,
        }
    }
}

fn responses_options<'a>(rewrite: &Rewrite<'a>) -> responses::request::ChatRequestOptions<'a> {
    let (provider, decision) = (rewrite.provider, rewrite.decision);
    responses::request::ChatRequestOptions {
        model: &decision.target.model,
        stream_usage: provider.stream_usage,
        reasoning_field: provider.reasoning_field.as_deref(),
        takes: provider.takes,
        sealer: decision.sealer.as_deref(),
        compacts: decision.operation == Operation::ResponsesCompact,
    }
}

fn messages_options<'a>(
    provider: &'a Provider,
    model: &'a str,
) -> messages::request::MessagesOptions<'a> {
    messages::request::MessagesOptions {
        model,
        stream_usage: provider.stream_usage,
        reasoning_field: provider.reasoning_field.as_deref(),
        cache_control: provider.cache_control,
        takes: provider.takes,
        continues: provider.kind == ProviderKind::Vllm,
    }
}

/// A converted chat request as its provider gets it, under the cache mode and without what this server
/// refuses, and all that was left out.
///
/// # Errors
/// `request_too_large` where it is larger than what may be held.
pub(super) fn settled(
    rewrite: &Rewrite<'_>,
    mut chat: Vec<u8>,
    mut dropped: Vec<String>,
) -> Result<(Vec<u8>, Option<String>), GatewayError> {
    let markers = cache_control::edits(rewrite.decision.cache, &chat)?;
    if !markers.is_empty() {
        chat = splice::apply(&chat, &markers).ok_or_else(internal)?;
    }
    if drop_params::applies(rewrite.provider, Operation::ChatCompletions) {
        let drops = drop_params::edits(rewrite.provider, Operation::ChatCompletions, &chat)?;
        chat = splice::apply(&chat, &drops.edits).ok_or_else(internal)?;
        let mut names = drops.names;
        names.retain(|name| !dropped.contains(name));
        dropped.append(&mut names);
    }
    let limit = rewrite.config.limits.max_buffered_bytes;
    if chat.len() as u64 > limit {
        return Err(GatewayError::new(
            Code::RequestTooLarge,
            format!("As a chat request the body would be larger than {limit} bytes."),
        ));
    }
    Ok((chat, named(&dropped)))
}

/// What makes the ids of an answer unique: Envoy's `x-request-id`, so that they can be found in its
/// logs, and a random number, since a client may send one id with several requests.
pub(super) fn unique_id(request_id: Option<&str>) -> String {
    /// A UUID without its dashes.
    const LONGEST: usize = 32;
    let id = request_id.unwrap_or_default();
    let mut id: String = id.chars().filter(char::is_ascii_alphanumeric).take(LONGEST).collect();
    // std draws its hash keys from the host's random numbers.
    id.push_str(&format!("{:016x}", RandomState::new().hash_one(0)));
    id
}
