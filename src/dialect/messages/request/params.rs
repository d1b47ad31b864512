//! The request's top-level members: which are read here, and which pass.

use crate::dialect::chat::params::{fill, let_pass};
use crate::dialect::chat::write::{must_be, refuse};
use crate::dialect::messages::error::THREAD;
use crate::error::{Code, GatewayError};
use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

/// The names in [`MessageParams`].
const READ: &[&str] = &[
    "betas",
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "n",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "stream_options",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_p",
];

/// What the chat request may have of its own beside them: no other spelling of one may pass to a server that would read
/// it as a second member of that name.
const WRITTEN: &[&str] = &[
    "add_generation_prompt",
    "continue_final_message",
    "max_completion_tokens",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stop",
    "user",
];

/// The members that mean something to the conversion, `null` being absent, and the rest in order.
#[derive(Default)]
pub(super) struct MessageParams<'a> {
    pub(super) betas: Option<Value<'a>>,
    pub(super) cache_control: Option<Value<'a>>,
    pub(super) container: Option<Value<'a>>,
    pub(super) context_management: Option<Value<'a>>,
    pub(super) inference_geo: Option<Value<'a>>,
    pub(super) max_tokens: Option<Value<'a>>,
    pub(super) mcp_servers: Option<Value<'a>>,
    pub(super) messages: Option<Value<'a>>,
    pub(super) metadata: Option<Value<'a>>,
    pub(super) n: Option<Value<'a>>,
    pub(super) output_config: Option<Value<'a>>,
    pub(super) output_format: Option<Value<'a>>,
    pub(super) service_tier: Option<Value<'a>>,
    pub(super) speed: Option<Value<'a>>,
    pub(super) stop_sequences: Option<Value<'a>>,
    pub(super) stream: Option<Value<'a>>,
    pub(super) stream_options: Option<Value<'a>>,
    pub(super) system: Option<Value<'a>>,
    pub(super) temperature: Option<Value<'a>>,
    pub(super) thinking: Option<Value<'a>>,
    pub(super) thread: Option<Value<'a>>,
    pub(super) tool_choice: Option<Value<'a>>,
    pub(super) tools: Option<Value<'a>>,
    pub(super) top_p: Option<Value<'a>>,
    pub(super) rest: Vec<(Key<'a>, Value<'a>)>,
}

impl<'a> MessageParams<'a> {
    /// Reads the members of `root`, an object.
    ///
    /// # Errors
    /// `unsupported_parameter` for wrong types, with the member's name.
    pub(super) fn read(root: &Value<'a>) -> Result<Self, GatewayError> {
        let mut params = Self::default();
        for (key, value) in root.members() {
            let slot = match &*key.name() {
                b"betas" => &mut params.betas,
                b"cache_control" => &mut params.cache_control,
                b"container" => &mut params.container,
                b"context_management" => &mut params.context_management,
                b"inference_geo" => &mut params.inference_geo,
                b"max_tokens" => &mut params.max_tokens,
                b"mcp_servers" => &mut params.mcp_servers,
                b"messages" => &mut params.messages,
                b"metadata" => &mut params.metadata,
                b"n" => &mut params.n,
                b"output_config" => &mut params.output_config,
                b"output_format" => &mut params.output_format,
                b"service_tier" => &mut params.service_tier,
                b"speed" => &mut params.speed,
                b"stop_sequences" => &mut params.stop_sequences,
                b"stream" => &mut params.stream,
                b"stream_options" => &mut params.stream_options,
                b"system" => &mut params.system,
                b"temperature" => &mut params.temperature,
                b"thinking" => &mut params.thinking,
                b"thread" => &mut params.thread,
                b"tool_choice" => &mut params.tool_choice,
                b"tools" => &mut params.tools,
                b"top_p" => &mut params.top_p,
                b"model" => continue,
                _ => {
                    key.as_str().ok_or_else(not_unicode)?;
                    let_pass(&mut params.rest, key, value, READ, WRITTEN)?;
                    continue;
                }
            };
            fill(slot, key, value)?;
        }
        params.check_kinds()?;
        Ok(params)
    }

    /// Whether the answer is asked for as a stream.
    pub(super) fn streams(&self) -> bool {
        self.stream.and_then(|stream| stream.as_bool()) == Some(true)
    }

    fn check_kinds(&self) -> Result<(), GatewayError> {
        const ARRAY: &[Kind] = &[Kind::BeginArray];
        const BOOL: &[Kind] = &[Kind::True, Kind::False];
        const NUMBER: &[Kind] = &[Kind::Number];
        const OBJECT: &[Kind] = &[Kind::BeginObject];
        for (name, value, kinds, wanted) in [
            ("max_tokens", self.max_tokens, NUMBER, "a number"),
            ("mcp_servers", self.mcp_servers, ARRAY, "an array"),
            ("metadata", self.metadata, OBJECT, "an object"),
            ("output_config", self.output_config, OBJECT, "an object"),
            ("output_format", self.output_format, OBJECT, "an object"),
            ("stop_sequences", self.stop_sequences, ARRAY, "an array of strings"),
            ("stream", self.stream, BOOL, "true or false"),
            ("stream_options", self.stream_options, OBJECT, "an object"),
            (
                "system",
                self.system,
                &[Kind::String, Kind::BeginArray][..],
                "a string or an array of text blocks",
            ),
            ("temperature", self.temperature, NUMBER, "a number"),
            ("thinking", self.thinking, OBJECT, "an object"),
            ("tool_choice", self.tool_choice, OBJECT, "an object"),
            ("tools", self.tools, ARRAY, "an array"),
            ("top_p", self.top_p, NUMBER, "a number"),
        ] {
            if value.is_some_and(|value| !kinds.contains(&value.kind)) {
                return Err(must_be(name, wanted));
            }
        }
        if self.messages.is_none_or(|messages| messages.kind != Kind::BeginArray) {
            return Err(must_be("messages", "an array of messages"));
        }
        let sequences = self.stop_sequences.iter().flat_map(Value::elements).enumerate();
        for (index, sequence) in sequences {
            if sequence.kind != Kind::String {
                return Err(must_be(format!("stop_sequences[{index}]"), "a string"));
            }
        }
        Ok(())
    }

    /// Checks what only a request for an answer has.
    pub(super) fn check_settings(&self) -> Result<(), GatewayError> {
        // The SDKs' tool runner tries it, and goes on with the whole conversation when it is refused so.
        if self.thread.is_some() {
            return Err(refuse(
                THREAD,
                "\"thread\" is not supported: this gateway keeps no state. Send the whole conversation in \
                 \"messages\".",
            ));
        }
        let whole = |value: f64| value.fract() == 0.0 && value >= 1.0;
        if !self.max_tokens.and_then(|most| most.as_f64()).is_some_and(whole) {
            return Err(must_be("max_tokens", "there, a whole number of 1 or more"));
        }
        if self.n.is_some_and(|n| n.as_f64() != Some(1.0)) {
            return Err(refuse("n", "A message is one: \"n\" must be 1."));
        }
        Ok(())
    }
}

fn not_unicode() -> GatewayError {
    GatewayError::new(Code::InvalidJson, "A parameter's name is not valid Unicode.")
}
