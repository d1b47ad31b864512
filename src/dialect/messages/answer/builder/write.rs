//! What is written of an answer: the whole message, and the parts that its last events share with it.

use crate::dialect::chat::Finish;
use crate::dialect::chat::text::number;
use crate::dialect::chat::usage::Usage;
use crate::dialect::messages::answer::blocks::ContentBlock;
use crate::error::ErrorAnswer;
use crate::wire::json::string;

use super::MessageBuilder;

impl MessageBuilder {
    /// The message, or why there is none.
    pub(in super::super) fn into_message(mut self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        if let Some(answer) = self.failure.take() {
            return Err(answer);
        }
        // What the members have beside the text.
        const OTHERS: usize = 512;
        let mut out = Vec::with_capacity(self.held().saturating_add(OTHERS));
        self.write_head(&mut out);
        out.extend_from_slice(b"\"content\":[");
        let mut any = false;
        for block in &self.blocks {
            if matches!(block, ContentBlock::Call(call) if call.is_cut) {
                continue;
            }
            if std::mem::replace(&mut any, true) {
                out.push(b',');
            }
            block.write(&mut out);
        }
        out.extend_from_slice(b"],");
        self.write_stop(&mut out);
        out.extend_from_slice(b",\"usage\":");
        write_usage(self.head.usage, &mut out);
        out.push(b'}');
        Ok(out)
    }

    /// `{"id":…,"type":"message","role":"assistant","model":…,`
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"msg_");
        out.extend_from_slice(self.options.id.as_bytes());
        out.extend_from_slice(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
        match (&self.options.response_model, &self.head.model) {
            (Some(model), _) => out.extend_from_slice(&string::encode(model)),
            (None, Some(model)) => out.extend_from_slice(model),
            (None, None) => out.extend_from_slice(&string::encode(&self.options.model)),
        }
        out.push(b',');
    }

    /// `"stop_reason":…,"stop_sequence":…`
    ///
    /// Where there is a call it is what the client has to answer, whatever the server calls its end: agents stop in the
    /// middle of their task where this says `end_turn`.
    pub(super) fn write_stop(&self, out: &mut Vec<u8>) {
        let calls = self.blocks.iter().any(|block| matches!(block, ContentBlock::Call(_)));
        let (reason, stop) = match self.finish.unwrap_or(Finish::Stop) {
            Finish::Length => ("max_tokens", None),
            Finish::ContentFilter => ("refusal", None),
            _ if self.has_refused => ("refusal", None),
            Finish::Stop | Finish::ToolCalls if calls => ("tool_use", None),
            Finish::Stop if self.stop.is_some() => ("stop_sequence", self.stop.as_deref()),
            Finish::Stop | Finish::ToolCalls => ("end_turn", None),
        };
        for part in ["\"stop_reason\":\"", reason, "\",\"stop_sequence\":"] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(stop.unwrap_or(b"null"));
    }
}

/// Token counts by Anthropic's names: tokens from the cache are not counted among the input's.
pub(super) fn write_usage(usage: Option<Usage>, out: &mut Vec<u8>) {
    let usage = usage.unwrap_or_default();
    for (name, count) in [
        ("{\"input_tokens\":", usage.input.saturating_sub(usage.cache_read)),
        (",\"cache_creation_input_tokens\":", 0),
        (",\"cache_read_input_tokens\":", usage.cache_read),
        (",\"output_tokens\":", usage.output),
    ] {
        out.extend_from_slice(name.as_bytes());
        number(count, out);
    }
    out.push(b'}');
}
