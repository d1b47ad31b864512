//! A chat stream, line by line.

use memchr::memchr;

use super::memo::RepeatedChunk;
use super::{Answer, read};
use crate::wire::bytes::is_utf8;

/// What an event may have beside the answer's text: ids, usage, what servers add.
const EVENT_BYTES: u64 = 1024 * 1024;

/// Reads what [`crate::repair::sse::SseNormalizer`] writes for [`crate::repair::sse::StreamKind::Chat`]:
/// `data: <one line of JSON>`, comments, `data: {"error":…}` where the stream failed, `data: [DONE]`;
/// each followed by an empty line.
#[derive(Debug)]
pub(crate) struct ChatStreamReader<A> {
    pub(crate) answer: A,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// The last chunk.
    last: RepeatedChunk,
}

impl<A: Answer> ChatStreamReader<A> {
    /// A reader that tells `answer` what it reads.
    pub(crate) fn new(answer: A) -> Self {
        Self { answer, line: Vec::new(), last: RepeatedChunk::default() }
    }

    /// Reads the next bytes.
    pub(crate) fn push(&mut self, canonical: &[u8]) {
        let mut rest = canonical;
        while let Some((line, after)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at))
        {
            if self.answer.is_ended() {
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
        if !self.answer.is_ended() && self.fits(self.line.len().saturating_add(rest.len())) {
            self.line.extend_from_slice(rest);
        }
        if self.answer.is_ended() {
            self.line = Vec::new();
        }
    }

    /// The body has ended. An answer without finish reason, `[DONE]` or error was cut.
    pub(crate) fn finish(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.read(&line);
        self.answer.cut();
    }

    fn read(&mut self, line: &[u8]) {
        if self.answer.is_ended() || !self.fits(line.len()) {
            return;
        }
        let payload = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii);
        if let Some((inner, what)) = payload.and_then(|payload| self.last.recall(payload))
            && is_utf8(inner)
        {
            return self.answer.one(inner, what);
        }
        // The normaliser lets only UTF-8 through.
        if std::str::from_utf8(line).is_err() {
            let mended = String::from_utf8_lossy(line).into_owned();
            return self.read(mended.as_bytes());
        }
        match payload {
            None if line.starts_with(b":") => self.answer.comment(line.trim_ascii_end()),
            None | Some(b"") => {}
            Some(b"[DONE]") => self.answer.end(),
            Some(payload) => {
                let told = read::chunk(payload, &mut self.answer);
                self.last.learn(payload, told);
            }
        }
    }

    /// Whether a line of this length may be read. Where it may not the answer has failed.
    fn fits(&mut self, length: usize) -> bool {
        let limit = self.answer.max_bytes().saturating_add(EVENT_BYTES);
        let fits = length as u64 <= limit;
        if !fits {
            self.answer.invalid(&format!("The upstream sent an event of more than {limit} bytes."));
        }
        fits
    }
}
