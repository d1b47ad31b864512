//! One request rewritten for one provider: the one place that says what a provider gets. Pure, and made
//! from the decision and the client's own body alone, so that every attempt starts from the same.
//!
//! What a rewriting does to the body decides how much of it is needed: nothing, the place where the model
//! stands, or all of it ([`Rewrite::whole`]).

use std::ops::Range;

use super::internal;
use crate::dialect::{cache_control, drop_params, stream_usage};
use crate::error::GatewayError;
use crate::exchange::SentRequest;
use crate::exchange::bridge::{Bridge, Conversion, unique_id};
use crate::exchange::decision::Decision;
use crate::exchange::provider_head::{self, Version};
use crate::policy::model::Target;
use crate::policy::operation::{BodyKind, Operation};
use crate::policy::{CacheMode, Config, Provider, UsageMode};
use crate::wire::headers::HeaderEdit;
use crate::wire::json::string;
use crate::wire::names::is_nearly;
use crate::wire::splice::{self, Edit};

/// A decided request and the provider that is to get it.
pub(super) struct Rewrite<'a> {
    pub config: &'a Config,
    pub provider: &'a Provider,
    pub decision: &'a Decision,
    /// The provider's target among the decided ones.
    pub target: &'a Target,
}

/// What becomes of a body.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// Edits of the client's body, ascending.
    pub edits: Vec<Edit>,
    /// Set where the body was converted.
    pub bridge: Option<Bridge>,
    /// What was left out of it: the value of `<prefix>-params-dropped`.
    pub dropped: Option<String>,
    /// It asks for token counts that its client did not ask for.
    pub hides_usage: bool,
}

impl Rewritten {
    /// The route of a request that goes to `target` so, and the edits of its body.
    pub fn sent(self, decision: Decision, target: Target) -> (SentRequest, Vec<Edit>) {
        let Self { edits, bridge, dropped, hides_usage } = self;
        let route = SentRequest {
            operation: decision.operation,
            provider: target.provider,
            model: target.model,
            requested: decision.requested,
            cache: decision.cache,
            facts: decision.facts,
            bridge,
            dropped,
            hides_usage,
            way: decision.plan.way,
        };
        (route, edits)
    }
}

impl<'a> Rewrite<'a> {
    /// `None` where the target's provider is none of the configuration: a bug.
    pub fn new(config: &'a Config, decision: &'a Decision, target: &'a Target) -> Option<Self> {
        let provider = config.providers.get(target.provider)?;
        Some(Self { config, provider, decision, target })
    }

    /// Why the body can't be edited before all of it is there; `None` where it can.
    pub fn whole(&self) -> Option<String> {
        if let Some(conversion) = self.conversion() {
            return Some(conversion.name().to_owned());
        }
        if self.edits_markers() {
            return Some(format!("cache mode {}", self.decision.cache.as_str()));
        }
        if self.drops() {
            return Some(format!("provider {}, which refuses parameters,", self.provider.name));
        }
        // Whether the client asks may be said last.
        let may_stream = !self.decision.is_complete || self.decision.facts.stream;
        (may_stream && self.may_ask_usage()).then(|| "usage.mode require".to_owned())
    }

    /// The body's edits. `whole`: all of it, where [`Self::whole`] asks for that. `request_id`: Envoy's.
    ///
    /// # Errors
    /// What can't be converted or edited.
    pub fn body(
        &self,
        whole: Option<&[u8]>,
        request_id: Option<&str>,
    ) -> Result<Rewritten, GatewayError> {
        let Some(whole) = whole else {
            return Ok(Rewritten { edits: self.model_edits()?, ..Rewritten::default() });
        };
        if let Some(conversion) = self.conversion() {
            return self.converted(conversion, whole, unique_id(request_id));
        }
        let mut edits = Vec::new();
        if self.edits_markers() {
            edits = cache_control::edits(self.decision.cache, whole)?;
        }
        for edit in self.model_edits()? {
            let at = edits.partition_point(|other| other.span.start < edit.span.start);
            edits.insert(at, edit);
        }
        let asks = self.decision.facts.stream && self.may_ask_usage();
        if !self.drops() && !asks {
            return Ok(Rewritten { edits, ..Rewritten::default() });
        }
        if !self.edits_markers() {
            // A model is never dropped: its edit touches none of these.
            let mut rewritten = self.without_refused(whole, asks)?;
            rewritten.edits.extend(edits);
            rewritten.edits.sort_by_key(|edit| edit.span.start);
            return Ok(rewritten);
        }
        // Markers may stand in what is dropped, and beside what is asked: one after the other.
        let edited = splice::apply(whole, &edits).ok_or_else(internal)?;
        let rewritten = self.without_refused(&edited, asks)?;
        let with = splice::apply(&edited, &rewritten.edits).ok_or_else(internal)?;
        Ok(Rewritten { edits: vec![Edit { span: 0..whole.len(), with }], ..rewritten })
    }

    /// What is left out of `body` because the provider refuses it, and with `asks`, what asks for the token counts of its
    /// stream. The edits do not touch each other: what asks is none that is refused.
    fn without_refused(&self, body: &[u8], asks: bool) -> Result<Rewritten, GatewayError> {
        let mut rewritten = Rewritten::default();
        if asks {
            rewritten.edits = stream_usage::asked(body)?;
            rewritten.hides_usage = !self.decision.facts.wants_usage;
        }
        if self.drops() {
            let drops = drop_params::edits(self.provider, self.decision.operation, body)?;
            rewritten.dropped = named(&drops.names);
            rewritten.edits.extend(drops.edits);
            rewritten.edits.sort_by_key(|edit| edit.span.start);
        }
        Ok(rewritten)
    }

    /// The head's edits that make it this provider's. `length`: the rewritten body's, where it is known
    /// and not what the head says. `authority`: it is the filter's to set.
    pub fn head(&self, edits: &mut Vec<HeaderEdit>, length: Option<u64>, authority: bool) {
        provider_head::add(edits, self.provider, self.version());
        edits.extend(length.map(HeaderEdit::content_length));
        edits.extend(authority.then(|| HeaderEdit::set(":authority", &self.provider.authority)));
        edits.push(HeaderEdit::set(":path", self.path()));
    }

    /// What of it changes headers that are the client's own, and not the gateway's to set for every provider.
    pub fn changes(&self) -> Vec<HeaderEdit> {
        provider_head::changes(self.provider, self.version())
    }

    /// The provider's path for the operation.
    fn path(&self) -> String {
        let asked = self.decision.path.as_str();
        match self.conversion() {
            Some(conversion) => conversion.path(self.provider, asked),
            None => [&*self.provider.base_path, asked].concat(),
        }
    }

    /// A server that speaks Anthropic's API needs a version, another gets none.
    fn version(&self) -> Version {
        if !self.decision.operation.is_anthropic() {
            Version::AsItIs
        } else if self.conversion().is_some() {
            Version::Foreign
        } else if self.decision.has_version {
            Version::AsItIs
        } else {
            Version::Needed
        }
    }

    /// An id that stays as it is leaves the body untouched, however it is escaped.
    fn model_edits(&self) -> Result<Vec<Edit>, GatewayError> {
        let model = &*self.target.model;
        if model == self.decision.requested {
            return Ok(Vec::new());
        }
        let at = |span: &Range<u64>| {
            let at = |offset| usize::try_from(offset).map_err(|_| internal());
            Ok(at(span.start)?..at(span.end)?)
        };
        let with = match self.decision.operation.body_kind() {
            BodyKind::Json => string::encode(model),
            BodyKind::Multipart | BodyKind::None => model.as_bytes().to_vec(),
        };
        let length = self.decision.length_span.as_ref();
        let length = length.map(|span| (at(span), with.len().to_string().into_bytes()));
        let id = Edit { span: at(&self.decision.span)?, with };
        Ok(match length {
            None => vec![id],
            Some((span, with)) => vec![Edit { span: span?, with }, id],
        })
    }

    /// What the provider gets in the place of the request, if it is not the request itself.
    fn conversion(&self) -> Option<Conversion> {
        Conversion::of(self.decision.operation, self.provider)
    }

    /// Whether the provider may refuse members of the body as it is.
    fn drops(&self) -> bool {
        let operation = self.decision.operation;
        operation.body_kind() == BodyKind::Json && drop_params::applies(self.provider, operation)
    }

    /// Whether a stream of the operation may have to be asked for its token counts.
    fn may_ask_usage(&self) -> bool {
        use Operation::{ChatCompletions, Completions};
        const OPTION: &str = "stream_options";
        self.decision.key.usage.mode == UsageMode::Require
            && matches!(self.decision.operation, ChatCompletions | Completions)
            && self.provider.stream_usage
            && !self.provider.drop_params.iter().any(|name| is_nearly(OPTION.as_bytes(), name))
    }

    /// Whether a cache mode has markers to edit in the operation's body: any to remove, and messages to
    /// add them to.
    fn edits_markers(&self) -> bool {
        let operation = self.decision.operation;
        match self.decision.cache {
            CacheMode::Respect => false,
            CacheMode::Disable => operation.body_kind() == BodyKind::Json,
            CacheMode::Force => {
                use Operation::{ChatCompletions, Messages, Responses};
                matches!(operation, ChatCompletions | Responses | Messages)
            }
        }
    }
}

/// The value of `<prefix>-params-dropped`.
pub(super) fn named(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}
