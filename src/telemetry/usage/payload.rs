//! One JSON text of an answer, as it leaves: how many bytes in it are what the model said, and its token counts.
//!
//! One table of places for all APIs, since none of them puts something else where another has text:
//!
//! | API | text |
//! | --- | --- |
//! | chat, text completions | in `choices`: `message` and `delta` with their calls, `text` |
//! | Responses | in `output`; in streams the `delta` of events, whose last event repeats all |
//! | Messages | in `content`; in streams `content_block` and `delta` |
//! | transcriptions | `text`; in streams the `delta` of events, whose last event repeats all |

use std::ops::Range;

use super::TextLength;
use super::tally::{TextTally, Voice};
use super::tokens::{NoCount, Tokens};
use crate::wire::failure::says_failure;
use crate::wire::json::chunk::{Chunk, TokenText};
use crate::wire::json::cursor::checked_object;
use crate::wire::json::string;
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};

/// The longest name that is looked for, each letter written as `\u0061`.
const MAX_NAME_RAW: usize = 256;
/// A larger usage object is none, and a larger `error` is one.
const MAX_KEPT_BYTES: usize = 16 * 1024;
/// Arrays and objects around the deepest text.
const MAX_PLACES: usize = 10;

/// An array or object in which there is something to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum AnswerPlace {
    /// Around the text's one value.
    #[default]
    Outside,
    Root,
    /// A whole answer inside of an event (`response`, `message`).
    Answer,
    Choices,
    Choice,
    /// What a choice says, or an event adds.
    Said,
    /// Tool calls, and one of them.
    Calls,
    Call,
    Function,
    /// The parts of a content, and one of them.
    Parts,
    Part,
    /// The items of a Response, one of them, and its parts.
    Output,
    Item,
    ItemParts,
    ItemPart,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ValueUse {
    #[default]
    Skip,
    Enter(AnswerPlace),
    Usage,
    /// It is text, or JSON that the model has written.
    Text(Voice),
    Type,
    Error,
}

/// What becomes of a member's value, by its kind.
#[derive(Debug, Clone, Copy, Default)]
struct MemberUse {
    object: ValueUse,
    array: ValueUse,
    string: ValueUse,
    /// A number, or `true`.
    other: ValueUse,
}

impl MemberUse {
    const NONE: Self = Self {
        object: ValueUse::Skip,
        array: ValueUse::Skip,
        string: ValueUse::Skip,
        other: ValueUse::Skip,
    };

    const fn object(object: ValueUse) -> Self {
        Self { object, ..Self::NONE }
    }

    const fn array(array: AnswerPlace) -> Self {
        Self { array: ValueUse::Enter(array), ..Self::NONE }
    }

    const fn text(voice: Voice) -> Self {
        Self { string: ValueUse::Text(voice), ..Self::NONE }
    }

    /// As text it stands in some APIs, as JSON in others.
    const fn json(voice: Voice) -> Self {
        let text = ValueUse::Text(voice);
        Self { object: text, array: text, string: text, ..Self::NONE }
    }

    fn of(place: AnswerPlace, name: &[u8]) -> Self {
        use AnswerPlace as At;
        use ValueUse::Enter;
        match (place, name) {
            (
                At::Root | At::Answer,
                b"usage" | b"usageMetadata" | b"usage_metadata" | b"token_usage",
            )
            | (At::Root, b"x_groq" | b"meta" | b"details") => Self::object(ValueUse::Usage),
            (At::Root, b"choices") => Self::array(At::Choices),
            (At::Root, b"delta") => {
                Self { object: Enter(At::Said), string: ValueUse::Text(Voice::Delta), ..Self::NONE }
            }
            (At::Root, b"type") => Self { string: ValueUse::Type, ..Self::default() },
            (At::Root, b"text") => Self::text(Voice::Whole),
            (At::Root, b"content_block") => Self::object(Enter(At::Part)),
            (At::Root, b"response" | b"message") => Self::object(Enter(At::Answer)),
            (At::Root | At::Answer, b"output") => Self::array(At::Output),
            (At::Root | At::Answer, b"content") => Self::array(At::Parts),
            (At::Root | At::Answer, b"error") => {
                let error = ValueUse::Error;
                Self { object: error, array: error, string: error, other: error }
            }
            (At::Choice, b"message" | b"delta") => Self::object(Enter(At::Said)),
            (At::Said, b"content") => {
                Self { array: Enter(At::Parts), string: ValueUse::Text(Voice::Said), ..Self::NONE }
            }
            (At::Said, b"reasoning") => Self::text(Voice::Reasoning),
            (At::Said, b"reasoning_content") => Self::text(Voice::ReasoningContent),
            (At::Said, b"tool_calls") => Self::array(At::Calls),
            (At::Said, b"function_call") | (At::Call, b"function" | b"custom") => {
                Self::object(Enter(At::Function))
            }
            (At::Said, b"audio") => Self::object(Enter(At::Part)),
            (At::Choice | At::Said, b"text")
            | (At::Said, b"thinking" | b"refusal" | b"partial_json")
            | (At::Part, b"text" | b"thinking" | b"refusal" | b"transcript" | b"name") => {
                Self::text(Voice::Said)
            }
            (At::Function, b"name" | b"arguments" | b"input") | (At::Part, b"input") => {
                Self::json(Voice::Said)
            }
            (At::Item, b"content" | b"summary") => Self::array(At::ItemParts),
            (At::Item, b"name" | b"arguments" | b"input" | b"code") => Self::json(Voice::Whole),
            (At::ItemPart, b"text" | b"refusal" | b"transcript") => Self::text(Voice::Whole),
            _ => Self::default(),
        }
    }
}

impl AnswerPlace {
    /// Where the elements of an array stand.
    fn element(self) -> Option<Self> {
        match self {
            Self::Outside => Some(Self::Root),
            Self::Choices => Some(Self::Choice),
            Self::Calls => Some(Self::Call),
            Self::Parts => Some(Self::Part),
            Self::Output => Some(Self::Item),
            Self::ItemParts => Some(Self::ItemPart),
            _ => None,
        }
    }
}

/// What a payload has said so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PayloadFacts {
    pub(super) text: TextTally,
    pub(super) tokens: Option<Tokens>,
    /// It is or holds an error.
    pub(super) failed: bool,
    /// It has token counts that are none.
    pub(super) miscounted: bool,
}

/// The one text of a payload that says nothing else that counts.
#[derive(Debug, Clone)]
pub(super) struct OneText {
    voice: Voice,
    /// Where it stands in the payload, its quotes not among it.
    pub(super) span: Range<usize>,
}

impl OneText {
    /// What a payload says in which `bytes` of text stand there.
    pub(super) fn facts(&self, bytes: u64) -> PayloadFacts {
        let mut facts = PayloadFacts::default();
        facts.text.add(self.voice, bytes);
        facts
    }
}

/// What is being read when a chunk ends, and goes on in the next.
#[derive(Debug, Clone, Copy, Default)]
enum OpenValue {
    #[default]
    None,
    Text(Voice, TextLength),
    /// JSON that is text, from this offset on.
    Json(Voice, u64),
    /// A usage object that began at this offset.
    Usage(u64),
    /// An `error` that began at this offset.
    Error(u64),
}

/// Reads one payload. See the module's table.
#[derive(Debug, Default)]
pub(super) struct PayloadReader {
    tokenizer: Tokenizer,
    texts: TokenText<MAX_NAME_RAW>,
    /// What becomes of the value of the last name.
    member: MemberUse,
    /// Where the values at each depth stand.
    places: [AnswerPlace; MAX_PLACES],
    /// Deeper tokens are of no interest.
    depth: u32,
    open: OpenValue,
    /// Bytes of what is open, a usage object or an `error`, that earlier chunks had.
    kept: Vec<u8>,
    facts: PayloadFacts,
    /// Its first text, as long as it has said nothing else.
    first_text: Option<OneText>,
    /// How many things that count have been read.
    seen: u32,
    /// The event's `delta` is audio.
    is_audio: bool,
    /// It is no JSON from here on.
    is_broken: bool,
}

impl PayloadReader {
    /// Reads the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut at = 0;
        loop {
            match self.tokenizer.next(bytes, &mut at, self.depth) {
                Ok(Some(token)) => self.token(token, chunk),
                Ok(None) => break,
                Err(_) => {
                    // What began before is no value.
                    self.facts.failed |= matches!(self.open, OpenValue::Error(_));
                    self.open = OpenValue::None;
                    self.is_broken = true;
                    return;
                }
            }
        }
        self.keep(chunk);
    }

    /// Whether the value has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.is_broken || self.tokenizer.is_complete()
    }

    /// What it has said so far.
    pub(super) fn facts(&self) -> PayloadFacts {
        let mut facts = self.facts;
        match self.open {
            OpenValue::Text(voice, mut length) => facts.text.add(voice, length.take()),
            OpenValue::Json(voice, start) => {
                facts.text.add(voice, self.tokenizer.base().saturating_sub(start));
            }
            // What it says is not known yet, or will never be.
            OpenValue::Error(_) => facts.failed = true,
            OpenValue::Usage(_) | OpenValue::None => {}
        }
        if self.is_audio {
            facts.text.leave_out_deltas();
        }
        facts
    }

    /// The text that is all it has said, where it came in one piece.
    pub(super) fn one_text(&self) -> Option<OneText> {
        let is_all = self.seen == 1 && !self.is_audio && !self.facts.failed && !self.is_broken;
        self.first_text.clone().filter(|_| is_all && self.tokenizer.is_complete())
    }

    /// What it has said, and is ready for the next.
    pub(super) fn take(&mut self) -> PayloadFacts {
        let facts = self.facts();
        self.tokenizer = Tokenizer::new();
        self.depth = 0;
        self.open = OpenValue::None;
        self.kept.clear();
        self.facts = PayloadFacts::default();
        (self.first_text, self.seen) = (None, 0);
        (self.is_audio, self.is_broken) = (false, false);
        facts
    }

    fn place(&self, depth: u32) -> AnswerPlace {
        self.places.get(depth as usize).copied().unwrap_or_default()
    }

    /// What becomes of a value of this kind that stands at this depth.
    fn use_of(&self, kind: Kind, depth: u32) -> ValueUse {
        if let Some(element) = self.place(depth).element() {
            let is_object = kind == Kind::BeginObject;
            return if is_object { ValueUse::Enter(element) } else { ValueUse::Skip };
        }
        match kind {
            Kind::BeginObject => self.member.object,
            Kind::BeginArray => self.member.array,
            Kind::String => self.member.string,
            Kind::Number | Kind::True => self.member.other,
            _ => ValueUse::Skip,
        }
    }

    fn token(&mut self, token: Token, chunk: Chunk<'_>) {
        match token.kind {
            Kind::Key => self.name(token, chunk),
            Kind::BeginObject | Kind::BeginArray => self.enter(token),
            Kind::EndObject | Kind::EndArray => self.leave(token, chunk),
            Kind::String => self.string(token, chunk),
            Kind::Number | Kind::True => self.scalar(token, chunk),
            Kind::False | Kind::Null => {}
        }
    }

    fn name(&mut self, token: Token, chunk: Chunk<'_>) {
        let place = self.place(token.depth);
        let raw = self.texts.read(token, chunk);
        self.member = match raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")) {
            Some(name) if !name.contains(&b'\\') => MemberUse::of(place, name),
            Some(name) => string::decode(name)
                .map_or_else(MemberUse::default, |name| MemberUse::of(place, name.as_bytes())),
            None => MemberUse::default(),
        };
    }

    fn enter(&mut self, token: Token) {
        self.depth = token.depth;
        match self.use_of(token.kind, token.depth) {
            ValueUse::Enter(place) => {
                let inner = token.depth.saturating_add(1);
                if let Some(slot) = self.places.get_mut(inner as usize) {
                    *slot = place;
                    self.depth = inner;
                }
            }
            ValueUse::Usage => self.open = OpenValue::Usage(token.start),
            ValueUse::Text(voice) => self.open = OpenValue::Json(voice, token.start),
            ValueUse::Error => self.open = OpenValue::Error(token.start),
            ValueUse::Type | ValueUse::Skip => return,
        }
        if !matches!(self.open, OpenValue::None) {
            self.kept.clear();
            self.seen = self.seen.saturating_add(1);
        }
    }

    fn leave(&mut self, token: Token, chunk: Chunk<'_>) {
        self.depth = token.depth;
        match std::mem::take(&mut self.open) {
            OpenValue::Json(voice, start) => {
                let length = token.end.saturating_sub(start);
                // An empty one stands where the text follows.
                if length > 2 {
                    self.facts.text.add(voice, length);
                }
            }
            OpenValue::Usage(start) => match tokens(self.whole(start, token, chunk)) {
                Ok(Some(tokens)) => self.facts.tokens.get_or_insert_default().update(&tokens),
                Ok(None) => {}
                Err(NoCount) => self.facts.miscounted = true,
            },
            OpenValue::Error(start) => {
                let raw = self.whole(start, token, chunk);
                let failed = raw.len() > MAX_KEPT_BYTES || says_failure(raw);
                self.facts.failed |= failed;
            }
            OpenValue::Text(..) | OpenValue::None => {}
        }
    }

    fn string(&mut self, token: Token, chunk: Chunk<'_>) {
        let open = std::mem::take(&mut self.open);
        match self.use_of(Kind::String, token.depth) {
            ValueUse::Text(voice) => {
                let mut length = match open {
                    OpenValue::Text(_, length) => length,
                    _ => TextLength::default(),
                };
                let (start, end) = (token.start + 1, token.end.saturating_sub(1));
                length.push(chunk.get(start, end));
                self.facts.text.add(voice, length.take());
                self.seen = self.seen.saturating_add(1);
                let span = usize::try_from(start).ok().zip(usize::try_from(end).ok());
                self.first_text = span.map(|(start, end)| OneText { voice, span: start..end });
            }
            ValueUse::Type => {
                let name = self.texts.read(token, chunk);
                self.is_audio = name == b"\"response.audio.delta\"";
                self.facts.failed |= name == b"\"error\"";
            }
            ValueUse::Error => self.scalar(token, chunk),
            ValueUse::Enter(_) | ValueUse::Usage | ValueUse::Skip => {}
        }
    }

    /// A value of one token, which matters only where it says whether there is an error.
    fn scalar(&mut self, token: Token, chunk: Chunk<'_>) {
        if self.use_of(token.kind, token.depth) != ValueUse::Error {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        // `true` has no text of its own.
        let raw =
            if token.kind == Kind::True { &b"true"[..] } else { self.texts.read(token, chunk) };
        // Longer words say something.
        let failed = raw.len() >= MAX_NAME_RAW || says_failure(raw);
        self.facts.failed |= failed;
    }

    /// All of an object or array that began at this offset and ends with `token`; of a large one its beginning.
    fn whole<'c>(&'c mut self, start: u64, token: Token, chunk: Chunk<'c>) -> &'c [u8] {
        let part = chunk.get(start, token.end);
        if self.kept.is_empty() {
            return part;
        }
        self.keep_part(part);
        &self.kept
    }

    fn keep_part(&mut self, part: &[u8]) {
        let room = (MAX_KEPT_BYTES + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    /// The end of a chunk: what is open goes on in the next.
    fn keep(&mut self, chunk: Chunk<'_>) {
        self.texts.keep(&self.tokenizer, chunk, self.depth);
        if let OpenValue::Usage(start) | OpenValue::Error(start) = self.open {
            self.keep_part(chunk.get(start, u64::MAX));
        }
        if let Some((Kind::String, start, depth)) = self.tokenizer.open_text()
            && depth <= self.depth
            && let ValueUse::Text(voice) = self.use_of(Kind::String, depth)
        {
            let mut length = match self.open {
                OpenValue::Text(_, length) => length,
                _ => TextLength::default(),
            };
            length.push(chunk.get(start + 1, u64::MAX));
            self.open = OpenValue::Text(voice, length);
        }
    }
}

/// What a usage object says that the tokenizer has seen the end of.
fn tokens(raw: &[u8]) -> Result<Option<Tokens>, NoCount> {
    if raw.len() > MAX_KEPT_BYTES {
        return Err(NoCount);
    }
    Tokens::look(&checked_object(raw))
}
