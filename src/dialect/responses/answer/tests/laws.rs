//! What holds for every answer and every way to cut it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ResponseConverter, convert, grammar, options, whole};
use crate::repair::sse::{self, SseNormalizer, StreamEnd, StreamKind, StreamOutput};
use crate::wire::json::cursor;

/// Strings with what JSON escapes, and characters outside of the first plane.
fn words() -> impl Strategy<Value = String> {
    "[a-c \"\\\\/{},:\n\u{1}é\u{1f600}]{0,10}"
}

/// One call: id, name, arguments.
type OutputCall = (Option<String>, String, String);

/// What a model said, in the order in which models say things.
#[derive(Debug, Clone)]
struct CallPayload {
    reasoning: String,
    content: String,
    refusal: String,
    calls: Vec<OutputCall>,
    reason: &'static str,
    usage: bool,
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        words(),
        words().prop_map(|input| json!({ "input": input }).to_string()),
        words().prop_map(|input| format!("{{ \"input\" : \"{input}\" }}")),
        words().prop_map(|input| json!({"input":input,"more":1}).to_string()),
    ]
}

fn calls() -> impl Strategy<Value = Vec<OutputCall>> {
    let names = ["plain", "plainer", "other", "shell", "files__sh", "files__read", "unknown"];
    let name = prop::sample::select(names.map(str::to_owned).to_vec());
    prop::collection::vec((prop::bool::weighted(0.8), name, arguments()), 0..4).prop_map(|calls| {
        let named = |(at, (has_id, name, arguments)): (usize, (bool, String, String))| {
            (has_id.then(|| format!("id{at}")), name, arguments)
        };
        calls.into_iter().enumerate().map(named).collect()
    })
}

fn said() -> impl Strategy<Value = CallPayload> {
    let reason = prop::sample::select(vec!["stop", "length", "tool_calls", "content_filter"]);
    (words(), words(), words(), calls(), reason, any::<bool>()).prop_map(
        |(reasoning, content, refusal, calls, reason, usage)| CallPayload {
            reasoning,
            content,
            refusal,
            calls,
            reason,
            usage,
        },
    )
}

impl CallPayload {
    fn usage(&self) -> Value {
        if self.usage { json!({"prompt_tokens":5,"completion_tokens":2}) } else { Value::Null }
    }

    fn completion(&self) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|(id, name, arguments)| json!({"id":id,"function":{"name":name,"arguments":arguments}}))
            .collect();
        json!({"created":1,"model":"m","usage":self.usage(),"choices":[{"index":0,"finish_reason":self.reason,
            "message":{"role":"assistant","content":self.content,"reasoning":self.reasoning,
                "refusal":self.refusal,"tool_calls":calls}}]})
    }

    /// The same in chunks, cut and interleaved as `random` says: the raw JSON of each.
    fn chunks(&self, random: &mut Random) -> Vec<String> {
        let mut deltas = vec!["{\"role\":\"assistant\",\"content\":\"\"}".to_owned()];
        for (name, text) in
            [("reasoning", &self.reasoning), ("content", &self.content), ("refusal", &self.refusal)]
        {
            deltas.extend(random.cut(text).iter().map(|piece| format!("{{\"{name}\":{piece}}}")));
        }
        // What each call still has to say; a call begins when the one before it has.
        let mut open: Vec<(usize, std::vec::IntoIter<String>)> = Vec::new();
        let mut next = 0;
        while next < self.calls.len() || !open.is_empty() {
            if next < self.calls.len() && (open.is_empty() || random.below(3) == 0) {
                let (id, name, arguments) = &self.calls[next];
                let id = id.as_ref().map_or_else(|| "null".to_owned(), |id| format!("\"{id}\""));
                let at = 1 + random.below(name.len() as u64 - 1) as usize;
                let (first, rest) =
                    if random.below(3) == 0 { name.split_at(at) } else { (&**name, "") };
                deltas.push(format!(
                    "{{\"tool_calls\":[{{\"index\":{next},\"id\":{id},\"function\":{{\"name\":\"{first}\",\"arguments\":\"\"}}}}]}}"
                ));
                if !rest.is_empty() {
                    deltas.push(format!(
                        "{{\"tool_calls\":[{{\"index\":{next},\"function\":{{\"name\":\"{rest}\"}}}}]}}"
                    ));
                }
                open.push((next, random.cut(arguments).into_iter()));
                next += 1;
                continue;
            }
            let at = random.below(open.len() as u64) as usize;
            match open[at].1.next() {
                Some(piece) => deltas.push(format!(
                    "{{\"tool_calls\":[{{\"index\":{},\"function\":{{\"arguments\":{piece}}}}}]}}",
                    open[at].0
                )),
                None => drop(open.remove(at)),
            }
        }
        let mut chunks: Vec<String> = deltas
            .iter()
            .map(|delta| format!("{{\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}"))
            .collect();
        chunks.push(
            json!({"choices":[{"index":0,"delta":{},"finish_reason":self.reason}]}).to_string(),
        );
        chunks.push(json!({"choices":[],"usage":self.usage()}).to_string());
        chunks
    }
}

/// Decisions out of one seed.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// `text` as JSON strings: cut anywhere, also inside of a surrogate pair, escaped or not.
    fn cut(&mut self, text: &str) -> Vec<String> {
        let units: Vec<u16> = text.encode_utf16().collect();
        let mut pieces = Vec::new();
        let mut rest = &units[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.below(rest.len() as u64 + 1) as usize);
            rest = after;
            pieces.push(match String::from_utf16(piece) {
                Ok(text) if self.below(2) == 0 => Value::from(text).to_string(),
                _ => {
                    let escapes: Vec<String> =
                        piece.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                    format!("\"{}\"", escapes.concat())
                }
            });
        }
        pieces
    }
}

fn body(chunks: &[String]) -> Vec<u8> {
    let mut out = String::new();
    for chunk in chunks {
        out.push_str(&format!("data: {chunk}\n\n"));
    }
    out.push_str("data: [DONE]\n\n");
    out.into_bytes()
}

fn in_pieces(body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut converter = ResponseConverter::new(options(true));
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + random.below(rest.len().min(60) as u64) as usize);
        out.extend(converter.push(piece));
        rest = after;
    }
    out.extend(converter.finish());
    out
}

/// Through the normaliser, as in the filter; in pieces of up to `size` bytes.
fn normalised(body: &[u8], size: u64, random: &mut Random) -> Vec<u8> {
    let options_sse = sse::Options {
        kind: StreamKind::Chat,
        max_event_bytes: 4096,
        response_model: None,
        request: Default::default(),
    };
    let mut normalizer = SseNormalizer::new(options_sse);
    let mut converter = ResponseConverter::new(options(true));
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let size = size.min(rest.len() as u64);
        let (piece, after) = rest.split_at(1 + random.below(size) as usize);
        let canonical = match normalizer.push(piece) {
            StreamOutput::Unchanged => piece.to_vec(),
            StreamOutput::Bytes(bytes) => bytes,
        };
        out.extend(converter.push(&canonical));
        rest = after;
    }
    out.extend(converter.push(&normalizer.finish(StreamEnd::Clean)));
    out.extend(converter.finish());
    out
}

fn last(out: &[u8]) -> Value {
    grammar::check(out).last().unwrap()["response"].clone()
}

/// Payloads that servers should not send.
fn odd() -> impl Strategy<Value = String> {
    let fixed = [
        r#"{"choices":[{"delta":{"content":"x"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"h"}}]}"#,
        r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"\ude00\ud83d","content":[{"type":"thinking","thinking":["\ud83d"]},3,"a"]}}]}"#,
        r#"{"choices":[{"delta":{"refusal":"\udead"}}]}"#,
        r#"{"choices":[{"delta":{"annotations":[{"type":"a","a":{"b":1}},{"type":7},4]}}]}"#,
        r#"{"choices":[{"delta":{"content":"l"},"logprobs":{"content":[{"token":"\ud83d"},{}]}}]}"#,
        r#"{"choices":[{"delta":{"content":""},"logprobs":{"content":[{"token":"t","bytes":null}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"shell","arguments":"{\"input\":\"\\ud83"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"d\\\\ude00 \"}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"a","function":{"name":"plain"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":{"a":[]}}},{"id":"b"},4]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"pl"}}],"function_call":{"arguments":"x"}}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"length"}],"usage":{"total_tokens":1}}"#,
        r#"{"choices":[{"message":{"content":"m"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":null,"index":0},{"index":1,"delta":{"content":"other"}}],"model":"q"}"#,
        r#"{"choices":null}"#,
        r#"{"error":{"message":"m","code":500}}"#,
        r#"{"choices":[{}"#,
        "7",
    ];
    prop_oneof![
        30 => prop::sample::select(fixed.map(str::to_owned).to_vec()),
        1 => Just("[DONE]".to_owned()),
    ]
}

proptest! {
    #[test]
    fn a_stream_ends_in_the_plain_answer(said in said(), seed in any::<u64>()) {
        let mut random = Random(seed);
        let out = convert(&body(&said.chunks(&mut random)));
        let (plain, _) = whole(options(true), said.completion().to_string().as_bytes()).unwrap();
        prop_assert!(cursor::parse(&plain).is_ok());
        let plain: Value = serde_json::from_slice(&plain).unwrap();
        prop_assert_eq!(last(&out), plain);
    }

    #[test]
    fn cuts_do_not_matter(said in said(), seed in any::<u64>()) {
        let mut random = Random(seed);
        let body = body(&said.chunks(&mut random));
        let want = convert(&body);
        prop_assert_eq!(&in_pieces(&body, &mut random), &want);
        let through = normalised(&body, u64::MAX, &mut random);
        prop_assert_eq!(&normalised(&body, 60, &mut random), &through);
        prop_assert_eq!(&normalised(&body, 1, &mut random), &through);
        // The normaliser makes up ids that are missing.
        if said.calls.iter().all(|(id, _, _)| id.is_some()) {
            prop_assert_eq!(last(&through), last(&want));
        }
    }

    #[test]
    fn odd_streams_make_good_events(payloads in prop::collection::vec(odd(), 0..16), seed in any::<u64>()) {
        let mut out = String::new();
        for payload in &payloads {
            out.push_str(&format!("data: {payload}\n\n"));
        }
        let want = convert(out.as_bytes());
        grammar::check(&want);
        prop_assert_eq!(in_pieces(out.as_bytes(), &mut Random(seed)), want.clone());
        let mut silent = ResponseConverter::new(options(false));
        prop_assert!(silent.push(out.as_bytes()).is_empty());
        let end = last(&want);
        match silent.into_response() {
            Ok(response) => {
                let response: Value = serde_json::from_slice(&response).unwrap();
                prop_assert_eq!(response, end);
            }
            Err(answer) => prop_assert_eq!(&end["error"]["message"], &answer.error.message),
        }
    }

    #[test]
    fn any_bytes_make_good_events(bytes in prop::collection::vec(any::<u8>(), 0..200), seed in any::<u64>()) {
        let body = [b"data: ".to_vec(), bytes].concat();
        let want = convert(&body);
        grammar::check(&want);
        prop_assert_eq!(in_pieces(&body, &mut Random(seed)), want);
        let _ = whole(options(false), &body);
    }
}
