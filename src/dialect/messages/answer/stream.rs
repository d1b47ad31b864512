//! A chat stream as the events of a message, piece by piece.

use super::MessageOptions;
use super::builder::MessageBuilder;
use super::events::MessageEvents;
use crate::dialect::chat::stream::ChatStreamReader;
use crate::error::ErrorAnswer;

/// A chat stream as the events of a message.
///
/// It reads what [`crate::repair::sse::SseNormalizer`] writes for [`crate::repair::sse::StreamKind::Chat`]. A stream of
/// messages has no `[DONE]`: its last event is `message_stop`, or `error`.
///
/// Where [`super::MessageContext::stream`] is false nobody wants events: none is written, and [`Self::into_message`] has the
/// answer at the end.
#[derive(Debug)]
pub struct MessageConverter(ChatStreamReader<MessageBuilder>);

impl MessageConverter {
    /// A converter for one answer.
    #[must_use]
    pub fn new(options: MessageOptions) -> Self {
        let events = MessageEvents::new(options.context.stream);
        Self(ChatStreamReader::new(MessageBuilder::new(options, events)))
    }

    /// Reads the next bytes. Returns the events that they make.
    #[must_use]
    pub fn push(&mut self, canonical: &[u8]) -> Vec<u8> {
        self.0.push(canonical);
        self.0.answer.take_events()
    }

    /// The body has ended. Returns what is still to be sent: nothing where the last event was. An answer without finish
    /// reason, `[DONE]` or error was cut, and has failed.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.0.finish();
        self.0.answer.take_events()
    }

    /// Whether the last event was written: what comes is not read any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.answer.has_ended()
    }

    /// Whether the last event is an error.
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
        self.0.answer.cached()
    }

    /// The answer as a plain message, for a server that streams though nobody asked.
    ///
    /// # Errors
    /// When the answer has failed: what the upstream said (its status as well as it can be told), or 502 where the
    /// answer was cut, is too large, or is none.
    pub fn into_message(mut self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        self.0.finish();
        self.0.answer.into_message()
    }
}
