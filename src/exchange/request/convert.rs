//! The whole body of a request as another API's, for a provider that does not serve the client's.

use std::rc::Rc;

use super::internal;
use super::rewrite::{Rewrite, Rewritten, named};
use crate::dialect::seal::AnswerSealer;
use crate::dialect::{cache_control, drop_params, messages, responses};
use crate::error::{Code, GatewayError};
use crate::exchange::bridge::{Bridge, Conversion};
use crate::policy::operation::Operation;
use crate::policy::{Provider, ProviderKind};
use crate::wire::splice::{self, Edit};

impl<'a> Rewrite<'a> {
    /// Converts the complete body `whole` of a request. `id` makes the ids of its answer unique.
    ///
    /// # Errors
    /// What can't be carried over, and `request_too_large` where the converted request would be.
    pub(super) fn converted(
        &self,
        conversion: Conversion,
        whole: &[u8],
        id: String,
    ) -> Result<Rewritten, GatewayError> {
        let (provider, decision) = (self.provider, self.decision);
        let model = &*self.target.model;
        let (bridge, body, dropped) = match conversion {
            Conversion::Responses => {
                let options = self.responses_options();
                let chat = responses::request::to_chat(whole, &options)?;
                let context = Rc::new(chat.context);
                let seals = context.seals_reasoning || context.form.is_compaction();
                let sealer = decision.sealer.clone().filter(|_| seals);
                let sealer = sealer.map(|sealer| Rc::new(AnswerSealer::new(sealer)));
                (Bridge::Responses { context, id, sealer }, chat.body, chat.dropped)
            }
            Conversion::TokenizeResponses => {
                let options = self.responses_options();
                let (body, dropped) = responses::request::to_tokenize(whole, &options)?;
                (Bridge::Tokenize(decision.operation), body, dropped)
            }
            Conversion::Messages => {
                let options = messages_options(provider, model);
                let chat = messages::request::to_chat(whole, &options)?;
                (Bridge::Messages { context: Rc::new(chat.context), id }, chat.body, chat.dropped)
            }
            Conversion::Tokenize => {
                let options = messages_options(provider, model);
                let (body, dropped) = messages::request::to_tokenize(whole, &options)?;
                (Bridge::Tokenize(decision.operation), body, dropped)
            }
        };
        let (with, dropped) = self.settled(body, dropped)?;
        let edits = vec![Edit { span: 0..whole.len(), with }];
        Ok(Rewritten { edits, bridge: Some(bridge), dropped, hides_usage: false })
    }

    fn responses_options(&self) -> responses::request::ChatRequestOptions<'a> {
        let (provider, decision) = (self.provider, self.decision);
        responses::request::ChatRequestOptions {
            model: &self.target.model,
            provider: &provider.name,
            stream_usage: provider.stream_usage,
            reasoning_field: provider.reasoning_field.as_deref(),
            takes: provider.takes,
            sealer: decision.sealer.as_deref(),
            compacts: decision.operation == Operation::ResponsesCompact,
        }
    }

    /// A converted chat request as its provider gets it, under the cache mode and without what this server
    /// refuses, and all that was left out.
    ///
    /// # Errors
    /// `request_too_large` where it is larger than what may be held.
    fn settled(
        &self,
        mut chat: Vec<u8>,
        mut dropped: Vec<String>,
    ) -> Result<(Vec<u8>, Option<String>), GatewayError> {
        let markers = cache_control::edits(self.decision.cache, &chat)?;
        if !markers.is_empty() {
            chat = splice::apply(&chat, &markers).ok_or_else(internal)?;
        }
        if drop_params::applies(self.provider, Operation::ChatCompletions) {
            let drops = drop_params::edits(self.provider, Operation::ChatCompletions, &chat)?;
            chat = splice::apply(&chat, &drops.edits).ok_or_else(internal)?;
            let mut names = drops.names;
            names.retain(|name| !dropped.contains(name));
            dropped.append(&mut names);
        }
        let limit = self.config.limits.max_buffered_bytes;
        if chat.len() as u64 > limit {
            return Err(GatewayError::new(
                Code::RequestTooLarge,
                format!("As a chat request the body would be larger than {limit} bytes."),
            ));
        }
        Ok((chat, named(&dropped)))
    }
}

fn messages_options<'a>(
    provider: &'a Provider,
    model: &'a str,
) -> messages::request::MessagesOptions<'a> {
    messages::request::MessagesOptions {
        model,
        provider: &provider.name,
        stream_usage: provider.stream_usage,
        reasoning_field: provider.reasoning_field.as_deref(),
        cache_control: provider.cache_control,
        takes: provider.takes,
        continues: provider.kind == ProviderKind::Vllm,
    }
}
