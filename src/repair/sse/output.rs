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

/// Output for one chunk. As long as what is written equals the chunk's own bytes, nothing is copied.
#[derive(Debug)]
pub(super) struct Output<'a> {
    chunk: &'a [u8],
    /// While `copied` is `None`: the output is `chunk[..same]`.
    same: usize,
    copied: Option<Vec<u8>>,
}

impl<'a> Output<'a> {
    /// An output for the output of `chunk`; `before` goes first.
    pub(super) fn new(chunk: &'a [u8], before: Vec<u8>) -> Self {
        Self { chunk, same: 0, copied: (!before.is_empty()).then_some(before) }
    }

    /// Writes an event's data, canonically framed. A payload may come in parts.
    #[inline]
    pub(super) fn data<const N: usize>(&mut self, payload: [&[u8]; N]) {
        const BEFORE: &[u8] = b"data: ";
        const BEHIND: &[u8] = b"\n\n";
        if let Some(copied) = &mut self.copied {
            copied.extend_from_slice(BEFORE);
            payload.iter().for_each(|part| copied.extend_from_slice(part));
            copied.extend_from_slice(BEHIND);
            return;
        }
        self.write(BEFORE);
        payload.iter().for_each(|part| self.write(part));
        self.write(BEHIND);
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Some(copied) = &mut self.copied {
            copied.extend_from_slice(bytes);
            return;
        }
        let next = self.chunk.get(self.same..).unwrap_or_default();
        // The chunk's own bytes at the same place need no comparison.
        let own = std::ptr::eq(next.as_ptr(), bytes.as_ptr()) && bytes.len() <= next.len();
        if own || next.starts_with(bytes) {
            self.same += bytes.len();
            return;
        }
        self.copy(bytes);
    }

    /// From here on the output is no longer the chunk's own.
    #[cold]
    fn copy(&mut self, bytes: &[u8]) {
        // A little more than the chunk, for framing that has to be added to each event.
        let room = self.chunk.len() + self.chunk.len() / 8;
        let mut copied = Vec::with_capacity(room.saturating_add(bytes.len()));
        copied.extend_from_slice(self.chunk.get(..self.same).unwrap_or_default());
        copied.extend_from_slice(bytes);
        self.copied = Some(copied);
    }

    pub(super) fn clear(&mut self) {
        self.same = 0;
        self.copied = None;
    }

    pub(super) fn finish(self) -> StreamOutput {
        match self.copied {
            None if self.same == self.chunk.len() => StreamOutput::Unchanged,
            _ => StreamOutput::Bytes(self.into_bytes()),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.copied {
            Some(copied) => copied,
            None => self.chunk.get(..self.same).unwrap_or_default().to_vec(),
        }
    }
}
