//! A Responses request as a request for `/chat/completions`.
//!
//! The request is walked with the cursor, not parsed into a tree, and values that stay the same are
//! copied as they stand: strings keep their escapes, numbers their digits. Time is linear in the body;
//! memory is the chat request, and the places in the body of what it is made of.
//!
//! What has no form in chat is refused with its path (`unsupported_parameter`), or left out and named
//! in [`ChatRequest::dropped`] where the request still means the same without it to the one who sent
//! it. Where the API reference and the types of openai-python disagree, those types count.

mod choice;
mod content;
mod items;
mod messages;
mod names;
mod params;
mod repeated;
mod settings;
mod tools;

#[cfg(test)]
mod tests;

use self::choice::ToolChoice;
use self::names::RequestTools;
use self::params::ResponseParams;
use super::{AnswerContext, AnswerForm};
use crate::dialect::chat::count::check_values;
use crate::dialect::chat::text::without_halves;
use crate::dialect::chat::write::{ChatRequestBody, Dropped, not_json, refuse};
use crate::dialect::seal::Sealer;
use crate::error::{Code, GatewayError};
use crate::policy::Takes;
use crate::wire::json::cursor::{self, Key};
use crate::wire::json::tokenizer::Kind;

/// What the conversion depends on beside the request.
#[derive(Debug, Clone, Copy)]
pub struct ChatRequestOptions<'a> {
    /// The upstream's model id.
    pub model: &'a str,
    /// The name of the provider that it is for.
    pub provider: &'a str,
    /// Whether `stream_options.include_usage` may be asked of this server.
    pub stream_usage: bool,
    /// The member of an assistant message in which this server wants earlier reasoning back.
    pub reasoning_field: Option<&'a str>,
    /// What else this server takes.
    pub takes: Takes,
    /// Opens what the client brings back sealed; without one nothing can be.
    pub sealer: Option<&'a Sealer>,
    /// `POST /responses/compact`: what is wanted is a compaction of the conversation.
    pub compacts: bool,
}

/// A request for `/chat/completions`, and what came of making it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    /// The body, JSON.
    pub body: Vec<u8>,
    /// Tools, items and parameters that were left out: at most 33 names of at most 64 characters, once
    /// each, in order, of letters, digits and `_.:-[]`. A last `...` stands for those that were too many.
    pub dropped: Vec<String>,
    /// What the answer has to repeat.
    pub context: AnswerContext,
}

/// Makes the chat request of a Responses request.
///
/// `body` is one JSON object; its `model` is not looked at.
///
/// # Errors
/// `invalid_json` when it is no JSON object; `request_too_large` for more than
/// [`MAX_VALUES`](crate::dialect::chat::count::MAX_VALUES) values; `unsupported_parameter`, with the path of the member at
/// fault, for state, for what has no form in chat, for malformed values and for calls and outputs that
/// do not pair up.
pub fn to_chat(body: &[u8], options: &ChatRequestOptions<'_>) -> Result<ChatRequest, GatewayError> {
    convert(body, options, false)
}

/// What is tokenized for a Responses request (its conversation and its tools, and nothing that only an
/// answer needs), and the names of what was left out.
///
/// # Errors
/// As [`to_chat`].
pub fn to_tokenize(
    body: &[u8],
    options: &ChatRequestOptions<'_>,
) -> Result<(Vec<u8>, Vec<String>), GatewayError> {
    let ChatRequest { body, dropped, .. } = convert(body, options, true)?;
    Ok((body, dropped))
}

fn convert(
    body: &[u8],
    options: &ChatRequestOptions<'_>,
    tokenizes: bool,
) -> Result<ChatRequest, GatewayError> {
    let body = &*without_halves(body);
    check_values(body)?;
    let root = cursor::parse(body).map_err(not_json)?;
    if root.kind != Kind::BeginObject {
        return Err(GatewayError::new(Code::InvalidJson, "The body must be one JSON object."));
    }
    let mut params = ResponseParams::read(&root)?;
    let mut dropped = Dropped::default();
    let mut names = RequestTools::default();
    let keep_reasoning = options.reasoning_field.is_some();
    let items = items::read(
        params.input,
        keep_reasoning,
        options.compacts,
        options.sealer,
        &mut names,
        &mut dropped,
    )?;
    let form = match (options.compacts, items.trigger) {
        (true, _) => AnswerForm::CompactionObject,
        (false, Some(_)) => AnswerForm::Compaction,
        (false, None) => AnswerForm::Response,
    };
    let repeated = repeated::members(&params);
    if form.is_compaction() {
        if options.sealer.is_none() {
            return Err(no_sealer(items.trigger));
        }
        params.for_compaction(form, &mut dropped);
    }

    let mut reader =
        tools::ToolReader { names: &mut names, dropped: &mut dropped, offered: Vec::new() };
    if let Some(tools) = params.tools {
        reader.list(tools, "tools", false)?;
    }
    // A summary is written without tools: a model that has some may call one instead.
    for &(tools, index) in items.tools.iter().filter(|_| !form.is_compaction()) {
        reader.list(tools, &format!("input[{index}].tools"), true)?;
    }
    let offered = reader.offered;
    names.assign();
    let choice = ToolChoice::read(params.tool_choice, &names)?;

    let mut out = ChatRequestBody::new(body, options.takes, dropped);
    out.raw(br#"{"model":"#);
    out.string(options.model);
    out.name("messages");
    out.raw(b"[");
    if !messages::write(
        params.instructions,
        &items,
        &names,
        form.is_compaction(),
        options,
        &mut out,
    )? {
        return Err(no_input(&params));
    }
    out.raw(b"]");
    let any = offered.iter().any(|tool| choice.allows(tool.id, &names));
    if any {
        tools::write(&offered, |id| choice.allows(id, &names), &names, &mut out);
    }
    if !tokenizes {
        out.member("parallel_tool_calls", params.parallel_tool_calls.filter(|_| any));
        choice.write(any, &names, &mut out)?;
        settings::write(&params, options, &mut out)?;
    }
    out.raw(b"}");

    let (body, dropped) = out.finish();
    Ok(ChatRequest {
        body,
        dropped,
        context: AnswerContext {
            repeated,
            tools: names.into_tool_names(),
            stream: params.streams(),
            seals_reasoning: params.includes("reasoning.encrypted_content"),
            summarizes: params.summarizes(),
            form,
        },
    })
}

/// Without a sealer a client could bring nothing back that the gateway would trust to be a compaction.
fn no_sealer(trigger: Option<usize>) -> GatewayError {
    let param = trigger.map_or("input".to_owned(), |index| format!("input[{index}].type"));
    refuse(
        param,
        "A compaction can't be sealed here. The gateway's operator has to set seal_key_env.",
    )
}

fn no_input(params: &ResponseParams<'_>) -> GatewayError {
    let chat = params.rest.iter().any(|(key, _): &(Key<'_>, _)| key.is("messages"));
    refuse(
        "input",
        if params.input.is_none() && chat {
            "\"input\" is missing. \"messages\" is a parameter of chat completions: call \
             /chat/completions, or send the conversation in \"input\"."
        } else {
            "\"input\" has nothing in it. Send a string or a list of items."
        },
    )
}
