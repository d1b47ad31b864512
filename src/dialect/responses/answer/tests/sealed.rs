//! Reasoning that clients bring back or show, and compactions.

use super::*;
use crate::dialect::responses::AnswerForm;
use crate::dialect::seal::{Purpose, Sealer};
use crate::test;

fn sealer() -> Rc<Sealer> {
    Rc::new(Sealer::new(b"s", "team"))
}

/// Options of a request that asked for sealed reasoning, a summary of it, or a compaction.
fn asked(stream: bool, seals: bool, summarizes: bool, form: AnswerForm) -> ResponseOptions {
    let mut options = options(stream);
    let context = AnswerContext {
        seals_reasoning: seals,
        summarizes,
        form,
        ..options.context.as_ref().clone()
    };
    options.context = Rc::new(context);
    options.sealer = Some(Rc::new(AnswerSealer::new(sealer())));
    options
}

fn whole_answer(options: ResponseOptions, chat: &Value) -> Value {
    let (response, _) = whole(options, chat.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&response).unwrap()
}

/// The events of a stream that comes in pieces of this size.
fn streamed(options: ResponseOptions, chunks: &[Value], size: usize) -> Vec<Value> {
    let mut converter = ResponseConverter::new(options);
    let mut out = Vec::new();
    for piece in sse(chunks).chunks(size) {
        out.extend(converter.push(piece));
    }
    out.extend(converter.finish());
    let text = String::from_utf8(out).unwrap();
    let data = text.split_terminator("\n\n").map(|event| event.split_once("\ndata: ").unwrap().1);
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], index);
    }
    events
}

/// What was sealed in an item.
fn opened(item: &Value, purpose: Purpose) -> String {
    sealer().open(purpose, item["encrypted_content"].as_str().unwrap()).unwrap()
}

fn thought() -> Vec<Value> {
    vec![
        delta(json!({"reasoning_content": "be\""})),
        delta(json!({"reasoning_content": "cause\n\u{1f600}"})),
        delta(json!({"content": "ok"})),
        finish("stop"),
    ]
}

const THOUGHT: &str = "be\"cause\n\u{1f600}";

#[test]
fn reasoning_is_sealed_where_that_is_asked_for() {
    let message = json!({"role": "assistant", "content": "ok", "reasoning_content": THOUGHT});
    let chat = completion(message, "stop");
    let response = whole_answer(asked(false, true, false, AnswerForm::Response), &chat);
    let item = &response["output"][0];
    assert_eq!(opened(item, Purpose::Reasoning), THOUGHT);
    assert_eq!(item["content"], json!([{"type": "reasoning_text", "text": THOUGHT}]));
    assert_eq!(item["summary"], json!([]));
    let plain = whole_answer(asked(false, false, false, AnswerForm::Response), &chat);
    assert_eq!(plain["output"][0].get("encrypted_content"), None);
    // Nothing was thought: nothing is sealed.
    let chat = completion(json!({"role": "assistant", "content": "ok"}), "stop");
    let response = whole_answer(asked(false, true, true, AnswerForm::Response), &chat);
    assert_eq!(response["output"][0]["type"], "message");
}

#[test]
fn a_stream_seals_once_whatever_its_pieces() {
    for size in [1, 7, 10_000] {
        let events = streamed(asked(true, true, true, AnswerForm::Response), &thought(), size);
        let of = |name: &str| {
            let name = format!("response.{name}");
            events.iter().filter(|event| event["type"] == name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of("output_item.added")[0]["item"]["encrypted_content"], Value::Null);
        let done = &of("output_item.done")[0]["item"];
        let last = &last(&events)["output"][0];
        assert_eq!((done, opened(done, Purpose::Reasoning).as_str()), (last, THOUGHT));
        // As a summary, too, piece by piece.
        let told: String = of("reasoning_summary_text.delta")
            .iter()
            .map(|event| event["delta"].as_str().unwrap())
            .collect();
        assert_eq!(told, THOUGHT);
        let part = json!({"type": "summary_text", "text": THOUGHT});
        assert_eq!(of("reasoning_summary_part.added")[0]["part"]["text"], "");
        assert_eq!(of("reasoning_summary_part.done")[0]["part"], part);
        let text = of("reasoning_summary_text.done")[0];
        assert_eq!((&text["text"], &text["summary_index"]), (&json!(THOUGHT), &json!(0)));
        assert_eq!(text["item_id"], last["id"]);
        assert_eq!(last["summary"], json!([part]));
        let names: Vec<&str> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap().strip_prefix("response.").unwrap())
            .collect();
        assert_eq!(
            names[..12],
            [
                "created",
                "in_progress",
                "output_item.added",
                "reasoning_summary_part.added",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.done",
                "reasoning_summary_part.done",
                "content_part.added",
                "reasoning_text.delta",
                "reasoning_text.done",
                "content_part.done",
            ]
        );
    }
}

#[test]
fn a_plain_answer_has_the_same_summary() {
    let message = json!({"role": "assistant", "content": "ok", "reasoning": THOUGHT});
    let chat = completion(message, "stop");
    let response = whole_answer(asked(false, false, true, AnswerForm::Response), &chat);
    assert_eq!(
        response["output"][0]["summary"],
        json!([{"type": "summary_text", "text": THOUGHT}])
    );
}

#[test]
fn a_compaction_is_the_only_item() {
    let chunks = [
        delta(json!({"reasoning_content": "how to say it"})),
        delta(json!({"content": "the sum"})),
        delta(call(0, "c", "plain", "{}")),
        delta(json!({"content": "mary\n\u{1f600}"})),
        finish("stop"),
    ];
    for size in [1, 9, 10_000] {
        let events = streamed(asked(true, false, false, AnswerForm::Compaction), &chunks, size);
        let names: Vec<&str> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap().strip_prefix("response.").unwrap())
            .collect();
        assert_eq!(
            names,
            ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
        );
        let item = &events[3]["item"];
        assert_eq!(opened(item, Purpose::Compaction), "the summary\n\u{1f600}");
        assert_eq!(last(&events)["output"], json!([item]));
        assert_eq!(item["type"], "compaction");
        assert!(item["id"].as_str().unwrap().starts_with("cmp_"));
    }
    let chat = completion(json!({"role": "assistant", "content": "sum"}), "stop");
    let response = whole_answer(asked(false, false, false, AnswerForm::Compaction), &chat);
    assert_eq!(opened(&response["output"][0], Purpose::Compaction), "sum");
    assert_eq!(
        (&response["object"], &response["status"]),
        (&json!("response"), &json!("completed"))
    );
}

#[test]
fn the_object_of_a_compaction() {
    let mut chat = completion(json!({"role": "assistant", "content": "sum"}), "stop");
    let object =
        |chat: &Value| whole_answer(asked(false, false, false, AnswerForm::CompactionObject), chat);
    let none = object(&chat);
    assert_eq!(none["usage"]["total_tokens"], 0);
    chat["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
    let got = object(&chat);
    let members: Vec<&String> = got.as_object().unwrap().keys().collect();
    assert_eq!(members, ["created_at", "id", "object", "output", "usage"]);
    assert_eq!(
        (&got["object"], &got["usage"]["total_tokens"]),
        (&json!("response.compaction"), &json!(4))
    );
    assert_eq!(opened(&got["output"][0], Purpose::Compaction), "sum");
}

#[test]
fn a_conversation_is_not_lost_for_a_summary_that_is_none() {
    let message = |content: Value| json!({"role": "assistant", "content": content});
    for (form, chat) in [
        (AnswerForm::Compaction, completion(message(json!("")), "stop")),
        (AnswerForm::Compaction, completion(message(Value::Null), "stop")),
        (AnswerForm::CompactionObject, completion(message(json!(" \n")), "stop")),
        (AnswerForm::CompactionObject, completion(message(json!("half of")), "length")),
    ] {
        let error = whole(asked(false, false, false, form), chat.to_string().as_bytes());
        assert_eq!(error.unwrap_err().code, Code::InvalidUpstreamResponse, "{chat}");
    }
    // A Response can say that it is not complete.
    let cut = completion(message(json!("half of")), "length");
    let response = whole_answer(asked(false, false, false, AnswerForm::Compaction), &cut);
    assert_eq!(response["status"], "incomplete");
}

#[test]
fn what_is_sealed_counts_toward_the_limit() {
    let thought = "x".repeat(1000);
    let chat = completion(json!({"role": "assistant", "reasoning_content": thought}), "stop");
    for (seals, limit, fits) in [(false, 1200, true), (true, 1200, false), (true, 2600, true)] {
        let mut options = asked(false, seals, false, AnswerForm::Response);
        options.max_answer_bytes = limit;
        assert_eq!(whole(options, chat.to_string().as_bytes()).is_ok(), fits, "{seals} {limit}");
    }
}
