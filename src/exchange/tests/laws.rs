//! What holds however bodies are cut, in both directions.

use proptest::prelude::*;

use super::*;

type Cuts = Vec<prop::sample::Index>;

fn cuts() -> impl Strategy<Value = Cuts> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..10)
}

fn ends() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::WithData, End::Alone, End::Trailers])
}

fn cut_at<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    at.extend([0, body.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// JSON members and what comes between them; some are wrong.
fn members() -> impl Strategy<Value = String> {
    prop::sample::select(
        [
            r#""messages":[{"role":"user","content":"{\"model\":\"x\"}"}]"#,
            r#""messages":[{"role":"user","content":[{"type":"text","text":"é\u00e9"}]}]"#,
            r#""stream":true"#,
            r#" "n" : -1.5e-3 "#,
            r#""cache_control":{"type":"ephemeral"}"#,
            r#""deep":{"model":"y","a":[[],{}]}"#,
            r#""":null"#,
            r#""broken":tru"#,
            r#""MODEL":"z""#,
            r#""long":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
        ]
        .map(str::to_owned)
        .to_vec(),
    )
}

fn models() -> impl Strategy<Value = String> {
    prop::sample::select(
        [
            r#""model":"alpha/m""#,
            r#""model":"quick""#,
            r#""mod\u0065l" : "beta\/org\/m""#,
            r#""model":"""#,
        ]
        .map(str::to_owned)
        .to_vec(),
    )
}

fn bodies() -> impl Strategy<Value = String> {
    let around = prop::collection::vec(members(), 0..5);
    let tail = prop::sample::select(vec!["}", "}", "}", "} \n", "", "}}", ",}"]);
    (around, models(), any::<prop::sample::Index>(), tail).prop_map(|(mut all, model, at, tail)| {
        all.insert(at.index(all.len() + 1), model);
        format!("{{{}{tail}", all.join(","))
    })
}

/// What came of a request: what the upstream got, or the refusal.
fn outcome(host: &Host) -> Result<(Fields, Vec<u8>), (u16, String)> {
    if host.reply.is_some() {
        assert!(!host.request.ended, "a refused request went on in full");
        return Err(host.refusal());
    }
    assert!(host.request.ended, "held for ever: {host:?}");
    let mut head = host.request.head.clone();
    // Depending on when its end is seen, a body without a length is given one.
    if let Some(length) = get(&head, "content-length") {
        assert_eq!(length, host.request.body.len().to_string());
    }
    head.retain(|(name, _)| name != "content-length");
    head.sort();
    Ok((head, host.request.body.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_request_is_judged_and_rewritten_the_same_in_any_pieces(
        body in bodies(),
        mode in prop::sample::select(vec!["respect", "disable", "force"]),
        declared in any::<bool>(),
        cuts in cuts(),
        end in ends(),
    ) {
        let config = config();
        let length = body.len().to_string();
        let mut more = vec![("x-langwatch-cache", mode)];
        if declared && end != End::Trailers {
            more.push(("content-length", &length));
        }
        let head = post(CHAT, &more);
        let whole = outcome(&Host::request(&config, &head, &[body.as_bytes()], End::WithData));
        let pieces = cut_at(body.as_bytes(), &cuts);
        let cut = Host::request(&config, &head, &pieces, end);
        prop_assert_eq!(&outcome(&cut), &whole);
        let expected = whole.ok().map(|(_, body)| body);
        if mode == "respect" && let Some(expected) = &expected {
            // Only the model's value differs.
            let want = body
                .replace(r#""alpha/m""#, r#""m""#)
                .replace(r#""quick""#, r#""gpt-4o-mini""#)
                .replace(r#""beta\/org\/m""#, r#""org/m""#);
            prop_assert_eq!(String::from_utf8_lossy(expected), want);
        }
    }

    #[test]
    fn a_form_is_judged_and_rewritten_the_same_in_any_pieces(
        before in prop::collection::vec(any::<u8>(), 0..60),
        parts in prop::collection::vec(prop::sample::select(vec!["model", "file", "language"]), 1..4),
        closed in any::<bool>(),
        cuts in cuts(),
        end in ends(),
    ) {
        let mut body = Vec::new();
        for part in &parts {
            let name = format!("--B\r\nContent-Disposition: form-data; name=\"{part}\"");
            body.extend_from_slice(name.as_bytes());
            if *part == "file" {
                body.extend_from_slice(b"; filename=\"f\"");
            }
            body.extend_from_slice(b"\r\n\r\n");
            match *part {
                "model" => body.extend_from_slice(b"alpha/m"),
                "file" => body.extend_from_slice(&before),
                _ => body.extend_from_slice(b"en"),
            }
            body.extend_from_slice(b"\r\n");
        }
        if closed {
            body.extend_from_slice(b"--B--\r\n");
        }
        let config = config();
        let head = post("/v1/audio/transcriptions", &[("content-type", "multipart/form-data; boundary=B")]);
        let whole = Host::request(&config, &head, &[&body], End::WithData);
        let cut = Host::request(&config, &head, &cut_at(&body, &cuts), end);
        prop_assert_eq!(outcome(&cut), outcome(&whole));
    }

    #[test]
    fn no_request_is_too_odd(
        body in prop::collection::vec(any::<u8>(), 0..80),
        path in prop::sample::select(vec!["chat/completions", "audio/translations", "models/x", "files"]),
        value in prop::collection::vec(any::<u8>(), 0..20),
        cuts in cuts(),
        end in ends(),
    ) {
        let mut head = post(&format!("/v1/{path}"), &[]);
        head.push(("x-langwatch-odd".to_owned(), value.clone()));
        head.push(("content-length".to_owned(), value));
        let host = Host::request(&config(), &head, &cut_at(&body, &cuts), end);
        prop_assert!(!host.request.ended, "{host:?}");
    }
}

/// A recorded answer, and the request that it answers.
#[derive(Debug, Clone)]
struct Recorded {
    id: String,
    path: String,
    asked: String,
    head: Fields,
    body: Vec<u8>,
}

fn recorded() -> Vec<Recorded> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quirks/cases");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter_map(|path| case(&path)).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

/// A case whose answer the gateway reads.
fn case(folder: &std::path::Path) -> Option<Recorded> {
    let meta: Value =
        serde_json::from_slice(&std::fs::read(folder.join("meta.json")).ok()?).ok()?;
    let id = meta["id"].as_str()?.to_owned();
    let status = meta["upstream"]["status"].as_u64()?;
    // Only a JSON request can be changed here.
    if !id.starts_with(['a', 'b', 'c']) || !meta["request"]["body"].is_object() {
        return None;
    }
    let mut asked = meta["request"]["body"].clone();
    asked["model"] = json!("quick");
    let mut head = fields(&[(":status", &status.to_string())]);
    for (name, value) in meta["upstream"]["headers"].as_object()? {
        head.push((name.to_lowercase(), value.as_str()?.as_bytes().to_vec()));
    }
    let path = meta["request"]["path"].as_str()?.to_owned();
    let body = std::fs::read(folder.join("upstream.body")).ok()?;
    Some(Recorded { id, path, asked: asked.to_string(), head, body })
}

/// What the client gets: head and body.
fn client(recorded: &Recorded, chunks: &[&[u8]], end: End) -> (Fields, Vec<u8>) {
    let mut host = send(&config(), &recorded.path, &[], &recorded.asked);
    assert!(host.request.ended, "{} {:?}", recorded.id, host.reply);
    host.respond(&recorded.head, chunks, end);
    if let Some(reply) = &host.reply {
        let status = reply.status.to_string();
        let mut head = fields(&[(":status", &status)]);
        head.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone().into_bytes())),
        );
        return (head, reply.body.clone());
    }
    assert!(host.answer.ended, "{} is held for ever", recorded.id);
    let mut head = host.answer.head;
    if let Some(length) = get(&head, "content-length") {
        assert_eq!(length, host.answer.body.len().to_string(), "{}", recorded.id);
    }
    head.retain(|(name, _)| name != "content-length");
    head.sort();
    (head, host.answer.body)
}

#[test]
fn the_cases_are_there() {
    assert!(recorded().len() > 100, "{} cases", recorded().len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_answer_is_the_same_in_any_pieces(
        recorded in prop::sample::select(recorded()),
        cuts in cuts(),
        end in ends(),
    ) {
        let whole = client(&recorded, &[&recorded.body], End::Alone);
        let cut = client(&recorded, &cut_at(&recorded.body, &cuts), end);
        prop_assert_eq!(&cut.0, &whole.0, "{}", recorded.id);
        prop_assert_eq!(String::from_utf8_lossy(&cut.1), String::from_utf8_lossy(&whole.1), "{}", recorded.id);
    }
}
