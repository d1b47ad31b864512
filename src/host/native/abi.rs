//! The functions of Envoy's dynamic-module ABI that this module needs, as Envoy's `abi.h` declares them.
//!
//! Declared by hand: the official SDK is no crate of a registry. `tests/native` holds the names against the symbols
//! that Envoy exports. Built for Envoy 1.38 and later; Envoy promises that a module for X.Y runs on X.Y and X.(Y+1).

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::sync::LazyLock;

/// The version of the ABI that the declarations follow; Envoy warns in its log where its own is another.
pub const VERSION: &CStr = c"v0.1.0";

/// A pointer of Envoy's to one of its own objects.
pub type Envoy = *mut c_void;

/// A pointer of Envoy's to what wakes a thread. Any thread may use it.
pub type Scheduler = *mut c_void;

/// Bytes of somebody else's, valid for `'a`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice<'a> {
    pointer: *const u8,
    length: usize,
    owner: PhantomData<&'a [u8]>,
}

impl<'a> Slice<'a> {
    /// What Envoy reads as "there is none".
    pub const NONE: Self = Self { pointer: std::ptr::null(), length: 0, owner: PhantomData };

    pub fn of(bytes: &'a [u8]) -> Self {
        Self { pointer: bytes.as_ptr(), length: bytes.len(), owner: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// The first `size` bytes, all if there are no more, and the others.
    pub fn split_at(&self, size: usize) -> (Self, Self) {
        let size = size.min(self.length);
        let behind =
            Self { pointer: self.pointer.wrapping_add(size), length: self.length - size, ..*self };
        (Self { length: size, ..*self }, behind)
    }

    /// The bytes.
    ///
    /// # Safety
    /// They must still be where Envoy said: until the object that holds them is changed, and at the latest until the
    /// hook returns.
    pub unsafe fn bytes(&self) -> &'a [u8] {
        if self.pointer.is_null() || self.length == 0 {
            return &[];
        }
        unsafe { std::slice::from_raw_parts(self.pointer, self.length) }
    }
}

/// A header: name and value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub name: Slice<'a>,
    pub value: Slice<'a>,
}

/// Which header map.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    Request = 0,
    RequestTrailers = 1,
    Response = 2,
    ResponseTrailers = 3,
}

/// Which body: what an earlier hook has held back, or what this one brings.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    RequestReceived = 0,
    RequestBuffered = 1,
    ResponseReceived = 2,
    ResponseBuffered = 3,
}

/// What Envoy does with a head or with trailers after the hook.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadStatus {
    Continue = 0,
    /// Bodies still come to this filter.
    StopIteration = 1,
}

/// What Envoy does with the bytes of a body after the hook.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyStatus {
    Continue = 0,
    StopAndBuffer = 1,
    StopNoBuffer = 3,
}

/// `envoy_dynamic_module_type_log_level`.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// `envoy_dynamic_module_type_attribute_id_ResponseCodeDetails`.
pub const RESPONSE_CODE_DETAILS: u32 = 16;
/// `envoy_dynamic_module_type_attribute_id_UpstreamRequestAttemptCount`.
pub const REQUEST_ATTEMPT_COUNT: u32 = 53;
/// `envoy_dynamic_module_type_metadata_source_Host`.
pub const METADATA_OF_HOST: u32 = 3;
/// Success of a call-out's start and of the call-out itself, and of a metric's definition.
pub const SUCCESS: u32 = 0;

/// Declares Envoy's functions, and lists their names.
macro_rules! functions {
    ($(pub fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        unsafe extern "C" {
            $(pub fn $name($($argument: $type),*) $(-> $result)?;)*
        }

        const FUNCTIONS: &[&[u8]] = &[$(concat!(stringify!($name), "\0").as_bytes()),*];
    };
}

/// The first of the functions that this Envoy lacks. The library is linked so that they are looked for when they are
/// called first (`scripts/native.sh`): an Envoy that lacks one would end then, and not before.
pub fn missing() -> Option<&'static str> {
    let names = FUNCTIONS.iter().filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    names.filter(|name| !is_there(name)).find_map(|name| name.to_str().ok())
}

/// Whether this Envoy tells which attempt at a request a filter sees, and so where the filter stands. 1.38 has the function
/// and does not know the attribute: it logs an error each time. One of the functions that came with 1.39 tells them apart.
pub fn tells_attempts() -> bool {
    static TELLS: LazyLock<bool> = LazyLock::new(|| {
        is_there(c"envoy_dynamic_module_callback_http_get_upstream_connection_id")
    });
    *TELLS || cfg!(test) // the tests' stand-in for Envoy does
}

/// How many keys a namespace of metadata has.
type MetadataKeysCount =
    unsafe extern "C" fn(filter: Envoy, source: u32, namespace: Slice<'_>) -> usize;

/// The function that tells it, where this Envoy has it.
pub fn metadata_keys_count() -> Option<MetadataKeysCount> {
    let found = find(c"envoy_dynamic_module_callback_http_get_metadata_keys_count");
    // Sound: Envoy's header declares it so.
    (!found.is_null())
        .then(|| unsafe { std::mem::transmute::<*mut c_void, MetadataKeysCount>(found) })
}

/// Whether Envoy has this function.
fn is_there(name: &CStr) -> bool {
    !find(name).is_null()
}

fn find(name: &CStr) -> *mut c_void {
    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }
    // Sound: the name ends with a NUL. No handle: everywhere.
    unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) }
}

functions! {
    pub fn envoy_dynamic_module_callback_http_get_headers_size(filter: Envoy, map: Map) -> usize;
    pub fn envoy_dynamic_module_callback_http_get_headers(
        filter: Envoy,
        map: Map,
        out: *mut Pair<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_set_header(
        filter: Envoy,
        map: Map,
        name: Slice<'_>,
        value: Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_add_header(
        filter: Envoy,
        map: Map,
        name: Slice<'_>,
        value: Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: Envoy,
        part: Part,
    ) -> usize;
    pub fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: Envoy,
        part: Part,
        out: *mut Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_append_body(
        filter: Envoy,
        part: Part,
        data: Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_drain_body(
        filter: Envoy,
        part: Part,
        size: usize,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_received_buffered_request_body(filter: Envoy)
    -> bool;
    pub fn envoy_dynamic_module_callback_http_received_buffered_response_body(
        filter: Envoy,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_clear_route_cache(filter: Envoy);
    pub fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: Envoy,
        key: Slice<'_>,
        value: Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        filter: Envoy,
        key: Slice<'_>,
        out: *mut Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: Envoy,
        id: u32,
        out: *mut Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        filter: Envoy,
        id: u32,
        out: *mut u64,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_get_metadata_string(
        filter: Envoy,
        source: u32,
        namespace: Slice<'_>,
        key: Slice<'_>,
        out: *mut Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_get_metadata_number(
        filter: Envoy,
        source: u32,
        namespace: Slice<'_>,
        key: Slice<'_>,
        out: *mut f64,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_get_buffer_limit(filter: Envoy) -> u64;
    pub fn envoy_dynamic_module_callback_http_get_cluster_name(
        filter: Envoy,
        out: *mut Slice<'_>,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_send_response(
        filter: Envoy,
        status: u32,
        headers: *const Pair<'_>,
        count: usize,
        body: Slice<'_>,
        details: Slice<'_>,
    );
    pub fn envoy_dynamic_module_callback_http_filter_http_callout(
        filter: Envoy,
        id: *mut u64,
        cluster: Slice<'_>,
        headers: *const Pair<'_>,
        count: usize,
        body: Slice<'_>,
        timeout_ms: u64,
    ) -> u32;
    pub fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        configuration: Envoy,
        name: Slice<'_>,
        labels: *const Slice<'_>,
        count: usize,
        id: *mut usize,
    ) -> u32;
    pub fn envoy_dynamic_module_callback_http_filter_increment_counter(
        filter: Envoy,
        id: usize,
        labels: *const Slice<'_>,
        count: usize,
        by: u64,
    ) -> u32;
    pub fn envoy_dynamic_module_callback_http_filter_scheduler_new(filter: Envoy) -> Scheduler;
    pub fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
        scheduler: Scheduler,
        event: u64,
    );
    pub fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: Scheduler);
    pub fn envoy_dynamic_module_callback_log(level: LogLevel, text: Slice<'_>);
}

/// What `envoy_dynamic_module_on_program_init` returns.
pub type AbiVersion = *const c_char;
