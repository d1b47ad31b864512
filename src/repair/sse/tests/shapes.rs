//! One drift each, in streams of chunks.

use super::*;

pub(super) const HEL: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"#;
pub(super) const LO: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#;
pub(super) const STOP: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
pub(super) const USAGE: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

pub(super) fn data(payloads: &[&str]) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect()
}

pub(super) fn with_choice(choice: &str) -> String {
    format!(r#"{{"id":"c","object":"chat.completion.chunk","created":1,"choices":[{choice}]}}"#)
}

pub(super) fn read_chat(body: &str) -> Read {
    let (out, head) = chat(body.as_bytes());
    assert_eq!(head, StreamHead::Stream, "{out}");
    read(out.as_bytes())
}

fn head_error(body: &str) -> ErrorAnswer {
    match chat(body.as_bytes()) {
        (out, StreamHead::Error(answer)) => {
            assert_eq!(out, "");
            answer
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn canonical_chunks_are_not_copied() {
    let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
    for event in [HEL, LO, STOP, USAGE, "[DONE]"] {
        assert_eq!(normalizer.push(data(&[event]).as_bytes()), StreamOutput::Unchanged, "{event}");
    }
    assert_eq!(normalizer.finish(StreamEnd::Clean), b"");
    let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
    let whole = format!(":\n\n{}:\n\n{}", data(&[HEL]), data(&[STOP, USAGE, "[DONE]"]));
    assert_eq!(normalizer.push(whole.as_bytes()), StreamOutput::Unchanged);
    assert!(normalizer.is_done());
    assert_eq!(normalizer.cached(), Some(false));
}

#[test]
fn token_counts_alone() {
    let (out, _) = chat(data(&[HEL, STOP, &USAGE.replace("[]", "[ ]")]).as_bytes());
    assert_eq!(out, data(&[HEL, STOP, USAGE, "[DONE]"]));
    let marked = USAGE.replace("[]", r#"[],"message":"Out of memory""#);
    let (out, _) = chat(format!("{}event: error\ndata: {marked}\n\n", data(&[HEL])).as_bytes());
    assert!(read(out.as_bytes()).error.is_some(), "{out}");
}

#[test]
fn an_event_does_not_wait() {
    let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
    // The first line end is enough: the blank line may come much later.
    let StreamOutput::Bytes(out) = normalizer.push(format!("data:{HEL}\n").as_bytes()) else {
        panic!()
    };
    assert_eq!(out, data(&[HEL]).as_bytes());
    let StreamOutput::Bytes(out) = normalizer.push(format!("{STOP}\r").as_bytes()) else {
        panic!()
    };
    assert_eq!(out, data(&[STOP]).as_bytes());
    // A server that never ends this line keeps the client waiting no longer.
    assert_eq!(normalizer.push(b"data: [DO"), StreamOutput::Bytes(vec![]));
    assert_eq!(normalizer.push(b"NE]"), StreamOutput::Bytes(b"data: [DONE]\n\n".to_vec()));
    assert!(normalizer.is_done());
    assert_eq!(normalizer.push(b"\n\ndata: {}\n\n"), StreamOutput::Bytes(vec![]));
}

#[test]
fn unknown_fields_keep_their_bytes() {
    let odd = r#"{ "x" : [1.50, {"y":"\u00e9"}] ,"choices":[{"delta":{"content":"a","z":1e3},"finish_reason":"eos_token"}]}"#;
    let want = r#"{ "x" : [1.50, {"y":"\u00e9"}] ,"choices":[{"delta":{"content":"a","z":1e3},"finish_reason":"stop","index":0}]}"#;
    assert_eq!(chat(data(&[odd]).as_bytes()).0, data(&[want, "[DONE]"]));
}

#[test]
fn payloads_over_lines() {
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(HEL).unwrap()).unwrap();
    let prefixed = pretty.replace('\n', "\ndata: ");
    for body in [
        format!("data: {prefixed}\n\n{}", data(&[STOP])),
        // Only the first line says `data:`.
        format!("data: {pretty}\n\n{}", data(&[STOP])),
        format!("{pretty}\n{STOP}\n[DONE]\n"),
        // A blank line between two lines without field names.
        format!("{}\n{STOP}\n", pretty.replacen('\n', "\n\n", 1)),
        // Cut inside a string: the line end belongs to the text, as the specification says.
        format!("data: {}\n\n{}", HEL.replace("Hel", "He\ndata: l"), data(&[STOP])),
    ] {
        let got = read_chat(&body);
        assert_eq!(got.text.replace('\n', ""), "Hel", "{body}");
        assert_eq!((got.finish.as_deref(), got.done), (Some("stop"), 1));
    }
}

/// However an object is cut over events, its strings stay what they are: white space and what looks like a field, too.
#[test]
fn what_is_cut_inside_a_string_keeps_its_signs() {
    let said = " a  b\u{feff}\u{feff} data: data:c , 1 \u{a0} ";
    let chunk = HEL.replace("Hel", said);
    let places: Vec<usize> = (1..chunk.len()).filter(|at| chunk.is_char_boundary(*at)).collect();
    for (index, at) in places.iter().enumerate() {
        let (head, rest) = chunk.split_at(*at);
        let got = read_chat(&data(&[head, rest, STOP, "[DONE]"]));
        assert_eq!((got.text.as_str(), got.error), (said, None), "{head:?} {rest:?}");
        for more in places.iter().skip(index + 1).step_by(7) {
            let (middle, tail) = rest.split_at(more - at);
            if serde_json::from_str::<Value>(middle).is_ok() {
                continue; // It may be an event of its own.
            }
            let got = read_chat(&data(&[head, middle, tail, STOP, "[DONE]"]));
            assert_eq!((got.text.as_str(), got.error), (said, None), "{middle:?} {tail:?}");
        }
    }
}

/// No further event makes whole what is no JSON already.
#[test]
fn what_is_broken_behind_a_cut_is_told_at_once() {
    let (head, rest) = HEL.split_at(HEL.find(",\"model\"").unwrap());
    for broken in [format!("}}{rest}"), format!("{rest}]"), format!(":{rest}")] {
        let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
        let _ = normalizer.push(data(&[LO, head]).as_bytes());
        let out = normalizer.push(data(&[&broken]).as_bytes());
        let StreamOutput::Bytes(out) = out else { panic!("{broken}: {out:?}") };
        assert!(read(&out).error.is_some(), "{broken}: {}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn lines_of_marks_and_white_space_say_nothing() {
    let [hel, lo, stop] = [HEL, LO, STOP].map(|chunk| format!("data: {chunk}"));
    let open = hel.replacen(':', ":\n \n", 2).replacen(":\n \n", ":", 1);
    assert_ne!(open, hel);
    for body in [
        format!("{hel}\n \n{lo}\n\0\n{stop}\n\ndata: [DONE]\n\n"),
        format!("{hel}\n\n : wait\n\n{lo}\n\n\x1e: wait\n{stop}\n\n\x1e[DONE]\n"),
        format!("{hel}\n\n{lo}\n\n\x1e[DONE]\n"),
        format!("\0\n{hel}\n\ndata: busy\n \n{lo}\n\n{stop}\n\n"),
        // White space in JSON that goes on over lines is a part of it.
        format!("{open}\n\n{lo}\n\n{stop}\n\n"),
    ] {
        let got = read_chat(&body);
        assert_eq!((got.text.as_str(), got.error, got.done), ("Hello", None, 1), "{body:?}");
    }
}

#[test]
fn stray_fragments_do_not_swallow_events() {
    for stray in
        ["{\n", "data: {\n", "{\n\n", "[\n", "data: hello\n", "data: 12\n", "data: null\n\n"]
    {
        let got = read_chat(&format!("{stray}{}", data(&[HEL, STOP])));
        assert_eq!((got.text.as_str(), got.error), ("Hel", None), "{stray:?}");
    }
}

#[test]
fn what_is_not_json_is_mended_or_an_error() {
    let bad_utf8 =
        [b"data: ", &HEL.as_bytes().replace_all(b"Hel", b"H\xffl")[..], b"\n\n"].concat();
    let got = read(&run(options(StreamKind::Chat), &[&bad_utf8], StreamEnd::Clean).0);
    assert_eq!(got.text, "H\u{fffd}l");
    let nan = with_choice(r#"{"index":0,"delta":{"content":"a"},"logprobs":[NaN,-Infinity]}"#);
    let got = read_chat(&data(&[&nan, STOP]));
    assert_eq!(got.events[0]["choices"][0]["logprobs"], serde_json::json!([null, -9999.0]));
    let tab = HEL.replace("Hel", "H\tl");
    assert_eq!(read_chat(&data(&[&tab, STOP])).text, "H\tl");
    let got = read_chat(&data(&[HEL, r#"{"id":"c","choi"#, STOP]));
    assert_eq!(got.error.unwrap()["code"], "invalid_upstream_response");
    let deep =
        format!(r#"{{"choices":[{{"index":0,"delta":{}1{}}}]}}"#, "[".repeat(600), "]".repeat(600));
    assert_eq!(
        head_error(&data(&[&deep])).error.code.as_deref(),
        Some("invalid_upstream_response")
    );
}

trait ReplaceAll {
    fn replace_all(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceAll for [u8] {
    fn replace_all(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self.windows(from.len()).position(|window| window == from).unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

#[test]
fn usage_after_done_in_the_same_read() {
    let got = read_chat(&data(&[HEL, STOP, "[DONE]", USAGE]));
    assert_eq!(got.usage.unwrap()["total_tokens"], 5);
    // In a later read it is too late: [DONE] was not held back.
    let (first, second) = (data(&[HEL, STOP, "[DONE]"]), data(&[USAGE]));
    let chunks = [first.as_bytes(), second.as_bytes()];
    let (out, _) = run(options(StreamKind::Chat), &chunks, StreamEnd::Clean);
    assert_eq!(out, first.as_bytes());
}

#[test]
fn token_counts_are_found_at_the_top() {
    let zero = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let real = r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":2}}"#;
    let stop = r#"{"index":0,"delta":{},"finish_reason":"stop""#;
    for (chunk, why) in [
        (format!(r#"{{"choices":[{stop},"usage":{real}}}]}}"#), "in the choice"),
        (format!(r#"{{"choices":[{stop}}}],"x_groq":{{"usage":{real}}}}}"#), "in x_groq"),
        (format!(r#"{{"choices":[{stop},"usage":{real}}}],{zero}}}"#), "over a placeholder"),
        (format!(r#"{{"choices":[{stop},"usage":{real}}}],"usage":null}}"#), "over null"),
        (format!(r#"{{"choices":[{{"index":0,"delta":{{"usage":{real}}}}}]}}"#), "in the delta"),
        (format!(r#"{{"choices":[{stop}}}],"usageMetadata":{real}}}"#), "under Gemini's name"),
        (format!(r#"{{"choices":[{stop}}}],"token_usage":{real}}}"#), "under another name"),
        (format!(r#"{{"choices":[{stop}}}],"meta":{{"usage":{real}}}}}"#), "in meta"),
        (format!(r#"{{"choices":{{}},"usage":{real}}}"#), "no list"),
        (format!(r#"{{"x_groq":{{"usage":{real}}}}}"#), "no choices"),
    ] {
        let late = format!(r#"{{"choices":[],{zero}}}"#);
        let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
        let body = data(&[HEL, &chunk, &late, STOP, "[DONE]"]);
        let StreamOutput::Bytes(out) = normalizer.push(body.as_bytes()) else { panic!("{why}") };
        let got = read(&out);
        assert_eq!(got.usage, Some(serde_json::from_str(real).unwrap()), "{why}");
        assert_eq!(normalizer.cached(), Some(true), "{why}");
    }
}

#[test]
fn finish_reasons() {
    for (reason, want) in [
        ("\"\"", None),
        ("\"null\"", None),
        ("\"eos_token\"", Some("stop")),
        ("\"stop_sequence\"", Some("stop")),
        ("\"eos\"", Some("stop")),
        ("\"max_tokens\"", Some("length")),
        ("\"length\"", Some("length")),
        ("\"sensitive\"", Some("content_filter")),
        ("\"model_context_window_exceeded\"", Some("length")),
        ("\"MAX_TOKENS\"", Some("length")),
        ("{\"type\":\"stop\",\"matched\":2}", Some("stop")),
        ("\"a_reason_of_its_own\"", Some("stop")),
        ("2", Some("length")),
        ("[\"stop\"]", Some("stop")),
        ("true", Some("stop")),
    ] {
        let chunk = with_choice(&format!(r#"{{"index":0,"delta":{{}},"finish_reason":{reason}}}"#));
        assert_eq!(read_chat(&data(&[&chunk, "[DONE]"])).finish.as_deref(), want);
    }
    for reason in
        ["error", "network_error", "abort", "Insufficient_System_Resource", "engine_failure"]
    {
        let chunk = with_choice(&format!(
            r#"{{"index":0,"delta":{{"content":"x"}},"finish_reason":"{reason}"}}"#
        ));
        let got = read_chat(&data(&[HEL, &chunk, "[DONE]"]));
        assert_eq!((got.text.as_str(), got.finish, got.done), ("Helx", None, 1));
        assert!(got.error.is_some());
    }
}

#[test]
fn errors_in_the_stream() {
    let error = r#"{"error":{"message":"busy","code":429}}"#;
    let got = read_chat(&data(&[HEL, error, LO, "[DONE]"]));
    assert_eq!((got.text.as_str(), got.done), ("Hel", 1));
    assert_eq!(got.error.unwrap()["message"], "busy");
    assert_eq!(head_error(&data(&[error])).status, 429);
    assert_eq!(head_error(&format!(": wait\n\n{}", data(&[error]))).status, 429);
    assert_eq!(head_error("event: error\ndata: boom\n\n").error.message, "boom");
    assert_eq!(
        head_error("event: error\n\ndata: {\"message\":\"boom\"}\n\n").error.message,
        "boom"
    );
    assert_eq!(head_error("error: \"boom\"\n").error.message, "boom");
    let hint =
        "event:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling\",\"message\":\"slow\"}\n\n";
    assert_eq!(head_error(hint).status, 429);
    // Chatter with a message is no error.
    let chatter = r#"{"type":"status","message":"searching"}"#;
    assert_eq!(read_chat(&data(&[chatter, HEL, STOP])).text, "Hel");
}

#[test]
fn ends() {
    assert_eq!(head_error("").error.code.as_deref(), Some(TRUNCATED));
    assert_eq!(head_error(": keep-alive\n\n").status, 502);
    let got = read_chat(&data(&[HEL]));
    assert_eq!(got.error.unwrap()["code"], TRUNCATED);
    let cut = format!("{}data: {}", data(&[HEL]), LO.split_at(40).0);
    assert_eq!(read_chat(&cut).error.unwrap()["code"], TRUNCATED);
    let (out, _) = run(options(StreamKind::Chat), &[data(&[HEL]).as_bytes()], StreamEnd::Reset);
    assert!(read(&out).error.unwrap()["message"].as_str().unwrap().contains("lost"));
    let (out, _) =
        run(options(StreamKind::Chat), &[data(&[HEL, STOP]).as_bytes()], StreamEnd::Reset);
    assert_eq!(out, data(&[HEL, STOP, "[DONE]"]).as_bytes());
    assert_eq!(
        head_error("data: [DONE]\n\n").error.code.as_deref(),
        Some("invalid_upstream_response")
    );
}

#[test]
fn a_connection_that_stays_open_after_the_finish_reason() {
    for idle in [
        ": ping\n\n: ping\n\n",
        "event: ping\n\ndata:\n\n",
        ": ping\n\ndata: {\"type\":\"ping\"}\n\n",
    ] {
        let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
        let _ = normalizer.push(data(&[HEL, STOP, USAGE]).as_bytes());
        let StreamOutput::Bytes(out) = normalizer.push(idle.as_bytes()) else { panic!("{idle}") };
        assert!(out.ends_with(b"data: [DONE]\n\n"), "{idle}");
        assert_eq!(normalizer.push(data(&[LO]).as_bytes()), StreamOutput::Bytes(vec![]));
    }
    // Another choice may still be running.
    let running = format!(": ping\n\n{}: ping\n\n", data(&[LO]));
    assert_eq!(read_chat(&format!("{}{running}{}", data(&[STOP]), data(&[HEL]))).text, "loHel");
}

#[test]
fn comments_wait_for_the_first_event_but_not_for_ever() {
    let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
    assert_eq!(normalizer.push(b": a\n\n"), StreamOutput::Bytes(vec![]));
    assert_eq!(*normalizer.head(), StreamHead::Undecided);
    assert_eq!(normalizer.push(b":b\r\n\r\n"), StreamOutput::Bytes(vec![]));
    let event = data(&[HEL]);
    let want = format!(":\n\n:\n\n{event}");
    assert_eq!(normalizer.push(event.as_bytes()), StreamOutput::Bytes(want.into_bytes()));
    let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
    let pushes = (0..).take_while(|_| {
        let _ = normalizer.push(b": keep-alive\n\n");
        *normalizer.head() == StreamHead::Undecided
    });
    assert_eq!(pushes.count(), 3);
}

#[test]
fn events_above_the_limit() {
    let small = || Options { max_event_bytes: 200, ..options(StreamKind::Chat) };
    let long = HEL.replace("Hel", &"x".repeat(200));
    let body = data(&[HEL, &long, LO]);
    for chunks in [vec![body.as_bytes()], in_steps(body.as_bytes(), 7)] {
        let got = read(&run(small(), &chunks, StreamEnd::Clean).0);
        assert_eq!((got.text.as_str(), got.done), ("Hel", 1));
        assert_eq!(got.error.unwrap()["code"], "invalid_upstream_response");
    }
    // Many short lines of one event.
    let body = format!("{}data: {{\n{}", data(&[HEL]), "data: \"a\":[\n".repeat(100));
    let got = read(&run(small(), &[body.as_bytes()], StreamEnd::Clean).0);
    assert_eq!(got.error.unwrap()["code"], "invalid_upstream_response");
}

#[test]
fn chunks_without_a_delta_or_an_index() {
    for (choice, want) in [
        (r#"{"finish_reason":null}"#, r#"{"finish_reason":null,"index":0,"delta":{}}"#),
        (r#"{"index":0,"delta":null}"#, r#"{"index":0,"delta":{}}"#),
        (r#"{}"#, r#"{"index":0,"delta":{}}"#),
    ] {
        let (out, _) = chat(data(&[&with_choice(choice), STOP, "[DONE]"]).as_bytes());
        assert_eq!(out, data(&[&with_choice(want), STOP, "[DONE]"]));
    }
}

#[test]
fn a_whole_completion_becomes_a_stream() {
    let completion = serde_json::json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "x",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Hel", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
            ],
        }}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    let pretty = serde_json::to_vec_pretty(&completion).unwrap();
    for body in [&serde_json::to_vec(&completion).unwrap(), &pretty] {
        let out = from_completion(body, options(StreamKind::Chat)).unwrap();
        let got = read(&out);
        assert_eq!(
            (got.text.as_str(), got.finish.as_deref(), got.done),
            ("Hel", Some("tool_calls"), 1)
        );
        assert_eq!(got.tool_calls[1], ("b".to_owned(), "g".to_owned(), "[]".to_owned()));
        assert_eq!(got.usage.unwrap()["total_tokens"], 5);
        assert_eq!(got.events[0]["object"], "chat.completion.chunk");
        assert_eq!(got.events[0]["service_tier"], "x");
    }
    let text = br#"{"id":"c","object":"text_completion","choices":[{"index":0,"text":"Hi","finish_reason":"stop"}]}"#;
    let out = from_completion(text, options(StreamKind::Completions)).unwrap();
    assert_eq!(read(&out).text, "Hi");
    let error =
        from_completion(br#"{"error":{"message":"no","code":404}}"#, options(StreamKind::Chat));
    assert_eq!(error.unwrap_err().status, 404);
    let cut = from_completion(&pretty[..90], options(StreamKind::Chat));
    assert_eq!(cut.unwrap_err().status, 502);
}

#[test]
fn an_id_that_is_none_is_made_up_of_the_first_chunk() {
    let ids = |id: &str, text: &str| {
        let chunk = HEL.replace("\"c\"", id).replace("Hel", text);
        assert_ne!(chunk, HEL);
        let got = read_chat(&data(&[&chunk, &LO.replace("\"c\"", id), STOP]));
        let ids = got.events[..2].iter().map(|event| event["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    for none in ["null", "{}", "[]", "false"] {
        let [first, second] = &ids(none, "Hel")[..] else { panic!() };
        assert!(first == second && first.starts_with("chatcmpl-"), "{none}");
        assert_ne!(*first, ids(none, "Other")[0], "{none}");
    }
    assert_eq!(ids("7", "Hel"), ["7", "7"]);
}

#[test]
fn the_model_can_be_renamed() {
    let renamed =
        || Options { response_model: Some("mine \"x\"".to_owned()), ..options(StreamKind::Chat) };
    let bare = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let (out, _) = run(renamed(), &[data(&[HEL, bare, STOP, USAGE]).as_bytes()], StreamEnd::Clean);
    let got = read(&out);
    assert_eq!(got.events.len(), 4);
    assert!(got.events.iter().all(|event| event["model"] == "mine \"x\""));
}
