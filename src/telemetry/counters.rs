//! What the filter counts: the requests that it refused, and answers that were not as they should be. All
//! others are Envoy's to count, by cluster, so a usual request costs no call for this.
//!
//! Metrics have no labels in the proxy-wasm ABI: they stand in the name, the last one free of any rule so
//! that it needs none. Envoy shows a metric as `wasmcustom.<name>`, and its `stats_tags` make labels of
//! the parts (`envoy/envoy.yaml`). Names come from the configuration and from this module alone: no
//! client can make new ones.

use crate::error::Code;

/// Stands for a virtual key or a provider that is not known.
const UNKNOWN: &str = "-";

/// What was wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// A 4xx or 5xx whose body was not OpenAI's envelope.
    Error,
    /// A 200 that was an error, or that can't be expressed in OpenAI's shape.
    ErrorIn200,
    /// An error in a stream that had begun.
    StreamError,
    /// A stream that ended before its answer did.
    StreamCut,
    /// Embeddings in another shape or number format than was asked for.
    Embeddings,
    /// Compressed although that was not asked for: a good answer went on unread, an error was replaced.
    Unreadable,
    /// A `content-encoding` that is no coding: it was taken off.
    Mislabelled,
    /// A redirect, in whose place an error went on.
    Redirect,
    /// 202 or 204 where an answer was asked for.
    Unfinished,
    /// None that counts: Envoy has asked again, here or elsewhere.
    Retried,
    /// Token counts that can't be, where tokens are counted.
    Miscounted,
    /// A good answer of which something had to be repaired.
    Repaired(Repair),
}

/// What was repaired in a good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Framing that no reader of event streams takes for what it is.
    Framing,
    /// The end of the stream was not marked as such.
    Done,
    /// It stood inside of something else.
    Wrapped,
    /// A message where a delta was due, or the other way round.
    Message,
    /// Content that was no string.
    Content,
    /// Tool calls.
    ToolCalls,
    /// A finish reason.
    FinishReason,
    /// Token counts: where they stood, or how they were written.
    Usage,
    /// JSON that was not quite JSON.
    Json,
    /// A stream where none was asked for, or the other way round.
    Collected,
    /// A transcription.
    Transcript,
    /// Documents by relevance.
    Rerank,
}

impl Repair {
    /// All of them, in the order of their bits.
    const ALL: [Self; 12] = [
        Self::Framing,
        Self::Done,
        Self::Wrapped,
        Self::Message,
        Self::Content,
        Self::ToolCalls,
        Self::FinishReason,
        Self::Usage,
        Self::Json,
        Self::Collected,
        Self::Transcript,
        Self::Rerank,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Framing => "repaired_framing",
            Self::Done => "repaired_done",
            Self::Wrapped => "repaired_wrapped",
            Self::Message => "repaired_message",
            Self::Content => "repaired_content",
            Self::ToolCalls => "repaired_tool_calls",
            Self::FinishReason => "repaired_finish_reason",
            Self::Usage => "repaired_usage",
            Self::Json => "nearly_json",
            Self::Collected => "repaired_collected",
            Self::Transcript => "repaired_transcript",
            Self::Rerank => "repaired_rerank",
        }
    }
}

/// A set of repairs of one answer: each kind is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs(u16);

impl Repairs {
    /// Adds one.
    pub fn insert(&mut self, repair: Repair) {
        self.0 |= 1 << repair as u16;
    }

    /// Adds all of another set.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in it.
    pub fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL.into_iter().filter(move |repair| self.0 & (1 << *repair as u16) != 0)
    }
}

impl AnswerFault {
    /// All but the repairs.
    #[cfg(test)]
    const SIMPLE: [Self; 11] = [
        Self::Error,
        Self::ErrorIn200,
        Self::StreamError,
        Self::StreamCut,
        Self::Embeddings,
        Self::Unreadable,
        Self::Mislabelled,
        Self::Redirect,
        Self::Unfinished,
        Self::Retried,
        Self::Miscounted,
    ];

    /// Whether it came in the place of an answer, as long as none of it has gone on.
    #[must_use]
    pub fn is_in_place_of_answer(self) -> bool {
        matches!(self, Self::Error | Self::ErrorIn200 | Self::Redirect | Self::Unfinished)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::ErrorIn200 => "error_in_200",
            Self::StreamError => "stream_error",
            Self::StreamCut => "stream_cut",
            Self::Embeddings => "embeddings",
            Self::Unreadable => "unreadable",
            Self::Mislabelled => "mislabelled",
            Self::Redirect => "redirect",
            Self::Unfinished => "unfinished",
            Self::Retried => "retried",
            Self::Miscounted => "miscounted",
            Self::Repaired(repair) => repair.as_str(),
        }
    }
}

/// For hosts whose metrics have labels: each counter's name and its labels.
#[cfg(any(test, feature = "native"))]
pub const DEFINITIONS: [(&str, &[&str]); 2] = [
    ("openai_gateway.refused", &["code", "virtual_key"]),
    ("openai_gateway.answers", &["kind", "provider"]),
];

/// Takes a counter's name apart: which of [`DEFINITIONS`] it is, and its labels' values.
#[must_use]
#[cfg(any(test, feature = "native"))]
pub fn labelled(counter: &str) -> Option<(&'static str, [&str; 2])> {
    DEFINITIONS.iter().find_map(|(name, _)| {
        let values = counter.strip_prefix(name)?.strip_prefix('.')?;
        let (first, last) = values.split_once('.')?;
        Some((*name, [first, last]))
    })
}

/// The counter of requests that were refused with `code`, by the virtual key's id.
#[must_use]
pub fn refused(code: Code, key: Option<&str>) -> String {
    ["openai_gateway.refused.", code.as_str(), ".", key.unwrap_or(UNKNOWN)].concat()
}

/// The counter of a provider's answers of one kind.
#[must_use]
pub fn answers(fault: AnswerFault, provider: Option<&str>) -> String {
    ["openai_gateway.answers.", fault.as_str(), ".", provider.unwrap_or(UNKNOWN)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    /// The first words of `code` in a table's first column, in the section of `page` under this heading.
    fn told(page: &str, heading: &str) -> Vec<String> {
        let section = page.split_once(heading).unwrap().1;
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        let names = cells.flat_map(|cell| cell.split("`, `").map(|name| name.trim_matches('`')));
        let mut names: Vec<_> = names.map(str::to_owned).filter(|name| name != "kind").collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_pages_name_what_is_counted_and_nothing_else() {
        let mut counted: Vec<_> =
            AnswerFault::SIMPLE.iter().map(|fault| fault.as_str().to_owned()).collect();
        counted.extend(Repair::ALL.iter().map(|repair| repair.as_str().to_owned()));
        counted.sort_unstable();
        assert_eq!(told(include_str!("../../docs/repairs.md"), "## What is counted\n"), counted);
        let mut operating = told(include_str!("../../docs/operating.md"), "## Metrics\n");
        operating.retain(|name| !name.starts_with("openai_gateway_"));
        assert_eq!(operating, counted);
    }

    #[test]
    fn the_configured_name_comes_last() {
        assert_eq!(
            refused(Code::ModelNotAllowed, Some("search.team")),
            "openai_gateway.refused.model_not_allowed.search.team"
        );
        assert_eq!(refused(Code::InvalidApiKey, None), "openai_gateway.refused.invalid_api_key.-");
        assert_eq!(
            answers(AnswerFault::ErrorIn200, Some("groq")),
            "openai_gateway.answers.error_in_200.groq"
        );
    }

    #[test]
    fn a_name_is_taken_apart_as_it_was_made() {
        let name = refused(Code::ModelNotAllowed, Some("search.team"));
        assert_eq!(
            labelled(&name),
            Some(("openai_gateway.refused", ["model_not_allowed", "search.team"]))
        );
        let name = answers(AnswerFault::StreamCut, None);
        assert_eq!(labelled(&name), Some(("openai_gateway.answers", ["stream_cut", "-"])));
        assert_eq!(labelled("openai_gateway.refused"), None);
    }
}
