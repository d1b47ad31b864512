//! A stand-in for Envoy, which completes and destroys a stream from within its own functions.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;

use super::abi::{Envoy, LogLevel, Map, Pair, Part, Scheduler, Slice};
use super::hooks::*;

pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What Envoy knows of one stream.
#[derive(Default)]
pub(super) struct World {
    pub heads: HashMap<u32, Fields>,
    pub bodies: HashMap<u32, Vec<u8>>,
    /// What comes of the request stands in the buffer in which filters hold it.
    pub is_one_buffer: bool,
    /// Bodies as they were: what was lent of them stays readable.
    pub before: Vec<Vec<u8>>,
    pub state: HashMap<Vec<u8>, Vec<u8>>,
    pub cluster: &'static str,
    pub attempt: u64,
    pub limit: u64,
    pub replies: Vec<u32>,
    /// How often somebody asked where a body stands.
    pub slices_asked_for: usize,
    /// Envoy refuses to change the header of this name.
    pub refused: &'static str,
    /// A number in the place of the host's provider.
    pub host_number: Option<f64>,
    pub log: Vec<String>,
    /// The paths that streams have called, and the hosts.
    pub calls: Vec<(String, String)>,
    /// How often a stream was.
    pub woken: usize,
    /// The filter state as Envoy's access loggers saw it, where Envoy has ended the stream from within.
    pub logged: Option<HashMap<Vec<u8>, Vec<u8>>>,
}

impl World {
    /// Where a body stands.
    fn place(&self, part: Part) -> u32 {
        match part {
            Part::RequestReceived if self.is_one_buffer => Part::RequestBuffered as u32,
            part => part as u32,
        }
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    /// The stream that the next answer ends, as Envoy does for one whose head is being answered.
    pub(super) static ENDS: Cell<*const c_void> = const { Cell::new(ptr::null()) };
}

pub(super) fn world<T>(with: impl FnOnce(&mut World) -> T) -> T {
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

/// Envoy ends the stream that the test has named, from within a function that a hook has called.
fn end_from_within() {
    let ends = ENDS.replace(ptr::null());
    if !ends.is_null() {
        envoy_dynamic_module_on_http_filter_stream_complete(ptr::null_mut(), ends);
        world(|world| world.logged = Some(world.state.clone()));
        envoy_dynamic_module_on_http_filter_destroy(ends);
    }
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
        if name == world(|world| world.refused).as_bytes() {
            return false;
        }
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
            usize::from(world.bodies.contains_key(&world.place(part)))
        })
    }
    fn envoy_dynamic_module_callback_http_get_body_chunks(_filter: Envoy, part: Part, out: *mut Slice<'_>) -> bool {
        world(|world| unsafe { out.write(lent(&world.bodies[&world.place(part)])) });
        true
    }
    fn envoy_dynamic_module_callback_http_append_body(_filter: Envoy, part: Part, data: Slice<'_>) -> bool {
        // Into another place, as Envoy's buffers do: what was lent before stays.
        let mut body = world(|world| world.bodies.get(&world.place(part)).cloned()).unwrap_or_default();
        body.extend(taken(data));
        let is_too_much = world(|world| {
            let is_too_much = world.limit > 0 && body.len() as u64 > world.limit;
            let old = world.bodies.insert(world.place(part), body);
            world.before.extend(old);
            is_too_much
        });
        if is_too_much {
            end_from_within();
        }
        !is_too_much
    }
    fn envoy_dynamic_module_callback_http_drain_body(_filter: Envoy, part: Part, size: usize) -> bool {
        world(|world| drop(world.bodies.entry(world.place(part)).or_default().drain(..size)));
        true
    }
    fn envoy_dynamic_module_callback_http_received_buffered_request_body(_filter: Envoy) -> bool {
        world(|world| world.is_one_buffer)
    }
    fn envoy_dynamic_module_callback_http_received_buffered_response_body(_filter: Envoy) -> bool { false }
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
    fn envoy_dynamic_module_callback_http_get_metadata_number(
        _filter: Envoy, _source: u32, _namespace: Slice<'_>, _key: Slice<'_>, out: *mut f64
    ) -> bool {
        let number = world(|world| world.host_number);
        number.is_some_and(|number| { unsafe { out.write(number) }; true })
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
        end_from_within();
    }
    fn envoy_dynamic_module_callback_http_filter_http_callout(
        _filter: Envoy, id: *mut u64, cluster: Slice<'_>, headers: *const Pair<'_>, count: usize, _body: Slice<'_>,
        _timeout_ms: u64
    ) -> u32 {
        let headers = unsafe { std::slice::from_raw_parts(headers, count) };
        let path = headers.iter().find(|pair| taken(pair.name) == b":path").map(|pair| taken(pair.value));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        world(|world| {
            world.calls.push((text(taken(cluster)), text(path.unwrap())));
            unsafe { id.write(world.calls.len() as u64) };
        });
        0
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
    fn envoy_dynamic_module_callback_http_filter_scheduler_new(_filter: Envoy) -> Scheduler { ptr::null_mut() }
    fn envoy_dynamic_module_callback_http_filter_scheduler_commit(_scheduler: Scheduler, _event: u64) {
        world(|world| world.woken += 1);
    }
    fn envoy_dynamic_module_callback_http_filter_scheduler_delete(_scheduler: Scheduler) {}
    fn envoy_dynamic_module_callback_log(_level: LogLevel, text: Slice<'_>) {
        let line = String::from_utf8(taken(text)).unwrap();
        world(|world| world.log.push(line));
    }
}

pub(super) const CONFIG: &str = r#"{"providers":[{"name":"p","base_url":"http://p.test/v1"}],"virtual_keys":[{"id":"v","key":"vk-0123456789abcdef"}],"model_aliases":{"a":"p/much-longer"}}"#;
pub(super) const BODY: &[u8] = br#"{"model":"p/m","messages":[]}"#;

pub(super) fn head(fields: &[(&str, &str)]) -> Fields {
    fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// A configuration and a stream of it whose request has gone upstream.
pub(super) fn sent() -> (*const c_void, *const c_void) {
    let (config, stream) = asked(BODY);
    envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!(body(Part::RequestReceived), br#"{"model":"m","messages":[]}"#);
    (config, stream)
}

pub(super) fn body(part: Part) -> Vec<u8> {
    world(|world| world.bodies[&(part as u32)].clone())
}

/// A configuration and a stream of it whose request's head has been seen, and whose body has come.
pub(super) fn asked(body: &[u8]) -> (*const c_void, *const c_void) {
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
pub(super) fn begin(config: *const c_void, body: &[u8]) -> *const c_void {
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
