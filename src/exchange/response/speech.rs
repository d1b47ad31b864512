//! Speech, and pictures that are not labelled as JSON: bytes stream on. A text that is the whole body is an error however it is
//! labelled, unless it is JSON that holds a picture. Of events, the first one says whether it is an error.

use std::borrow::Cow;

use super::decision::{BodyDecision, ReaderContext, Rest, invalid};
use super::json::joined;
use super::no_audio::{MAX_ERROR_BYTES, failure, may_be_text};
use crate::error::ErrorAnswer;
use crate::exchange::BodyOut;
use crate::policy::operation::Operation;
use crate::repair::chat::RequestFacts;
use crate::repair::drift::trim_drift;
use crate::repair::error::from_ok;
use crate::repair::mend::{Infinite, mend};
use crate::repair::sse::{Options, SseNormalizer, StreamEnd, StreamHead, StreamKind};
use crate::wire::json::cursor;

/// An answer of bytes, as long as it may be an error.
#[derive(Debug)]
pub(in super::super) struct Speech {
    operation: Operation,
    collected: Vec<u8>,
    /// It is labelled as events, of which the first one has not ended.
    awaits_event: bool,
}

/// What is known of an event stream's beginning.
enum FirstEvent {
    Waiting,
    Good,
    Error(ErrorAnswer),
}

impl Speech {
    pub(super) fn new(operation: Operation) -> Self {
        Self { operation, collected: Vec::new(), awaits_event: false }
    }

    /// Labelled as an event stream: the first event says whether it is an error.
    pub(super) fn events(operation: Operation) -> Self {
        Self { awaits_event: true, ..Self::new(operation) }
    }

    /// What an event stream does that begins with `all`, the last of it being `bytes`.
    fn first_event(all: &[u8], bytes: &[u8], end: bool) -> FirstEvent {
        let may_end = end || bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        let event = may_end.then(|| event_end(all, end)).flatten();
        let first = match event {
            Some(until) => all.get(..until).unwrap_or(all),
            None if end => all,
            None if all.len() <= MAX_ERROR_BYTES => return FirstEvent::Waiting,
            None => return FirstEvent::Good,
        };
        // What follows is nothing to it: however the stream is cut, it is the same.
        let mut events = SseNormalizer::new(Options {
            kind: StreamKind::Transcription,
            max_event_bytes: usize::MAX,
            response_model: None,
            request: RequestFacts::default(),
        });
        let _events = events.push(first);
        if event.is_none() {
            let _last = events.finish(StreamEnd::Clean);
        }
        match events.head() {
            StreamHead::Error(answer) => FirstEvent::Error(answer.clone()),
            StreamHead::Undecided | StreamHead::Stream => FirstEvent::Good,
        }
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        self.collected.len()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.collected.is_empty()
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        _context: &ReaderContext<'_>,
    ) -> BodyDecision {
        if self.awaits_event {
            let all = joined(&mut self.collected, bytes);
            return match Self::first_event(&all, bytes, end) {
                FirstEvent::Error(answer) => BodyDecision::Fail(answer),
                FirstEvent::Good => BodyDecision::Cover(all.into_owned()),
                FirstEvent::Waiting => {
                    self.collected = all.into_owned();
                    BodyDecision::Hold
                }
            };
        }
        // What was held is text; a character may go on in the next bytes.
        if self.collected.is_empty() && !may_be_text(bytes) {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        let body = joined(&mut self.collected, bytes);
        if !may_be_text(&body) || body.len() > MAX_ERROR_BYTES {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        if !end {
            self.collected = body.into_owned();
            return BodyDecision::Hold;
        }
        if body.is_empty() {
            let what = "The upstream answered HTTP 200 with an empty body.";
            return BodyDecision::Fail(invalid(what).to_answer());
        }
        let said = body.get(trim_drift(&body)).unwrap_or_default();
        let said = mend(said, Infinite::Null).map_or(Cow::Borrowed(said), Cow::Owned);
        if self.operation.makes_images()
            && cursor::parse(&said).is_ok()
            && from_ok(self.operation, &said).is_none()
        {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        BodyDecision::Fail(failure(&said))
    }
}

/// Where the first event with data ends; `end`: so does the stream.
fn event_end(all: &[u8], end: bool) -> Option<usize> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let is_data =
        |line: &[u8]| line.strip_prefix(b"data:").is_some_and(|data| !data.trim_ascii().is_empty());
    let mut from = 0;
    for line in all.split(is_break) {
        if is_data(line) {
            let rest = all.get(from..).unwrap_or_default();
            let blanks = [&b"\n\n"[..], b"\r\r", b"\n\r\n"];
            let ends = blanks.iter().filter_map(|blank| {
                let at = rest.windows(blank.len()).position(|bytes| bytes == *blank)?;
                Some(from + at + blank.len())
            });
            return ends.min().or_else(|| end.then_some(all.len()));
        }
        from += line.len() + 1;
    }
    None
}
