//! A chat stream as Responses events, piece by piece.

use memchr::memchr;

use crate::error::ErrorAnswer;

use super::builder::Builder;
use super::events::Events;
use super::memo::Memo;
use super::{Options, read};

/// What an event may have beside the answer's text: ids, usage, what servers add.
const EVENT_BYTES: u64 = 1024 * 1024;

/// A chat stream as Responses events.
///
/// It reads what [`crate::repair::sse::SseNormalizer`] writes for [`crate::repair::sse::StreamKind::Chat`]:
/// `data: <one line of JSON>`, comments, `data: {"error":…}` where the stream failed, `data: [DONE]`;
/// each followed by an empty line. A Responses stream has no `[DONE]`: its last event is
/// `response.completed`, `response.incomplete` or `response.failed`, with the whole Response.
///
/// Where [`super::Asked::stream`] is false nobody wants events: none is written, and
/// [`Self::into_response`] has the answer at the end.
#[derive(Debug)]
pub struct Converter {
    builder: Builder,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// The last chunk.
    last: Memo,
}

impl Converter {
    /// A converter for one answer.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let events = Events::new(options.asked.stream);
        Self { builder: Builder::new(options, events), line: Vec::new(), last: Memo::default() }
    }

    /// Reads the next bytes. Returns the events that they make, and comments as they came.
    #[must_use]
    pub fn push(&mut self, canonical: &[u8]) -> Vec<u8> {
        let mut rest = canonical;
        while let Some((line, after)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at))
        {
            if self.builder.is_ended() {
                break;
            }
            rest = after.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.read(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.read(&whole);
            }
        }
        if !self.builder.is_ended() && self.fits(self.line.len().saturating_add(rest.len())) {
            self.line.extend_from_slice(rest);
        }
        if self.builder.is_ended() {
            self.line = Vec::new();
        }
        self.builder.events.take()
    }

    /// The body has ended. Returns what is still to be sent: nothing where the last event was. An
    /// answer without finish reason, `[DONE]` or error was cut, and has failed.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.line);
        self.read(&line);
        self.builder.cut();
        self.builder.events.take()
    }

    /// Whether the last event was written: what comes is not read any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.builder.is_ended()
    }

    /// Whether the last event is a failure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.builder.has_failed()
    }

    /// Whether prompt tokens came from the upstream's cache; `None` until token counts were seen.
    #[must_use]
    pub fn cached(&self) -> Option<bool> {
        self.builder.head.usage.map(|usage| usage.cached)
    }

    /// The answer as a plain Response, for a server that streams though nobody asked. Call
    /// [`Self::finish`] before.
    ///
    /// # Errors
    /// When the answer has failed: what the upstream said (its status as well as it can be told), or
    /// 502 where the answer was cut, is too large, or is none.
    pub fn into_response(mut self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        self.builder.cut();
        self.builder.into_response()
    }

    fn read(&mut self, line: &[u8]) {
        if self.builder.is_ended() || !self.fits(line.len()) {
            return;
        }
        let payload = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii);
        if let Some((inner, what)) = payload.and_then(|payload| self.last.recall(payload))
            && std::str::from_utf8(inner).is_ok()
        {
            return self.builder.one(inner, what);
        }
        // The normaliser lets only UTF-8 through.
        if std::str::from_utf8(line).is_err() {
            let mended = String::from_utf8_lossy(line).into_owned();
            return self.read(mended.as_bytes());
        }
        match payload {
            None if line.starts_with(b":") => self.builder.events.comment(line.trim_ascii_end()),
            None | Some(b"") => {}
            Some(b"[DONE]") => self.builder.end(),
            Some(payload) => {
                let told = read::chunk(payload, &mut self.builder);
                self.last.learn(payload, told);
            }
        }
    }

    /// Whether a line of this length may be read. Where it may not the answer has failed.
    fn fits(&mut self, length: usize) -> bool {
        let limit = self.builder.options.max_answer_bytes.saturating_add(EVENT_BYTES);
        let fits = length as u64 <= limit;
        if !fits {
            self.builder.invalid(format!("The upstream sent an event of more than {limit} bytes."));
        }
        fits
    }
}
