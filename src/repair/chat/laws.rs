//! What holds for every answer: the readers that let a good one pass never pass one by that a repair would
//! change.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::completion::answer;
use super::{Api, RequestFacts, WholeOrChunk};
use crate::policy::operation::Operation;
use crate::repair::peek::{Classification, Peek};

/// Names that some server or other uses, wherever it puts them.
const NAMES: [&str; 53] = [
    "id",
    "object",
    "created",
    "model",
    "usage",
    "error",
    "base_resp",
    "x_groq",
    "type",
    "code",
    "finish_reason",
    "usageMetadata",
    "usage_metadata",
    "token_usage",
    "meta",
    "index",
    "delta",
    "message",
    "text",
    "finishReason",
    "native_finish_reason",
    "stop_reason",
    "done_reason",
    "finish_details",
    "content",
    "logprobs",
    "role",
    "refusal",
    "reasoning",
    "reasoning_content",
    "tool_calls",
    "tool_call",
    "function_call",
    "thinking",
    "parts",
    "name",
    "arguments",
    "function",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "status",
    "citations",
    "prompt_tokens_details",
    "Choices",
    "Usage",
    "PromptTokens",
    "Delta",
    "Content",
    "ToolCalls",
    "toolCalls",
    "reasoning_text",
];

const VALUES: [&str; 30] = [
    "null",
    "\"\"",
    "\"x\"",
    "\"stop\"",
    "\"eos\"",
    "\"length\"",
    "\"error\"",
    "\"assistant\"",
    "\"7\"",
    "0",
    "3",
    "7.0",
    "1700000000000",
    "true",
    "false",
    "{}",
    "[]",
    "[\"a\"]",
    r#"[{"type":"text","text":"a"}]"#,
    r#"{"type":"stop"}"#,
    r#"{"text":"a"}"#,
    r#"{"parts":[{"text":"a"}]}"#,
    r#"{"code":429,"message":"m"}"#,
    r#"{"total_tokens":3}"#,
    r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#,
    r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"cache_read_input_tokens":2}"#,
    r#"{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
    r#"{"promptTokenCount":3,"totalTokenCount":7}"#,
    r#"[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]"#,
    r#"{"name":"f","arguments":{}}"#,
];

type Members = Vec<(String, String)>;

fn written(members: &Members) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn read(members: &[(&str, &str)]) -> Members {
    members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// One change of an object's members: what is called so gets this value, or is gone.
#[derive(Debug, Clone)]
struct Change {
    level: usize,
    name: &'static str,
    value: Option<&'static str>,
    at: Index,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let value = prop::option::weighted(0.85, prop::sample::select(VALUES.to_vec()));
    let change = (0..3_usize, prop::sample::select(NAMES.to_vec()), value, any::<Index>());
    let change = change.prop_map(|(level, name, value, at)| Change { level, name, value, at });
    prop::collection::vec(change, 0..4)
}

/// An answer that is right, or nearly.
pub(in super::super) fn answers(api: Api, form: WholeOrChunk) -> impl Strategy<Value = String> {
    let ends = prop::sample::select(vec!["\"stop\"", "\"length\"", "null"]);
    (changes(), ends, any::<bool>()).prop_map(move |(changes, end, has_usage)| {
        let body = match form {
            WholeOrChunk::Whole => read(&[("role", "\"assistant\""), ("content", "\"Hello\"")]),
            WholeOrChunk::Chunk => read(&[("content", "\"Hello\"")]),
        };
        let held = match (api, form) {
            (Api::Completions, _) => "text",
            (Api::Chat, WholeOrChunk::Whole) => "message",
            (Api::Chat, WholeOrChunk::Chunk) => "delta",
        };
        let object = match (api, form) {
            (Api::Completions, _) => "\"text_completion\"",
            (Api::Chat, WholeOrChunk::Whole) => "\"chat.completion\"",
            (Api::Chat, WholeOrChunk::Chunk) => "\"chat.completion.chunk\"",
        };
        let mut root = read(&[("id", "\"c\""), ("object", object), ("created", "1")]);
        root.extend(read(&[("model", "\"m\""), ("choices", "")]));
        if has_usage {
            let counts = r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#;
            root.extend(read(&[("usage", counts)]));
        }
        let mut choice = read(&[("index", "0"), (held, "\"Hello\""), ("finish_reason", end)]);
        let mut levels = [body, choice.clone(), root];
        for change in &changes {
            let members = &mut levels[change.level];
            let known = members.iter().position(|(name, _)| name == change.name);
            if let Some(at) = known {
                members.remove(at);
            }
            if let Some(value) = change.value {
                let at = change.at.index(members.len() + 1);
                members.insert(at, (change.name.to_owned(), value.to_owned()));
            }
        }
        let [body, changed, mut root] = levels;
        choice = changed;
        let said = written(&body);
        for (name, value) in &mut choice {
            // What was changed stays so.
            if api == Api::Chat && name == held && value == "\"Hello\"" {
                value.clone_from(&said);
            }
        }
        let list = format!("[{}]", written(&choice));
        for (name, value) in &mut root {
            if name == "choices" {
                value.clone_from(&list);
            }
        }
        written(&root)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_repaired_does_not_pass(
        (api, body) in prop::sample::select(vec![Api::Chat, Api::Completions])
            .prop_flat_map(|api| (Just(api), answers(api, WholeOrChunk::Whole))),
    ) {
        let operation = match api {
            Api::Chat => Operation::ChatCompletions,
            Api::Completions => Operation::Completions,
        };
        let mut peek = Peek::new(operation);
        let verdict = peek.push(body.as_bytes());
        if verdict == Classification::Good && !peek.drifts() && !peek.is_broken() {
            let read = answer(api, body.as_bytes(), RequestFacts::default(), 1 << 20);
            let read = read.map(|read| String::from_utf8(read.body.into_owned()).unwrap());
            let sent: Value = serde_json::from_str(&body).unwrap();
            // An error that says nothing may stay where it stands behind the choices.
            let is_behind = body.rfind("\"error\":") > body.rfind("\"choices\":");
            if !is_behind || sent["error"].is_null() {
                prop_assert_eq!(read, Ok(body));
            } else {
                prop_assert!(read.is_ok(), "{body}");
            }
        }
    }
}
