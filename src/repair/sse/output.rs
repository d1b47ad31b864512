//! Collects output and notices when it is the input.

/// What leaves for a chunk that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamOutput {
    /// The very bytes of the chunk.
    Unchanged,
    /// These bytes (maybe none) instead of the chunk.
    Bytes(Vec<u8>),
}

impl StreamOutput {
    /// The bytes that leave for `given`.
    #[must_use]
    pub fn of<'a>(&'a self, given: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Unchanged => given,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// How an event's only line begins, and what ends the event.
const FIELD: &[u8] = b"data: ";
const END: &[u8] = b"\n\n";

/// Output for one chunk. What is the chunk's own is not copied piece by piece, and not at all as long as nothing else is
/// written.
#[derive(Debug)]
pub(super) struct Output<'a> {
    chunk: &'a [u8],
    copied: Vec<u8>,
    /// What follows `copied`: these bytes of the chunk.
    from: usize,
    to: usize,
}

impl<'a> Output<'a> {
    /// An output for the output of `chunk`; `before` goes first.
    pub(super) fn new(chunk: &'a [u8], before: Vec<u8>) -> Self {
        Self { chunk, copied: before, from: 0, to: 0 }
    }

    /// Writes an event's data, canonically framed. A payload may come in parts.
    #[inline]
    pub(super) fn data<const N: usize>(&mut self, payload: [&[u8]; N]) {
        if self.rest().starts_with(FIELD) {
            self.write(FIELD);
            payload.iter().for_each(|part| self.write(part));
            self.write(END);
            return;
        }
        // The chunk frames its events in another way: there is nothing to be had in one piece.
        self.copy();
        self.copied.extend_from_slice(FIELD);
        payload.iter().for_each(|part| self.copied.extend_from_slice(part));
        self.copied.extend_from_slice(END);
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) {
        // The chunk's own bytes need no comparison.
        let own = self.place(bytes);
        if own == Some(self.to) || (own.is_none() && self.rest().starts_with(bytes)) {
            self.to += bytes.len();
            return;
        }
        self.copy();
        match own {
            Some(place) => (self.from, self.to) = (place, place + bytes.len()),
            None => self.copied.extend_from_slice(bytes),
        }
    }

    /// What stands in the chunk behind what is the chunk's own.
    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.chunk.get(self.to..).unwrap_or_default()
    }

    /// Where in the chunk these very bytes stand, if they do.
    #[inline]
    fn place(&self, bytes: &[u8]) -> Option<usize> {
        let place = bytes.as_ptr().addr().checked_sub(self.chunk.as_ptr().addr())?;
        (place <= self.chunk.len().checked_sub(bytes.len())?).then_some(place)
    }

    /// Copies what is still to be copied of the chunk.
    #[inline]
    fn copy(&mut self) {
        if self.copied.capacity() == 0 {
            // A little more than the chunk, for framing that has to be added to each event.
            self.copied.reserve(self.chunk.len() + self.chunk.len() / 8);
        }
        let own = self.chunk.get(self.from..self.to).unwrap_or_default();
        self.copied.extend_from_slice(own);
        self.from = self.to;
    }

    pub(super) fn clear(&mut self) {
        self.copied.clear();
        (self.from, self.to) = (0, 0);
    }

    pub(super) fn finish(self) -> StreamOutput {
        let is_own = self.copied.is_empty() && self.from == 0 && self.to == self.chunk.len();
        if is_own { StreamOutput::Unchanged } else { StreamOutput::Bytes(self.into_bytes()) }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let own = self.chunk.get(self.from..self.to).unwrap_or_default();
        self.copied.extend_from_slice(own);
        self.copied
    }
}
