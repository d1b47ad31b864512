//! Tool calls: which one a delta goes on with, with one id and one name a call, and what each is made of.
//!
//! The SDKs put deltas together by `index` and join strings, so a missing index, a repeated id, an empty
//! name and arguments that are no string all end in a broken call.

use sha2::{Digest, Sha256};

use crate::wire::json::cursor::Value;
use crate::wire::json::string;
use crate::wire::json::tokenizer::Tokenizer;

use super::progress::{Beyond, Sent};
use members::{CallMembers, hash, is_filled};
use rewrite::{CallRewrite, Id};

mod members;
mod rewrite;

/// Calls of one answer that are kept apart. No model makes so many; beyond, deltas pass untouched.
const MAX_CALLS: usize = 4096;

/// The calls of an answer so far.
#[derive(Debug, Default)]
pub(in super::super) struct CallTracker {
    calls: Vec<CallProgress>,
}

/// One call. Ids and names are kept as hashes: their length is the upstream's choice.
#[derive(Debug)]
struct CallProgress {
    choice: u64,
    /// The index that the upstream gave it.
    upstream: Option<u64>,
    /// The index that the client knows it by.
    index: u64,
    id: u64,
    name: u64,
    arguments: Sent,
    /// Reads the arguments of a call whose id is made up: only their end tells the next call from this one.
    json: Option<Box<Tokenizer>>,
}

impl CallProgress {
    /// Further arguments.
    #[inline]
    fn add(&mut self, inner: &[u8]) {
        self.arguments.add(inner);
        if self.json.is_some() {
            self.read(inner);
        }
    }

    #[cold]
    fn read(&mut self, inner: &[u8]) {
        let text = string::decode(inner);
        let (Some(json), Some(text)) = (&mut self.json, text) else {
            self.json = None;
            return;
        };
        let mut at = 0;
        let is_json = loop {
            match json.next(text.as_bytes(), &mut at, 0) {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if !is_json {
            self.json = None;
        }
    }

    /// What goes beyond what was sent, where a delta that says again what is called has all its arguments again: the
    /// call is told as a whole each time. Such a delta may also have a piece of them. Behind a colon, a comma or an
    /// opening bracket a piece may begin as the arguments do.
    fn repeated<'a>(&self, said: &'a [u8]) -> Option<&'a [u8]> {
        let sent = self.arguments;
        if sent.is_empty() || sent.ends_with(b':') || sent.ends_with(b',') || sent.ends_with(b'[') {
            return None;
        }
        match sent.beyond(said) {
            Beyond::More(more) => Some(more),
            Beyond::Unrelated => None,
        }
    }

    /// Whether the arguments are one whole JSON value.
    fn is_whole(&self) -> bool {
        self.json.as_ref().is_some_and(|json| json.is_complete())
    }
}

/// What makes a missing id unique, and the same each time the answer is read.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Seed<'a> {
    /// The answer's `id`, raw.
    pub(in super::super) id: &'a [u8],
    /// The answer's `created`, raw.
    pub(in super::super) created: &'a [u8],
}

/// Where a call stands.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct CallPosition {
    pub(in super::super) choice: u64,
    /// In its list.
    pub(in super::super) position: usize,
    /// Its key, where the list came as a map.
    pub(in super::super) key: Option<u64>,
    /// It is the only one of its list.
    pub(in super::super) is_alone: bool,
}

impl CallTracker {
    /// What replaces the delta at `place`, or `None` when it is right.
    pub(in super::super) fn delta(
        &mut self,
        delta: &Value<'_>,
        place: CallPosition,
        seed: Seed<'_>,
    ) -> Option<Vec<u8>> {
        let parts = CallMembers::read(delta, place.key);
        let (id, name) = (parts.id(), parts.name());
        let text = parts.text();
        let said = text.as_deref().and_then(inside).unwrap_or_default();
        let found = self.find(&parts, id, name, said, place);
        if let Some(call) = found.and_then(|at| self.calls.get_mut(at)) {
            // Only the first delta says what is called.
            let drops_id = parts.id.is_some();
            let is_named_again = name.is_some() && name == Some(call.name);
            let drops_name = parts.name.is_some() && (name.is_none() || is_named_again);
            if call.name == 0 {
                call.name = name.unwrap_or(0);
            }
            if is_named_again && let Some(more) = call.repeated(said) {
                call.add(more);
                let text = Some([b"\"", more, b"\""].concat());
                let (id, index) = (Id::Dropped, Some(call.index));
                let adds_kind = parts.has_other_kind();
                let rewrite = CallRewrite { index, id, drops_name, arguments: text, adds_kind };
                return Some(rewrite.write(delta, &parts));
            }
            call.add(said);
            let is_right = parts.has_plain_index && parts.index == Some(call.index);
            let adds_kind = parts.has_other_kind();
            return (!is_right || drops_id || drops_name || adds_kind || parts.is_odd()).then(
                || {
                    let id = if drops_id { Id::Dropped } else { Id::Same };
                    let index = Some(call.index);
                    let rewrite = CallRewrite { index, id, drops_name, arguments: text, adds_kind };
                    rewrite.write(delta, &parts)
                },
            );
        }
        if self.calls.len() >= MAX_CALLS {
            return None;
        }
        let taken = |index| self.calls.iter().any(|c| c.choice == place.choice && c.index == index);
        let index = match parts.index {
            // Clients put calls in a list by their indices: they begin at 0, and leave none out.
            Some(index) if !taken(index) && index <= self.next_index(place.choice) => index,
            _ => self.next_index(place.choice),
        };
        let new_id = id.is_none().then(|| made_up_id(seed, place.choice, index));
        let mut call = CallProgress {
            choice: place.choice,
            upstream: parts.index,
            index,
            id: id.unwrap_or_else(|| new_id.as_deref().map_or(0, hash)),
            name: name.unwrap_or(0),
            arguments: Sent::default(),
            json: new_id.is_some().then(Box::default),
        };
        call.add(said);
        self.calls.push(call);
        let is_right = parts.has_plain_index && parts.index == Some(index) && new_id.is_none();
        let adds_kind = (parts.is_flat && parts.kind.is_none()) || parts.has_other_kind();
        (!is_right || adds_kind || parts.is_odd()).then(|| {
            let id = new_id.as_deref().map_or(Id::Same, Id::New);
            let rewrite = CallRewrite {
                index: Some(index),
                id,
                adds_kind,
                drops_name: false,
                arguments: text,
            };
            rewrite.write(delta, &parts)
        })
    }

    /// What replaces a call of a whole answer, or `None` when it is right.
    pub(in super::super) fn whole(
        &mut self,
        call: &Value<'_>,
        place: CallPosition,
        seed: Seed<'_>,
    ) -> Option<Vec<u8>> {
        let parts = CallMembers::read(call, None);
        let index = place.position as u64;
        let new_id = parts.id().is_none().then(|| made_up_id(seed, place.choice, index));
        if self.calls.len() < MAX_CALLS {
            self.calls.push(CallProgress {
                choice: place.choice,
                upstream: None,
                index,
                id: parts.id().unwrap_or(0),
                name: parts.name().unwrap_or(0),
                arguments: Sent::default(),
                json: None,
            });
        }
        // A call without arguments is one of a function that takes none.
        let text = parts.text().or_else(|| Some(b"\"{}\"".to_vec())).filter(|_| !parts.is_other);
        let lacks = !parts.is_other && parts.arguments.is_none_or(|given| given.is_null());
        let lacks_kind = parts.kind.is_none_or(|kind| !is_filled(&kind));
        let adds_kind = (lacks_kind && !parts.is_other) || parts.has_other_kind();
        (new_id.is_some() || parts.is_odd() || lacks || adds_kind).then(|| {
            let id = new_id.as_deref().map_or(Id::Same, Id::New);
            let rewrite =
                CallRewrite { index: None, id, adds_kind, drops_name: false, arguments: text };
            rewrite.write(call, &parts)
        })
    }

    /// The delta for a call of a whole message behind deltas, or of a message that grows: what goes
    /// beyond what was sent. `None` where that is nothing.
    pub(in super::super) fn beyond(
        &mut self,
        call: &Value<'_>,
        place: CallPosition,
        seed: Seed<'_>,
    ) -> Option<Vec<u8>> {
        let parts = CallMembers::read(call, None);
        let (id, position) = (parts.id(), place.position as u64);
        let is_same = |known: &CallProgress| known.choice == place.choice && id == Some(known.id);
        let is_there =
            |known: &CallProgress| known.choice == place.choice && known.index == position;
        let at = self.calls.iter().position(is_same);
        let at = at.or_else(|| self.calls.iter().position(is_there));
        let Some(known) = at.and_then(|at| self.calls.get_mut(at)) else {
            return Some(self.delta(call, place, seed).unwrap_or_else(|| call.raw().to_vec()));
        };
        let text = parts.text()?;
        let Beyond::More(more) = known.arguments.beyond(inside(&text)?) else { return None };
        if more.is_empty() {
            return None;
        }
        known.add(more);
        let mut out =
            format!("{{\"index\":{},\"function\":{{\"arguments\":\"", known.index).into_bytes();
        out.extend_from_slice(more);
        out.extend_from_slice(b"\"}}");
        Some(out)
    }

    /// Whether a delta with this index, and no id or name, goes on with a call as it is. Then these are
    /// further arguments.
    pub(in super::super) fn goes_on(&mut self, choice: u64, index: u64, arguments: &[u8]) -> bool {
        let newest = |call: &&mut CallProgress| {
            call.choice == choice && call.upstream.unwrap_or(call.index) == index
        };
        match self.calls.iter_mut().rev().find(newest) {
            Some(call) if call.index == index => {
                call.add(arguments);
                true
            }
            _ => false,
        }
    }

    /// Whether a choice has made a call.
    pub(in super::super) fn has_any(&self, choice: u64) -> bool {
        self.calls.iter().any(|call| call.choice == choice)
    }

    fn next_index(&self, choice: u64) -> u64 {
        let of_choice = self.calls.iter().filter(|call| call.choice == choice);
        of_choice.map(|call| call.index.saturating_add(1)).max().unwrap_or(0)
    }

    /// The call that a delta goes on with; `None` for a new one.
    fn find(
        &self,
        delta: &CallMembers<'_>,
        id: Option<u64>,
        name: Option<u64>,
        said: &[u8],
        place: CallPosition,
    ) -> Option<usize> {
        let newest = |test: &dyn Fn(&CallProgress) -> bool| {
            self.calls.iter().rposition(|call| call.choice == place.choice && test(call))
        };
        // One id with another index and another name is another call whose id is not its own.
        let is_other = |call: &CallProgress| {
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
            Some(index) => {
                // Without ids, another name is another call, once the one before has its arguments. So is
                // the same name, where one whole value would be followed by the beginning of another.
                let begins = matches!(said.trim_ascii_start().first(), Some(b'{' | b'['));
                let is_next = |call: &CallProgress| {
                    name.is_some_and(|name| match name == call.name {
                        true => begins && call.is_whole(),
                        // A name may come behind the first of the arguments.
                        false => call.name != 0 && !call.arguments.is_empty(),
                    })
                };
                let same = newest(&|call| call.upstream.unwrap_or(call.index) == index);
                let same = same.filter(|at| !self.calls.get(*at).is_some_and(is_next));
                // What says neither what is called nor which call it is goes on with the last one.
                same.or_else(|| if id.or(name).is_none() { newest(&|_| true) } else { None })
            }
            None if name.is_some() => None,
            None if place.is_alone => newest(&|_| true),
            None => newest(&|call| call.index == place.position as u64),
        }
    }
}

/// What stands between the quotes.
fn inside(quoted: &[u8]) -> Option<&[u8]> {
    quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn made_up_id(seed: Seed<'_>, choice: u64, index: u64) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(seed.id);
    digest.update(seed.created);
    digest.update(choice.to_le_bytes());
    digest.update(index.to_le_bytes());
    made_up("call_", &digest.finalize())
}

/// An id of this kind, a JSON string.
pub(super) fn made_up(kind: &str, digest: &[u8]) -> Vec<u8> {
    let digits: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{kind}{digits}\"").into_bytes()
}
