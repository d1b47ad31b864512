//! Chat completions as the other dialects see them: an answer, or its stream, read member by member and
//! told to an [`Answer`]; a request written beside the one that it is made of.
//!
//! [`read`] and [`message`] read one completion or one chunk, [`stream`] the lines of a whole stream.
//! What is said comes as it stands in the JSON, escaped ([`text`]), so that it goes on without being
//! decoded. [`params`] and [`mod@write`] hold what all requests are read and written with.

pub(crate) mod arguments;
pub(crate) mod attached;
pub(crate) mod calls;
pub(crate) mod count;
pub(crate) mod memo;
pub(crate) mod message;
pub(crate) mod params;
pub(crate) mod read;
pub(crate) mod stream;
pub(crate) mod text;
pub(crate) mod usage;
pub(crate) mod values;
pub(crate) mod write;

use std::borrow::Cow;

use crate::error::ErrorAnswer;
use crate::wire::json::cursor::Value;
use calls::CallDelta;
use memo::What;
use usage::Usage;

/// What the upstream said about its answer as a whole.
#[derive(Debug, Default)]
pub(crate) struct ChatHead {
    pub(crate) created: Option<u64>,
    /// A JSON string, quotes included.
    pub(crate) model: Option<Vec<u8>>,
    /// A JSON string, quotes included.
    pub(crate) service_tier: Option<Vec<u8>>,
    pub(crate) usage: Option<Usage>,
}

/// Why an answer ended, also by other servers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// At its end, or at a stop sequence.
    Stop,
    /// It reached the most tokens that it might have.
    Length,
    /// With calls.
    ToolCalls,
    /// It was held back.
    ContentFilter,
}

impl Finish {
    /// Reads a finish reason. One that is not known is an end like any other.
    pub(crate) fn read(reason: &str) -> Self {
        match reason.to_ascii_lowercase().as_str() {
            "length" | "max_tokens" | "max_output_tokens" | "model_length" => Self::Length,
            "tool_calls" | "function_call" | "tool_use" => Self::ToolCalls,
            "content_filter" | "safety" => Self::ContentFilter,
            _ => Self::Stop,
        }
    }
}

/// What a chat answer is told to, in the order in which models say things. Texts are what stands
/// between the quotes of a JSON string, in pieces.
pub(crate) trait Answer {
    /// What is known of the whole, to be filled in.
    fn head(&mut self) -> &mut ChatHead;
    /// The name of the provider that answers.
    fn provider(&self) -> &str;
    /// A chunk has come whose head is read.
    fn begin(&mut self);
    /// There is a choice, even if it says nothing.
    fn answered(&mut self);
    /// A piece of the message, with the `logprobs` of its tokens.
    fn text(&mut self, inner: &[u8], logprobs: Option<&Value<'_>>);
    /// A piece of the reasoning.
    fn reasoning(&mut self, inner: &[u8]);
    /// A piece of a refusal.
    fn refusal(&mut self, inner: &[u8]);
    /// An annotation of the text, in chat's form.
    fn annotation(&mut self, annotation: &Value<'_>);
    /// A piece of a tool call.
    fn call(&mut self, delta: &CallDelta<'_>);
    /// The finish reason, and the stop sequence where the server says which it was. Some servers say it
    /// with every chunk.
    fn finish(&mut self, finish: Finish, stop: Option<Value<'_>>);
    /// A comment of the stream, with its colon.
    fn comment(&mut self, line: &[u8]);
    /// The answer's end was said.
    fn end(&mut self);
    /// The body ended without its end being said.
    fn cut(&mut self);
    /// The upstream's answer can't be carried on.
    fn invalid(&mut self, message: &str);
    /// The upstream says that it has failed.
    fn fail(&mut self, answer: ErrorAnswer);
    /// Whether nothing that comes is read any more.
    fn is_ended(&self) -> bool;
    /// Bytes that the answer's own text may have.
    fn max_bytes(&self) -> u64;

    /// A chunk that said no more than this: a piece of a string (what stands between its quotes).
    fn one(&mut self, inner: &[u8], what: What) {
        match what {
            What::Text => self.text(inner, None),
            What::Reasoning => self.reasoning(inner),
            What::Arguments(index) => self.call(&CallDelta {
                index: Some(index),
                arguments: Cow::Borrowed(inner),
                ..CallDelta::default()
            }),
        }
    }
}
