//! Envoy's functions for one stream, as safe calls.
//!
//! Bytes that Envoy hands out stay valid until the object they belong to is changed. What is read is therefore copied
//! here at once, but for heads, which are shown in place ([`Filter::read_head`]); [`super::body`] reads bodies in place, too.

use std::ops::Deref;
use std::slice;

use super::abi::{self, Envoy, LogLevel, Map, Pair, Part, Slice};
use crate::exchange::models::Call;
use crate::exchange::{Note, Reply};
use crate::wire::headers::{HeaderEdit, Headers};

/// Envoy's side of one stream. Valid in hooks only: nobody keeps one.
#[derive(Clone, Copy)]
pub struct Filter(Envoy);

/// Wakes a stream on its worker. Does nothing once the stream is over.
pub struct StreamThread(abi::Scheduler);

// Sound: Envoy's schedulers are made for other threads, and hold no pointer that could dangle.
unsafe impl Send for StreamThread {}

impl StreamThread {
    pub fn wake(&self) {
        unsafe { abi::envoy_dynamic_module_callback_http_filter_scheduler_commit(self.0, 0) }
    }
}

impl Drop for StreamThread {
    fn drop(&mut self) {
        unsafe { abi::envoy_dynamic_module_callback_http_filter_scheduler_delete(self.0) }
    }
}

/// Where a body stands. Nearly always that is in one piece, which takes no memory.
pub enum Slices {
    One(Slice<'static>),
    /// None, too.
    Several(Vec<Slice<'static>>),
}

impl Default for Slices {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Slices {
    /// The first `size` bytes, and the others.
    pub fn split_at(&self, size: usize) -> (Self, Self) {
        let (mut first, mut others) = (Vec::new(), Vec::new());
        let mut left = size;
        for slice in self.iter() {
            let (before, behind) = slice.split_at(left);
            left -= before.len();
            first.extend((before.len() > 0).then_some(before));
            others.extend((behind.len() > 0).then_some(behind));
        }
        (Self::Several(first), Self::Several(others))
    }
}

impl Deref for Slices {
    type Target = [Slice<'static>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(one) => slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// A failure to start a call-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSent(pub u32);

impl Filter {
    /// # Safety
    /// `envoy` is the pointer that Envoy has handed to the hook that is running.
    pub unsafe fn new(envoy: Envoy) -> Self {
        Self(envoy)
    }

    /// Shows a head to `read`, where Envoy has it.
    ///
    /// # Safety
    /// `read` changes no head.
    pub unsafe fn read_head<T>(self, map: Map, read: impl FnOnce(&Headers<'_>) -> T) -> T {
        let count =
            unsafe { abi::envoy_dynamic_module_callback_http_get_headers_size(self.0, map) };
        let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(count);
        if count > 0
            && unsafe {
                abi::envoy_dynamic_module_callback_http_get_headers(self.0, map, pairs.as_mut_ptr())
            }
        {
            // Sound: Envoy has written as many as it said there are, for which there is room.
            unsafe { pairs.set_len(count) };
        }
        // Sound: nothing changes the map before `read` is over, by this function's contract. The memory stays: both are two
        // pairs of words.
        let pairs =
            pairs.into_iter().map(|pair| unsafe { (pair.name.bytes(), pair.value.bytes()) });
        read(&Headers::in_place(pairs.collect()))
    }

    /// Edits a head. What Envoy refuses is told in the log, by its name.
    pub fn edit(self, map: Map, edits: &[HeaderEdit]) {
        for edit in edits {
            let name = Slice::of(edit.name().as_bytes());
            let set = |value: Slice<'_>| unsafe {
                abi::envoy_dynamic_module_callback_http_set_header(self.0, map, name, value)
            };
            let add = |value: &[u8]| unsafe {
                let value = Slice::of(value);
                abi::envoy_dynamic_module_callback_http_add_header(self.0, map, name, value)
            };
            let is_done = match edit {
                HeaderEdit::Set(_, value) => set(Slice::of(value.as_bytes())),
                HeaderEdit::Add(_, value) => add(value.as_bytes()),
                HeaderEdit::Remove(_) => set(Slice::NONE),
                HeaderEdit::Restore(_, values) => {
                    values.iter().fold(set(Slice::NONE), |done, value| add(value) && done)
                }
            };
            if !is_done {
                refused(edit.name(), map);
            }
        }
    }

    /// Envoy chooses the route anew, from the head as it is now.
    pub fn clear_route_cache(self) {
        unsafe { abi::envoy_dynamic_module_callback_http_clear_route_cache(self.0) }
    }

    /// Where a body stands. Valid until the body is changed.
    pub fn slices(self, part: Part) -> Slices {
        // Sound: there is room for as many as Envoy has said there are.
        let fill = |first: *mut Slice<'static>| unsafe {
            abi::envoy_dynamic_module_callback_http_get_body_chunks(self.0, part, first)
        };
        match unsafe { abi::envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, part) }
        {
            0 => Slices::default(),
            1 => {
                let mut one = Slice::NONE;
                if fill(&raw mut one) { Slices::One(one) } else { Slices::default() }
            }
            count => {
                let mut several = vec![Slice::NONE; count];
                if fill(several.as_mut_ptr()) {
                    Slices::Several(several)
                } else {
                    Slices::default()
                }
            }
        }
    }

    /// Whether what this hook brings stands in the one buffer in which all filters hold back: a filter before this one has held
    /// it, perhaps behind what this one holds.
    pub fn came_is_held(self, came: Part) -> bool {
        // Sound: it is asked of a filter that is in a hook.
        if came == Part::RequestReceived {
            unsafe {
                abi::envoy_dynamic_module_callback_http_received_buffered_request_body(self.0)
            }
        } else {
            unsafe {
                abi::envoy_dynamic_module_callback_http_received_buffered_response_body(self.0)
            }
        }
    }

    pub fn append(self, part: Part, bytes: &[u8]) {
        if !bytes.is_empty() {
            unsafe {
                abi::envoy_dynamic_module_callback_http_append_body(self.0, part, Slice::of(bytes))
            };
        }
    }

    pub fn drain(self, part: Part, size: usize) {
        if size > 0 {
            unsafe { abi::envoy_dynamic_module_callback_http_drain_body(self.0, part, size) };
        }
    }

    /// Under the name that the proxy-wasm host's filter state has, so that one access log reads both.
    pub fn set_filter_state(self, note: Note, value: &[u8]) {
        let key = note.state_key();
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_filter_state_bytes(
                self.0,
                Slice::of(key.as_bytes()),
                Slice::of(value),
            )
        };
    }

    pub fn filter_state(self, note: Note) -> Option<Vec<u8>> {
        let key = note.state_key();
        self.string(|out| unsafe {
            abi::envoy_dynamic_module_callback_http_get_filter_state_bytes(
                self.0,
                Slice::of(key.as_bytes()),
                out,
            )
        })
    }

    pub fn code_details(self) -> Option<Vec<u8>> {
        self.string(|out| unsafe {
            abi::envoy_dynamic_module_callback_http_filter_get_attribute_string(
                self.0,
                abi::RESPONSE_CODE_DETAILS,
                out,
            )
        })
    }

    /// Which attempt at the request this is, counted from 1; 0 in the listener's filters, where no host has been chosen, and
    /// where Envoy does not tell ([`abi::tells_attempts`]).
    pub fn attempt(self) -> u64 {
        let mut count = 0;
        let is_known = abi::tells_attempts()
            && unsafe {
                abi::envoy_dynamic_module_callback_http_filter_get_attribute_int(
                    self.0,
                    abi::REQUEST_ATTEMPT_COUNT,
                    &raw mut count,
                )
            };
        if is_known { count } else { 0 }
    }

    /// Whether there is a limit to what Envoy holds of a body. It tells of none for a stream that it has ended.
    pub fn has_limit(self) -> bool {
        self.buffer_limit() != usize::MAX
    }

    /// How much of a body Envoy holds for this stream, in bytes.
    pub fn buffer_limit(self) -> usize {
        match unsafe { abi::envoy_dynamic_module_callback_http_get_buffer_limit(self.0) } {
            0 => usize::MAX, // none
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }

    /// A text in the metadata of the host that Envoy has chosen for this attempt.
    pub fn host_metadata(self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        self.string(|out| unsafe {
            abi::envoy_dynamic_module_callback_http_get_metadata_string(
                self.0,
                abi::METADATA_OF_HOST,
                Slice::of(namespace.as_bytes()),
                Slice::of(key.as_bytes()),
                out,
            )
        })
    }

    /// What such metadata is where it is no text; `None` where there is none, as far as this Envoy tells.
    pub fn host_metadata_kind(self, namespace: &str, key: &str) -> Option<&'static str> {
        let namespace = Slice::of(namespace.as_bytes());
        let mut number = 0.0;
        let is_number = unsafe {
            abi::envoy_dynamic_module_callback_http_get_metadata_number(
                self.0,
                abi::METADATA_OF_HOST,
                namespace,
                Slice::of(key.as_bytes()),
                &raw mut number,
            )
        };
        if is_number {
            return Some("a number");
        }
        // Envoy tells of lists and objects by their place alone: something is there.
        let count = abi::metadata_keys_count()?;
        let has_any = unsafe { count(self.0, abi::METADATA_OF_HOST, namespace) } > 0;
        has_any.then_some("no string")
    }

    /// The cluster that Envoy's route has chosen for this stream.
    pub fn cluster(self) -> Option<Vec<u8>> {
        self.string(|out| unsafe {
            abi::envoy_dynamic_module_callback_http_get_cluster_name(self.0, out)
        })
    }

    fn string(self, read: impl FnOnce(*mut Slice<'_>) -> bool) -> Option<Vec<u8>> {
        let mut out = Slice::NONE;
        // Sound: copied before anything else is called.
        read(&raw mut out).then(|| unsafe { out.bytes() }.to_vec())
    }

    /// Answers in the upstream's place. `details`: what `%RESPONSE_CODE_DETAILS%` shows.
    pub fn send(self, reply: &Reply, details: &str) {
        let pairs: Vec<Pair<'_>> = reply
            .headers
            .iter()
            .map(|(name, value)| Pair {
                name: Slice::of(name.as_bytes()),
                value: Slice::of(value.as_bytes()),
            })
            .collect();
        unsafe {
            abi::envoy_dynamic_module_callback_http_send_response(
                self.0,
                u32::from(reply.status),
                pairs.as_ptr(),
                pairs.len(),
                Slice::of(&reply.body),
                Slice::of(details.as_bytes()),
            );
        }
    }

    /// What wakes this stream: its hook for scheduled events runs then.
    pub fn thread(self) -> StreamThread {
        StreamThread(unsafe {
            abi::envoy_dynamic_module_callback_http_filter_scheduler_new(self.0)
        })
    }

    /// Starts a call to a cluster: its id. It ends with the stream.
    pub fn call(self, call: &Call) -> Result<u64, NotSent> {
        let path = call.path();
        let pairs: Vec<Pair<'_>> = std::iter::once((":path", path.as_str()))
            .chain(call.headers())
            .map(|(name, value)| Pair {
                name: Slice::of(name.as_bytes()),
                value: Slice::of(value.as_bytes()),
            })
            .collect();
        let mut id = 0;
        let result = unsafe {
            abi::envoy_dynamic_module_callback_http_filter_http_callout(
                self.0,
                &raw mut id,
                Slice::of(call.cluster().as_bytes()),
                pairs.as_ptr(),
                pairs.len(),
                Slice::NONE,
                call.timeout_ms(),
            )
        };
        if result == abi::SUCCESS { Ok(id) } else { Err(NotSent(result)) }
    }

    /// Adds one to a counter of [`define_counter`].
    pub fn count(self, counter: usize, labels: &[&str]) {
        let labels: Vec<Slice<'_>> =
            labels.iter().map(|label| Slice::of(label.as_bytes())).collect();
        unsafe {
            abi::envoy_dynamic_module_callback_http_filter_increment_counter(
                self.0,
                counter,
                labels.as_ptr(),
                labels.len(),
                1,
            )
        };
    }
}

/// Defines a counter; only possible while a configuration loads.
///
/// # Safety
/// `configuration` is the pointer that Envoy has handed to the hook that is running.
pub unsafe fn define_counter(configuration: Envoy, name: &str, labels: &[&str]) -> Option<usize> {
    let labels: Vec<Slice<'_>> = labels.iter().map(|label| Slice::of(label.as_bytes())).collect();
    let mut id = 0;
    let result = unsafe {
        abi::envoy_dynamic_module_callback_http_filter_config_define_counter(
            configuration,
            Slice::of(name.as_bytes()),
            labels.as_ptr(),
            labels.len(),
            &raw mut id,
        )
    };
    (result == abi::SUCCESS).then_some(id)
}

#[cold]
fn refused(name: &str, map: Map) {
    log(LogLevel::Warn, &format!("Envoy has refused to change {name} of {map:?}"));
}

pub fn log(level: LogLevel, text: &str) {
    unsafe { abi::envoy_dynamic_module_callback_log(level, Slice::of(text.as_bytes())) }
}
