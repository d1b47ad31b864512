//! Tool call deltas: which call each belongs to, with one id and one name a call.
//!
//! The SDKs put deltas together by `index` and join strings, so a missing index, a repeated id and an
//! empty name all end in a broken call.

use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::wire::json::cursor::{Key, Value};

/// Calls of one answer that are kept apart. No model makes so many; beyond, deltas pass untouched.
const MAX_CALLS: usize = 4096;

/// The calls of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Tools {
    calls: Vec<Call>,
}

/// One call. Ids and names are kept as hashes: their length is the upstream's choice.
#[derive(Debug)]
struct Call {
    choice: u64,
    /// The index that the upstream gave it.
    upstream: Option<u64>,
    /// The index that the client knows it by.
    index: u64,
    id: u64,
    name: u64,
}

/// What makes a missing id unique, and the same each time the stream is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed<'a> {
    /// The chunk's `id`, raw.
    pub(super) id: &'a [u8],
    /// The chunk's `created`, raw.
    pub(super) created: &'a [u8],
}

/// The members of a delta that matter here.
#[derive(Default)]
struct Delta<'a> {
    index: Option<u64>,
    has_index: bool,
    id: Option<Value<'a>>,
    function: Option<Value<'a>>,
    name: Option<Value<'a>>,
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn is_filled(value: &Value<'_>) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

impl Tools {
    /// What replaces the delta at `position` of `choice`'s list, or `None` when it is right.
    pub(super) fn repair(
        &mut self,
        delta: &Value<'_>,
        choice: u64,
        position: usize,
        alone: bool,
        seed: Seed<'_>,
    ) -> Option<Vec<u8>> {
        let known = read(delta);
        let id = known.id.filter(is_filled).map(|id| hash(id.raw()));
        let name = known.name.filter(is_filled).map(|name| hash(name.raw()));
        let found = self.find(choice, &known, id, name, position, alone);
        if let Some(call) = found.and_then(|at| self.calls.get(at)) {
            let index = (known.index != Some(call.index)).then_some(call.index);
            // Only the first delta says what is called.
            let drop_id = known.id.is_some();
            let drop_name = known.name.is_some() && (name.is_none() || name == Some(call.name));
            let changed = index.is_some() || drop_id || drop_name;
            return changed.then(|| {
                rebuild(delta, &known, index.or(known.index), drop_id.then_some(None), drop_name)
            });
        }
        if self.calls.len() >= MAX_CALLS {
            return None;
        }
        let taken = |index| self.calls.iter().any(|c| c.choice == choice && c.index == index);
        let index = match known.index {
            Some(index) if !taken(index) => index,
            _ => self.next_index(choice),
        };
        let new_id = id.is_none().then(|| synthesise(seed, choice, index));
        let call = Call {
            choice,
            upstream: known.index,
            index,
            id: id.unwrap_or_else(|| new_id.as_deref().map_or(0, hash)),
            name: name.unwrap_or(0),
        };
        self.calls.push(call);
        let changed = known.index != Some(index) || new_id.is_some();
        changed.then(|| rebuild(delta, &known, Some(index), new_id.as_deref().map(Some), false))
    }

    /// Whether a delta with this index, and no id or name, goes on with a call as it is.
    pub(super) fn has(&self, choice: u64, index: u64) -> bool {
        let newest =
            |call: &&Call| call.choice == choice && call.upstream.unwrap_or(call.index) == index;
        self.calls.iter().rev().find(newest).is_some_and(|call| call.index == index)
    }

    fn next_index(&self, choice: u64) -> u64 {
        let of_choice = self.calls.iter().filter(|call| call.choice == choice);
        of_choice.map(|call| call.index.saturating_add(1)).max().unwrap_or(0)
    }

    /// The call that a delta goes on with; `None` for a new one.
    fn find(
        &self,
        choice: u64,
        delta: &Delta<'_>,
        id: Option<u64>,
        name: Option<u64>,
        position: usize,
        alone: bool,
    ) -> Option<usize> {
        let newest = |test: &dyn Fn(&Call) -> bool| {
            self.calls.iter().rposition(|call| call.choice == choice && test(call))
        };
        // One id with another index and another name is another call whose id is not its own.
        let is_other = |call: &Call| {
            name.is_some_and(|name| name != call.name)
                && delta.index.is_some()
                && call.upstream.is_some()
                && delta.index != call.upstream
        };
        if let Some(at) = id.and_then(|id| newest(&|call| call.id == id && !is_other(call))) {
            return Some(at);
        }
        // An id that is new together with a name is a new call, whatever its index says. A new id
        // alone is not: some servers make one up for each delta.
        if name.is_some() && id.is_some() {
            return None;
        }
        match delta.index {
            Some(index) => newest(&|call| call.upstream.unwrap_or(call.index) == index),
            None if name.is_some() => None,
            None if alone => newest(&|_| true),
            None => newest(&|call| call.index == position as u64),
        }
    }
}

fn read<'a>(delta: &Value<'a>) -> Delta<'a> {
    let mut known = Delta::default();
    for (key, value) in delta.members() {
        if key.is("index") {
            known.has_index = true;
            known.index = std::str::from_utf8(value.raw()).ok().and_then(|text| text.parse().ok());
        } else if key.is("id") {
            known.id = Some(value);
        } else if key.is("function") {
            known.function = Some(value);
            known.name = value.get("name");
        }
    }
    known
}

fn synthesise(seed: Seed<'_>, choice: u64, index: u64) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(seed.id);
    digest.update(seed.created);
    digest.update(choice.to_le_bytes());
    digest.update(index.to_le_bytes());
    let mut id = String::from("\"call_");
    for byte in digest.finalize().iter().take(12) {
        id.push_str(&format!("{byte:02x}"));
    }
    id.push('"');
    id.into_bytes()
}

/// The delta again, member by member: with this index, with the id replaced (`Some(Some(raw))`) or
/// left out (`Some(None)`), and without the name. Everything else keeps its bytes.
fn rebuild(
    delta: &Value<'_>,
    known: &Delta<'_>,
    index: Option<u64>,
    id: Option<Option<&[u8]>>,
    drop_name: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(delta.raw().len().saturating_add(64));
    out.push(b'{');
    if let Some(index) = index {
        out.extend_from_slice(format!("\"index\":{index}").as_bytes());
    }
    if let Some(Some(id)) = id {
        member(&mut out, b"\"id\"", id);
    }
    for (key, value) in delta.members() {
        let replaced = (known.has_index && key.is("index")) || (id.is_some() && key.is("id"));
        if replaced {
            continue;
        }
        if drop_name && key.is("function") {
            let mut function = vec![b'{'];
            for (key, value) in value.members() {
                if !key.is("name") {
                    member(&mut function, name_of(delta, &key), value.raw());
                }
            }
            function.push(b'}');
            member(&mut out, name_of(delta, &key), &function);
            continue;
        }
        member(&mut out, name_of(delta, &key), value.raw());
    }
    out.push(b'}');
    out
}

/// A name's bytes: `key` stands somewhere inside `within`.
fn name_of<'a>(within: &Value<'a>, key: &Key<'_>) -> &'a [u8] {
    let (base, span) = (within.span().start, key.span());
    within
        .raw()
        .get(span.start.saturating_sub(base)..span.end.saturating_sub(base))
        .unwrap_or(b"\"\"")
}

fn member(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(key);
    out.push(b':');
    out.extend_from_slice(value);
}
