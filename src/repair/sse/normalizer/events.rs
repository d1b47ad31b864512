//! From payloads to events: passed on as they are, repaired, dropped, or an error.

use crate::repair::chat::Api;
use crate::repair::error::Event;
use crate::telemetry::counters::{AnswerFault, Repair};

use crate::wire::json::cursor;

use super::super::chunk::{self, ChunkContext};
use super::super::lines::{Line, classify};
use super::super::output::Output;
use super::super::pending::Origin;
use super::super::scan::{CanonicalPayload, FinishReason};
use super::super::template::{SlotValues, TemplateMatch};
use super::super::{StreamKind, sanitize, scan, transcript, typed};
use super::answer::AnswerEnd;
use super::{SseNormalizer, Stage};

/// Payloads may stand inside of others to this depth.
const MAX_NESTING: u8 = 4;

impl SseNormalizer {
    /// Passes a payload on if one pass over it shows that it needs no repair.
    #[inline]
    pub(super) fn canonical(&mut self, text: &[u8], output: &mut Output<'_>) -> bool {
        let (found, values) = match self.recall(text) {
            Some((TemplateMatch { len, values }, found)) if len == text.len() => (found, values),
            _ => {
                let Some((found, slots)) = scan::payload(text, self.options.kind) else {
                    return false;
                };
                // A renamed model must stand where it stood.
                let is_in_place = || found.model().is_none_or(|(_, end)| slots.are_behind(end));
                if self.model.is_none() || is_in_place() {
                    self.template.learn(text, slots, found);
                    let plain = found.plain_choice().filter(|_| self.model.is_none());
                    self.plain = plain.filter(|choice| !self.is_piece(Some(*choice)));
                }
                (found, slots.values(text))
            }
        };
        self.pass(found, values, text, None, output)
    }

    /// If a payload of the last one's shape is what `text` begins with: its length and values, and what
    /// is known about it.
    // As a call it would cost more than it does: what it returns would go through memory.
    #[inline(always)]
    pub(super) fn recall<'a>(
        &self,
        text: &'a [u8],
    ) -> Option<(TemplateMatch<'a>, CanonicalPayload)> {
        Some((self.template.find(text)?, self.template.found()?))
    }

    /// Passes a payload on; `whole` is its event, if that is canonical from its first field to its blank
    /// line. False, and nothing has happened, if this payload needs a repair here and now.
    #[inline(always)]
    pub(super) fn pass(
        &mut self,
        found: CanonicalPayload,
        values: SlotValues<'_>,
        text: &[u8],
        whole: Option<&[u8]>,
        output: &mut Output<'_>,
    ) -> bool {
        let renames = self.model.is_some();
        match found {
            CanonicalPayload::Chunk(chunk) => {
                if (chunk.choice.is_none() && self.event.is_error())
                    || (renames && chunk.model.is_none())
                {
                    return false;
                }
                if self.is_piece(chunk.choice) {
                    return false;
                }
                let calls = &mut self.answer.progress.calls;
                let is_call_end = chunk.finish == Some(FinishReason::Stop)
                    && chunk.choice.is_some_and(|choice| calls.has_any(choice));
                if is_call_end {
                    return false;
                }
                // Only what goes on with a call passes, and that is noted here.
                if let Some((choice, index)) = chunk.call
                    && !calls.goes_on(choice, index, values.arguments)
                {
                    return false;
                }
            }
            CanonicalPayload::Event(event) => {
                if event.is_last || (renames && event.has_response) || self.is_over() {
                    return false;
                }
                if self.options.kind == StreamKind::Messages
                    && !whole.is_some_and(|whole| whole.starts_with(b"event:"))
                    && self.event.name.as_deref() != text.get(event.name.0..event.name.1)
                {
                    return false;
                }
            }
        }
        match (&self.model, found.model(), whole) {
            (Some(_), Some((start, end)), _) => {
                self.begin(output);
                let (before, after) = (text.get(..start), text.get(end..));
                let parts = [before, self.model.as_deref(), after];
                output.data(parts.map(Option::unwrap_or_default));
            }
            (_, _, Some(whole)) => {
                self.begin(output);
                output.write(whole);
            }
            (_, _, None) => self.emit(text, output),
        }
        match found {
            CanonicalPayload::Chunk(chunk) => {
                if chunk.counted {
                    self.answer.cached = Some(false);
                }
                if let Some(index) = chunk.choice {
                    if let Some(choice) = self.answer.progress.choice(index) {
                        choice.go_on(values.content, values.reasoning);
                    }
                    if let Some(reason) = chunk.finish {
                        self.answer.progress.finish(index, reason == FinishReason::Stop);
                    }
                    self.answer.chunk(chunk.finish.is_some());
                }
            }
            CanonicalPayload::Event(_) => self.event_passed(values),
        }
        true
    }

    /// Whether a choice is but a piece of another: there are more of them than were asked for.
    #[inline]
    fn is_piece(&self, choice: Option<u64>) -> bool {
        choice.is_some_and(|choice| choice > 0)
            && self.options.request.choices == 1
            && self.options.kind == StreamKind::Chat
    }

    fn event_passed(&mut self, values: SlotValues<'_>) {
        self.sequence(values.number);
        if self.options.kind == StreamKind::Transcription {
            self.answer.transcript.own_delta(values.content);
        }
    }

    /// Whether a transcription has come to its end: it has one last event.
    pub(super) fn is_over(&self) -> bool {
        self.options.kind == StreamKind::Transcription && self.answer.end == AnswerEnd::LastEvent
    }

    fn sequence(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.answer.next_sequence = number.saturating_add(1);
        }
    }

    /// A complete payload that is no canonical one.
    pub(super) fn json(&mut self, origin: Origin, text: &[u8], output: &mut Output<'_>) {
        let text = text.trim_ascii();
        if std::str::from_utf8(text).is_err() {
            let mended = sanitize::one_line(text);
            return self.json(origin, &mended, output);
        }
        let event = Event {
            marked: origin == Origin::ErrorField || self.event.is_error(),
            status: self.event.status_hint,
        };
        match (self.options.kind.api(), self.options.kind) {
            (Some(api), _) => self.chunk(api, text, event, MAX_NESTING, output),
            (None, StreamKind::Transcription) => self.transcript(text, event, output),
            (None, _) => self.typed(text, event, output),
        }
    }

    fn typed(&mut self, text: &[u8], event: Event, output: &mut Output<'_>) {
        let first = matches!(self.stage, Stage::Waiting(_));
        match typed::repair(text, first, event, self.options.response_model.as_deref()) {
            typed::EventOutcome::Emit(edited, facts) => {
                let text = edited.as_deref().unwrap_or(text);
                self.name_by_type(text);
                match self.in_order(text) {
                    Some(placed) => {
                        self.emit(&placed, output);
                        self.sequence(facts.sequence.or(Some(self.answer.next_sequence)));
                    }
                    None => self.emit(text, output),
                }
                self.event_seen(facts);
            }
            typed::EventOutcome::Events(events, facts) => {
                for (name, payload) in events {
                    self.event.name = Some(name.as_bytes().to_vec());
                    self.emit(&sanitize::one_line(&payload), output);
                }
                self.event_seen(facts);
            }
            typed::EventOutcome::Error(answer) => self.fail(*answer, output),
        }
    }

    /// Anthropic's SDKs know events by their `event:` lines alone. A name that could not stand in one stays as it is.
    fn name_by_type(&mut self, text: &[u8]) {
        if self.options.kind != StreamKind::Messages {
            return;
        }
        let name = cursor::parse(text).ok().and_then(|root| root.get("type"));
        let name = name.and_then(|name| Some(name.as_str()?.into_owned()));
        let Some(name) = name.filter(|name| !name.bytes().any(|byte| byte.is_ascii_control()))
        else {
            return;
        };
        if self.event.name.as_deref() != Some(name.as_bytes()) {
            self.answer.progress.repairs.insert(Repair::Framing);
            self.event.name = Some(name.into_bytes());
        }
    }

    /// An event of a Responses stream with the places that it leaves out.
    fn in_order(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        if self.options.kind != StreamKind::Responses {
            return None;
        }
        let root = cursor::parse(text).ok()?;
        let name = root.get("type")?.as_str()?;
        self.answer.order.complete(text, &root, &name, self.answer.next_sequence)
    }

    fn event_seen(&mut self, facts: typed::EventFacts) {
        if facts.ends {
            self.answer.end = AnswerEnd::LastEvent;
        }
        if facts.fails {
            self.answer.failure.get_or_insert(AnswerFault::StreamError);
        }
        self.answer.cached = facts.cached.or(self.answer.cached);
        self.sequence(facts.sequence);
    }

    fn transcript(&mut self, text: &[u8], event: Event, output: &mut Output<'_>) {
        if self.is_over() {
            return;
        }
        match self.answer.transcript.read(text, event) {
            transcript::TranscriptOutcome::Own { delta, is_last } => {
                self.emit(text, output);
                self.answer.transcript.own_delta(&delta);
                if is_last {
                    self.answer.end = AnswerEnd::LastEvent;
                }
            }
            transcript::TranscriptOutcome::Said(said) => self.say(&said, output),
            transcript::TranscriptOutcome::Error(answer) => self.fail(*answer, output),
        }
    }

    fn chunk(&mut self, api: Api, text: &[u8], event: Event, nesting: u8, output: &mut Output<'_>) {
        let about = ChunkContext {
            api,
            request: self.options.request,
            event,
            response_model: self.options.response_model.as_deref(),
        };
        match chunk::repair(text, &mut self.answer.progress, about) {
            chunk::ChunkOutcome::Emit(edited, facts) => {
                self.emit(edited.as_deref().unwrap_or(text), output);
                self.answer.cached = facts.cached.or(self.answer.cached);
                // Also where there is none: it was not idle.
                self.answer.chunk(facts.finished);
            }
            chunk::ChunkOutcome::Several(payloads) => {
                let Some(deeper) = nesting.checked_sub(1) else {
                    return self.emit(text, output);
                };
                for payload in payloads {
                    if !self.is_done() {
                        self.chunk(api, &payload, event, deeper, output);
                    }
                }
            }
            chunk::ChunkOutcome::Drop => {
                self.event.name = None;
                self.idle(output);
            }
            chunk::ChunkOutcome::Error(answer, before) => {
                if let Some(before) = before {
                    self.event.name = None;
                    self.emit(&before, output);
                }
                self.fail(*answer, output);
            }
        }
    }

    /// Writes one event.
    #[inline]
    pub(super) fn emit(&mut self, payload: &[u8], output: &mut Output<'_>) {
        self.begin(output);
        output.data([payload]);
    }

    /// Writes what stands before an event's data.
    #[inline]
    fn begin(&mut self, output: &mut Output<'_>) {
        if matches!(self.stage, Stage::Waiting(_)) {
            self.stage = Stage::Streaming;
        }
        self.event.is_empty = false;
        if let Some(name) = self.event.name.take()
            && self.options.kind.api().is_none()
        {
            output.write(b"event: ");
            output.write(&name);
            output.write(b"\n");
        }
    }

    /// A line behind `[DONE]` in the same chunk: usage still goes before it.
    pub(super) fn behind_end(&mut self, line: &[u8], output: &mut Output<'_>) {
        let (Line::Data(text), Some(api)) = (classify(line), self.options.kind.api()) else {
            return;
        };
        if std::str::from_utf8(text).is_err() || !self.answer.progress.has_choices() {
            return;
        }
        let about = ChunkContext {
            api,
            request: self.options.request,
            event: Event::default(),
            response_model: self.options.response_model.as_deref(),
        };
        let verdict = chunk::repair(text, &mut self.answer.progress, about);
        if let chunk::ChunkOutcome::Emit(edited, facts) = verdict
            && facts.cached.is_some()
            && !facts.has_choices
        {
            self.answer.cached = facts.cached;
            self.emit(edited.as_deref().unwrap_or(text), output);
        }
    }
}
