//! What was decided about a request: all that a rewriting of it for one provider needs, in whichever
//! instance of the filter that is done.
//!
//! In two positions the listener's instance decides, and every attempt's instance reads the decision from
//! filter state ([`super::Note::Decision`]), which no client can write. One part a line, since none can
//! hold a line feed: the virtual key's id, operation, cache mode, declared length, where the model stands,
//! what else the body said, what the virtual key's sealer is made of (the attempts' instances do not have the virtual key),
//! path, the client's model id, then the targets.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::Surroundings;
use crate::dialect::seal::Sealer;
use crate::policy::key::VirtualKey;
use crate::policy::model::{Plan, Target, Way};
use crate::policy::operation::Operation;
use crate::policy::{CacheMode, Config};
use crate::wire::json::scan::BodyFacts;

/// Who may do what with which model, and where the body says so.
#[derive(Debug)]
pub(super) struct Decision {
    /// Whose request it is.
    pub key: Arc<VirtualKey>,
    pub operation: Operation,
    /// Where it may go, and how Envoy gets there.
    pub plan: Plan,
    /// The model id as the client wrote it.
    pub requested: String,
    pub cache: CacheMode,
    /// Seals and opens what the client keeps for the gateway, for operations that have such things.
    pub sealer: Option<Rc<Sealer>>,
    /// The path behind the prefix, with its query.
    pub path: String,
    /// The client says which version of Anthropic's API it speaks.
    pub has_version: bool,
    /// A page in a browser asks.
    pub is_page: bool,
    /// `content-length`, where the client or the complete body told it.
    pub declared: Option<u64>,
    /// Where the body names its model (see [`crate::wire::model_span::ModelSpan`]).
    pub span: Range<u64>,
    /// Where it tells how long that is, if it does.
    pub length_span: Option<Range<u64>>,
    /// What else the answer depends on, as far as the body had been read.
    pub facts: BodyFacts,
    /// That was to its end.
    pub is_complete: bool,
}

impl Decision {
    /// The targets in order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.plan.first).chain(&self.plan.rest)
    }

    /// The target whose provider is that of the host which Envoy has chosen for this attempt: by the
    /// host's metadata, else by its cluster's name, where that is the name of one target's cluster alone.
    /// Never by the attempt's number: Envoy skips a provider without hosts.
    pub fn target_of_host(&self, config: &Config, around: &dyn Surroundings) -> Option<&Target> {
        let named = around.host_provider();
        let cluster = if named.is_none() { around.cluster() } else { None };
        let mut found = self.targets().filter(|target| {
            config.providers.get(target.provider).is_some_and(|provider| match (&named, &cluster) {
                (Some(name), _) => provider.name.as_bytes() == name,
                (None, Some(cluster)) => provider.is_in(cluster),
                (None, None) => false,
            })
        });
        let target = found.next()?;
        // Where it may be another's as well, it would get a credential on a guess.
        found.next().is_none().then_some(target)
    }

    /// The decision as a note. How Envoy gets to the targets is not part of it: that is done.
    pub fn write(&self, config: &Config) -> String {
        let declared = self.declared.map(|length| length.to_string()).unwrap_or_default();
        let mut note = [&*self.key.id, self.operation.as_str(), self.cache.as_str()].join("\n");
        let spans = write_spans(&self.span, self.length_span.as_ref());
        let facts = write_facts(&self.facts);
        let version = if self.has_version { "v" } else { "" };
        let page = if self.is_page { "p" } else { "" };
        let open = if self.is_complete { "" } else { "+" };
        // With a secret of the operator's, each instance makes it anew.
        let sealer = self.sealer.as_ref().filter(|_| config.seal_secret.is_none());
        let sealer = sealer.and_then(|sealer| sealer.export()).unwrap_or_default();
        note.push_str(&format!(
            "\n{declared}\n{spans}\n{facts}{version}{page}{open}\n{sealer}\n{}\n{}",
            self.path, self.requested
        ));
        for target in self.targets() {
            let name = config.providers.get(target.provider).map_or("", |provider| &*provider.name);
            note.extend(["\n", name, "/", &target.model]);
        }
        note
    }

    /// Reads a note; `None` where it is none, or names what the configuration does not have.
    pub fn read(config: &Config, note: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(note).ok()?.split('\n');
        let key = config.virtual_keys.by_id(parts.next()?)?.clone();
        let operation = Operation::from_note(parts.next()?)?;
        let cache = CacheMode::from_name(parts.next()?)?;
        let declared = match parts.next()? {
            "" => None,
            length => Some(length.parse().ok()?),
        };
        let (span, length_span) = read_spans(parts.next()?)?;
        let mut facts = parts.next()?;
        let mut ends_with = |mark| {
            let rest = facts.strip_suffix(mark);
            facts = rest.unwrap_or(facts);
            rest.is_some()
        };
        let is_complete = !ends_with('+');
        let is_page = ends_with('p');
        let has_version = ends_with('v');
        let facts = read_facts(facts)?;
        let exported = parts.next()?;
        let path = parts.next()?.to_owned();
        let requested = parts.next()?.to_owned();
        let mut targets = parts.map(|text| {
            let (name, model) = text.split_once('/')?;
            Some(Target { provider: config.providers.by_name(name)?, model: model.into() })
        });
        let first = targets.next()??;
        let rest = targets.collect::<Option<_>>()?;
        let plan = Plan { first, rest, way: Way::Own };
        let sealer = sealer(config, operation, &key.id, || Sealer::import(exported));
        Some(Self {
            key,
            operation,
            plan,
            requested,
            cache,
            sealer,
            path,
            has_version,
            is_page,
            declared,
            span,
            length_span,
            facts,
            is_complete,
        })
    }
}

/// `start-end`, and ` start-end` of the length where there is one.
fn write_spans(span: &Range<u64>, length: Option<&Range<u64>>) -> String {
    let spans = std::iter::once(span).chain(length);
    spans.map(|Range { start, end }| format!("{start}-{end}")).collect::<Vec<_>>().join(" ")
}

fn read_spans(text: &str) -> Option<(Range<u64>, Option<Range<u64>>)> {
    let mut spans = text.split(' ').map(|span| {
        let (start, end) = span.split_once('-')?;
        Some(start.parse().ok()?..end.parse().ok()?)
    });
    Some((spans.next()??, spans.next().map_or(Some(None), |span| span.map(Some))?))
}

/// What seals for a virtual key, for the operations that seal: from the operator's secret, else as `own` says.
pub(super) fn sealer(
    config: &Config,
    operation: Operation,
    key_id: &str,
    own: impl FnOnce() -> Option<Sealer>,
) -> Option<Rc<Sealer>> {
    if operation.offered_as() != Operation::Responses {
        return None;
    }
    let sealer = match &config.seal_secret {
        Some(secret) => Some(Sealer::new(secret.expose().as_bytes(), key_id)),
        None => own(),
    };
    sealer.map(Rc::new)
}

/// What a body said, as a note ([`super::Note::Facts`]) or a part of one.
pub(super) fn write_facts(facts: &BodyFacts) -> String {
    let BodyFacts { stream, base64, inputs, prompts, n, wants_usage, names_tool } = facts;
    let flag = |is_set: &bool| if *is_set { "1" } else { "0" };
    let flags = [stream, base64, wants_usage, names_tool].map(flag).join(" ");
    let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
    let length = |length: &Option<usize>| count(length.map(|length| length as u64));
    format!("{flags} {} {} {}", length(inputs), length(prompts), count(*n))
}

/// Reads what [`write_facts`] wrote.
pub(super) fn read_facts(text: &str) -> Option<BodyFacts> {
    let mut parts = text.split(' ');
    let mut flag = || match parts.next()? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    };
    let (stream, base64, wants_usage, names_tool) = (flag()?, flag()?, flag()?, flag()?);
    let mut count = || match parts.next()? {
        "" => Some(None),
        count => count.parse::<u64>().ok().map(Some),
    };
    let (inputs, prompts, n) = (count()?, count()?, count()?);
    let length = |count: Option<u64>| count.map(usize::try_from).transpose().ok();
    let (inputs, prompts) = (length(inputs)?, length(prompts)?);
    Some(BodyFacts { stream, base64, inputs, prompts, n, wants_usage, names_tool })
}
