//! What users of such bridges have reported, as inputs: each through a whole exchange, with what the chat server and the
//! client must get. `tests/reports/README.md` says how to read them.

use super::*;

const JSON: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/json")];
const SSE: [(&str, &str); 2] = [(":status", "200"), ("content-type", "text/event-stream")];

/// Checks each report of a file, and names all that do not hold.
fn each(json: &str, check: impl Fn(&Value)) {
    let all: Vec<Value> = serde_json::from_str(json).unwrap();
    let holds = |report: &&Value| {
        let run = std::panic::AssertUnwindSafe(|| check(report));
        std::panic::catch_unwind(run).is_err()
    };
    let failed: Vec<_> =
        all.iter().filter(holds).map(|report| report["name"].to_string()).collect();
    assert!(failed.is_empty(), "{} of {} reports: {}", failed.len(), all.len(), failed.join(", "));
}

/// Providers without options, and with one each.
fn gateway() -> Rc<Config> {
    let provider = |name: &str, more: &Value| {
        let mut provider =
            json!({"name": name, "base_url": "http://u.test/v1", "auth": {"mode": "none"}});
        for (name, value) in more.as_object().unwrap() {
            provider[name] = value.clone();
        }
        provider
    };
    config_with(json!({
        "providers": [
            provider("alpha", &json!({})),
            provider("any", &json!({"system_anywhere": true})),
            provider("marks", &json!({"cache_control": true})),
            provider("rf", &json!({"reasoning_field": "reasoning_content"})),
        ],
        "virtual_keys": [{"id": "team", "key": "vk-team"}],
        "model_aliases": {},
    }))
}

/// Asks what the report asks. `usual`: members that it does not name.
fn ask(path: &str, usual: &Value, report: &Value) -> Host {
    let asked = &report["request"];
    if let Some(raw) = asked["raw"].as_str() {
        return send(&gateway(), path, &[], raw);
    }
    let mut body = usual.clone();
    for (name, value) in asked.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    send(&gateway(), path, &[], &body.to_string())
}

/// Checks what the chat server has got, or the refusal.
fn check_request(host: &mut Host, report: &Value) {
    if let Some(path) = report["refused"].as_str() {
        let reply = host.reply.as_ref().unwrap_or_else(|| panic!("not refused: {report}"));
        let body = String::from_utf8(reply.body.clone()).unwrap();
        assert!(reply.status == 400 && body.contains(path), "{report}: {body}");
        return;
    }
    assert!(host.reply.is_none(), "{report}: {:?}", host.reply);
    let raw = String::from_utf8(host.request.body.clone()).unwrap();
    let chat: Value = serde_json::from_str(&raw).unwrap();
    let messages = chat["messages"].as_array().unwrap();
    for (name, want) in report["chat"].as_object().into_iter().flatten() {
        assert_eq!(&chat[name], want, "{report}: {chat}");
    }
    for name in report["lacks"].as_array().into_iter().flatten() {
        assert_eq!(chat.get(name.as_str().unwrap()), None, "{report}: {chat}");
    }
    for text in report["body_lacks"].as_array().into_iter().flatten() {
        assert!(!raw.contains(text.as_str().unwrap()), "{report}: {chat}");
    }
    if let Some(want) = report.get("messages") {
        assert_eq!(&chat["messages"], want, "{report}");
    }
    if let Some(want) = report.get("last") {
        assert_eq!(messages.last().unwrap(), want, "{report}");
    }
    if let Some(want) = report["roles"].as_array() {
        let roles: Vec<_> = messages.iter().map(|message| &message["role"]).collect();
        assert_eq!(roles, want.iter().collect::<Vec<_>>(), "{report}: {chat}");
    }
    let tools = messages.iter().filter(|message| message["role"] == "tool");
    if let Some(want) = report.get("tool") {
        assert_eq!(tools.map(|tool| &tool["content"]).next(), Some(want), "{report}");
    }
    if let Some(want) = report.get("arguments") {
        let got =
            messages.iter().find_map(|message| message.pointer("/tool_calls/0/function/arguments"));
        assert_eq!(got, Some(want), "{report}");
    }
    host.respond(&fields(&JSON), &[br#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#], End::Alone);
    if let Some(want) = report["dropped"].as_array() {
        let names: Vec<_> = want.iter().map(|name| name.as_str().unwrap()).collect();
        let got = get(&host.answer.head, "x-langwatch-params-dropped");
        assert_eq!(got.unwrap_or_default(), names.join(", "), "{report}");
    }
}

/// What the chat server answers, plain.
fn completion(report: &Value) -> Option<String> {
    let message = report.get("message").filter(|message| !message.is_null())?;
    let mut choice = json!({"index": 0, "message": message, "finish_reason": report["finish"]});
    for (name, value) in report["choice"].as_object().into_iter().flatten() {
        choice[name] = value.clone();
    }
    let usage = report
        .get("usage")
        .cloned()
        .unwrap_or(json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}));
    Some(json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}).to_string())
}

/// The same as a stream: in the report's pieces, else the message as one.
fn stream(report: &Value) -> String {
    let chunk = |delta: &str, more: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta}{more}}}]}}\n\n"
        )
    };
    let raw = report["deltas_raw"]
        .as_array()
        .map(|all| all.iter().map(|one| one.as_str().unwrap().to_owned()).collect());
    let told = report["deltas"].as_array().map(|all| all.iter().map(Value::to_string).collect());
    let deltas: Vec<String> = raw.or(told).unwrap_or_else(|| vec![report["message"].to_string()]);
    let mut out: String =
        deltas.iter().map(|delta| chunk(delta, ",\"finish_reason\":null")).collect();
    let mut end = format!(",\"finish_reason\":{}", report["finish"]);
    for (name, value) in report["choice"].as_object().into_iter().flatten() {
        end.push_str(&format!(",\"{name}\":{value}"));
    }
    out.push_str(&chunk("{}", &end));
    let usage = report
        .get("usage")
        .cloned()
        .unwrap_or(json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}));
    if !usage.is_null() {
        out.push_str(&format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage})));
    }
    out + "data: [DONE]\n\n"
}

/// What a client gets: a whole answer, or the status of an error.
type Told = Result<Value, u16>;

fn plain(path: &str, usual: &Value, report: &Value, head: &[(&str, &str)], answer: &str) -> Told {
    let mut host = ask(path, usual, report);
    assert!(host.reply.is_none(), "{report}: {:?}", host.reply);
    host.respond(&fields(head), &[answer.as_bytes()], End::Alone);
    let status: u16 = get(&host.answer.head, ":status").unwrap().parse().unwrap();
    let body = serde_json::from_slice(&host.answer.body).unwrap();
    if status == 200 { Ok(body) } else { Err(status) }
}

/// The events of a stream, cut in pieces of `size`; an error event ends them.
fn events(path: &str, usual: &Value, report: &Value, size: usize) -> String {
    let mut usual = usual.clone();
    usual["stream"] = json!(true);
    let mut host = ask(path, &usual, report);
    host.respond(&fields(&SSE), &cut(stream(report).as_bytes(), size), End::Alone);
    let out = String::from_utf8(host.answer.body).unwrap();
    // An answer's id is made up, and stands in all of its other ids.
    let id = out
        .split_once("\"id\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .unwrap_or_default()
        .0;
    let id = id.rsplit_once('_').map_or(id, |(_, id)| id);
    let shown = if id.is_empty() { out.clone() } else { out.replace(id, "ID") };
    shown.split_inclusive("\n\n").filter(|event| !event.starts_with("event: ping")).collect()
}

/// The answers to a plain request (of one completion, and of a stream that nobody asked for) and to a stream, which
/// agree: those that the report has.
fn told(path: &str, usual: &Value, report: &Value, assembled: &dyn Fn(&str) -> Told) -> Vec<Told> {
    let mut all = Vec::new();
    if let Some(answer) = completion(report) {
        all.push(plain(path, usual, report, &JSON, &answer));
    }
    all.push(plain(path, usual, report, &SSE, &stream(report)));
    let whole = events(path, usual, report, 100_000);
    for size in [1, 7, 64] {
        assert_eq!(events(path, usual, report, size), whole, "{report}");
    }
    all.push(assembled(&whole));
    all
}

/// The value at `a.0.b`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    value.pointer(&format!("/{}", path.replace('.', "/")))
}

mod messages {
    use super::*;
    use crate::dialect::messages::answer::assembled;
    use crate::test;

    const PATH: &str = "/v1/messages";

    fn usual() -> Value {
        json!({"model": "alpha/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    }

    #[test]
    fn requests() {
        each(include_str!("../../../tests/reports/messages-requests.json"), |report| {
            check_request(&mut ask(PATH, &usual(), report), report);
        });
    }

    fn message(events: &str) -> Told {
        if events.contains("event: error\n") { Err(502) } else { Ok(assembled(events)) }
    }

    #[test]
    fn answers() {
        each(include_str!("../../../tests/reports/messages-answers.json"), |report| {
            let all = told(PATH, &usual(), report, &message);
            for (number, got) in all.iter().enumerate() {
                let got = match (got, report["error"].as_u64()) {
                    (Err(status), Some(want)) => {
                        assert_eq!(u64::from(*status), want, "{report}");
                        continue;
                    }
                    (Ok(got), None) => got,
                    _ => panic!("{report}: {got:?}"),
                };
                let is_stream = number + 1 == all.len();
                let content =
                    report.get("content").or(report.get("plain_content").filter(|_| !is_stream));
                if let Some(want) = content {
                    assert_eq!(&got["content"], want, "{report}");
                }
                if let Some(want) = report["types"].as_array() {
                    let types: Vec<_> = got["content"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|block| &block["type"])
                        .collect();
                    assert_eq!(types, want.iter().collect::<Vec<_>>(), "{report}");
                    let ids: std::collections::HashSet<_> = got["content"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|block| block["id"].as_str())
                        .collect();
                    assert_eq!(ids.len(), want.len(), "{report}: {got}");
                }
                if let Some(want) = report.get("stop_reason") {
                    assert_eq!(&got["stop_reason"], want, "{report}");
                }
                for (name, want) in report["answer"].as_object().into_iter().flatten() {
                    assert_eq!(&got[name], want, "{report}");
                }
            }
        });
    }
}

mod responses {
    use super::*;
    use crate::test;

    const PATH: &str = "/v1/responses";

    fn usual() -> Value {
        json!({"model": "alpha/m", "input": "hi"})
    }

    #[test]
    fn requests() {
        each(include_str!("../../../tests/reports/responses-requests.json"), |report| {
            check_request(&mut ask(PATH, &usual(), report), report);
        });
    }

    fn response(events: &str) -> Told {
        let last = events.trim_end().rsplit_once("\ndata: ").unwrap().1;
        let last: Value = serde_json::from_str(last).unwrap();
        if last["type"] == "response.failed" { Err(502) } else { Ok(last["response"].clone()) }
    }

    #[test]
    fn answers() {
        each(include_str!("../../../tests/reports/responses-answers.json"), |report| {
            for got in told(PATH, &usual(), report, &response) {
                match (got, report["error"].as_u64()) {
                    (Err(status), Some(want)) => assert_eq!(u64::from(status), want, "{report}"),
                    (Ok(got), None) => {
                        for (path, want) in report["at"].as_object().unwrap() {
                            assert_eq!(at(&got, path), Some(want), "{path} of {report}: {got}");
                        }
                    }
                    (got, _) => panic!("{report}: {got:?}"),
                }
            }
        });
    }
}
