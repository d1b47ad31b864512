//! Questions to a provider as they go out, and lists that come in pages.

use serde_json::{Value, json};

use super::call::{MAX_PAGES, TIMEOUT_MS};
use super::fetch::FAILURE_MS;
use super::outcome::MAX_LIST_BYTES;
use super::*;
use crate::policy::ProviderId;
use crate::repair::model_list::{List, MAX_MODELS};
use crate::test;
use crate::wire::headers::Headers;

const NO_HEAD: &Headers = &Headers::new(Vec::new());

fn config(provider: Value) -> Config {
    let mut with = json!({"name": "p", "base_url": "http://p.test/v1"});
    with.as_object_mut().unwrap().extend(provider.as_object().unwrap().clone());
    let text = json!({"providers": [with], "virtual_keys": [{"id": "v", "key": "vk-all"}], "models_cache_seconds": 60});
    Config::from_plugin_configuration(text.to_string().as_bytes(), &|_| None).expect("valid")
}

fn ask(fetches: &mut Fetches, config: &Config, now: u64) -> Result<Outcomes, Vec<Call>> {
    let needs = |_: &Outcomes| vec![ModelsQuestion::List(config.providers.by_name("p").unwrap())];
    match fetches.ask(config, 1, needs, Outcomes::default(), now) {
        FetchProgress::Ready(got) => Ok(got),
        FetchProgress::Wait(calls) => Err(calls),
    }
}

fn said(status: u16, body: &str) -> Option<CallAnswer<'_>> {
    Some(CallAnswer { status, headers: NO_HEAD, body: body.as_bytes() })
}

/// What a server that answers `page` to each path comes to: the paths that were asked, and the list.
fn fetched(page: impl Fn(&str) -> Option<(u16, String)>) -> (Vec<String>, Option<List>) {
    let config = config(json!({}));
    let mut fetches = Fetches::new();
    let mut call = ask(&mut fetches, &config, 0).unwrap_err().remove(0);
    let mut paths = Vec::new();
    loop {
        paths.push(call.path());
        assert!(paths.len() <= MAX_PAGES, "it asks for ever");
        let answer = page(&call.path());
        fetches.sent(call, 1);
        let answer = answer.as_ref().and_then(|(status, body)| said(*status, body));
        let Answered { ready, next } = fetches.answered(1, answer, 1);
        if let Some(next) = next {
            assert!(ready.is_empty());
            call = next;
            continue;
        }
        let list = match ready[0].1.list(ProviderId(0)) {
            Some(ListOutcome::Listed(list)) => Some((**list).clone()),
            _ => None,
        };
        return (paths, list);
    }
}

fn ids(list: &List) -> Vec<&str> {
    list.models.iter().map(|model| model.id.as_str()).collect()
}

#[test]
fn a_question_has_the_head_of_a_request() {
    let anthropic = json!({
        "messages_api": "native", "auth": {"mode": "header", "header": "x-api-key", "key": "sk-ant-0123456789"},
        "request_headers": {"set": {"anthropic-beta": "b", "x-team": "t", "Accept": "*/*"}, "remove": ["x-old"]},
    });
    let own_version = json!({"messages_api": "native", "request_headers": {"set": {"anthropic-version": "2099-01-01"}}});
    let without = json!({"messages_api": "native", "request_headers": {"remove": ["anthropic-version", "accept"]}});
    for (provider, want) in [
        (json!({}), vec![("accept", "application/json")]),
        (
            anthropic,
            vec![
                ("x-api-key", "sk-ant-0123456789"),
                ("anthropic-version", "2023-06-01"),
                ("accept", "*/*"),
                ("anthropic-beta", "b"),
                ("x-team", "t"),
            ],
        ),
        (own_version, vec![("accept", "application/json"), ("anthropic-version", "2099-01-01")]),
        (without, vec![]),
    ] {
        let config = config(provider);
        let calls = ask(&mut Fetches::new(), &config, 0).unwrap_err();
        let mut got: Vec<_> = calls[0].headers().collect();
        let always = [(":method", "GET"), (":authority", "p.test")];
        assert!(always.iter().all(|header| got.contains(header)), "{got:?}");
        got.retain(|header| !always.contains(header));
        let (mut got, mut want) = (got, want);
        got.sort_unstable();
        want.sort_unstable();
        assert_eq!(got, want);
        assert!(!format!("{calls:?}").contains("sk-ant-0123456789"));
    }
}

/// Each server's own way, as its reference has it.
#[test]
fn the_next_page_is_asked_as_its_server_wants_it() {
    for (first, query, second) in [
        // Anthropic
        (
            r#"{"data":[{"type":"model","id":"a"},{"type":"model","id":"b"}],"has_more":true,"first_id":"a","last_id":"b"}"#,
            "after_id=b&limit=1000",
            r#"{"data":[{"type":"model","id":"c"}],"has_more":false,"first_id":"c","last_id":"c"}"#,
        ),
        (
            r#"{"data":["a","b/+ c&d"],"has_more":true}"#,
            "after_id=b%2F%2B%20c%26d&limit=1000",
            r#"["c"]"#,
        ),
        // OpenAI's other lists
        (
            r#"{"object":"list","data":[{"id":"a"}],"has_more":true,"last_id":"x"}"#,
            "after=x&limit=1000",
            r#"{"object":"list","data":[{"id":"c"}],"has_more":false}"#,
        ),
        // Cohere
        (
            r#"{"models":[{"name":"a"}],"next_page_token":"t/1="}"#,
            "page_token=t%2F1%3D&page_size=1000",
            r#"{"models":[{"name":"c"}],"next_page_token":""}"#,
        ),
        // Google, Fireworks
        (
            r#"{"models":[{"name":"a"}],"nextPageToken":"t","totalSize":2}"#,
            "pageToken=t&pageSize=1000",
            r#"{"models":[{"name":"c"}],"nextPageToken":"","totalSize":2}"#,
        ),
        (
            r#"{"data":["a"],"meta":{"next_cursor":"n"}}"#,
            "cursor=n",
            r#"{"data":["c"],"meta":{"next_cursor":null}}"#,
        ),
        (
            r#"{"modelSummaries":[{"modelId":"a"}],"nextToken":"n"}"#,
            "nextToken=n",
            r#"{"modelSummaries":[{"modelId":"c"}]}"#,
        ),
        (r#"{"has_more":true,"data":["a"],"meta":{"next_cursor":"n"}}"#, "cursor=n", r#"["c"]"#),
        // An address: Replicate, watsonx, Azure. Its query alone is taken.
        (
            r#"{"next":"https://elsewhere.test/v2/all?cursor=cD0y&x=%2B#top","previous":null,"results":[{"id":"a"}]}"#,
            "cursor=cD0y&x=%2B",
            r#"{"next":null,"previous":"https://p.test/v1/models","results":[{"id":"c"}]}"#,
        ),
        (
            r#"{"limit":1,"total_count":2,"next":{"href":"https://x.test/ml?start=s&limit=1"},"resources":[{"model_id":"a"}]}"#,
            "start=s&limit=1",
            r#"{"limit":1,"total_count":2,"resources":[{"model_id":"c"}]}"#,
        ),
        (
            r#"{"value":[{"id":"a"}],"nextLink":"/models?$skip=1"}"#,
            "$skip=1",
            r#"{"value":[{"id":"c"}]}"#,
        ),
        (
            r#"{"data":["a"],"links":{"next":"/models?page=2"}}"#,
            "page=2",
            r#"{"data":["c"],"links":{}}"#,
        ),
        (
            r#"{"data":["a"],"pagination":{"next_page":2}}"#,
            "page=2",
            r#"{"data":["c"],"pagination":{"next_page":null}}"#,
        ),
        // By number: Cloudflare, DashScope, Laravel
        (
            r#"{"result":[{"name":"a"}],"result_info":{"page":1,"per_page":1,"count":1,"total_count":2}}"#,
            "page=2",
            r#"{"result":[{"name":"c"}],"result_info":{"page":2,"per_page":1,"count":1,"total_count":2}}"#,
        ),
        (
            r#"{"output":{"total":2,"page_no":1,"page_size":1,"models":[{"model":"a"}]}}"#,
            "page_no=2",
            r#"{"output":{"total":2,"page_no":2,"page_size":1,"models":[{"model":"c"}]}}"#,
        ),
        (
            r#"{"current_page":"1","last_page":"2","data":["a"]}"#,
            "page=2",
            r#"{"current_page":2,"last_page":2,"data":["c"]}"#,
        ),
        (
            r#"{"data":["a"],"offset":0,"limit":1,"total":2}"#,
            "offset=1&limit=1",
            r#"{"data":["c"],"offset":1,"limit":1,"total":2}"#,
        ),
    ] {
        let (paths, list) = fetched(|path| {
            let body = if path.contains('?') { second } else { first };
            Some((200, body.to_owned()))
        });
        assert_eq!(paths, ["/v1/models".to_owned(), format!("/v1/models?{query}")], "{first}");
        let list = list.unwrap();
        let all = ids(&list);
        assert!(!list.cut && all.contains(&"a") && all.contains(&"c"), "{first}: {all:?}");
    }
}

#[test]
fn lists_that_say_nothing_of_more() {
    for body in [
        r#"{"object":"list","data":[{"id":"a"}]}"#,
        r#"{"object":"list","data":[{"id":"a"}],"has_more":false,"last_id":"a"}"#,
        r#"{"data":["a"],"has_more":false,"next_page_token":"t"}"#,
        r#"{"data":["a"],"next":null,"nextPageToken":null,"next_page_token":""}"#,
        r#"{"data":["a"],"page":1,"per_page":20,"total":1}"#,
        r#"{"data":["a"],"page":1,"per_page":1,"total_pages":1}"#,
        r#"{"data":["a","b"],"page":1,"per_page":1,"total":2}"#,
        r#"{"data":["a"],"total":7}"#,
        r#"{"data":["a"],"next":7.5,"page":"x","total_pages":"y"}"#,
        r#"{"data":{"a":{},"next":{}}}"#,
        r#"{"data":["a"],"next":"what?"}"#,
    ] {
        let (paths, list) = fetched(|_| Some((200, body.to_owned())));
        assert_eq!((paths.len(), list.unwrap().cut), (1, false), "{body}");
    }
}

#[test]
fn a_list_that_does_not_end_is_cut() {
    let page = |number: usize| {
        let ids: Vec<_> = (0..3).map(|model| format!("{number:03}-{model}")).collect();
        json!({"data": ids, "has_more": true, "last_id": format!("{number:03}-2")})
    };
    // As far as pages go.
    let number = |path: &str| match path.split_once("after_id=") {
        Some((_, rest)) => rest.split('-').next().unwrap().parse::<usize>().unwrap() + 1,
        None => 0,
    };
    let (paths, list) = fetched(|path| Some((200, page(number(path)).to_string())));
    let list = list.unwrap();
    assert_eq!((paths.len(), list.models.len(), list.cut), (MAX_PAGES, 3 * MAX_PAGES, true));
    assert_eq!(ids(&list)[..2], ["000-0", "000-1"]);
    // Always the same page: one call shows it.
    let (paths, list) = fetched(|_| Some((200, page(0).to_string())));
    assert_eq!((paths.len(), list.unwrap().cut), (2, true));
    // The same token, other models.
    let count = std::cell::Cell::new(0);
    let (paths, list) = fetched(|_| {
        count.set(count.get() + 1);
        Some((
            200,
            json!({"data": [format!("m{}", count.get())], "next_page_token": "t"}).to_string(),
        ))
    });
    assert_eq!((paths.len(), list.unwrap().cut), (2, true));
    // Nothing behind: that was all.
    let (paths, list) = fetched(|path| {
        let body = if path.contains('?') { json!({"data": [], "has_more": true}) } else { page(0) };
        Some((200, body.to_string()))
    });
    assert_eq!((paths.len(), list.unwrap().cut), (2, false));
    // More, and no way to ask for it.
    for odd in [
        json!({"data": [], "has_more": true}),
        json!({"data": ["a"], "has_more": true, "next_cursor": "x".repeat(4_000), "next": "a b?c d"}),
    ] {
        let (paths, list) = fetched(|_| Some((200, odd.to_string())));
        let list = list.unwrap();
        assert_eq!((paths.len(), list.cut), (1, !list.models.is_empty()), "{odd}");
    }
    // Too many models, too many bytes.
    let many: Vec<_> = (0..MAX_MODELS).map(|model| format!("m{model}")).collect();
    let (paths, list) = fetched(|path| {
        let body = if path.contains('?') {
            json!({"data": ["zz"]})
        } else {
            json!({"data": many, "has_more": true})
        };
        Some((200, body.to_string()))
    });
    let list = list.unwrap();
    assert_eq!((paths.len(), list.models.len(), list.cut), (2, MAX_MODELS, true));
    let (paths, list) = fetched(|path| {
        let mut body = page(number(path));
        body["pad"] = json!("x".repeat(MAX_LIST_BYTES / 2 - 100));
        Some((200, body.to_string()))
    });
    assert_eq!((paths.len(), list.unwrap().cut), (3, true));
}

/// What has come stays, and is asked again as soon as after a failure.
#[test]
fn a_page_that_fails_cuts_the_list() {
    let first = r#"{"data":["a"],"has_more":true,"last_id":"a"}"#;
    for second in [
        Some((500, "{}")),
        Some((200, "<html>")),
        Some((404, "")),
        Some((200, r#"{"error":{"message":"no"}}"#)),
        None,
    ] {
        let config = config(json!({}));
        let mut fetches = Fetches::new();
        let call = ask(&mut fetches, &config, 0).unwrap_err().remove(0);
        fetches.sent(call, 1);
        let next = fetches.answered(1, said(200, first), 4_000).next.unwrap();
        assert_eq!(next.timeout_ms(), TIMEOUT_MS - 4_000, "one time for all pages");
        // Who asks meanwhile waits.
        assert!(ask(&mut fetches, &config, 4_000).unwrap_err().is_empty());
        fetches.sent(next, 2);
        let answered =
            fetches.answered(2, second.and_then(|(status, body)| said(status, body)), 4_500);
        assert!(answered.next.is_none());
        let list = answered.ready[0].1.list(ProviderId(0)).cloned();
        let Some(ListOutcome::Listed(list)) = list else { panic!("{second:?}: {list:?}") };
        assert_eq!((ids(&list), list.cut), (vec!["a"], true));
        assert!(ask(&mut fetches, &config, 4_499 + FAILURE_MS).is_ok());
        assert!(ask(&mut fetches, &config, 4_500 + FAILURE_MS).is_err());
    }
    // A call that can't be made, and a provider whose time is over.
    let config = config(json!({}));
    for late in [false, true] {
        let mut fetches = Fetches::new();
        let call = ask(&mut fetches, &config, 0).unwrap_err().remove(0);
        fetches.sent(call, 1);
        let answered = fetches.answered(1, said(200, first), if late { TIMEOUT_MS } else { 1 });
        let ready = match answered.next {
            Some(next) => fetches.not_sent(next, 2),
            None => answered.ready,
        };
        let Some(ListOutcome::Listed(list)) = ready[0].1.list(ProviderId(0)) else {
            panic!("{late}")
        };
        assert_eq!((ids(list), list.cut), (vec!["a"], true));
    }
}
