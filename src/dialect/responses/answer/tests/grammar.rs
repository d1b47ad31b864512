//! What every stream of events must be.

use std::collections::HashMap;

use serde_json::{Value, json};

/// Members that events and items of a kind have, in any order; more are a fault.
const MEMBERS: [(&str, &[&str]); 19] = [
    ("response.created", &["response"]),
    ("response.in_progress", &["response"]),
    ("response.completed", &["response"]),
    ("response.incomplete", &["response"]),
    ("response.failed", &["response"]),
    ("response.output_item.added", &["output_index", "item"]),
    ("response.output_item.done", &["output_index", "item"]),
    ("response.content_part.added", &["item_id", "output_index", "content_index", "part"]),
    ("response.content_part.done", &["item_id", "output_index", "content_index", "part"]),
    (
        "response.output_text.delta",
        &["item_id", "output_index", "content_index", "delta", "logprobs"],
    ),
    (
        "response.output_text.done",
        &["item_id", "output_index", "content_index", "text", "logprobs"],
    ),
    (
        "response.output_text.annotation.added",
        &["item_id", "output_index", "content_index", "annotation_index", "annotation"],
    ),
    ("response.refusal.delta", &["item_id", "output_index", "content_index", "delta"]),
    ("response.refusal.done", &["item_id", "output_index", "content_index", "refusal"]),
    ("response.reasoning_text.delta", &["item_id", "output_index", "content_index", "delta"]),
    ("response.reasoning_text.done", &["item_id", "output_index", "content_index", "text"]),
    ("response.function_call_arguments.delta", &["item_id", "output_index", "delta"]),
    ("response.function_call_arguments.done", &["item_id", "output_index", "name", "arguments"]),
    // The two of custom tools differ in one member: looked at below.
    ("response.custom_tool_call_input", &["item_id", "output_index"]),
];

/// What is known of an item while its events pass.
struct Open {
    /// As it was added; parts and text are put in as their events come.
    item: Value,
    part_open: bool,
    /// The string that deltas add to was declared complete.
    text_done: bool,
    done: bool,
}

/// The payloads of a stream of events, comments left out. Panics where framing or an event is wrong.
pub(super) fn check(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let mut events = Vec::new();
    for block in text.split_terminator("\n\n") {
        if block.starts_with(':') {
            assert!(!block.contains('\n'));
            continue;
        }
        let (name, data) = block.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("a name");
        let data: Value =
            serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(data["type"], name);
        events.push(data);
    }
    assert!(out.is_empty() || text.ends_with("\n\n"));
    order(&events);
    events
}

fn order(events: &[Value]) {
    let mut items: Vec<Open> = Vec::new();
    let mut closed = 0;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
        let name = event["type"].as_str().unwrap();
        members(name, event);
        let last = number + 1 == events.len();
        let lifecycle = match number {
            0 => Some("response.created"),
            1 => Some("response.in_progress"),
            _ => None,
        };
        match lifecycle {
            Some(lifecycle) => {
                assert_eq!(name, lifecycle);
                let response = &event["response"];
                assert_eq!(response["status"], "in_progress");
                assert_eq!(response["output"], json!([]));
                assert_eq!(response["usage"], Value::Null);
            }
            None if last => end(name, &event["response"], &events[0]["response"], &items, closed),
            None => item(name, event, &mut items, &mut closed),
        }
    }
}

fn members(name: &str, event: &Value) {
    let of = |name: &str| MEMBERS.iter().find(|(known, _)| *known == name).map(|(_, all)| *all);
    let (known, own) = match name {
        "response.custom_tool_call_input.delta" => ("response.custom_tool_call_input", "delta"),
        "response.custom_tool_call_input.done" => ("response.custom_tool_call_input", "input"),
        _ => (name, "type"),
    };
    let all = of(known).unwrap_or_else(|| panic!("unknown event {name}"));
    for member in event.as_object().unwrap().keys() {
        let common = ["type", "sequence_number", own];
        assert!(all.contains(&&**member) || common.contains(&&**member), "{member} in {event}");
    }
    for member in all.iter().chain([&own]) {
        assert!(event.get(member).is_some(), "{member} is not in {event}");
    }
}

fn item(name: &str, event: &Value, items: &mut Vec<Open>, closed: &mut usize) {
    let index = event["output_index"].as_u64().unwrap() as usize;
    if name == "response.output_item.added" {
        assert_eq!(index, items.len(), "items are added in order");
        let item = &event["item"];
        assert_eq!(item["status"], "in_progress");
        for empty in ["content", "summary"].iter().filter_map(|name| item.get(name)) {
            assert_eq!(empty, &json!([]));
        }
        for empty in ["arguments", "input"].iter().filter_map(|name| item.get(name)) {
            assert_eq!(empty, "");
        }
        for open in items.iter() {
            assert_ne!(open.item["id"], item["id"]);
            let call_id = open.item.get("call_id");
            assert!(call_id.is_none() || call_id != item.get("call_id"), "{item}");
        }
        items.push(Open { item: item.clone(), part_open: false, text_done: false, done: false });
        return;
    }
    let open = items.get_mut(index).expect("an item that was added");
    assert!(!open.done, "{event}");
    if name == "response.output_item.done" {
        assert_eq!(index, *closed, "items close in order");
        *closed += 1;
        assert!(!open.part_open);
        let item = &event["item"];
        assert!(["completed", "incomplete"].contains(&item["status"].as_str().unwrap()));
        open.item["status"] = item["status"].clone();
        if open.item["type"] != "message" && open.item["type"] != "reasoning" {
            assert!(open.text_done, "{item}");
        }
        assert_eq!(&open.item, item);
        open.done = true;
        return;
    }
    assert_eq!(event["item_id"], open.item["id"]);
    match event.get("content_index").and_then(Value::as_u64) {
        Some(at) => part(name, event, at as usize, open),
        None => call(name, event, open),
    }
}

fn part(name: &str, event: &Value, at: usize, open: &mut Open) {
    let is_reasoning = open.item["type"] == "reasoning";
    let parts = open.item["content"].as_array_mut().expect("an item with parts");
    if name == "response.content_part.added" {
        assert!(!open.part_open, "{event}");
        assert_eq!(at, parts.len());
        let part = &event["part"];
        match part["type"].as_str().unwrap() {
            "output_text" => assert_eq!(
                part,
                &json!({"type":"output_text","text":"","annotations":[],"logprobs":[]})
            ),
            "refusal" => assert_eq!(part, &json!({"type":"refusal","refusal":""})),
            "reasoning_text" => assert_eq!(part, &json!({"type":"reasoning_text","text":""})),
            other => panic!("part {other}"),
        }
        assert_eq!(is_reasoning, part["type"] == "reasoning_text");
        parts.push(part.clone());
        (open.part_open, open.text_done) = (true, false);
        return;
    }
    assert!(open.part_open, "{event}");
    assert_eq!(at + 1, parts.len());
    let part = &mut parts[at];
    if name == "response.content_part.done" {
        assert!(open.text_done);
        open.part_open = false;
        // Log probabilities of a token without visible text show only here.
        assert_eq!(part, &event["part"]);
        return;
    }
    assert!(!open.text_done, "{event}");
    let member = match (name, part["type"].as_str().unwrap()) {
        ("response.output_text.delta" | "response.output_text.done", "output_text")
        | ("response.reasoning_text.delta" | "response.reasoning_text.done", "reasoning_text") => {
            "text"
        }
        ("response.refusal.delta" | "response.refusal.done", "refusal") => "refusal",
        ("response.output_text.annotation.added", "output_text") => {
            let all = part["annotations"].as_array_mut().unwrap();
            assert_eq!(event["annotation_index"], all.len());
            all.push(event["annotation"].clone());
            return;
        }
        (_, part) => panic!("{name} in {part}"),
    };
    if name.ends_with(".delta") {
        append(&mut part[member], &event["delta"]);
        if let Some(new) = event.get("logprobs") {
            part["logprobs"].as_array_mut().unwrap().extend(new.as_array().unwrap().clone());
        }
        return;
    }
    assert_eq!(part[member], event[member], "deltas joined are the text");
    if let Some(all) = event.get("logprobs") {
        part["logprobs"] = all.clone();
    }
    open.text_done = true;
}

fn call(name: &str, event: &Value, open: &mut Open) {
    assert!(!open.text_done, "{event}");
    let member = match (name, open.item["type"].as_str().unwrap()) {
        (
            "response.function_call_arguments.delta" | "response.function_call_arguments.done",
            "function_call",
        ) => "arguments",
        (
            "response.custom_tool_call_input.delta" | "response.custom_tool_call_input.done",
            "custom_tool_call",
        ) => "input",
        (_, item) => panic!("{name} in {item}"),
    };
    if name.ends_with(".delta") {
        append(&mut open.item[member], &event["delta"]);
        return;
    }
    assert_eq!(open.item[member], event[member], "deltas joined are the arguments");
    if member == "arguments" {
        assert_eq!(open.item["name"], event["name"]);
    }
    open.text_done = true;
}

fn append(text: &mut Value, delta: &Value) {
    let delta = delta.as_str().unwrap();
    assert!(!delta.is_empty());
    *text = Value::from(text.as_str().unwrap().to_owned() + delta);
}

fn end(name: &str, response: &Value, first: &Value, items: &[Open], closed: usize) {
    let status = response["status"].as_str().unwrap();
    assert_eq!(name, format!("response.{status}"));
    let failed = status == "failed";
    assert_eq!(response["error"].is_null(), !failed);
    assert_eq!(response["incomplete_details"].is_null(), status != "incomplete");
    assert_eq!(response["completed_at"].is_null(), status != "completed");
    let output = response["output"].as_array().unwrap();
    assert_eq!(output.len(), items.len());
    if !failed {
        assert_eq!(closed, items.len(), "every item was closed");
    }
    for (shown, open) in output.iter().zip(items) {
        if !open.done {
            let mut item = open.item.clone();
            item["status"] = "incomplete".into();
            // Log probabilities of a token that has shown no text so far are ahead of the events.
            for (told, part) in parts(&mut item).iter_mut().zip(parts(&mut shown.clone())) {
                if told.get("logprobs").is_some() {
                    told["logprobs"] = part["logprobs"].take();
                }
            }
            assert_eq!(shown, &item);
        } else {
            assert_eq!(shown, &open.item);
        }
    }
    // What the events begin with holds to the end.
    let later = ["status", "output", "usage", "error", "incomplete_details", "completed_at"];
    let late = ["model", "service_tier"];
    let (first, last): (HashMap<_, _>, HashMap<_, _>) = (
        first.as_object().unwrap().iter().collect(),
        response.as_object().unwrap().iter().collect(),
    );
    for (name, value) in last {
        if !later.contains(&&**name) && !late.contains(&&**name) {
            assert_eq!(first.get(name), Some(&value), "{name}");
        }
    }
}

fn parts(item: &mut Value) -> &mut [Value] {
    item.get_mut("content").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}
