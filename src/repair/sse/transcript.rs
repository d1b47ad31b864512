//! Transcriptions as they stream: `transcript.text.delta` events and one `transcript.text.done`, whatever
//! a server sends.
//!
//! | comes | leaves as |
//! | --- | --- |
//! | OpenAI's own events | themselves |
//! | chunks with `choices` (vLLM), a finish reason for each part of the audio | deltas |
//! | segments with a `text` (speaches, WhisperLive, mlx-audio), texts | deltas |
//! | guesses at what is being said (`is_final: false`, `type: partial`, `partial`) | nothing, until it is settled |
//! | one whole transcription | one delta, and its own members in the last event |
//!
//! The last event holds all of the text, so that is kept, up to the limit of one event.

use crate::error::ErrorAnswer;
use crate::repair::chat::{container, finish};
use crate::repair::error::{Event, from_choice, from_event};
use crate::repair::transcription;
use crate::wire::failure::means_failure;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// What becomes of a payload.
#[derive(Debug)]
pub(super) enum TranscriptOutcome {
    /// One of OpenAI's own events, which says this much.
    Own {
        delta: Vec<u8>,
        is_last: bool,
    },
    /// It says this much (maybe nothing).
    Said(Vec<u8>),
    Error(Box<ErrorAnswer>),
}

/// A transcription that is put together from another server's pieces.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// All that was said: what stands between the quotes of a JSON string.
    text: Vec<u8>,
    /// The first payload, while it is the only one: it may be a whole transcription.
    only: Option<Vec<u8>>,
    pieces: usize,
    /// What is being said, as the server guesses: it is not told before it is settled, since a delta stays.
    guess: Option<Vec<u8>>,
    /// The server tells guesses, so what is final is final for one part of the audio.
    has_guesses: bool,
    /// Some were of a protocol that says when it ends.
    has_chunks: bool,
    /// The answer says that it has ended, at least for a part of the audio.
    pub(super) finished: bool,
}

impl Transcript {
    /// Whether anything has come.
    pub(super) fn has_pieces(&self) -> bool {
        self.pieces > 0
    }

    /// Whether what has come can be all there is when the connection ends: chunks say when they end.
    pub(super) fn may_end(&self) -> bool {
        self.finished || (self.pieces > 0 && !self.has_chunks)
    }

    /// Reads a payload that is JSON.
    pub(super) fn read(&mut self, payload: &[u8], event: Event) -> TranscriptOutcome {
        let Ok(root) = cursor::parse(payload) else { return TranscriptOutcome::Said(Vec::new()) };
        let kind = root.get("type").and_then(|kind| kind.as_str());
        if let Some(kind) = &kind {
            if kind.starts_with("transcript.") && !event.marked {
                let delta = root.get("delta").map(|delta| delta.inner().to_vec());
                let is_last = kind == "transcript.text.done";
                return TranscriptOutcome::Own { delta: delta.unwrap_or_default(), is_last };
            }
            if event.marked || kind.contains("error") {
                let marked = Event { marked: true, ..event };
                return match from_event(payload, marked) {
                    Some(answer) => TranscriptOutcome::Error(Box::new(answer)),
                    None => TranscriptOutcome::Said(Vec::new()),
                };
            }
        }
        let has_error = root.get("error").is_some_and(|error| means_failure(&error));
        if !has_error && !event.marked {
            if container::has_choice(&root) {
                return self.chunk(&root);
            }
            let settled = is_settled(&root, kind.as_deref());
            if settled == Some(false)
                && let Some(text) = guessed(&root)
            {
                self.pieces += 1;
                self.only = None;
                self.has_guesses = true;
                self.guess = Some(text);
                return TranscriptOutcome::Said(Vec::new());
            }
            if let Some(text) = transcription::said(&root) {
                // A segment of the audio is no piece of a word.
                let is_segment = ["start", "end"]
                    .iter()
                    .all(|name| root.get(name).is_some_and(|time| time.kind == Kind::Number));
                if settled == Some(true) || self.has_guesses || is_segment {
                    self.guess = None;
                    self.only = if self.pieces == 0 { Some(payload.to_vec()) } else { None };
                    return TranscriptOutcome::Said(self.part(&text));
                }
                let is_whole = kind.as_deref().is_some_and(|kind| {
                    ["done", "final", "complete"].iter().any(|end| kind.contains(end))
                });
                self.only = if self.pieces == 0 { Some(payload.to_vec()) } else { None };
                self.finished |= is_whole;
                return TranscriptOutcome::Said(self.new_text(&text, is_whole));
            }
        }
        match from_event(payload, event) {
            Some(answer) => TranscriptOutcome::Error(Box::new(answer)),
            None => TranscriptOutcome::Said(Vec::new()),
        }
    }

    /// One of OpenAI's own events, which leaves as it is, says this much.
    pub(super) fn own_delta(&mut self, inner: &[u8]) {
        self.has_chunks = true;
        self.add(inner);
    }

    /// Reads a payload or a line that is text.
    pub(super) fn line(&mut self, line: &[u8]) -> Vec<u8> {
        let line = string::encode(&String::from_utf8_lossy(line));
        let inner = line.get(1..line.len().saturating_sub(1)).unwrap_or_default();
        let mut said = if self.pieces > 0 { b"\\n".to_vec() } else { Vec::new() };
        said.extend_from_slice(inner);
        self.only = None;
        self.add(&said);
        said
    }

    fn chunk(&mut self, root: &Value<'_>) -> TranscriptOutcome {
        self.has_chunks = true;
        let mut said = Vec::new();
        let choices = root.get("choices").into_iter();
        let choices = choices.flat_map(|choices| {
            if choices.kind == Kind::BeginObject {
                vec![choices]
            } else {
                choices.elements().collect()
            }
        });
        for choice in choices {
            let reason = choice.get("finish_reason").and_then(|reason| finish::word(&reason));
            match reason.as_deref().map(finish::meaning) {
                Some(finish::FinishReading::Failed) => {
                    let cause = choice.get("error").map(|cause| cause.raw());
                    return TranscriptOutcome::Error(Box::new(from_choice(
                        reason.as_deref(),
                        cause,
                    )));
                }
                None | Some(finish::FinishReading::Unfinished) => {}
                Some(_) => self.finished = true,
            }
            let body = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(choice);
            let text = body.get("content").or_else(|| body.get("text"));
            if let Some(text) = text.filter(|text| text.kind == Kind::String) {
                said.extend_from_slice(text.inner());
            }
        }
        self.only = None;
        self.add(&said);
        TranscriptOutcome::Said(said)
    }

    /// What `text` adds: all of it, or what goes beyond what was said, where it begins with that.
    fn new_text(&mut self, text: &[u8], is_whole: bool) -> Vec<u8> {
        let more = match text.strip_prefix(&self.text[..]) {
            Some(more) if !self.text.is_empty() => more,
            _ if is_whole && !self.text.is_empty() => b"",
            _ => text,
        };
        let more = more.to_vec();
        self.add(&more);
        more
    }

    /// What a part of the audio adds, which is all of that part's text.
    fn part(&mut self, text: &[u8]) -> Vec<u8> {
        let is_apart = self.text.is_empty()
            || text.is_empty()
            || text.starts_with(&self.text)
            || text.starts_with(b" ")
            || self.text.ends_with(b" ");
        let spaced = if is_apart { text.to_vec() } else { [b" ", text].concat() };
        self.new_text(&spaced, false)
    }

    /// What was only guessed when the audio ended is the last that was heard of it.
    pub(super) fn settle(&mut self) -> Vec<u8> {
        self.guess.take().map(|guess| self.part(&guess)).unwrap_or_default()
    }

    fn add(&mut self, said: &[u8]) {
        self.pieces += 1;
        self.text.extend_from_slice(said);
    }

    /// How much is kept.
    pub(super) fn len(&self) -> usize {
        self.text.len().max(self.guess.as_ref().map_or(0, Vec::len))
    }

    /// The last event.
    pub(super) fn done(&mut self) -> Vec<u8> {
        const KIND: &[u8] = br#""type":"transcript.text.done""#;
        let only = self.only.take();
        if let Some(only) = &only
            && let Ok(root) = cursor::parse(only)
            && root.get("text").is_some_and(|text| text.inner() == self.text)
        {
            let kind = root.get("type").map(|kind| kind.span());
            let (span, with) = match kind {
                Some(span) => (span, br#""transcript.text.done""#.to_vec()),
                None => {
                    let at = root.span().start + 1;
                    (at..at, [KIND, b","].concat())
                }
            };
            if let Some(done) = splice::apply(only, &[Edit { span, with }]) {
                return done;
            }
        }
        [b"{", KIND, br#","text":""#, &self.text[..], br#""}"#].concat()
    }
}

/// Whether what a payload says is settled, or a guess that the next one replaces; `None` where it does not say.
fn is_settled(root: &Value<'_>, kind: Option<&str>) -> Option<bool> {
    let flag = |value: &Value<'_>| {
        let settled = ["is_final", "isFinal", "final"];
        let guess = ["partial", "interim", "is_partial"];
        let said = |names: [&str; 3]| names.iter().find_map(|name| value.get(name)?.as_bool());
        said(settled).or_else(|| said(guess).map(|is_guess| !is_guess))
    };
    let results = root.get("results").and_then(|results| results.elements().last());
    let held = [Some(*root), results, root.get("result")].into_iter().flatten();
    let is_guess = |word: &str| word.contains("partial") || word.contains("interim");
    held.into_iter().find_map(|value| flag(&value)).or_else(|| {
        (kind.is_some_and(is_guess) || GUESSES.iter().any(|name| root.get(name).is_some()))
            .then_some(false)
    })
}

/// Members that hold a guess, beside which there is no text.
const GUESSES: [&str; 3] = ["partial", "interim", "hypothesis"];

fn guessed(root: &Value<'_>) -> Option<Vec<u8>> {
    transcription::said(root).or_else(|| {
        let guess = GUESSES.iter().find_map(|name| root.get(name))?;
        (guess.kind == Kind::String).then(|| guess.inner().to_vec())
    })
}

/// A delta that says `inner`.
pub(super) fn delta(inner: &[u8]) -> Vec<u8> {
    [&br#"{"type":"transcript.text.delta","delta":""#[..], inner, b"\"}"].concat()
}
