//! The settings: everything beside the conversation and its tools.

use sha2::{Digest, Sha256};

use super::MessagesOptions;
use super::params::MessageParams;
use crate::dialect::chat::write::{ChatRequestBody, given, must_be};
use crate::error::{Code, GatewayError};
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Characters of `user` that OpenAI takes.
const MAX_USER: usize = 64;
/// Thinking budgets, in tokens, up to which an effort is low and medium.
const LOW_BUDGET: f64 = 4_096.0;
const MEDIUM_BUDGET: f64 = 16_384.0;

/// Parameters of Anthropic's own of which nothing is read here. (Others are any chat server's, and pass.)
const ONLY_ANTHROPIC: &[&str] = &[
    "anthropic_beta",
    "anthropic_version",
    "billing_policy",
    "diagnostics",
    "fallback_credit_token",
    "user_profile_id",
];

/// Writes the settings. `written`: members that the chat request has already and the Messages API does not.
///
/// # Errors
/// Naming the parameter.
pub(super) fn write(
    params: &MessageParams<'_>,
    options: &MessagesOptions<'_>,
    written: Vec<&'static str>,
    out: &mut ChatRequestBody<'_>,
) -> Result<(), GatewayError> {
    let mut writer = ParamsWriter { options, written, out };
    // The same by another name.
    writer.written.push("max_completion_tokens");
    writer.out.member("max_tokens", params.max_tokens);
    writer.out.member("temperature", params.temperature);
    writer.out.member("top_p", params.top_p);
    let sequences = params.stop_sequences.filter(|list| list.elements().next().is_some());
    if let Some(sequences) = sequences {
        writer.name("stop");
        writer.out.value(sequences);
    }
    writer.format(params)?;
    writer.effort(params)?;
    writer.user(params.metadata)?;
    writer.left_out(params);
    if options.cache_control {
        writer.out.member("cache_control", params.cache_control);
    }
    writer.rest(params)?;
    writer.stream(params);
    Ok(())
}

struct ParamsWriter<'w, 'o> {
    options: &'w MessagesOptions<'w>,
    written: Vec<&'static str>,
    out: &'w mut ChatRequestBody<'o>,
}

impl ParamsWriter<'_, '_> {
    /// `,"name":` of a member that the Messages API does not have.
    fn name(&mut self, name: &'static str) {
        self.written.push(name);
        self.out.name(name);
    }

    /// The schema of the answer, from `output_config` or where it stood before.
    fn format(&mut self, params: &MessageParams<'_>) -> Result<(), GatewayError> {
        let config = params.output_config.and_then(|config| config.get("format")).and_then(given);
        let (format, path) = match (config, params.output_format) {
            (Some(format), _) => (format, "output_config.format"),
            (None, Some(format)) => (format, "output_format"),
            (None, None) => return Ok(()),
        };
        if format.get("type").and_then(|kind| kind.as_str()).as_deref() != Some("json_schema") {
            return Err(must_be(format!("{path}.type"), "\"json_schema\""));
        }
        let schema = format.get("schema").filter(|schema| schema.kind == Kind::BeginObject);
        let schema = schema.ok_or_else(|| must_be(format!("{path}.schema"), "an object"))?;
        self.name("response_format");
        self.out.raw(br#"{"type":"json_schema","json_schema":{"name":"output","schema":"#);
        self.out.value(schema);
        self.out.raw(b"}}");
        Ok(())
    }

    /// How much to think.
    fn effort(&mut self, params: &MessageParams<'_>) -> Result<(), GatewayError> {
        let asked = params.output_config.and_then(|config| config.get("effort")).and_then(given);
        let told = match asked {
            None => None,
            Some(effort) => match effort.as_str().as_deref() {
                Some("low") => Some("low"),
                Some("medium") => Some("medium"),
                Some("high" | "xhigh" | "max") => Some("high"),
                Some(_) => {
                    self.out.dropped.add("output_config.effort");
                    None
                }
                None => return Err(must_be("output_config.effort", "a string")),
            },
        };
        for (key, _) in params.output_config.iter().flat_map(Value::members) {
            let name = key.as_str().unwrap_or_default();
            if !matches!(&*name, "effort" | "format") {
                self.out.dropped.add(&format!("output_config.{name}"));
            }
        }
        let (effort, path) = match params.thinking {
            None => (told, "output_config.effort"),
            Some(thinking) => {
                match thinking.get("type").and_then(|kind| kind.as_str()).as_deref() {
                    Some("disabled") => (None, "thinking"),
                    Some("enabled") => {
                        let budget =
                            thinking.get("budget_tokens").and_then(|budget| budget.as_f64());
                        let budget =
                            budget.ok_or_else(|| must_be("thinking.budget_tokens", "a number"))?;
                        let by_budget = if budget <= LOW_BUDGET {
                            "low"
                        } else if budget <= MEDIUM_BUDGET {
                            "medium"
                        } else {
                            "high"
                        };
                        (told.or(Some(by_budget)), "thinking")
                    }
                    Some(_) => (told, "output_config.effort"),
                    None => return Err(must_be("thinking.type", "a string")),
                }
            }
        };
        match effort {
            Some(effort) if self.out.takes("reasoning_effort", path) => {
                self.name("reasoning_effort");
                self.out.string(effort);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whose request it is.
    fn user(&mut self, metadata: Option<Value<'_>>) -> Result<(), GatewayError> {
        for (key, value) in metadata.iter().flat_map(Value::members) {
            if value.is_null() {
                continue;
            }
            if !key.is("user_id") {
                self.out.dropped.add(&format!("metadata.{}", key.as_str().unwrap_or_default()));
                continue;
            }
            let Some(id) = value.as_str() else {
                return Err(must_be("metadata.user_id", "a string"));
            };
            self.name("user");
            if id.chars().count() <= MAX_USER {
                self.out.value(value);
            } else {
                let digest = Sha256::digest(id.as_bytes());
                let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                self.out.string(&hex);
            }
        }
        Ok(())
    }

    /// What only Anthropic's own servers know.
    fn left_out(&mut self, params: &MessageParams<'_>) {
        let management = params.context_management.filter(|management| !only_clears(management));
        for (name, value) in [
            ("service_tier", params.service_tier),
            ("context_management", management),
            ("container", params.container),
            ("betas", params.betas),
            ("inference_geo", params.inference_geo),
            ("speed", params.speed),
        ] {
            if value.is_some() {
                self.out.dropped.add(name);
            }
        }
    }

    /// Whatever else the request has is the chat server's own, known or not, and passes untouched.
    fn rest(&mut self, params: &MessageParams<'_>) -> Result<(), GatewayError> {
        for &(key, value) in &params.rest {
            let name = key.as_str().unwrap_or_default();
            // What says nothing is not missed.
            let goes_on = !ONLY_ANTHROPIC.contains(&&*name) && self.out.allows(&name);
            if value.is_null() && (!goes_on || self.written.contains(&&*name)) {
                continue;
            }
            if ONLY_ANTHROPIC.contains(&&*name) {
                self.out.dropped.add(&name);
                continue;
            }
            if self.written.contains(&&*name) {
                return Err(GatewayError::new(
                    Code::DuplicateParameter,
                    "The chat request already has this parameter, written from one of the Messages \
                     API. Use that one.",
                )
                .with_param(name.into_owned()));
            }
            if self.out.takes(&name, &name) {
                self.out.copy(key, value);
            }
        }
        Ok(())
    }

    fn stream(&mut self, params: &MessageParams<'_>) {
        if !params.streams() {
            return;
        }
        self.out.raw(br#","stream":true"#);
        if self.options.stream_usage {
            self.out.raw(br#","stream_options":{"include_usage":true"#);
            self.out.extras(params.stream_options, &["include_usage"]);
            self.out.raw(b"}");
        } else if params.stream_options.is_some() {
            self.out.dropped.add("stream_options");
        }
    }
}

/// Whether all that a server is asked to clear from the context is thinking, which does not go upstream anyway.
fn only_clears(management: &Value<'_>) -> bool {
    management.members().all(|(key, value)| {
        key.is("edits")
            && value.elements().all(|edit| {
                let kind = edit.get("type").and_then(|kind| kind.as_str());
                kind.is_some_and(|kind| kind.starts_with("clear_thinking"))
            })
    })
}
