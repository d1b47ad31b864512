//! A body as Envoy shows it: in place, as a few slices, and changed by appending and draining.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use super::abi::{Part, Slice};
use super::calls::{Filter, Slices};
use crate::wire::splice::Edit;

/// What is visible of a body in one hook: what was held back before, then what has come now.
pub struct Visible {
    filter: Filter,
    held_part: Part,
    came_part: Part,
    /// Read when somebody needs them: each piece that is held back is one more, and to read all of them in each hook would take
    /// the square of their number.
    held: OnceCell<Held>,
    came: Slices,
    came_size: usize,
}

/// What earlier hooks have held back.
#[derive(Default)]
struct Held {
    slices: Slices,
    size: usize,
}

impl Held {
    fn read(filter: Filter, part: Part) -> Self {
        let slices = filter.slices(part);
        let size = size_of(&slices);
        Self { slices, size }
    }
}

fn size_of(slices: &[Slice<'_>]) -> usize {
    slices.iter().map(Slice::len).sum()
}

impl Visible {
    /// Reads where the bytes stand. They stay there until this view changes the body, which takes the view.
    pub fn new(filter: Filter, held_part: Part, came_part: Part, is_held: bool) -> Self {
        let held = if is_held { OnceCell::new() } else { OnceCell::from(Held::default()) };
        let came = filter.slices(came_part);
        let came_size = size_of(&came);
        Self { filter, held_part, came_part, held, came, came_size }
    }

    /// In the hook of trailers: all there is has been held back.
    pub fn at_trailers(filter: Filter, held_part: Part) -> Self {
        let held = OnceCell::new();
        Self {
            filter,
            held_part,
            came_part: held_part,
            held,
            came: Slices::default(),
            came_size: 0,
        }
    }

    fn read_held(&self) -> &Held {
        self.held.get_or_init(|| Held::read(self.filter, self.held_part))
    }

    pub fn len(&self) -> usize {
        self.held() + self.came_size
    }

    /// Bytes that were held back before.
    pub fn held(&self) -> usize {
        self.read_held().size
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
        for slice in self.read_held().slices.iter().chain(self.came.iter()) {
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

    /// Carries out edits of all that is visible. Each byte is copied once, behind the visible ones, which then go, where
    /// Envoy can hold both for a moment. What outgrows its buffer may end the stream: nothing may be asked of it after this.
    pub fn edit(self, edits: &[Edit]) {
        let filter = self.filter;
        let mut from = 0;
        let mut written = Vec::new();
        let behind = self.has_room_behind(edits);
        let mut put = |bytes: &[u8]| {
            if behind {
                filter.append(self.came_part, bytes)
            } else {
                written.extend_from_slice(bytes)
            }
        };
        for edit in edits {
            self.each(&(from..edit.span.start), &mut put);
            put(&edit.with);
            from = edit.span.end;
        }
        self.each(&(from..self.len()), &mut put);
        if behind {
            self.drain();
        } else {
            self.replace(&written);
        }
    }

    /// Whether the edited bytes may stand behind the old ones for a moment. What has come may stand in a buffer that Envoy
    /// holds against its limit: a filter before this one held it, or the listener's filters in the second position; in the
    /// hook of trailers all does.
    fn has_room_behind(&self, edits: &[Edit]) -> bool {
        let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
        let both = self.came_size.saturating_add(self.len()).saturating_add(added);
        self.held_part != self.came_part
            && self.filter.attempt() == 0
            && both <= self.filter.buffer_limit()
    }

    /// Puts `with` in the place of all that is visible. As for [`Self::edit`], nothing may be asked of the stream after this.
    pub fn replace(self, with: &[u8]) {
        self.drain();
        self.filter.append(self.came_part, with);
    }

    fn drain(&self) {
        self.filter.drain(self.held_part, self.held());
        self.filter.drain(self.came_part, self.came_size);
    }
}
