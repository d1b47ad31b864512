//! A body as the host shows it: read in pieces, and changed at its start.

use super::calls::{self, BufferType, Status};
use crate::exchange::{BodyOut, Next};

/// How much of a body is read at once, in bytes. Envoy may show a megabyte: in pieces that fit into the processor's cache it
/// is read once and not twice, and what nobody needs to read is not copied at all. Each piece costs some 2 us beside its bytes.
const PIECE: usize = 64 * 1024;

/// Each look at a body costs a call and a copy. Who sends it byte by byte gets [`FEW`] looks at less than this; then it is
/// looked at again when so much more, or its end, is there.
const ENOUGH: usize = 4 * 1024;
const FEW: u8 = 64;

/// One direction's body, as the host shows it.
#[derive(Default)]
pub struct Visible {
    /// Bytes that have been read already. While a body is held, Envoy shows it from its start in every
    /// call; once it flows, each call shows one chunk.
    pub read: usize,
    /// What is visible now.
    pub size: usize,
    /// Looks at little.
    small_looks: u8,
}

impl Visible {
    /// The next bytes that are visible for the first time, not all of them if they are many.
    pub fn piece(&mut self, body: BufferType) -> Result<Vec<u8>, Status> {
        let length = self.unread().min(PIECE);
        if length == 0 {
            return Ok(Vec::new());
        }
        let bytes = calls::body(body, self.read, length)?;
        self.read += length;
        Ok(bytes)
    }

    /// Whether what is new is to be looked at later, with more: more will come, and little has.
    pub fn is_too_little(&mut self) -> bool {
        if self.unread() >= ENOUGH {
            return false;
        }
        self.small_looks = self.small_looks.saturating_add(1);
        self.small_looks > FEW
    }

    pub fn unread(&self) -> usize {
        self.size.saturating_sub(self.read)
    }

    /// What is still unread nobody will read.
    pub fn pass_over(&mut self) {
        self.read = self.size;
    }

    /// What follows the bytes that have been read. `end`: nothing comes after what is visible.
    pub fn next(&self, end: bool) -> Next {
        match (self.unread(), end) {
            (0, true) => Next::End,
            (0, false) => Next::Later,
            _ => Next::Visible,
        }
    }

    /// What was visible has been handed on.
    pub fn handed_on(&mut self) {
        self.read = 0;
        self.size = 0;
    }
}

/// What goes on of a body in one callback: the visible bytes themselves, until some of them change.
#[derive(Default)]
pub struct Outgoing {
    passed: usize,
    /// What takes the place of the first `passed` bytes.
    written: Option<Vec<u8>>,
}

impl Outgoing {
    /// The visible bytes up to `upto` go on as `out`.
    pub fn push(&mut self, body: BufferType, upto: usize, out: BodyOut) -> Result<(), Status> {
        let from = std::mem::replace(&mut self.passed, upto);
        match (out, &mut self.written) {
            (BodyOut::Same, None) => {}
            (BodyOut::Same, Some(written)) => {
                written.extend(calls::body(body, from, upto.saturating_sub(from))?);
            }
            (BodyOut::Replace(with), Some(written)) => written.extend(with),
            (BodyOut::Replace(with), None) if from == 0 => self.written = Some(with),
            (BodyOut::Replace(with), None) => {
                let mut written = calls::body(body, 0, from)?;
                written.extend(with);
                self.written = Some(written);
            }
        }
        Ok(())
    }

    /// Changes the visible bytes accordingly.
    pub fn apply(self, body: BufferType) -> Result<(), Status> {
        match self.written {
            Some(written) => calls::replace_start(body, self.passed, written),
            None => Ok(()),
        }
    }
}
