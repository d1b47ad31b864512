//! Answers that are no chat: speech, images, transcripts. An error in a 200 is an error there too.

use super::*;
use crate::test;

const SPEECH: (&str, &str) = ("/v1/audio/speech", r#"{"model":"alpha/m","input":"a","voice":"v"}"#);
const IMAGE: (&str, &str) = ("/v1/images/generations", r#"{"model":"alpha/m","prompt":"a"}"#);

fn answered((path, asked): (&str, &str), label: Option<&str>, body: &[u8], size: usize) -> Host {
    let mut head = vec![(":status", "200")];
    head.extend(label.map(|label| ("content-type", label)));
    let mut host = send(&config(), path, &[], asked);
    assert!(host.request.ended, "{:?}", host.reply);
    host.respond(&fields(&head), &cut(body, size), End::Alone);
    host
}

#[test]
fn an_error_in_a_200_is_one_whatever_its_label_and_framing() {
    for asked in [SPEECH, IMAGE] {
        for label in [
            None,
            Some("text/event-stream"),
            Some("application/json"),
            Some("audio/mpeg"),
            Some("application/octet-stream"),
        ] {
            for body in [
                r#"{"error":{"message":"Slow down","code":429}}"#,
                "data: {\"error\":{\"message\":\"Slow down\",\"code\":429}}\n\n",
                "data: {\"error\":{\"message\":\"Slow down\",\"code\":429}}\n\ndata: [DONE]\n\n",
                ": hi\n\nevent: error\ndata: {\"error\":{\"message\":\"Slow down\",\"code\":429}}\n\n",
            ] {
                for size in [1, 7, 1_000] {
                    let host = answered(asked, label, body.as_bytes(), size);
                    let head = &host.answer.head;
                    assert_eq!(get(head, ":status"), Some("429"), "{asked:?} {label:?} {body}");
                    assert_eq!(get(head, "content-type"), Some("application/json"));
                    let said: Value = serde_json::from_slice(&host.answer.body).unwrap();
                    assert_eq!(said["error"]["message"], "Slow down", "{label:?} {body}");
                }
            }
        }
    }
}

#[test]
fn good_events_of_media_go_on_as_they_are() {
    let long = format!(
        "data: {{\"type\":\"speech.audio.delta\",\"audio\":\"{}\"}}\n\n",
        "a".repeat(40_000)
    );
    for body in [
        "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"aa\"}\n\n",
        "data: {\"type\":\"speech.audio.delta\",\"audio\":\"aa\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{}}\n\n",
        "data: {\"type\":\"speech.audio.done\"}\r\n\r\n",
        "data: aGVsbG8=\n\n",
        &long,
    ] {
        for asked in [SPEECH, IMAGE] {
            for size in [1, 9, 100_000] {
                let host = answered(asked, Some("text/event-stream"), body.as_bytes(), size);
                let sent = String::from_utf8_lossy(&host.answer.body);
                assert_eq!(get(&host.answer.head, ":status"), Some("200"), "{sent}");
                assert!(sent == body, "{sent}");
            }
        }
    }
}

#[test]
fn events_of_media_that_never_come_are_an_error() {
    for body in ["", ": hi\n\n"] {
        let host = answered(SPEECH, Some("text/event-stream"), body.as_bytes(), 3);
        assert_eq!(get(&host.answer.head, ":status"), Some("502"), "{body:?}");
    }
}

#[test]
fn the_first_good_event_of_media_lets_the_head_go() {
    let mut host = send(&config(), SPEECH.0, &[], SPEECH.1);
    let head = fields(&[(":status", "200"), ("content-type", "text/event-stream")]);
    host.answer.head = head.clone();
    let step = host.exchange.on_response_head(&headers(&head), false, &Around::default());
    host.answer_step(step, false);
    assert!(!host.answer.head_sent);
    host.answer_body(b"data: {\"type\":\"speech.audio.delta\",\"audio\":\"aa\"}\n\n", false);
    assert!(host.answer.head_sent);
}

#[test]
fn an_error_behind_the_first_event_is_an_event() {
    let body = "event: x\ndata: {\"type\":\"x\",\"audio\":\"aa\"}\n\nevent: error\ndata: {\"error\":{\"message\":\"no\"}}\n\n";
    for asked in [SPEECH, IMAGE] {
        for body in [body.to_owned(), body.replace('\n', "\r\n"), body.replace('\n', "\r")] {
            for size in [1, 2, 7, 41, 42, 43, 1_000] {
                let host = answered(asked, Some("text/event-stream"), body.as_bytes(), size);
                assert_eq!(get(&host.answer.head, ":status"), Some("200"), "{size} {body}");
                assert_eq!(host.answer.body, body.as_bytes(), "{size}");
            }
        }
    }
}

#[test]
fn images_leave_in_the_shape_that_clients_read() {
    let config = config();
    let siliconflow =
        r#"{"images":[{"url":"https://x/a.png"}],"timings":{"inference":0.4},"seed":7}"#;
    let want = format!(
        r#"{{"created":{NOW},"data":[{{"url":"https://x/a.png"}}],"timings":{{"inference":0.4}},"seed":7}}"#
    );
    for (json, want) in [
        (siliconflow, &*want),
        (
            r#"{"created":1,"data":[{"url":"https://x/a.png"}]}"#,
            r#"{"created":1,"data":[{"url":"https://x/a.png"}]}"#,
        ),
    ] {
        for label in ["application/json", "text/plain; charset=utf-8"] {
            for size in [1, 7, 1_000] {
                let mut host = send(&config, IMAGE.0, &[], IMAGE.1);
                let head = [(":status", "200"), ("content-type", label)];
                host.respond(&fields(&head), &cut(json.as_bytes(), size), End::Alone);
                assert_eq!(String::from_utf8_lossy(&host.answer.body), want, "{label} {size}");
                assert_eq!(get(&host.answer.head, "content-type"), Some("application/json"));
            }
        }
    }
    for (json, message) in [
        (r#"{"created":1,"data":null}"#, "The upstream's answer has no images."),
        (r#"{"created":1,"data":[{"error":{"message":"It was filtered."}}]}"#, "It was filtered."),
    ] {
        let host = answered(IMAGE, Some("application/json"), json.as_bytes(), 9);
        assert_eq!(get(&host.answer.head, ":status"), Some("502"), "{json}");
        let said: Value = serde_json::from_slice(&host.answer.body).unwrap();
        assert_eq!(said["error"]["message"], message);
    }
}

#[test]
fn speech_that_is_a_text_is_an_error_whatever_its_label() {
    for (body, message) in [
        (r#"{"status":"processing"}"#, "The upstream's answer has no audio."),
        (r#"{"data":[{"audio":"ffd8"}]}"#, "The upstream's answer has no audio."),
        ("{}", "The upstream's answer has no audio."),
        (r#""The voice is unknown""#, "The voice is unknown"),
        ("The voice is unknown", "The voice is unknown"),
        ("[1]", "The upstream's answer has no audio."),
    ] {
        for label in
            [None, Some("application/json"), Some("audio/mpeg"), Some("application/octet-stream")]
        {
            for size in [1, 7, 1_000] {
                let host = answered(SPEECH, label, body.as_bytes(), size);
                assert_eq!(get(&host.answer.head, ":status"), Some("502"), "{label:?} {body}");
                let said: Value = serde_json::from_slice(&host.answer.body).unwrap();
                assert_eq!(said["error"]["message"], message, "{label:?} {body}");
            }
        }
    }
}
