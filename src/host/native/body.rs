//! A body as Envoy shows it: in place, as a few slices, and changed by appending and draining.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use super::abi::{Part, Slice};
use super::calls::{Filter, Slices};
use crate::wire::splice::Edit;

/// Bytes that are sooner copied than kept in a buffer beside another.
const FEW: usize = 4096;

/// What is visible of a body in one hook: what was held back before, then what has come now.
pub struct Visible {
    filter: Filter,
    held_part: Part,
    came_part: Part,
    /// Read when somebody needs them: each piece that is held back is one more, and to read all of them in each hook would take
    /// the square of their number.
    held: OnceCell<Slices>,
    held_size: usize,
    /// Another size was seen than what this stream's hooks have held back.
    is_changed: bool,
    came: Slices,
    came_size: usize,
    /// What has come stands behind what is held, in one buffer.
    is_one_buffer: bool,
}

fn size_of(slices: &[Slice<'_>]) -> usize {
    slices.iter().map(Slice::len).sum()
}

impl Visible {
    /// Reads where the bytes stand. They stay there until this view changes the body, which takes the view. `held`: bytes that
    /// this stream's hooks have held back.
    pub fn new(filter: Filter, held_part: Part, came_part: Part, held: usize) -> Self {
        let came = filter.slices(came_part);
        let is_one_buffer = filter.came_is_held(came_part);
        let (held_slices, came) = match (held, is_one_buffer) {
            (0, _) => (OnceCell::from(Slices::default()), came),
            (_, false) => (OnceCell::new(), came),
            (_, true) => {
                let (held, came) = came.split_at(held);
                (OnceCell::from(held), came)
            }
        };
        let came_size = size_of(&came);
        Self {
            filter,
            held_part,
            came_part,
            held: held_slices,
            held_size: held,
            is_changed: false,
            came,
            came_size,
            is_one_buffer,
        }
    }

    /// In the hook of trailers, where Envoy shows what is held: `held` bytes, unless another filter has changed it.
    pub fn at_trailers(filter: Filter, held_part: Part, held: usize) -> Self {
        let slices = filter.slices(held_part);
        Self {
            filter,
            held_part,
            came_part: held_part,
            held_size: size_of(&slices),
            is_changed: size_of(&slices) != held,
            held: OnceCell::from(slices),
            came: Slices::default(),
            came_size: 0,
            is_one_buffer: true,
        }
    }

    /// Whether Envoy holds what this stream's hooks have held back, and nothing else.
    pub fn is_as_held(&self) -> bool {
        !self.is_changed && (self.held_size == 0 || size_of(self.held_slices()) == self.held_size)
    }

    fn held_slices(&self) -> &[Slice<'static>] {
        self.held.get_or_init(|| self.filter.slices(self.held_part))
    }

    pub fn len(&self) -> usize {
        self.held_size + self.came_size
    }

    /// Bytes that were held back before.
    pub fn held(&self) -> usize {
        self.held_size
    }

    /// Bytes that have come now.
    pub fn came(&self) -> usize {
        self.came_size
    }

    /// The slices that came now, at least one: an empty piece where nothing came.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let empty = self.came.is_empty().then_some(&[][..]);
        // Sound: nothing changes the body while the view is borrowed.
        self.came.iter().map(|slice| unsafe { slice.bytes() }).chain(empty)
    }

    /// What came now, if that is one slice.
    pub fn one_piece(&self) -> Option<&[u8]> {
        match &*self.came {
            // Sound: as above.
            [one] => Some(unsafe { one.bytes() }),
            _ => None,
        }
    }

    /// The same in pieces that are as large as `size` bytes allow, copied where there are several slices.
    pub fn joined(&self, size: usize) -> Vec<Cow<'_, [u8]>> {
        let mut joined: Vec<Cow<'_, [u8]>> = Vec::new();
        for piece in self.pieces() {
            match joined.last_mut() {
                Some(last) if last.len() + piece.len() <= size => {
                    if let Cow::Borrowed(_) = last {
                        let mut copy = Vec::with_capacity(size.min(self.came_size));
                        copy.extend_from_slice(last);
                        *last = Cow::Owned(copy);
                    }
                    last.to_mut().extend_from_slice(piece);
                }
                _ => joined.push(Cow::Borrowed(piece)),
            }
        }
        joined
    }

    /// A copy of some of the bytes.
    pub fn copy(&self, range: Range<usize>) -> Vec<u8> {
        let mut out = Vec::with_capacity(range.len());
        self.each(&range, |bytes| out.extend_from_slice(bytes));
        out
    }

    fn each(&self, range: &Range<usize>, mut take: impl FnMut(&[u8])) {
        let mut at = 0;
        for slice in self.held_slices().iter().chain(self.came.iter()) {
            // Sound: nothing changes the body while the view is borrowed. `append` leaves earlier slices where they are.
            let bytes = unsafe { slice.bytes() };
            let from = range.start.saturating_sub(at).min(bytes.len());
            let to = range.end.saturating_sub(at).min(bytes.len());
            if let Some(bytes) = bytes.get(from..to)
                && !bytes.is_empty()
            {
                take(bytes);
            }
            at += bytes.len();
        }
    }

    /// Carries out edits of what is visible. Where much stands behind the last of them, that is not touched, if it can be: what
    /// is held comes before what has come, as long as the head waits, so a new start is held, and the old one goes. Elsewhere all is copied once, behind the
    /// visible bytes, which then go, where Envoy can hold both for a moment. What outgrows its buffer may end the stream:
    /// nothing may be asked of it after this.
    pub fn edit(self, edits: &[Edit]) {
        let filter = self.filter;
        let changed = edits.last().map_or(0, |edit| edit.span.end).max(self.held());
        let starts_apart = !self.is_one_buffer && self.filter.attempt() == 0;
        let (part, end) = if starts_apart && self.len().saturating_sub(changed) > FEW {
            (self.held_part, changed)
        } else {
            (self.came_part, self.len())
        };
        if self.has_room_behind(part, end, edits) {
            self.edited(edits, end, |bytes| filter.append(part, bytes));
            self.drain(end);
        } else {
            let mut written = Vec::new();
            self.edited(edits, end, |bytes| written.extend_from_slice(bytes));
            self.drain(end);
            filter.append(part, &written);
        }
    }

    /// The edited bytes of the first `end`, in pieces.
    fn edited(&self, edits: &[Edit], end: usize, mut put: impl FnMut(&[u8])) {
        let mut from = 0;
        for edit in edits {
            self.each(&(from..edit.span.start), &mut put);
            put(&edit.with);
            from = edit.span.end;
        }
        self.each(&(from..end), put);
    }

    /// Whether the edited bytes may stand behind the old ones of `part` for a moment. What has come may stand in a buffer that
    /// Envoy holds against its limit: a filter before this one held it, or the listener's filters in the second position; in
    /// the hook of trailers all does.
    fn has_room_behind(&self, part: Part, end: usize, edits: &[Edit]) -> bool {
        let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
        let there = if part == self.held_part { self.held_size } else { self.came_size };
        let both = there.saturating_add(end).saturating_add(added);
        !self.is_one_buffer && self.filter.attempt() == 0 && both <= self.filter.buffer_limit()
    }

    /// Puts `with` in the place of all that is visible. As for [`Self::edit`], nothing may be asked of the stream after this.
    pub fn replace(self, with: &[u8]) {
        self.drain(self.len());
        self.filter.append(self.came_part, with);
    }

    /// Takes the first `size` bytes away.
    fn drain(&self, size: usize) {
        let held = self.held_size.min(size);
        self.filter.drain(self.held_part, held);
        self.filter.drain(self.came_part, size - held);
    }
}
