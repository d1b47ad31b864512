//! The hooks under a stand-in for Envoy, which destroys a stream from within its own functions. `make asan` runs this
//! under AddressSanitizer: on a real Envoy a write to freed memory may go unseen.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;

use super::abi::{BodyStatus, Envoy, LogLevel, Map, Pair, Part, Scheduler, Slice};
use super::hooks::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What Envoy knows of one stream.
#[derive(Default)]
struct World {
    heads: HashMap<u32, Fields>,
    bodies: HashMap<u32, Vec<u8>>,
    /// Bodies as they were: what was lent of them stays readable.
    before: Vec<Vec<u8>>,
    state: HashMap<Vec<u8>, Vec<u8>>,
    cluster: &'static str,
    attempt: u64,
    limit: u64,
    replies: Vec<u32>,
    /// How often somebody asked where a body stands.
    slices_asked_for: usize,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    /// The stream that the next answer ends, as Envoy does for one whose head is being answered.
    static ENDS: Cell<*const c_void> = const { Cell::new(ptr::null()) };
}

fn world<T>(with: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(with)
}

/// Bytes that stay where they are until the test changes them.
fn lent(bytes: &[u8]) -> Slice<'static> {
    // Sound: each test changes the world between two hooks only.
    Slice::of(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) })
}

fn taken(slice: Slice<'_>) -> Vec<u8> {
    unsafe { slice.bytes() }.to_vec()
}

macro_rules! envoy {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(#[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? $body)*
    };
}

envoy! {
    fn envoy_dynamic_module_callback_http_get_headers_size(_filter: Envoy, map: Map) -> usize {
        world(|world| world.heads.get(&(map as u32)).map_or(0, Vec::len))
    }
    fn envoy_dynamic_module_callback_http_get_headers(_filter: Envoy, map: Map, out: *mut Pair<'_>) -> bool {
        world(|world| {
            for (at, (name, value)) in world.heads.entry(map as u32).or_default().iter().enumerate() {
                unsafe { out.add(at).write(Pair { name: lent(name), value: lent(value) }) };
            }
        });
        true
    }
    fn envoy_dynamic_module_callback_http_set_header(_filter: Envoy, map: Map, name: Slice<'_>, value: Slice<'_>) -> bool {
        let (name, value) = (taken(name), taken(value));
        world(|world| {
            let head = world.heads.entry(map as u32).or_default();
            head.retain(|(known, _)| *known != name);
            head.push((name, value));
        });
        true
    }
    fn envoy_dynamic_module_callback_http_add_header(_filter: Envoy, map: Map, name: Slice<'_>, value: Slice<'_>) -> bool {
        let (name, value) = (taken(name), taken(value));
        world(|world| world.heads.entry(map as u32).or_default().push((name, value)));
        true
    }
    fn envoy_dynamic_module_callback_http_get_body_chunks_size(_filter: Envoy, part: Part) -> usize {
        world(|world| {
            world.slices_asked_for += 1;
            usize::from(world.bodies.contains_key(&(part as u32)))
        })
    }
    fn envoy_dynamic_module_callback_http_get_body_chunks(_filter: Envoy, part: Part, out: *mut Slice<'_>) -> bool {
        world(|world| unsafe { out.write(lent(&world.bodies[&(part as u32)])) });
        true
    }
    fn envoy_dynamic_module_callback_http_append_body(_filter: Envoy, part: Part, data: Slice<'_>) -> bool {
        // Into another place, as Envoy's buffers do: what was lent before stays.
        let mut body = world(|world| world.bodies.get(&(part as u32)).cloned()).unwrap_or_default();
        body.extend(taken(data));
        let is_too_much = world(|world| {
            let is_too_much = world.limit > 0 && body.len() as u64 > world.limit;
            let old = world.bodies.insert(part as u32, body);
            world.before.extend(old);
            is_too_much
        });
        let ends = ENDS.get();
        if is_too_much && !ends.is_null() {
            ENDS.set(ptr::null());
            envoy_dynamic_module_on_http_filter_destroy(ends);
        }
        !is_too_much
    }
    fn envoy_dynamic_module_callback_http_drain_body(_filter: Envoy, part: Part, size: usize) -> bool {
        world(|world| drop(world.bodies.entry(part as u32).or_default().drain(..size)));
        true
    }
    fn envoy_dynamic_module_callback_http_clear_route_cache(_filter: Envoy) {}
    fn envoy_dynamic_module_callback_http_set_filter_state_bytes(_filter: Envoy, key: Slice<'_>, value: Slice<'_>) -> bool {
        world(|world| world.state.insert(taken(key), taken(value)));
        true
    }
    fn envoy_dynamic_module_callback_http_get_filter_state_bytes(_filter: Envoy, key: Slice<'_>, out: *mut Slice<'_>) -> bool {
        world(|world| {
            let value = world.state.get(&taken(key));
            value.is_some_and(|value| { unsafe { out.write(lent(value)) }; true })
        })
    }
    fn envoy_dynamic_module_callback_http_filter_get_attribute_string(_filter: Envoy, _id: u32, _out: *mut Slice<'_>) -> bool {
        false
    }
    fn envoy_dynamic_module_callback_http_filter_get_attribute_int(_filter: Envoy, _id: u32, out: *mut u64) -> bool {
        unsafe { out.write(world(|world| world.attempt)) };
        true
    }
    fn envoy_dynamic_module_callback_http_get_metadata_string(
        _filter: Envoy, _source: u32, _namespace: Slice<'_>, _key: Slice<'_>, _out: *mut Slice<'_>
    ) -> bool {
        false
    }
    fn envoy_dynamic_module_callback_http_get_buffer_limit(_filter: Envoy) -> u64 { world(|world| world.limit) }
    fn envoy_dynamic_module_callback_http_get_cluster_name(_filter: Envoy, out: *mut Slice<'_>) -> bool {
        unsafe { out.write(Slice::of(world(|world| world.cluster).as_bytes())) };
        true
    }
    fn envoy_dynamic_module_callback_http_send_response(
        _filter: Envoy, status: u32, _headers: *const Pair<'_>, _count: usize, _body: Slice<'_>, _details: Slice<'_>
    ) {
        world(|world| world.replies.push(status));
        let ends = ENDS.replace(ptr::null());
        if !ends.is_null() {
            envoy_dynamic_module_on_http_filter_destroy(ends);
        }
    }
    fn envoy_dynamic_module_callback_http_filter_config_http_callout(
        _config: Envoy, _id: *mut u64, _cluster: Slice<'_>, _headers: *const Pair<'_>, _count: usize, _body: Slice<'_>,
        _timeout_ms: u64
    ) -> u32 {
        1
    }
    fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        _config: Envoy, _name: Slice<'_>, _labels: *const Slice<'_>, _count: usize, id: *mut usize
    ) -> u32 {
        unsafe { id.write(1) };
        0
    }
    fn envoy_dynamic_module_callback_http_filter_increment_counter(
        _filter: Envoy, _id: usize, _labels: *const Slice<'_>, _count: usize, _by: u64
    ) -> u32 {
        0
    }
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(_config: Envoy) -> Scheduler { ptr::null_mut() }
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(_scheduler: Scheduler, _event: u64) {}
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(_scheduler: Scheduler) {}
    fn envoy_dynamic_module_callback_http_filter_scheduler_new(_filter: Envoy) -> Scheduler { ptr::null_mut() }
    fn envoy_dynamic_module_callback_http_filter_scheduler_commit(_scheduler: Scheduler, _event: u64) {}
    fn envoy_dynamic_module_callback_http_filter_scheduler_delete(_scheduler: Scheduler) {}
    fn envoy_dynamic_module_callback_log(_level: LogLevel, _text: Slice<'_>) {}
}

const CONFIG: &str = r#"{"providers":[{"name":"p","base_url":"http://p.test/v1"}],"virtual_keys":[{"id":"v","key":"vk-0123456789abcdef"}],"model_aliases":{"a":"p/much-longer"}}"#;
const BODY: &[u8] = br#"{"model":"p/m","messages":[]}"#;

fn head(fields: &[(&str, &str)]) -> Fields {
    fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// A configuration and a stream of it whose request has gone upstream.
fn sent() -> (*const c_void, *const c_void) {
    let (config, stream) = asked(BODY);
    envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!(body(Part::RequestReceived), br#"{"model":"m","messages":[]}"#);
    (config, stream)
}

fn body(part: Part) -> Vec<u8> {
    world(|world| world.bodies[&(part as u32)].clone())
}

/// A configuration and a stream of it whose request's head has been seen, and whose body has come.
fn asked(body: &[u8]) -> (*const c_void, *const c_void) {
    let envoy = ptr::null_mut();
    let config = envoy_dynamic_module_on_http_filter_config_new(
        envoy,
        Slice::NONE,
        Slice::of(CONFIG.as_bytes()),
    );
    assert!(!config.is_null());
    (config, begin(config, body))
}

/// The same of a configuration that is there.
fn begin(config: *const c_void, body: &[u8]) -> *const c_void {
    let envoy = ptr::null_mut();
    let stream = envoy_dynamic_module_on_http_filter_new(config, envoy);
    let length = body.len().to_string();
    world(|world| {
        *world = World::default();
        let fields = [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("content-type", "application/json"),
            ("authorization", "Bearer vk-0123456789abcdef"),
            ("content-length", &length),
        ];
        world.heads.insert(Map::Request as u32, head(&fields));
        world.bodies.insert(Part::RequestReceived as u32, body.to_vec());
    });
    envoy_dynamic_module_on_http_filter_request_headers(envoy, stream, false);
    stream
}

#[test]
fn an_edited_body_is_not_there_twice_where_envoy_holds_less() {
    let (config, stream) = asked(BODY);
    world(|world| world.limit = BODY.len() as u64);
    ENDS.set(stream); // if it outgrows that, for a moment
    let status = envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!((status, ENDS.replace(ptr::null())), (BodyStatus::Continue, stream));
    assert_eq!(body(Part::RequestReceived), br#"{"model":"m","messages":[]}"#);
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_body_that_outgrows_what_envoy_holds_ends_the_stream_within_the_hook() {
    let asked_for = br#"{"model":"a","messages":[]}"#;
    let (config, stream) = asked(asked_for);
    world(|world| world.limit = asked_for.len() as u64);
    ENDS.set(stream);
    let status = envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!(status, BodyStatus::StopAndBuffer); // nothing goes on
    assert!(ENDS.get().is_null());
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn an_answer_from_within_a_hook_may_end_the_stream() {
    let (config, stream) = sent();
    world(|world| {
        world.cluster = "another";
        world.heads.insert(
            Map::Response as u32,
            head(&[(":status", "200"), ("content-type", "application/json")]),
        );
    });
    ENDS.set(stream);
    // The stream is freed when this hook is over, and neither before nor never (AddressSanitizer sees both).
    envoy_dynamic_module_on_http_filter_response_headers(ptr::null_mut(), stream, false);
    assert_eq!(world(|world| world.replies.clone()), [502]);
    assert!(ENDS.get().is_null());
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn an_answer_that_is_rewritten() {
    let (config, stream) = sent();
    let body = br#"{"error":{"message":"busy","code":429}}"#;
    world(|world| {
        world.cluster = "p";
        world.heads.insert(
            Map::Response as u32,
            head(&[(":status", "200"), ("content-type", "application/json")]),
        );
        world.bodies.insert(Part::ResponseReceived as u32, body[..9].to_vec());
    });
    let envoy = ptr::null_mut();
    envoy_dynamic_module_on_http_filter_response_headers(envoy, stream, false);
    envoy_dynamic_module_on_http_filter_response_body(envoy, stream, false);
    world(|world| {
        world.bodies.insert(Part::ResponseBuffered as u32, body[..9].to_vec());
        world.bodies.insert(Part::ResponseReceived as u32, body[9..].to_vec());
    });
    envoy_dynamic_module_on_http_filter_response_body(envoy, stream, true);
    let (status, sent) = world(|world| {
        let status = world.heads[&(Map::Response as u32)]
            .iter()
            .find(|(name, _)| name == b":status")
            .cloned();
        (status.unwrap().1, world.bodies[&(Part::ResponseReceived as u32)].clone())
    });
    assert_eq!(status, b"429");
    assert!(
        sent.starts_with(b"{\"error\":{")
            && world(|world| world.bodies[&(Part::ResponseBuffered as u32)].is_empty())
    );
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn what_is_held_of_an_answer_is_not_looked_at_again_and_again() {
    let (config, stream) = sent();
    let envoy = ptr::null_mut();
    world(|world| {
        world.cluster = "p";
        let fields = [(":status", "200"), ("content-type", "application/json")];
        world.heads.insert(Map::Response as u32, head(&fields));
    });
    envoy_dynamic_module_on_http_filter_response_headers(envoy, stream, false);
    let mut held = Vec::new();
    for piece in br#"{"error":{"message":"busy","code":429}}"#.chunks(3) {
        world(|world| {
            world.bodies.insert(Part::ResponseBuffered as u32, held.clone());
            world.bodies.insert(Part::ResponseReceived as u32, piece.to_vec());
            world.slices_asked_for = 0;
        });
        let status = envoy_dynamic_module_on_http_filter_response_body(envoy, stream, false);
        assert_eq!((status, world(|world| world.slices_asked_for)), (BodyStatus::StopAndBuffer, 1));
        held.extend_from_slice(piece);
    }
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_stream_that_could_not_be_made_is_answered() {
    world(|world| *world = World::default());
    let (envoy, none) = (ptr::null_mut(), ptr::null());
    envoy_dynamic_module_on_http_filter_request_headers(envoy, none, false);
    assert_eq!(world(|world| world.replies.clone()), [500]);
    envoy_dynamic_module_on_http_filter_response_headers(envoy, none, false);
    envoy_dynamic_module_on_http_filter_stream_complete(envoy, none);
    envoy_dynamic_module_on_http_filter_destroy(none);
    assert_eq!(world(|world| world.replies.len()), 1);
}

/// A filter between the two positions has cut the body.
#[test]
fn an_attempt_waits_for_what_it_edits() {
    let envoy = ptr::null_mut();
    let two = CONFIG.replacen('{', r#"{"routing":{"positions":2},"#, 1);
    let config = envoy_dynamic_module_on_http_filter_config_new(
        envoy,
        Slice::NONE,
        Slice::of(two.as_bytes()),
    );
    let asked_for = br#"{"messages":[],"model":"a"}"#;
    let listener = begin(config, asked_for);
    envoy_dynamic_module_on_http_filter_request_body(envoy, listener, true);
    assert_eq!(body(Part::RequestReceived), asked_for);

    let attempt = envoy_dynamic_module_on_http_filter_new(config, envoy);
    world(|world| (world.attempt, world.cluster) = (1, "p"));
    envoy_dynamic_module_on_http_filter_request_headers(envoy, attempt, false);
    let (mut held, mut pieces) = (Vec::new(), asked_for.chunks(4).peekable());
    while let Some(piece) = pieces.next() {
        world(|world| {
            world.bodies.insert(Part::RequestBuffered as u32, held.clone());
            world.bodies.insert(Part::RequestReceived as u32, piece.to_vec());
            world.slices_asked_for = 0;
        });
        let end = pieces.peek().is_none();
        let status = envoy_dynamic_module_on_http_filter_request_body(envoy, attempt, end);
        held.extend_from_slice(piece);
        let is_there = held.len() >= asked_for.len() - 1;
        let want = if is_there { BodyStatus::Continue } else { BodyStatus::StopAndBuffer };
        assert_eq!(status, want, "{}", held.len());
        if is_there {
            break;
        }
        // What is held is not looked at again and again.
        assert_eq!(world(|world| world.slices_asked_for), 1);
    }
    assert!(body(Part::RequestBuffered).is_empty());
    let sent = body(Part::RequestReceived);
    assert!(
        sent.starts_with(br#"{"messages":[],"model":"much-longer""#),
        "{}",
        String::from_utf8_lossy(&sent)
    );
    envoy_dynamic_module_on_http_filter_destroy(attempt);
    envoy_dynamic_module_on_http_filter_destroy(listener);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}
