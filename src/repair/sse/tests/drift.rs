//! What servers say in another way than OpenAI, chunk by chunk.

use super::shapes::{HEL, LO, STOP, USAGE, data, read_chat, with_choice};
use super::*;

fn delta(delta: &str) -> String {
    with_choice(&format!(r#"{{"index":0,"delta":{delta},"finish_reason":null}}"#))
}

fn message(content: &str, finish: &str) -> String {
    with_choice(&format!(
        r#"{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":{finish}}}"#
    ))
}

fn run_with(request: RequestFacts, body: &str) -> Read {
    let options = Options { request, ..options(StreamKind::Chat) };
    read(&run(options, &[body.as_bytes()], StreamEnd::Clean).0)
}

#[test]
fn a_message_adds_only_what_goes_beyond() {
    let whole = |last: &str| read_chat(&data(&[HEL, LO, last, "[DONE]"]));
    for (content, want) in [
        ("Hello", "Hello"),
        ("Hello there", "Hello there"),
        ("Hel", "Hello"),
        ("Something else", "Hello"),
        ("", "Hello"),
    ] {
        let got = whole(&message(content, "\"stop\""));
        assert_eq!((got.text.as_str(), got.finish.as_deref()), (want, Some("stop")), "{content}");
    }
    // Nothing but messages: they grow, or are pieces.
    for (pieces, want) in [
        (["Hel", "Hello", "Hello there"], "Hello there"),
        (["Hel", "lo", " there"], "Hello there"),
        (["", "Hello", "Hello"], "Hello"),
    ] {
        let [a, b, c] = pieces.map(|piece| message(piece, "null"));
        assert_eq!(read_chat(&data(&[&a, &b, &c, STOP])).text, want, "{pieces:?}");
    }
    // Beside a delta: what was said so far, or all that is said.
    let beside = |delta: &str, message: &str| {
        with_choice(&format!(
            r#"{{"index":0,"delta":{{"content":"{delta}"}},"message":{{"content":"{message}"}}}}"#
        ))
    };
    for (chunks, want) in [
        ([beside("Hel", "Hel"), beside("lo", "Hello")], "Hello"),
        ([beside("", "Hel"), beside("", "Hello")], "Hello"),
        ([beside("Hel", "Hel"), beside("", "Hello")], "Hello"),
    ] {
        assert_eq!(read_chat(&data(&[&chunks[0], &chunks[1], STOP])).text, want);
    }
}

#[test]
fn calls_and_reasoning_are_not_said_twice() {
    let call =
        r#"[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]"#;
    let more = r#"[{"index":0,"function":{"arguments":"1}"}}]"#;
    let all = r#"[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]"#;
    let last = with_choice(&format!(
        r#"{{"index":0,"message":{{"role":"assistant","reasoning_content":"hm","content":null,"tool_calls":{all}}},"finish_reason":"stop"}}"#
    ));
    let thought = delta(r#"{"reasoning_content":"hm"}"#);
    let calls = |chunks: &[&str]| {
        let got = read_chat(&data(&[chunks, &[&last, "[DONE]"]].concat()));
        assert_eq!(got.finish.as_deref(), Some("tool_calls"));
        let reasoning: String = got
            .events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["reasoning_content"].as_str())
            .collect();
        assert_eq!(reasoning, "hm");
        got.tool_calls
    };
    let first = delta(&format!(r#"{{"tool_calls":{call}}}"#));
    let second = delta(&format!(r#"{{"tool_calls":{more}}}"#));
    let want = vec![("t".to_owned(), "f".to_owned(), r#"{"a":1}"#.to_owned())];
    assert_eq!(calls(&[&thought, &first, &second]), want);
    assert_eq!(calls(&[&thought, &first]), want);
    assert_eq!(calls(&[&thought]), want);
    assert_eq!(calls(&[]), want);
}

#[test]
fn the_end_is_guessed_only_when_nothing_is_missing() {
    let idle = ": a\n\n: b\n\n: c\n\n";
    let two = RequestFacts { choices: 2, ..RequestFacts::default() };
    let other = LO.replace("\"index\":0", "\"index\":1");
    let ended = STOP.replace("\"index\":0", "\"index\":1");
    let body = format!("{}{idle}{}", data(&[HEL, STOP]), data(&[&other, &ended, "[DONE]"]));
    let got = run_with(two, &body);
    assert_eq!((got.text.as_str(), got.done), ("Hello", 1));
    let counted = RequestFacts { wants_usage: true, ..RequestFacts::default() };
    let body = format!("{}{idle}{}", data(&[HEL, STOP]), data(&[USAGE, "[DONE]"]));
    assert!(run_with(counted, &body).usage.is_some());
    // A reason where the reasoning ends, and one that text contradicts.
    let thought =
        with_choice(r#"{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":"stop"}"#);
    let body = format!("{}{idle}{}", data(&[&thought]), data(&[HEL, LO, STOP, "[DONE]"]));
    assert_eq!(read_chat(&body).text, "Hello");
    let body = format!("{}{idle}{}", data(&[HEL, STOP, LO]), data(&[HEL, STOP, "[DONE]"]));
    assert_eq!(read_chat(&body).text, "HelloHel");
    // All is there: the end is written, and what follows is dropped.
    let body = format!("{}{idle}{}", data(&[HEL, STOP]), data(&[LO]));
    assert_eq!(read_chat(&body).text, "Hel");
}

#[test]
fn words_are_an_error_unless_the_answer_is_complete() {
    for words in [
        "worker went away",
        "\"worker went away\"",
        "error: worker went away",
        "<html><title>worker went away</title></html>",
        "{'error': 'worker went away'}",
        "[worker went away]",
    ] {
        for end in ["data: [DONE]\n\n", ""] {
            let got = read_chat(&format!("{}data: {words}\n\n{end}", data(&[HEL])));
            let error = got.error.unwrap_or_else(|| panic!("{words}"));
            assert!(error["message"].as_str().unwrap().contains("worker went away"), "{error}");
            assert_eq!((got.text.as_str(), got.done), ("Hel", 1));
        }
        for body in [
            format!("{}data: {words}\n\n", data(&[HEL, STOP])),
            format!("{}data: {words}\n\n{}", data(&[HEL]), data(&[STOP, "[DONE]"])),
        ] {
            let got = read_chat(&body);
            assert_eq!((got.text.as_str(), got.error, got.done), ("Hel", None, 1), "{body}");
        }
    }
    let bare = read_chat(&format!("{}worker went away\n\n", data(&[HEL])));
    assert!(bare.error.unwrap()["message"].as_str().unwrap().contains("went away"));
    let empty = read_chat(&format!("{}event: error\n\ndata: [DONE]\n\n", data(&[HEL])));
    assert!(empty.error.is_some());
    for end in ["[END]", "END", "null"] {
        assert_eq!(read_chat(&data(&[HEL, STOP, end])).error, None, "{end}");
    }
    for ping in ["ping", "keep-alive", "null"] {
        let got = read_chat(&data(&[HEL, ping]));
        assert_eq!(got.error.unwrap()["code"], TRUNCATED, "{ping}");
    }
}

#[test]
fn an_end_without_an_answer_is_an_error() {
    for body in [
        "data: [DONE]\n\n".to_owned(),
        ": a\n\ndata: [DONE]\n\n".to_owned(),
        data(&[r#"{"id":"","choices":null,"usage":null}"#, "[DONE]"]),
        data(&[r#"{"id":"","choices":[]}"#, "[DONE]"]),
        "Service Unavailable".to_owned(),
        "data: Service Unavailable\n\ndata: [DONE]\n\n".to_owned(),
    ] {
        let (out, head) = chat(body.as_bytes());
        assert_eq!(out, "", "{body}");
        assert!(matches!(head, StreamHead::Error(answer) if answer.status == 502), "{body}");
    }
}

#[test]
fn chunks_inside_of_something_else() {
    let object = HEL.replace("[{", "{").replace("}]", "}");
    for body in [
        data(&[&format!("[{HEL}]"), &format!("[{LO},{STOP}]")]),
        data(&[&format!(r#"{{"code":0,"data":{HEL}}}"#), LO, STOP]),
        data(&[&format!(r#"{{"result":[{HEL},{LO}]}}"#), STOP]),
        data(&[&object, LO, STOP]),
        format!("data: {HEL}{LO}\n\ndata: {STOP}\n\n"),
        format!("data: {HEL}data: {LO}\n\ndata: {STOP}data: [DONE]\n\n"),
        format!("data: {HEL}, {LO}\n\ndata: {STOP}[DONE]\n\n"),
    ] {
        let got = read_chat(&body);
        assert_eq!((got.text.as_str(), got.error, got.done), ("Hello", None, 1), "{body}");
    }
}

#[test]
fn a_chunk_that_was_made_a_text_stands_on_one_line() {
    let text = |json: &str| Value::from(json).to_string();
    let pretty = serde_json::from_str::<Value>(HEL).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    assert!(pretty.contains('\n'));
    for hel in [
        text(&pretty),
        format!(r#"{{"data":{}}}"#, text(&pretty)),
        format!(r#"{{"data":{}}}"#, text(&format!("[{pretty}]"))),
        format!(r#"{{"data":{}}}"#, text(&pretty.replacen('{', "{\"x\":NaN,", 1))),
        format!(r#"{{"code":0,"data":{{"result":{}}}}}"#, text(&pretty)),
        format!(r#"{{"data":{}}}"#, text(&format!(r#"{{"result":{}}}"#, text(&pretty)))),
    ] {
        let body = data(&[&hel, LO, STOP]);
        let got = read_chat(&body);
        assert_eq!((got.text.as_str(), got.error, got.done), ("Hello", None, 1), "{body}");
    }
}

#[test]
fn texts_are_found_wherever_they_stand() {
    let parts = |text: &str| {
        format!(r#"[{{"type":"thinking","thinking":"h"}},{{"type":"text","text":"{text}"}}]"#)
    };
    let choice = |said: &str| with_choice(&format!(r#"{{"index":0,{said},"finish_reason":null}}"#));
    for (chunk, thinks) in [
        (choice(&format!(r#""delta":{}"#, parts("Hel"))), true),
        (choice(&format!(r#""content":{}"#, parts("Hel"))), true),
        (choice(&format!(r#""delta":{{"text":{}}}"#, parts("Hel"))), true),
        (choice(&format!(r#""message":{{"content":{}}}"#, parts("Hel"))), true),
        (choice(r#""content":{"parts":[{"text":"Hel"}]}"#), false),
        (choice(r#""delta":{"content":null,"text":"Hel"}"#), false),
        (choice(r#""delta":{"content":"","text":"Hel"}"#), false),
        (choice(r#""delta":{"content":""},"message":{"text":"Hel"}"#), false),
    ] {
        // The message at the end says nothing that was not said.
        let last = with_choice(&format!(
            r#"{{"index":0,"message":{{"content":{}}},"finish_reason":"stop"}}"#,
            if thinks { parts("Hello") } else { r#""Hello""#.to_owned() }
        ));
        let got = read_chat(&data(&[&chunk, LO, &last, "[DONE]"]));
        let reasoning: String = got
            .events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["reasoning_content"].as_str())
            .collect();
        let want = if thinks { "h" } else { "" };
        assert_eq!((got.text.as_str(), reasoning.as_str()), ("Hello", want), "{chunk}");
    }
}

#[test]
fn calls_that_drift() {
    let one = |calls: &[&str]| {
        let chunks: Vec<String> =
            calls.iter().map(|call| delta(&format!(r#"{{"tool_calls":{call}}}"#))).collect();
        let mut payloads: Vec<&str> = chunks.iter().map(String::as_str).collect();
        payloads.extend([STOP, "[DONE]"]);
        let got = read_chat(&data(&payloads));
        assert_eq!(got.finish.as_deref(), Some("tool_calls"), "{calls:?}");
        got.tool_calls.into_iter().map(|(_, name, arguments)| (name, arguments)).collect::<Vec<_>>()
    };
    let want = vec![("f".to_owned(), r#"{"a":1}"#.to_owned())];
    for calls in [
        &[
            r#"[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":{"a":1}}}]"#,
        ][..],
        &[
            r#"{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}"#,
        ],
        &[r#"[{"id":"t","name":"f","arguments":{"a":1}}]"#],
        &[r#"[{"index":"0","id":"t","function":{"name":"f","arguments":"{\"a\":1}"}}]"#],
        &[
            r#"[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"a\""}}]"#,
            r#"[{"index":1,"function":{"arguments":":1}"}}]"#,
        ],
        &[
            r#"[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"a\""}}]"#,
            r#"{"index":0,"id":"","function":{"name":null,"arguments":":1}"}}"#,
        ],
        &[
            r#"[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"a\""}}]"#,
            r#"[{"index":3,"id":null,"function":{"name":"","arguments":":1}"}}]"#,
        ],
    ] {
        assert_eq!(one(calls), want, "{calls:?}");
    }
    let two = one(&[
        r#"[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]"#,
        r#"[{"index":1,"id":"u","function":{"name":"g","arguments":"{"}}]"#,
        r#"[{"index":1,"function":{"arguments":"}"}}]"#,
    ]);
    assert_eq!(two, [("f", "{}"), ("g", "{}")].map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn a_frame_with_members_of_its_own_goes_on() {
    let citations = r#"{"id":"c","object":"chat.completion.chunk","citations":["https://a.test"]}"#;
    let got = read_chat(&data(&[HEL, citations, STOP]));
    assert_eq!(got.events[1]["citations"][0], "https://a.test");
    for dropped in [
        r#"{"choices":[],"id":"","prompt_filter_results":[{"a":1}]}"#,
        r#"{"type":"ping","id":"c","note":"x"}"#,
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m"}"#,
    ] {
        assert_eq!(read_chat(&data(&[HEL, dropped, STOP])).events.len(), 2, "{dropped}");
    }
}

#[test]
fn what_was_repaired_is_known() {
    use crate::telemetry::counters::Repair;
    let kinds = |body: &str| {
        let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
        let _ = normalizer.push(body.as_bytes());
        let _ = normalizer.finish(StreamEnd::Clean);
        normalizer.repairs().iter().collect::<Vec<_>>()
    };
    assert_eq!(kinds(&data(&[HEL, LO, STOP, USAGE, "[DONE]"])), []);
    assert_eq!(kinds(&data(&[HEL, LO, STOP])), [Repair::Done]);
    assert_eq!(kinds(&data(&[HEL, &message("Hello", "\"stop\""), "[DONE]"])), [Repair::Message]);
    let usage = USAGE.replace(":3", ":\"3\"");
    assert_ne!(usage, USAGE);
    assert_eq!(kinds(&data(&[HEL, STOP, &usage, "[DONE]"])), [Repair::Usage]);
}

fn transcript(body: &str, end: StreamEnd) -> (String, usize, bool) {
    let (out, head) = run(options(StreamKind::Transcription), &[body.as_bytes()], end);
    if matches!(head, StreamHead::Error(_)) {
        return (String::new(), 0, true);
    }
    let (mut deltas, mut whole, mut done, mut failed) = (String::new(), String::new(), 0, false);
    for line in String::from_utf8(out).unwrap().lines() {
        let Some(payload) = line.strip_prefix("data: {") else { continue };
        let event: Value = serde_json::from_str(&format!("{{{payload}")).unwrap();
        match event["type"].as_str() {
            Some("transcript.text.delta") => deltas.push_str(event["delta"].as_str().unwrap()),
            Some("transcript.text.done") => {
                done += 1;
                whole.push_str(event["text"].as_str().unwrap());
            }
            _ => failed = true,
        }
    }
    assert!(failed || whole == deltas, "{whole:?} {deltas:?}");
    (deltas, done, failed)
}

#[test]
fn any_transcription_streams_as_openais() {
    let chunk = |text: &str, reason: &str| {
        format!(
            r#"{{"object":"transcription.chunk","choices":[{{"delta":{{"content":"{text}"}},"finish_reason":{reason}}}]}}"#
        )
    };
    let hi = ("Hi there".to_owned(), 1, false);
    for body in [
        data(&[
            &chunk("Hi", "null"),
            &chunk("", "\"stop\""),
            &chunk(" there", "\"stop\""),
            "[DONE]",
        ]),
        data(&[
            r#"{"start":0,"end":1,"text":"Hi"}"#,
            r#"{"start":1,"end":2,"text":" there"}"#,
            "[DONE]",
        ]),
        "{\"text\":\"Hi\"}\n{\"text\":\" there\"}\n".to_owned(),
        "{\"text\":\"Hi\"}\n{\"text\":\"Hi there\"}\n".to_owned(),
        "{\"type\":\"segment\",\"text\":\"Hi\"}\n{\"type\":\"final\",\"text\":\"Hi there\"}\n"
            .to_owned(),
        "data: Hi there\n\n".to_owned(),
        "Hi there".to_owned(),
        "{\"segments\":[{\"text\":\"Hi\"},{\"text\":\" there\"}]}".to_owned(),
        "{\"segments\":[{\"text\":\"Hi\"},{\"text\":null},{\"text\":\"there\"}]}".to_owned(),
        data(&[r#"{"result":{"text":"Hi"}}"#, r#"{"result":{"text":" there"}}"#, "[DONE]"]),
        data(&[r#"{"sentence":"Hi"}"#, r#"{"sentence":" there"}"#, "[DONE]"]),
        data(&[r#"{"text":["Hi","there"]}"#, "[DONE]"]),
        data(&[r#"{"segment":{"text":"Hi"}}"#, r#"{"delta":" there"}"#, "[DONE]"]),
        data(&[r#"{"type":"transcript.text.delta","delta":"Hi there"}"#, "[DONE]"]),
        data(&[
            r#"{"type":"transcript.text.delta","delta":"Hi there"}"#,
            r#"{"type":"transcript.text.done","text":"Hi there"}"#,
            r#"{"type":"transcript.text.done","text":"Hi there"}"#,
        ]),
    ] {
        assert_eq!(transcript(&body, StreamEnd::Clean), hi, "{body}");
    }
    for body in [
        String::new(),
        "data: [DONE]\n\n".to_owned(),
        "<html><title>x</title></html>".to_owned(),
        "error: no audio".to_owned(),
        data(&[r#"{"error":"no audio"}"#]),
    ] {
        assert!(transcript(&body, StreamEnd::Clean).2, "{body}");
    }
    let aborted = data(&[&chunk("Hi", "null"), &chunk("", "\"abort\""), "[DONE]"]);
    assert!(transcript(&aborted, StreamEnd::Clean).2);
    assert!(transcript(&data(&[&chunk("Hi", "null")]), StreamEnd::Clean).2);
    assert!(transcript(&data(&[r#"{"text":"Hi"}"#]), StreamEnd::Reset).2);
}
