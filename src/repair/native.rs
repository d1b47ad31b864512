//! Streams of the Responses and the Messages API put together, for a client that did not ask for one.

use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::repair::chat::RequestFacts;
use crate::repair::chat::collect::{canonical, payloads};
use crate::repair::chat::edits::{member, name_of};
use crate::repair::error::{Event, no_answer};
use crate::repair::in_order::{InOrder, Members};
use crate::repair::sse::{StreamKind, in_canonical_event};
use crate::telemetry::counters::Repairs;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

/// The answer that the events of `body` add up to. `kind`: Responses or Messages.
///
/// # Errors
/// The error that the stream is or ends in.
pub fn answer(
    kind: StreamKind,
    body: &[u8],
    max_event_bytes: usize,
) -> Result<(Vec<u8>, Repairs), Box<ErrorAnswer>> {
    let (stream, end) = canonical(kind, body, RequestFacts::default(), max_event_bytes)?;
    let mut response = None;
    let mut message = CollectedMessage::default();
    for payload in payloads(&stream) {
        let Ok(event) = cursor::parse(payload) else { continue };
        let name = event.get("type").and_then(|name| name.as_str()).unwrap_or_default();
        if name == "error"
            && let Some(answer) = in_canonical_event(payload, Event::default())
        {
            return Err(Box::new(answer));
        }
        if let StreamKind::Messages = kind {
            message.event(&name, &event);
        } else if let Some(whole) = event.get("response") {
            // The last event has all of it.
            response = Some(whole.raw().to_vec());
        }
    }
    let answer = match kind {
        StreamKind::Messages => message.write()?,
        _ => response,
    };
    match answer {
        Some(answer) => Ok((answer, end.repairs)),
        None => Err(Box::new(no_answer(body, "no events of an answer"))),
    }
}

/// A Message as far as it is put together.
#[derive(Default)]
struct CollectedMessage {
    /// All of it, with the content that it began with; the newest counts.
    members: Members,
    /// Token counts: they come in two parts, each of which is the sum so far.
    usage: Members,
    /// By their `index`, as it was written.
    blocks: InOrder<Vec<u8>, CollectedBlock>,
}

#[derive(Default)]
struct CollectedBlock {
    /// The block as it began.
    members: Members,
    /// What deltas added to its texts: what stands between the quotes.
    texts: Members,
    /// The text of a tool's input, in the same way.
    input: Vec<u8>,
    citations: Vec<Vec<u8>>,
}

fn put_all(members: &mut Members, object: &Value<'_>) {
    for (key, value) in object.members() {
        *members.at(name_of(object, &key).to_vec()) = value.raw().to_vec();
    }
}

impl CollectedMessage {
    fn event(&mut self, name: &str, event: &Value<'_>) {
        match name {
            "message_start" => {
                if let Some(message) = event.get("message") {
                    put_all(&mut self.members, &message);
                    message.get("usage").iter().for_each(|usage| put_all(&mut self.usage, usage));
                }
            }
            "message_delta" => {
                event.get("delta").iter().for_each(|delta| put_all(&mut self.members, delta));
                event.get("usage").iter().for_each(|usage| put_all(&mut self.usage, usage));
            }
            "content_block_start" => {
                if let (Some(block), Some(begun)) = (self.block(event), event.get("content_block"))
                {
                    put_all(&mut block.members, &begun);
                }
            }
            "content_block_delta" => {
                if let (Some(block), Some(delta)) = (self.block(event), event.get("delta")) {
                    block.delta(&delta);
                }
            }
            _ => {}
        }
    }

    /// The block that an event is about; `None` where it says none.
    fn block(&mut self, event: &Value<'_>) -> Option<&mut CollectedBlock> {
        let index = event.get("index").filter(|index| index.kind == Kind::Number)?.raw();
        Some(self.blocks.at(index.to_vec()))
    }

    /// `None` where there are no events of a Message.
    ///
    /// # Errors
    /// A call whose input is no object. Of an answer that was cut it is left out, as by the conversion from chat.
    fn write(&self) -> Result<Option<Vec<u8>>, Box<ErrorAnswer>> {
        if self.members.is_empty() {
            return Ok(None);
        }
        let is_cut =
            self.members.get(&b"\"stop_reason\""[..]).is_some_and(|it| it == b"\"max_tokens\"");
        let mut out = vec![b'{'];
        for (name, value) in self.members.iter() {
            match &name[..] {
                b"\"content\"" | b"\"usage\"" => {}
                _ => member(&mut out, name, value),
            }
        }
        let mut content = vec![b'['];
        for (_, block) in self.blocks.iter() {
            let block = match block.write() {
                Some(block) => block,
                None if is_cut => continue,
                None => {
                    let what = "The upstream called a tool with arguments that are no JSON object.";
                    let error = GatewayError::new(Code::InvalidUpstreamResponse, what);
                    return Err(Box::new(error.to_answer()));
                }
            };
            if content.len() > 1 {
                content.push(b',');
            }
            content.extend_from_slice(&block);
        }
        content.push(b']');
        member(&mut out, b"\"content\"", &content);
        if !self.usage.is_empty() {
            let mut usage = vec![b'{'];
            self.usage.iter().for_each(|(name, value)| member(&mut usage, name, value));
            usage.push(b'}');
            member(&mut out, b"\"usage\"", &usage);
        }
        out.push(b'}');
        Ok(Some(out))
    }
}

impl CollectedBlock {
    fn delta(&mut self, delta: &Value<'_>) {
        for (key, value) in delta.members().filter(|(key, _)| !key.is("type")) {
            if key.is("citation") {
                self.citations.push(value.raw().to_vec());
            } else if key.is("partial_json") {
                self.input.extend_from_slice(value.inner());
            } else if value.kind == Kind::String {
                let text = self.texts.at(name_of(delta, &key).to_vec());
                text.extend_from_slice(value.inner());
            }
        }
    }

    /// `None` where its input is no object.
    fn write(&self) -> Option<Vec<u8>> {
        let mut block = vec![b'{'];
        for (name, value) in self.members.iter() {
            match (&name[..], self.texts.get(name)) {
                // The beginning of a text counts with what was added to it.
                (_, Some(text)) => {
                    let begun = value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
                    let text = [b"\"", begun.unwrap_or_default(), text, b"\""].concat();
                    member(&mut block, name, &text);
                }
                (b"\"input\"", _) if !self.input.is_empty() => {
                    member(&mut block, name, &self.input()?);
                }
                (b"\"citations\"", _) if !self.citations.is_empty() => {}
                _ => member(&mut block, name, value),
            }
        }
        for (name, text) in self.texts.iter().filter(|(name, _)| self.members.get(*name).is_none())
        {
            member(&mut block, name, &[b"\"", &text[..], b"\""].concat());
        }
        if !self.citations.is_empty() {
            let citations = [b"[", &self.citations.join(&b","[..])[..], b"]"].concat();
            member(&mut block, b"\"citations\"", &citations);
        }
        block.push(b'}');
        Some(block)
    }

    /// A tool's input, which came as a text that is an object once it is whole.
    fn input(&self) -> Option<Vec<u8>> {
        let text = string::decode(&self.input)?;
        if matches!(text.trim(), "" | "null") {
            return Some(b"{}".to_vec());
        }
        let input = cursor::parse(text.as_bytes()).ok()?;
        (input.kind == Kind::BeginObject).then(|| input.raw().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::sse::{Options, SseNormalizer, StreamEnd, StreamOutput};
    use crate::test;
    use serde_json::{Value as Tree, json};

    /// The events of a whole answer, which is what a server sends that was asked for a stream.
    fn streamed(kind: StreamKind, whole: &Tree) -> Vec<u8> {
        let options = Options {
            kind,
            max_event_bytes: 1 << 20,
            response_model: None,
            request: RequestFacts::default(),
        };
        let mut sse = SseNormalizer::new(options);
        let whole = serde_json::to_vec_pretty(whole).unwrap();
        let mut stream = match sse.push(&whole) {
            StreamOutput::Unchanged => whole,
            StreamOutput::Bytes(bytes) => bytes,
        };
        stream.extend(sse.finish(StreamEnd::Clean));
        stream
    }

    fn message() -> Tree {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
            {"type": "thinking", "thinking": "Hm\n\"é\"", "signature": "c2ln"},
            {"type": "text", "text": "See 😀 \\ it.", "citations": [{"type": "char_location", "cited_text": "x"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, "\"two\""], "b": null}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", "url": "u"}]},
            {"type": "redacted_thinking", "data": "zzz"},
            {"type": "text", "text": ""},
        ], "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 9}})
    }

    #[test]
    fn a_message_that_becomes_a_stream_comes_back() {
        let stream = streamed(StreamKind::Messages, &message());
        let names: Vec<&str> = std::str::from_utf8(&stream)
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("event: "))
            .collect();
        assert_eq!((names[0], names[1]), ("message_start", "content_block_start"));
        assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
        let (back, repairs) = answer(StreamKind::Messages, &stream, 1 << 20).unwrap();
        assert_eq!(serde_json::from_slice::<Tree>(&back).unwrap(), message());
        assert_ne!(repairs, Repairs::default());
    }

    #[test]
    fn deltas_add_up() {
        let events = [
            json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
                "stop_reason": null, "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "A"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " b"}}),
            json!({"type": "content_block_start", "index": 1, "content_block":
                {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "\n\"c\""}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
                "usage": {"output_tokens": 7}}),
            json!({"type": "message_stop"}),
        ];
        let stream: String = events
            .iter()
            .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
            .collect();
        let (back, _) = answer(StreamKind::Messages, stream.as_bytes(), 1 << 20).unwrap();
        let back: Tree = serde_json::from_slice(&back).unwrap();
        assert_eq!(
            back,
            json!({"id": "m", "type": "message", "role": "assistant", "stop_reason": "tool_use", "stop_sequence": null,
                "content": [{"type": "text", "text": "A b\n\"c\""},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
                "usage": {"input_tokens": 5, "output_tokens": 7}})
        );
        // A call that the limit has cut is left out; any other needs an object.
        let cut = stream.replace(r#":1}""#, r#":""#);
        assert!(answer(StreamKind::Messages, cut.as_bytes(), 1 << 20).is_err());
        let cut = cut.replace("\"tool_use\",\"stop_sequence\"", "\"max_tokens\",\"stop_sequence\"");
        let (back, _) = answer(StreamKind::Messages, cut.as_bytes(), 1 << 20).unwrap();
        let back: Tree = serde_json::from_slice(&back).unwrap();
        assert_eq!(back["content"], json!([{"type": "text", "text": "A b\n\"c\""}]));
        // What breaks off, or ends in an error, is no answer.
        let cut = stream.split_inclusive("\n\n").take(5).collect::<String>();
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}\n\n";
        for broken in [cut.clone(), format!("{cut}{error}"), error.to_owned(), ": x\n\n".to_owned()]
        {
            assert!(answer(StreamKind::Messages, broken.as_bytes(), 1 << 20).is_err(), "{broken}");
        }
    }

    /// A walk over all that came before, for each event, would take minutes.
    #[test]
    fn very_many_blocks_and_names_add_up() {
        const MANY: usize = 20_000;
        let mut stream =
            String::from("data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n");
        for index in 0..MANY {
            let event = format!(
                "data: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{{\"type\":\"text\"}}}}\n\n\
                 data: {{\"type\":\"message_delta\",\"delta\":{{\"x{index}\":1}}}}\n\n"
            );
            stream.push_str(&event);
        }
        stream.push_str("data: {\"type\":\"message_stop\"}\n\n");
        let (back, _) = answer(StreamKind::Messages, stream.as_bytes(), 1 << 20).unwrap();
        let back: Tree = serde_json::from_slice(&back).unwrap();
        assert_eq!(back["content"].as_array().unwrap().len(), MANY);
        assert_eq!(back.as_object().unwrap().len(), MANY + 2);
    }

    #[test]
    fn the_last_event_has_the_whole_response() {
        let whole = json!({"id": "r", "object": "response", "status": "completed", "error": null, "model": "m",
            "output": [{"type": "message", "id": "i", "content": [{"type": "output_text", "text": "é"}]}],
            "usage": {"input_tokens": 1, "output_tokens": 2}});
        let stream = streamed(StreamKind::Responses, &whole);
        let (back, _) = answer(StreamKind::Responses, &stream, 1 << 20).unwrap();
        assert_eq!(serde_json::from_slice::<Tree>(&back).unwrap(), whole);
        let first = stream.split(|&byte| byte == b'\n').take(3).collect::<Vec<_>>().join(&b'\n');
        assert!(answer(StreamKind::Responses, &first, 1 << 20).is_err());
    }
}
