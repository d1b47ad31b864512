//! The payloads of an event stream as it leaves, one after the other.

use memchr::memchr2;

use super::payload::{PayloadFacts, PayloadReader};
use super::repeated::RepeatedEvent;

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
    /// Some of the payload has come.
    is_open: bool,
    last: RepeatedEvent,
}

impl EventReader {
    pub(super) fn new() -> Self {
        Self {
            place: LinePlace::Name(0),
            skips_lf: false,
            payload: PayloadReader::default(),
            is_open: false,
            last: RepeatedEvent::default(),
        }
    }

    /// Reads the next bytes. `done` takes what each complete payload has said.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut done: impl FnMut(PayloadFacts)) {
        if std::mem::take(&mut self.skips_lf) {
            self.skips_lf = bytes.is_empty();
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(&first) = bytes.first() {
            if let Some(rest) = self.whole_event(bytes, &mut done) {
                bytes = rest;
                continue;
            }
            let rest = match self.place {
                LinePlace::Name(read) if FIELD.get(read) == Some(&first) => {
                    let read = read + 1;
                    self.place = LinePlace::Name(read);
                    if read == FIELD.len() {
                        self.place = LinePlace::Data;
                        if self.payload.is_complete() {
                            done(self.take());
                        }
                    }
                    bytes.get(1..)
                }
                LinePlace::Name(0) if matches!(first, b'\n' | b'\r') => {
                    done(self.take());
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
                        self.is_open = true;
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

    /// Reads an event of one line of data that `bytes` begins with, and ends with; what follows it. Most events are as the
    /// last one was.
    fn whole_event<'b>(
        &mut self,
        bytes: &'b [u8],
        done: &mut impl FnMut(PayloadFacts),
    ) -> Option<&'b [u8]> {
        if self.is_open || !matches!(self.place, LinePlace::Name(0)) {
            return None;
        }
        let payload = bytes.strip_prefix(FIELD)?;
        if let Some((facts, rest)) = self.last.find(payload) {
            done(facts);
            return Some(rest);
        }
        let (payload, rest) = payload.split_at_checked(memchr2(b'\n', b'\r', payload)?)?;
        let rest = rest.strip_prefix(b"\n\n")?;
        self.payload.push(payload);
        if !self.payload.is_complete() {
            self.payload.push(b"\n");
        }
        self.last.learn(payload, self.payload.one_text());
        done(self.take());
        Some(rest)
    }

    fn take(&mut self) -> PayloadFacts {
        self.is_open = false;
        self.payload.take()
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
