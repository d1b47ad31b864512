//! A Messages request as a request for `/chat/completions`.
//!
//! The request is walked with the cursor, not parsed into a tree, and values that stay the same are copied as they
//! stand. Time is linear in the body; memory is the chat request, and the places in the body of what it is made of.
//!
//! What is wrong in the newest turn is refused with its path. What stands in the history is never refused for its kind
//! alone: a client sends it again with every turn, so that a 400 there would end its session. It is left out and named
//! in [`ChatFromMessages::dropped`] instead.

mod blocks;
mod messages;
mod params;
mod settings;
mod system;
#[cfg(test)]
mod tests;
mod tools;
mod turns;

use std::borrow::Cow;

use super::MessageContext;
use crate::dialect::chat::count::check_values;
use crate::dialect::chat::text::without_halves;
use crate::dialect::chat::write::{ChatRequestBody, Dropped, not_json};
use crate::error::{Code, GatewayError};
use crate::policy::Takes;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;
use params::MessageParams;
use tools::Tools;

/// Tells vLLM to go on with the last message.
const CONTINUES: &[u8] = br#","continue_final_message":true,"add_generation_prompt":false"#;

/// What the conversion depends on beside the request.
#[derive(Debug, Clone, Copy)]
pub struct MessagesOptions<'a> {
    /// The upstream's model id.
    pub model: &'a str,
    /// The name of the provider that it is for.
    pub provider: &'a str,
    /// Whether `stream_options.include_usage` may be asked of this server.
    pub stream_usage: bool,
    /// The member of an assistant message in which this server wants earlier reasoning back.
    pub reasoning_field: Option<&'a str>,
    /// Whether `cache_control` may go to this server.
    pub cache_control: bool,
    /// What else this server takes.
    pub takes: Takes,
    /// Whether this server goes on with a last assistant message when it is told so (vLLM).
    pub continues: bool,
}

/// A request for the chat server, and what came of making it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFromMessages {
    /// The body, JSON.
    pub body: Vec<u8>,
    /// Tools, blocks and parameters that were left out: at most 33 names of at most 64 characters, once each, in order,
    /// of letters, digits and `_.:-[]`. A last `...` stands for those that were too many.
    pub dropped: Vec<String>,
    /// What the answer has to know.
    pub context: MessageContext,
}

/// Makes the chat request of a Messages request.
///
/// `body` is one JSON object; its `model` is not looked at.
///
/// # Errors
/// `invalid_json` when it is no JSON object; `request_too_large` for more than
/// [`MAX_VALUES`](crate::dialect::chat::count::MAX_VALUES) values; `unsupported_parameter`, with the path of the member at fault, for
/// malformed values, for what has no form in chat, and for calls and results that do not pair up.
pub fn to_chat(
    body: &[u8],
    options: &MessagesOptions<'_>,
) -> Result<ChatFromMessages, GatewayError> {
    let body = &*without_halves(body);
    let root = object(body)?;
    let params = MessageParams::read(&root)?;
    params.check_settings()?;
    let mut out = ChatRequestBody::new(body, options.takes, Dropped::default());
    out.raw(br#"{"model":"#);
    out.string(options.model);
    let (tools, prefills) = conversation(&params, options, &mut out)?;
    let mut written = Vec::new();
    if tools.write_choice(&params, &mut out)? {
        written.push("parallel_tool_calls");
    }
    if prefills && options.continues {
        out.raw(CONTINUES);
        written.extend(["continue_final_message", "add_generation_prompt"]);
    }
    settings::write(&params, options, written, &mut out)?;
    out.raw(b"}");
    let (body, dropped) = out.finish();
    Ok(ChatFromMessages {
        body,
        dropped,
        context: MessageContext { renamed: tools.into_renamed(), stream: params.streams() },
    })
}

/// What is tokenized for a Messages request (its conversation and its tools, and nothing that only an answer needs), and
/// the names of what was left out.
///
/// # Errors
/// As [`to_chat`], for what it reads.
pub fn to_tokenize(
    body: &[u8],
    options: &MessagesOptions<'_>,
) -> Result<(Vec<u8>, Vec<String>), GatewayError> {
    let body = &*without_halves(body);
    let root = object(body)?;
    let params = MessageParams::read(&root)?;
    let mut out = ChatRequestBody::new(body, options.takes, Dropped::default());
    out.raw(br#"{"model":"#);
    out.string(options.model);
    let (_, prefills) = conversation(&params, options, &mut out)?;
    if prefills {
        out.raw(CONTINUES);
    }
    out.raw(b"}");
    Ok(out.finish())
}

fn object(body: &[u8]) -> Result<Value<'_>, GatewayError> {
    check_values(body)?;
    let root = cursor::parse(body).map_err(not_json)?;
    if root.kind == Kind::BeginObject {
        return Ok(root);
    }
    Err(GatewayError::new(Code::InvalidJson, "The body must be one JSON object."))
}

/// Writes `messages` and `tools`. Says whether the last message is the beginning of the answer.
fn conversation<'a>(
    params: &MessageParams<'a>,
    options: &MessagesOptions<'_>,
    out: &mut ChatRequestBody<'_>,
) -> Result<(Tools<'a>, bool), GatewayError> {
    let tools = Tools::read(params.tools, &mut out.dropped)?;
    if params.mcp_servers.is_some_and(|servers| servers.elements().next().is_some()) {
        out.dropped.add("mcp_servers");
    }
    let system = system::read(params.system)?;
    let turns = turns::read(params.messages, system, options, &mut out.dropped)?;
    let prefills = turns.prefills();
    out.name("messages");
    messages::write(&turns, options, out);
    tools.write(options, out);
    Ok((tools, prefills))
}

/// What stands between the quotes of a JSON string: of the request, or written here.
type Escaped<'a> = Cow<'a, [u8]>;
