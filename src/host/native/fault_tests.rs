//! A panic in each hook, and what else goes wrong between Envoy and the hooks.

use std::ffi::c_void;
use std::ptr;

use super::abi::{Envoy, Map, Pair, Part, Slice};
use super::faults;
use super::hooks::*;
use super::stand_in::*;

/// Hooks of one stream, in the order in which Envoy calls them.
const OF_STREAM: [&str; 8] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
    "stream_complete",
    "destroy",
];
/// Others that a test here strikes.
const OTHERS: [&str; 5] = ["config_new", "config_destroy", "new", "scheduled", "http_callout_done"];
/// What runs nothing of ours that could panic.
const EMPTY: [&str; 1] = ["local_reply"];

const ENVOY: Envoy = ptr::null_mut();
const LISTS: &str = r#"{"providers":[{"name":"p","base_url":"http://p.test/v1"},{"name":"q","base_url":"http://q.test/v1"}],"virtual_keys":[{"id":"v","key":"vk-0123456789abcdef"}]}"#;

fn load(text: &str) -> *const c_void {
    envoy_dynamic_module_on_http_filter_config_new(ENVOY, Slice::NONE, Slice::of(text.as_bytes()))
}

fn was_told(hook: &str) -> bool {
    let told = format!("a panic was caught in the hook {hook}");
    world(|world| world.log.iter().any(|line| line.starts_with(&told)))
}

#[test]
fn every_hook_is_in_a_table() {
    let source = include_str!("hooks.rs");
    let (source, unused) = source.split_once("macro_rules! unused").unwrap();
    let symbols = source.split("extern \"C\" fn envoy_dynamic_module_on_http_filter_").skip(1);
    let mut found: Vec<_> = symbols.map(|rest| rest.split('(').next().unwrap()).collect();
    let mut known = [&OF_STREAM[..], &OTHERS, &EMPTY].concat();
    found.sort_unstable();
    known.sort_unstable();
    assert_eq!(found, known);
    // The others have no body.
    assert!(unused.contains("extern \"C\" fn $name() {}"));
}

/// A whole exchange, with trailers both ways. Envoy calls each hook, whatever the one before has said.
fn exchange(config: *const c_void) {
    let stream = begin(config, BODY);
    let fields = [(":status", "200"), ("content-type", "application/json")];
    envoy_dynamic_module_on_http_filter_request_body(ENVOY, stream, false);
    world(|world| {
        world.heads.insert(Map::RequestTrailers as u32, head(&[("x-a", "1")]));
        world.heads.insert(Map::Response as u32, head(&fields));
        world.heads.insert(Map::ResponseTrailers as u32, head(&[("x-b", "1")]));
        world.cluster = "p";
    });
    envoy_dynamic_module_on_http_filter_request_trailers(ENVOY, stream);
    envoy_dynamic_module_on_http_filter_response_headers(ENVOY, stream, false);
    let answer = br#"{"choices":[{"message":{"content":"a"}}]}"#;
    world(|world| world.bodies.insert(Part::ResponseReceived as u32, answer.to_vec()));
    envoy_dynamic_module_on_http_filter_response_body(ENVOY, stream, false);
    envoy_dynamic_module_on_http_filter_response_trailers(ENVOY, stream);
    envoy_dynamic_module_on_http_filter_stream_complete(ENVOY, stream);
    envoy_dynamic_module_on_http_filter_destroy(stream);
}

#[test]
fn a_panic_in_a_hook_costs_its_stream() {
    let config = load(CONFIG);
    for hook in OF_STREAM {
        faults::next(hook);
        exchange(config);
        assert!(was_told(hook), "{hook}");
        // Nothing can be answered any more in the last two.
        let want: &[u32] =
            if ["stream_complete", "destroy"].contains(&hook) { &[] } else { &[500] };
        assert_eq!(world(|world| world.replies.clone()), want, "{hook}");
        exchange(config);
        assert_eq!(world(|world| (world.replies.len(), world.log.len())), (0, 0), "behind {hook}");
    }
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_panic_in_a_hook_without_a_request() {
    faults::next("config_new");
    assert!(load(CONFIG).is_null() && was_told("config_new"));
    let config = load(CONFIG);
    assert!(!config.is_null());

    faults::next("new");
    let stream = envoy_dynamic_module_on_http_filter_new(config, ENVOY);
    assert!(stream.is_null() && was_told("new"));
    envoy_dynamic_module_on_http_filter_request_headers(ENVOY, stream, true);
    assert_eq!(world(|world| world.replies.clone()), [500]);
    exchange(config);
    assert!(world(|world| world.replies.is_empty()));

    faults::next("config_destroy");
    envoy_dynamic_module_on_http_filter_config_destroy(config);
    assert!(was_told("config_destroy"));
}

/// A stream that asks for the lists of two providers.
fn asks_for_models(config: *const c_void) -> *const c_void {
    let stream = envoy_dynamic_module_on_http_filter_new(config, ENVOY);
    let fields = [
        (":method", "GET"),
        (":path", "/v1/models"),
        ("authorization", "Bearer vk-0123456789abcdef"),
    ];
    world(|world| {
        *world = World::default();
        world.heads.insert(Map::Request as u32, head(&fields));
    });
    envoy_dynamic_module_on_http_filter_request_headers(ENVOY, stream, true);
    assert_eq!(world(|world| world.replies.len()), 0);
    stream
}

fn calls() -> Vec<String> {
    world(|world| world.calls.iter().map(|(cluster, path)| format!("{cluster}{path}")).collect())
}

fn called_back(stream: *const c_void, id: u64, body: &str) {
    let status = Pair { name: Slice::of(b":status"), value: Slice::of(b"200") };
    let chunk = Slice::of(body.as_bytes());
    envoy_dynamic_module_on_http_filter_http_callout_done(
        ENVOY,
        stream,
        id,
        0,
        &raw const status,
        1,
        &raw const chunk,
        1,
    );
}

/// What a stream that was woken so often answers.
fn woken(stream: *const c_void, times: usize) -> Vec<u32> {
    assert_eq!(world(|world| world.woken), times);
    envoy_dynamic_module_on_http_filter_scheduled(ENVOY, stream, 0);
    envoy_dynamic_module_on_http_filter_destroy(stream);
    world(|world| world.replies.clone())
}

/// What a stream that has made both calls answers to what comes back.
fn with_both(stream: *const c_void) -> Vec<u32> {
    world(|world| world.woken = 0);
    called_back(stream, 1, r#"{"data":["a"]}"#);
    called_back(stream, 2, r#"{"data":["b"]}"#);
    woken(stream, 1)
}

#[test]
fn a_list_in_pages_is_fetched_to_its_end() {
    let config = load(LISTS);
    let stream = asks_for_models(config);
    assert_eq!(calls(), ["p/v1/models", "q/v1/models"]);
    called_back(stream, 2, r#"{"data":["c"]}"#);
    called_back(stream, 1, r#"{"data":["a"],"has_more":true}"#);
    assert_eq!(calls()[2..], ["p/v1/models?after_id=a&limit=1000"]);
    called_back(stream, 3, r#"{"data":["b"],"has_more":false}"#);
    assert_eq!(woken(stream, 1), [200]);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn who_waits_takes_over_the_calls_of_who_leaves() {
    let config = load(LISTS);
    let first = asks_for_models(config);
    let (second, third) = (asks_for_models(config), asks_for_models(config));
    assert_eq!(calls(), Vec::<String>::new());
    envoy_dynamic_module_on_http_filter_destroy(first);
    // One is woken for both calls; it leaves before it makes them, and after it has made one.
    envoy_dynamic_module_on_http_filter_destroy(second);
    envoy_dynamic_module_on_http_filter_scheduled(ENVOY, third, 0);
    assert_eq!(calls().len(), 2);
    let fourth = asks_for_models(config);
    envoy_dynamic_module_on_http_filter_destroy(third);
    envoy_dynamic_module_on_http_filter_scheduled(ENVOY, fourth, 0);
    let mut made = calls();
    made.sort_unstable();
    assert_eq!(made, ["p/v1/models", "q/v1/models"]);
    // What comes to one that has gone is nothing to it.
    assert_eq!(with_both(fourth), [200]);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn what_nobody_waits_for_is_asked_anew() {
    let config = load(LISTS);
    let first = asks_for_models(config);
    envoy_dynamic_module_on_http_filter_destroy(first);
    let next = asks_for_models(config);
    assert_eq!(calls(), ["p/v1/models", "q/v1/models"]);
    envoy_dynamic_module_on_http_filter_destroy(next);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_panic_while_an_answer_is_read_leaves_nobody_waiting() {
    let config = load(LISTS);
    let first = asks_for_models(config);
    faults::next("http_callout_done");
    called_back(first, 1, r#"{"data":["a"]}"#);
    assert!(was_told("http_callout_done"));
    assert_eq!(world(|world| world.replies.clone()), [500]);
    let second = asks_for_models(config);
    envoy_dynamic_module_on_http_filter_destroy(first);
    envoy_dynamic_module_on_http_filter_scheduled(ENVOY, second, 0);
    assert_eq!(calls().len(), 2);
    assert_eq!(with_both(second), [200]);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_panic_when_the_lists_are_there() {
    let config = load(LISTS);
    let stream = asks_for_models(config);
    called_back(stream, 1, "[]");
    called_back(stream, 2, "[]");
    faults::next("scheduled");
    assert_eq!(woken(stream, 1), [500]);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

/// Envoy completes the stream, and writes its access log, while the hook still runs: here, of an answer that outgrows what
/// Envoy holds as it is repaired.
#[test]
fn an_answer_that_ends_within_a_hook_leaves_its_facts() {
    let observed = CONFIG.replacen('{', r#"{"usage":{"mode":"observe"},"#, 1);
    let config = load(&observed);
    let stream = begin(config, BODY);
    envoy_dynamic_module_on_http_filter_request_body(ENVOY, stream, true);
    let answer =
        br#"{"choices":[{"text":"hello"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let fields = [(":status", "200"), ("content-type", "application/json")];
    let tokens = b"wasm.gateway_total_tokens";
    world(|world| {
        world.heads.insert(Map::Response as u32, head(&fields));
        world.bodies.insert(Part::ResponseReceived as u32, answer.to_vec());
        world.cluster = "p";
        world.limit = answer.len() as u64;
        assert_eq!(world.state[&tokens[..]], b"0");
    });
    ENDS.set(stream);
    envoy_dynamic_module_on_http_filter_response_headers(ENVOY, stream, false);
    envoy_dynamic_module_on_http_filter_response_body(ENVOY, stream, true);
    assert!(ENDS.get().is_null(), "it has not ended");
    let logged = world(|world| world.logged.take()).unwrap();
    assert_eq!(logged[&tokens[..]], b"10");
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn what_envoy_refuses_to_edit_is_told() {
    let config = load(CONFIG);
    let stream = begin(config, BODY);
    world(|world| world.refused = ":path");
    envoy_dynamic_module_on_http_filter_request_body(ENVOY, stream, true);
    assert_eq!(world(|world| world.log.clone()), ["Envoy has refused to change :path of Request"]);
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn metadata_that_names_no_provider_is_told() {
    let two = CONFIG.replacen('{', r#"{"routing":{"positions":2},"#, 1);
    let config = load(&two);
    let listener = begin(config, BODY);
    envoy_dynamic_module_on_http_filter_request_body(ENVOY, listener, true);
    for number in [Some(7.0), None] {
        let attempt = envoy_dynamic_module_on_http_filter_new(config, ENVOY);
        world(|world| {
            (world.attempt, world.cluster, world.host_number) = (1, "another", number);
            world.log.clear();
            world.replies.clear();
        });
        envoy_dynamic_module_on_http_filter_request_headers(ENVOY, attempt, false);
        assert_eq!(world(|world| world.replies.clone()), [500]);
        let told = world(|world| world.log.iter().any(|line| line.contains("is a number")));
        assert_eq!(told, number.is_some());
        envoy_dynamic_module_on_http_filter_destroy(attempt);
    }
    envoy_dynamic_module_on_http_filter_destroy(listener);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}
