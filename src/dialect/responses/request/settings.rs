//! The parameters beside the conversation and its tools: renamed, passed on, or left out.

use super::ChatRequestOptions;
use super::params::ResponseParams;
use crate::dialect::chat::write::{ChatRequestBody, given, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Parameters that only the Responses API has and that change its answer.
const RESPONSES_ONLY: &[&str] =
    &["access_programs", "background_options", "context_management", "image"];

/// Writes every further member of the chat request.
///
/// # Errors
/// Naming the parameter that is malformed or has no form in chat.
pub(super) fn write(
    params: &ResponseParams<'_>,
    options: &ChatRequestOptions<'_>,
    out: &mut ChatRequestBody<'_>,
) -> Result<(), GatewayError> {
    let mut settings = SettingsWriter { out, written: vec!["tools", "tool_choice"] };
    settings.text(params.text)?;
    settings.reasoning(params.reasoning, options.reasoning_field.is_some())?;
    // Not `max_completion_tokens`: Ollama, LM Studio, llama.cpp and older vLLM and TGI know only this
    // one, and the hosted servers know both. OpenAI's reasoning models refuse it, but OpenAI speaks the
    // Responses API itself.
    settings.member("max_tokens", params.max_output_tokens);
    settings.member("temperature", params.temperature);
    settings.member("top_p", params.top_p);
    settings.logprobs(params)?;
    settings.member("user", params.user);
    // OpenAI's own chat completions take it with `store` only; others use or ignore it.
    settings.member("metadata", params.metadata);
    settings.member("service_tier", params.service_tier);
    settings.hint("prompt_cache_key", params.prompt_cache_key);
    settings.hint("safety_identifier", params.safety_identifier);
    // Nothing is stored here, which is what `false` asks for.
    settings.hint("store", params.store.filter(|store| store.as_bool() == Some(true)));
    settings.hint("client_metadata", params.client_metadata);
    settings.left_out(params);
    settings.rest(params)?;
    settings.stream(params, options);
    Ok(())
}

struct SettingsWriter<'s, 'o> {
    out: &'s mut ChatRequestBody<'o>,
    /// Names in the chat request that the client's own members must not repeat.
    written: Vec<&'static str>,
}

impl SettingsWriter<'_, '_> {
    fn member(&mut self, name: &'static str, value: Option<Value<'_>>) {
        if let Some(value) = value {
            self.member_raw(name, value.raw());
        }
    }

    /// A member that only some servers take.
    fn hint(&mut self, name: &'static str, value: Option<Value<'_>>) {
        let value = value.filter(|_| self.out.takes(name, name));
        self.member(name, value);
    }

    fn member_raw(&mut self, name: &'static str, json: &[u8]) {
        self.out.name(name);
        self.out.raw(json);
        self.written.push(name);
    }

    fn text(&mut self, text: Option<Value<'_>>) -> Result<(), GatewayError> {
        let (mut format, mut verbosity) = (None, None);
        for (key, value) in text.iter().flat_map(Value::members) {
            match key.as_str().as_deref() {
                Some("format") => format = given(value),
                Some("verbosity") => verbosity = given(value),
                _ if value.is_null() => {}
                name => self.out.dropped.add(&format!("text.{}", name.unwrap_or_default())),
            }
        }
        if let Some(format) = format {
            self.format(format)?;
        }
        if verbosity.is_some_and(|verbosity: Value<'_>| verbosity.kind != Kind::String) {
            return Err(must_be("text.verbosity", "a string"));
        }
        let verbosity = verbosity.filter(|_| self.out.takes("verbosity", "text.verbosity"));
        self.member("verbosity", verbosity);
        Ok(())
    }

    fn format(&mut self, format: Value<'_>) -> Result<(), GatewayError> {
        match format.get("type").and_then(|kind| kind.as_str()).as_deref() {
            // What a chat server does unasked.
            Some("text") => {}
            Some("json_object") => self.member_raw("response_format", br#"{"type":"json_object"}"#),
            Some("json_schema") => {
                // Flat, or nested as in chat completions.
                let (holder, path) = match format.get("json_schema") {
                    Some(nested) => (nested, "text.format.json_schema"),
                    None => (format, "text.format"),
                };
                let member = |name: &str| holder.get(name).and_then(given);
                let (name, schema) = (member("name"), member("schema"));
                if name.is_none_or(|name| name.kind != Kind::String) {
                    return Err(must_be(format!("{path}.name"), "a string"));
                }
                if schema.is_none_or(|schema| schema.kind != Kind::BeginObject) {
                    return Err(must_be(format!("{path}.schema"), "an object"));
                }
                self.member_raw(
                    "response_format",
                    br#"{"type":"json_schema","json_schema":{"name":"#,
                );
                self.out.raw(name.map_or(&b"null"[..], |name| name.raw()));
                self.out.member("description", member("description"));
                self.out.member("schema", schema);
                self.out.member("strict", member("strict"));
                self.out.raw(b"}}");
            }
            _ => {
                return Err(must_be(
                    "text.format.type",
                    "\"text\", \"json_object\" or \"json_schema\"",
                ));
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: Option<Value<'_>>, kept: bool) -> Result<(), GatewayError> {
        let mut effort = None;
        for (key, value) in reasoning.iter().flat_map(Value::members) {
            let text = value.as_str();
            match (key.as_str().as_deref(), text.as_deref()) {
                (Some("effort"), _) => effort = given(value),
                _ if value.is_null() => {}
                // How reasoning is shown: what the chat server tells of it is the summary, too.
                (Some("summary" | "generate_summary"), Some(_)) => {}
                (Some(name @ ("summary" | "generate_summary")), None) => {
                    return Err(must_be(format!("reasoning.{name}"), "a string"));
                }
                // All reasoning of the conversation goes back to a server that wants it.
                (Some("context"), Some("auto")) | (Some("mode"), Some("standard")) => {}
                (Some("context"), Some("all_turns")) if kept => {}
                (name, _) => {
                    self.out.dropped.add(&format!("reasoning.{}", name.unwrap_or_default()))
                }
            }
        }
        if effort.is_some_and(|effort: Value<'_>| effort.kind != Kind::String) {
            return Err(must_be("reasoning.effort", "a string"));
        }
        let effort = effort.filter(|_| self.out.takes("reasoning_effort", "reasoning.effort"));
        self.member("reasoning_effort", effort);
        Ok(())
    }

    fn logprobs(&mut self, params: &ResponseParams<'_>) -> Result<(), GatewayError> {
        let mut wanted =
            params.top_logprobs.and_then(|top| top.as_f64()).is_some_and(|top| top > 0.0);
        for (index, entry) in params.include.iter().flat_map(Value::elements).enumerate() {
            match entry.as_str().as_deref() {
                Some("message.output_text.logprobs") => wanted = true,
                // What the answer holds of reasoning is the converter's own; images are the client's own.
                Some("reasoning.encrypted_content" | "message.input_image.image_url") => {}
                Some(other) => self.out.dropped.add(&format!("include:{other}")),
                None => return Err(must_be(format!("include[{index}]"), "a string")),
            }
        }
        if wanted {
            self.member_raw("logprobs", b"true");
            self.member("top_logprobs", params.top_logprobs);
        }
        Ok(())
    }

    /// Names what would have changed the answer.
    fn left_out(&mut self, params: &ResponseParams<'_>) {
        let truncation = params.truncation.and_then(|truncation| truncation.as_str());
        if truncation.is_some_and(|truncation| truncation != "disabled") {
            self.out.dropped.add("truncation");
        }
        if params.max_tool_calls.is_some() {
            self.out.dropped.add("max_tool_calls");
        }
    }

    /// Whatever else the request has is the chat server's own, known or not, and passes untouched.
    fn rest(&mut self, params: &ResponseParams<'_>) -> Result<(), GatewayError> {
        for &(key, value) in &params.rest {
            let name = key.as_str().unwrap_or_default();
            let name = name.as_ref();
            match name {
                // Null, the default or what is refused: nothing to pass on.
                "messages" | "functions" | "function_call" | "n" if value.is_null() => {}
                "n" if value.as_f64() == Some(1.0) => {}
                "messages" => {
                    return Err(refuse(
                        "messages",
                        "\"messages\" is a parameter of chat completions. Send the conversation \
                         in \"input\".",
                    ));
                }
                "functions" | "function_call" => {
                    return Err(refuse(
                        name,
                        format!(
                            "\"{name}\" is a parameter of chat completions. Use \"tools\" and \
                             \"tool_choice\"."
                        ),
                    ));
                }
                "n" => return Err(refuse("n", "A response is one: \"n\" must be 1.")),
                name if RESPONSES_ONLY.contains(&name) => {
                    if !value.is_null() {
                        self.out.dropped.add(name);
                    }
                }
                name if self.is_written(name) => {
                    if !value.is_null() {
                        self.out.dropped.add(name);
                    }
                }
                // Even null is a parameter that such a server does not know.
                name if !self.out.allows(name) => {
                    if !value.is_null() {
                        self.out.dropped.add(name);
                    }
                }
                _ => self.out.copy(key, value),
            }
        }
        Ok(())
    }

    /// Whether the chat request has a member that means what the client's `name` would mean.
    fn is_written(&self, name: &str) -> bool {
        let name = if name == "max_completion_tokens" { "max_tokens" } else { name };
        self.written.contains(&name)
    }

    /// A client's `stream_options` are for the Responses API (`include_obfuscation`: padding) or, what
    /// chat servers know beside (vLLM's `continuous_usage_stats`), for the chat server.
    fn stream(&mut self, params: &ResponseParams<'_>, options: &ChatRequestOptions<'_>) {
        const OWN: &[&str] = &["include_usage", "include_obfuscation"];
        if !params.streams() {
            return;
        }
        self.member_raw("stream", b"true");
        if options.stream_usage {
            self.out.name("stream_options");
            self.out.raw(br#"{"include_usage":true"#);
            self.out.extras(params.stream_options, OWN);
            self.out.raw(b"}");
            return;
        }
        let mut members = params.stream_options.iter().flat_map(Value::members);
        if members.any(|(key, value)| !OWN.iter().any(|own| key.is(own)) && !value.is_null()) {
            self.out.dropped.add("stream_options");
        }
    }
}
