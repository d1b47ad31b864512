//! The request's top-level members: which are read here, and which pass.

use crate::dialect::chat::params::{fill, let_pass};
use crate::dialect::chat::write::{Dropped, must_be, refuse};
use crate::dialect::responses::AnswerForm;
use crate::error::{Code, GatewayError};
use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

/// What the chat request has of its own, beside the names in [`ResponseParams`] and those that [`super::settings`] judges: no
/// other spelling of one may pass to a server that would read it as a second member of that name.
const WRITTEN: &[&str] = &[
    "function_call",
    "functions",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "reasoning_effort",
    "response_format",
    "verbosity",
];

/// The names in [`ResponseParams`].
const READ: &[&str] = &[
    "background",
    "client_metadata",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The members that mean something to the conversion, `null` being absent, and the rest in order.
#[derive(Default)]
pub(super) struct ResponseParams<'a> {
    pub(super) background: Option<Value<'a>>,
    pub(super) client_metadata: Option<Value<'a>>,
    pub(super) conversation: Option<Value<'a>>,
    pub(super) include: Option<Value<'a>>,
    pub(super) input: Option<Value<'a>>,
    pub(super) instructions: Option<Value<'a>>,
    pub(super) max_output_tokens: Option<Value<'a>>,
    pub(super) max_tool_calls: Option<Value<'a>>,
    pub(super) metadata: Option<Value<'a>>,
    pub(super) parallel_tool_calls: Option<Value<'a>>,
    pub(super) previous_response_id: Option<Value<'a>>,
    pub(super) prompt: Option<Value<'a>>,
    pub(super) prompt_cache_key: Option<Value<'a>>,
    pub(super) reasoning: Option<Value<'a>>,
    pub(super) safety_identifier: Option<Value<'a>>,
    pub(super) service_tier: Option<Value<'a>>,
    pub(super) store: Option<Value<'a>>,
    pub(super) stream: Option<Value<'a>>,
    pub(super) stream_options: Option<Value<'a>>,
    pub(super) temperature: Option<Value<'a>>,
    pub(super) text: Option<Value<'a>>,
    pub(super) tool_choice: Option<Value<'a>>,
    pub(super) tools: Option<Value<'a>>,
    pub(super) top_logprobs: Option<Value<'a>>,
    pub(super) top_p: Option<Value<'a>>,
    pub(super) truncation: Option<Value<'a>>,
    pub(super) user: Option<Value<'a>>,
    pub(super) rest: Vec<(Key<'a>, Value<'a>)>,
}

impl<'a> ResponseParams<'a> {
    /// Reads the members of `root`, an object.
    ///
    /// # Errors
    /// `unsupported_parameter` for state that the gateway does not keep, and for wrong types;
    /// `duplicate_parameter` for names that servers may take for others.
    pub(super) fn read(root: &Value<'a>) -> Result<Self, GatewayError> {
        let mut params = Self::default();
        for (key, value) in root.members() {
            let slot = match &*key.name() {
                b"background" => &mut params.background,
                b"client_metadata" => &mut params.client_metadata,
                b"conversation" => &mut params.conversation,
                b"include" => &mut params.include,
                b"input" => &mut params.input,
                b"instructions" => &mut params.instructions,
                b"max_output_tokens" => &mut params.max_output_tokens,
                b"max_tool_calls" => &mut params.max_tool_calls,
                b"metadata" => &mut params.metadata,
                b"parallel_tool_calls" => &mut params.parallel_tool_calls,
                b"previous_response_id" => &mut params.previous_response_id,
                b"prompt" => &mut params.prompt,
                b"prompt_cache_key" => &mut params.prompt_cache_key,
                b"reasoning" => &mut params.reasoning,
                b"safety_identifier" => &mut params.safety_identifier,
                b"service_tier" => &mut params.service_tier,
                b"store" => &mut params.store,
                b"stream" => &mut params.stream,
                b"stream_options" => &mut params.stream_options,
                b"temperature" => &mut params.temperature,
                b"text" => &mut params.text,
                b"tool_choice" => &mut params.tool_choice,
                b"tools" => &mut params.tools,
                b"top_logprobs" => &mut params.top_logprobs,
                b"top_p" => &mut params.top_p,
                b"truncation" => &mut params.truncation,
                b"user" => &mut params.user,
                b"model" => continue,
                _ => {
                    key.as_str().ok_or_else(not_unicode)?;
                    let_pass(&mut params.rest, key, value, READ, WRITTEN)?;
                    continue;
                }
            };
            fill(slot, key, value)?;
        }
        params.refuse_state()?;
        params.check_kinds()?;
        Ok(params)
    }

    /// Whether the answer is asked for as a stream.
    pub(super) fn streams(&self) -> bool {
        self.stream.and_then(|stream| stream.as_bool()) == Some(true)
    }

    /// Whether `include` asks for this.
    pub(super) fn includes(&self, wanted: &str) -> bool {
        let mut entries = self.include.iter().flat_map(Value::elements);
        entries.any(|entry| entry.as_str().as_deref() == Some(wanted))
    }

    /// Whether a summary of the reasoning is asked for, by its name or its former one.
    pub(super) fn summarizes(&self) -> bool {
        let mut members = self.reasoning.iter().flat_map(Value::members);
        members.any(|(key, value)| {
            (key.is("summary") || key.is("generate_summary"))
                && value.as_str().is_some_and(|summary| summary != "none")
        })
    }

    /// Leaves out what has no meaning where the answer is a summary of the conversation.
    pub(super) fn for_compaction(&mut self, form: AnswerForm, dropped: &mut Dropped) {
        self.tools = None;
        self.tool_choice = None;
        self.parallel_tool_calls = None;
        self.top_logprobs = None;
        self.include = None;
        self.text = None;
        // The object `response.compaction` has no events.
        if form == AnswerForm::CompactionObject && self.streams() {
            self.stream = None;
            dropped.add("stream");
        }
    }

    /// A gateway that keeps nothing can't go on with what a server keeps.
    fn refuse_state(&self) -> Result<(), GatewayError> {
        let background = self.background.filter(|background| background.as_bool() != Some(false));
        for (name, value) in [
            ("previous_response_id", self.previous_response_id),
            ("conversation", self.conversation),
            ("prompt", self.prompt),
            ("background", background),
        ] {
            if value.is_some() {
                return Err(refuse(
                    name,
                    format!(
                        "\"{name}\" is not supported: this gateway keeps no state. Send the whole \
                         conversation in \"input\"."
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_kinds(&self) -> Result<(), GatewayError> {
        const BOOL: &[Kind] = &[Kind::True, Kind::False];
        const NUMBER: &[Kind] = &[Kind::Number];
        const STRING: &[Kind] = &[Kind::String];
        const OBJECT: &[Kind] = &[Kind::BeginObject];
        const ARRAY: &[Kind] = &[Kind::BeginArray];
        for (name, value, kinds, wanted) in [
            ("include", self.include, ARRAY, "an array of strings"),
            (
                "input",
                self.input,
                &[Kind::String, Kind::BeginArray][..],
                "a string or an array of items",
            ),
            ("instructions", self.instructions, STRING, "a string"),
            ("max_output_tokens", self.max_output_tokens, NUMBER, "a number"),
            ("max_tool_calls", self.max_tool_calls, NUMBER, "a number"),
            ("metadata", self.metadata, OBJECT, "an object"),
            ("parallel_tool_calls", self.parallel_tool_calls, BOOL, "true or false"),
            ("prompt_cache_key", self.prompt_cache_key, STRING, "a string"),
            ("reasoning", self.reasoning, OBJECT, "an object"),
            ("safety_identifier", self.safety_identifier, STRING, "a string"),
            ("service_tier", self.service_tier, STRING, "a string"),
            ("store", self.store, BOOL, "true or false"),
            ("stream", self.stream, BOOL, "true or false"),
            ("stream_options", self.stream_options, OBJECT, "an object"),
            ("temperature", self.temperature, NUMBER, "a number"),
            ("text", self.text, OBJECT, "an object"),
            (
                "tool_choice",
                self.tool_choice,
                &[Kind::String, Kind::BeginObject],
                "a string or an object",
            ),
            ("tools", self.tools, ARRAY, "an array"),
            ("top_logprobs", self.top_logprobs, NUMBER, "a number"),
            ("top_p", self.top_p, NUMBER, "a number"),
            ("truncation", self.truncation, STRING, "a string"),
            ("user", self.user, STRING, "a string"),
        ] {
            if value.is_some_and(|value| !kinds.contains(&value.kind)) {
                return Err(must_be(name, wanted));
            }
        }
        Ok(())
    }
}

fn not_unicode() -> GatewayError {
    let message = "The body is not valid JSON: the name of a parameter is not valid Unicode.";
    GatewayError::new(Code::InvalidJson, message)
}
