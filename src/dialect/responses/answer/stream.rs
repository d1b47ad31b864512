//! A chat stream as Responses events, piece by piece.

use crate::dialect::chat::stream::ChatStreamReader;
use crate::error::ErrorAnswer;

use super::ResponseOptions;
use super::builder::ResponseBuilder;
use super::events::ResponseEvents;

/// A chat stream as Responses events.
///
/// It reads what [`crate::repair::sse::SseNormalizer`] writes for [`crate::repair::sse::StreamKind::Chat`]:
/// `data: <one line of JSON>`, comments, `data: {"error":…}` where the stream failed, `data: [DONE]`;
/// each followed by an empty line. A Responses stream has no `[DONE]`: its last event is
/// `response.completed`, `response.incomplete` or `response.failed`, with the whole Response.
///
/// Where [`super::AnswerContext::stream`] is false nobody wants events: none is written, and
/// [`Self::into_response`] has the answer at the end.
#[derive(Debug)]
pub struct ResponseConverter(ChatStreamReader<ResponseBuilder>);

impl ResponseConverter {
    /// A converter for one answer.
    #[must_use]
    pub fn new(options: ResponseOptions) -> Self {
        let events = ResponseEvents::new(options.context.stream);
        Self(ChatStreamReader::new(ResponseBuilder::new(options, events)))
    }

    /// Reads the next bytes. Returns the events that they make, and comments as they came.
    #[must_use]
    pub fn push(&mut self, canonical: &[u8]) -> Vec<u8> {
        self.0.push(canonical);
        self.0.answer.events.take()
    }

    /// The body has ended. Returns what is still to be sent: nothing where the last event was. An
    /// answer without finish reason, `[DONE]` or error was cut, and has failed.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.0.finish();
        self.0.answer.events.take()
    }

    /// Whether the last event was written: what comes is not read any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.answer.is_ended()
    }

    /// Whether the last event is a failure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.0.answer.has_failed()
    }

    /// Bytes of the answer that are kept for its last events.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.answer.held()
    }

    /// Whether prompt tokens came from the upstream's cache; `None` until token counts were seen.
    #[must_use]
    pub fn cached(&self) -> Option<bool> {
        self.0.answer.head.usage.map(|usage| usage.cached)
    }

    /// The answer as a plain Response, for a server that streams though nobody asked. Call
    /// [`Self::finish`] before.
    ///
    /// # Errors
    /// When the answer has failed: what the upstream said (its status as well as it can be told), or
    /// 502 where the answer was cut, is too large, or is none.
    pub fn into_response(mut self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        self.0.answer.cut();
        self.0.answer.into_response()
    }
}
