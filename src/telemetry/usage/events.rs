//! The payloads of an event stream as it leaves, one after the other.

use memchr::memchr2;

use super::payload::{PayloadFacts, PayloadReader};

const FIELD: &[u8] = b"data:";

/// Where in a line the stream stands.
#[derive(Debug, Clone, Copy)]
enum LinePlace {
    /// This many bytes of the field's name have come.
    Name(usize),
    Data,
    /// A line of another kind.
    Other,
}

/// Reads an event stream (WHATWG HTML). Lines of data belong to one payload up to a blank line, or until it is complete.
#[derive(Debug)]
pub(super) struct EventReader {
    place: LinePlace,
    /// The last line ended in CR: a LF that follows belongs to it.
    skips_lf: bool,
    payload: PayloadReader,
}

impl EventReader {
    pub(super) fn new() -> Self {
        Self { place: LinePlace::Name(0), skips_lf: false, payload: PayloadReader::default() }
    }

    /// Reads the next bytes. `done` takes what each complete payload has said.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut done: impl FnMut(PayloadFacts)) {
        if std::mem::take(&mut self.skips_lf) {
            self.skips_lf = bytes.is_empty();
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(&first) = bytes.first() {
            let rest = match self.place {
                LinePlace::Name(read) if FIELD.get(read) == Some(&first) => {
                    let read = read + 1;
                    self.place = LinePlace::Name(read);
                    if read == FIELD.len() {
                        self.place = LinePlace::Data;
                        if self.payload.is_complete() {
                            done(self.payload.take());
                        }
                    }
                    bytes.get(1..)
                }
                LinePlace::Name(0) if matches!(first, b'\n' | b'\r') => {
                    done(self.payload.take());
                    Some(self.line_end(bytes))
                }
                LinePlace::Name(_) => {
                    self.place = LinePlace::Other;
                    Some(bytes)
                }
                LinePlace::Data | LinePlace::Other => {
                    let end = memchr2(b'\n', b'\r', bytes);
                    let (line, rest) =
                        bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
                    let is_data = matches!(self.place, LinePlace::Data);
                    if is_data {
                        self.payload.push(line);
                    }
                    if end.is_some() {
                        if is_data && !self.payload.is_complete() {
                            self.payload.push(b"\n");
                        }
                        self.place = LinePlace::Name(0);
                        Some(self.line_end(rest))
                    } else {
                        Some(rest)
                    }
                }
            };
            bytes = rest.unwrap_or_default();
        }
    }

    /// What follows the line end that `bytes` begins with.
    fn line_end<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        match bytes {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r'] => {
                self.skips_lf = true;
                &[]
            }
            [_, rest @ ..] => rest,
            [] => &[],
        }
    }

    /// What the payload that is open has said so far.
    pub(super) fn facts(&self) -> PayloadFacts {
        self.payload.facts()
    }
}
