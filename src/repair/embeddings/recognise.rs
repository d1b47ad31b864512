//! Tells from its beginning what an embeddings answer needs.

use super::vector::MAX_NUMBER;
use super::{EmbeddingsFacts, Format};
use crate::wire::json::chunk::{Chunk, TokenText};
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};

/// Answers up to this many bytes are always held and checked as a whole: that costs nothing, and finds
/// drift in any item, in `usage` and in the number of vectors.
pub const WINDOW: u64 = 65_536;

/// What the beginning of an answer says about the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// Less than [`WINDOW`] bytes came, or not one whole item: hold them. At the body's end:
    /// [`super::answer`].
    Undecided,
    /// Spec-shaped, in the format that was asked for: let it go on untouched.
    ///
    /// The evidence: at least [`WINDOW`] bytes with a top-level object, in it `"data"` as an array of
    /// objects, the first one complete with `"object":"embedding"`, its own index, and a vector in the
    /// right format; indices in order, `"object":"list"` if it came yet, no error. Drift that only
    /// shows later (a `usage` that never comes) is not repaired.
    PassThrough,
    /// The same, but in the other number format or without some field: let it go through a
    /// [`super::EmbeddingsConverter`], from its first byte. Its length changes.
    Convert,
    /// Anything else: hold it to its end (bounded by `max_answer_bytes`), then [`super::answer`].
    Hold,
}

/// The member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExpectedMember {
    Data,
    /// `object` of the answer or of an item.
    Object,
    Index,
    Embedding,
    Error,
    Other,
    Model,
    Usage,
    PromptTokens,
    TotalTokens,
}

/// Whether the JSON number `text` is `number`, written as an integer.
pub(super) fn is_decimal(text: &[u8], number: u64) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse() == Ok(number))
}

/// The container whose members are looked at.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The answer itself, or a member that says nothing here.
    Answer,
    /// The list of vectors, and the item that is being read.
    Data(ItemProgress),
    Usage,
}

/// One item of `data`, as far as it came.
#[derive(Debug, Clone, Copy, Default)]
struct ItemProgress {
    has_label: bool,
    has_index: bool,
    vector: Option<VectorStart>,
}

/// The beginning of a vector.
#[derive(Debug, Clone, Copy)]
struct VectorStart {
    format: Format,
    /// Where it begins, behind its bracket.
    at: u64,
}

/// What the whole items so far need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemsNeed {
    /// There is none yet.
    Unknown,
    Nothing,
    /// Something must be written that is not there.
    Conversion,
}

/// The incremental look at one answer's body.
#[derive(Debug)]
pub struct Recogniser {
    format: Format,
    recognition: Recognition,
    tokenizer: Tokenizer,
    text: TokenText<{ MAX_NUMBER + 1 }>,
    member: ExpectedMember,
    place: Place,
    /// Position of the item that is being read: how many are whole.
    position: u64,
    items: ItemsNeed,
    fields: AnswerFields,
}

/// The fields of a canonical answer beside its vectors: those that are there, as far as it came.
#[derive(Debug, Clone, Copy, Default)]
struct AnswerFields {
    object: bool,
    model: bool,
    prompt_tokens: bool,
    total_tokens: bool,
}

impl AnswerFields {
    fn are_all_there(self) -> bool {
        self.object && self.model && self.prompt_tokens && self.total_tokens
    }
}

impl Recogniser {
    /// Before the first byte of an answer to the request of `facts`.
    #[must_use]
    pub fn new(facts: &EmbeddingsFacts) -> Self {
        Self {
            format: facts.format,
            recognition: Recognition::Undecided,
            tokenizer: Tokenizer::new(),
            text: TokenText::default(),
            member: ExpectedMember::Other,
            place: Place::Answer,
            position: 0,
            items: ItemsNeed::Unknown,
            fields: AnswerFields::default(),
        }
    }

    /// Reads the next bytes. The verdict depends on the bytes so far alone, not on their chunks, and
    /// never changes once it is no longer [`Recognition::Undecided`]: then nothing more need be pushed.
    pub fn push(&mut self, chunk: &[u8]) -> Recognition {
        // Nothing behind the window counts where that is enough, however much of it came along.
        let room = usize::try_from(WINDOW.saturating_sub(self.tokenizer.base())).unwrap_or(0);
        let (window, rest) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
        for part in [window, rest] {
            if self.recognition == Recognition::Undecided && !part.is_empty() {
                self.look(part);
            }
        }
        self.recognition
    }

    fn look(&mut self, bytes: &[u8]) {
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut at = 0;
        // Of a vector (depth 4) only what is no number is looked at: it must not be there.
        while let Some(token) =
            self.tokenizer.next_but_numbers(bytes, &mut at, 4).unwrap_or_else(|_| {
                self.recognition = Recognition::Hold;
                None
            })
        {
            if !self.token(token, chunk) {
                self.recognition = Recognition::Hold;
                return;
            }
            if token.end >= WINDOW {
                self.decide();
                if self.recognition != Recognition::Undecided {
                    return;
                }
            }
        }
        if self.recognition == Recognition::Undecided && self.tokenizer.base() >= WINDOW {
            self.decide();
        }
        self.text.keep(&self.tokenizer, chunk, 4);
    }

    /// Enough has come, if one item has.
    fn decide(&mut self) {
        match self.items {
            ItemsNeed::Unknown => {}
            ItemsNeed::Nothing => self.recognition = Recognition::PassThrough,
            ItemsNeed::Conversion => self.recognition = Recognition::Convert,
        }
    }

    /// Whether the whole answer has come, in OpenAI's shape with nothing missing and a vector for each
    /// of `inputs`. Then [`super::answer`] would find nothing to do.
    #[must_use]
    pub fn is_canonical(&self, inputs: Option<usize>) -> bool {
        self.recognition == Recognition::Undecided
            && self.tokenizer.is_complete()
            && self.items == ItemsNeed::Nothing
            && self.fields.are_all_there()
            && inputs.is_none_or(|inputs| inputs as u64 == self.position)
    }

    /// Whether the answer still fits OpenAI's shape after `token`.
    fn token(&mut self, token: Token, chunk: Chunk<'_>) -> bool {
        match (token.depth, self.place) {
            (0, _) => matches!(token.kind, Kind::BeginObject | Kind::EndObject),
            (1, _) => self.answer_token(token, chunk),
            (_, Place::Answer) => true,
            (2, Place::Usage) => self.usage_token(token, chunk),
            (_, Place::Usage) => true,
            (2, Place::Data(item)) => self.list_token(token, item),
            (3, Place::Data(item)) => self.item_token(token, chunk, item),
            // Nothing but numbers stands in a vector.
            (4, Place::Data(_)) => self.member != ExpectedMember::Embedding,
            (_, Place::Data(_)) => true,
        }
    }

    /// In the answer itself.
    fn answer_token(&mut self, token: Token, chunk: Chunk<'_>) -> bool {
        match (token.kind, self.member) {
            (Kind::Key, _) => {
                self.member = match self.text.read(token, chunk) {
                    b"\"data\"" => ExpectedMember::Data,
                    b"\"object\"" => ExpectedMember::Object,
                    b"\"error\"" => ExpectedMember::Error,
                    b"\"model\"" => ExpectedMember::Model,
                    b"\"usage\"" => ExpectedMember::Usage,
                    _ => ExpectedMember::Other,
                };
            }
            (Kind::EndArray | Kind::EndObject, _) => self.place = Place::Answer,
            (Kind::BeginArray, ExpectedMember::Data) => {
                self.place = Place::Data(ItemProgress::default());
            }
            (_, ExpectedMember::Data) => return false,
            (_, ExpectedMember::Object) => {
                self.fields.object = self.text.read(token, chunk) == b"\"list\"";
                return self.fields.object;
            }
            (kind, ExpectedMember::Model) => {
                // Two quotes are an empty string.
                self.fields.model = kind == Kind::String && token.end - token.start > 2;
            }
            (Kind::BeginObject, ExpectedMember::Usage) => self.place = Place::Usage,
            (kind, ExpectedMember::Error) => return kind == Kind::Null,
            _ => {}
        }
        true
    }

    fn usage_token(&mut self, token: Token, chunk: Chunk<'_>) -> bool {
        if token.kind == Kind::Key {
            self.member = match self.text.read(token, chunk) {
                b"\"prompt_tokens\"" => ExpectedMember::PromptTokens,
                b"\"total_tokens\"" => ExpectedMember::TotalTokens,
                _ => ExpectedMember::Other,
            };
            return true;
        }
        let is_count = token.kind == Kind::Number
            && matches!(self.member, ExpectedMember::PromptTokens | ExpectedMember::TotalTokens)
            && is_count(self.text.read(token, chunk));
        match self.member {
            ExpectedMember::PromptTokens => self.fields.prompt_tokens = is_count,
            ExpectedMember::TotalTokens => self.fields.total_tokens = is_count,
            _ => {}
        }
        self.member = ExpectedMember::Other;
        true
    }

    /// The beginning or the end of an item.
    fn list_token(&mut self, token: Token, item: ItemProgress) -> bool {
        match token.kind {
            Kind::BeginObject => {
                self.place = Place::Data(ItemProgress::default());
                true
            }
            Kind::EndObject => {
                self.position += 1;
                let format = item.vector.map(|vector| vector.format);
                let is_as_asked = item.has_label && item.has_index && format == Some(self.format);
                self.items = match self.items {
                    ItemsNeed::Unknown | ItemsNeed::Nothing if is_as_asked => ItemsNeed::Nothing,
                    _ => ItemsNeed::Conversion,
                };
                item.vector.is_some()
            }
            _ => false,
        }
    }

    /// In an item.
    fn item_token(&mut self, token: Token, chunk: Chunk<'_>, mut item: ItemProgress) -> bool {
        let fits = match (token.kind, self.member) {
            (Kind::Key, _) => {
                self.member = match self.text.read(token, chunk) {
                    b"\"embedding\"" => ExpectedMember::Embedding,
                    b"\"object\"" => ExpectedMember::Object,
                    b"\"index\"" => ExpectedMember::Index,
                    _ => ExpectedMember::Other,
                };
                return true;
            }
            (Kind::EndArray | Kind::EndObject, member) => {
                self.member = ExpectedMember::Other;
                // Between the brackets of an empty vector stands at most a blank.
                let has_room = |vector: VectorStart| token.start.saturating_sub(vector.at) > 1;
                return member != ExpectedMember::Embedding || item.vector.is_none_or(has_room);
            }
            (kind, ExpectedMember::Embedding) => {
                let is_first = item.vector.is_none();
                let format = match kind {
                    Kind::BeginArray => Some(Format::Float),
                    Kind::String if token.end - token.start > 2 => Some(Format::Base64),
                    _ => None,
                };
                item.vector = format.map(|format| VectorStart { format, at: token.end });
                is_first && format.is_some()
            }
            (_, ExpectedMember::Object) => {
                item.has_label = self.text.read(token, chunk) == b"\"embedding\"";
                item.has_label
            }
            (kind, ExpectedMember::Index) => {
                item.has_index = true;
                kind == Kind::Number && is_decimal(self.text.read(token, chunk), self.position)
            }
            _ => return true,
        };
        self.place = Place::Data(item);
        fits
    }
}

/// Whether a number is a count of tokens, as it is written: no answer has more of them than fifteen digits tell.
fn is_count(number: &[u8]) -> bool {
    number.len() <= 15 && number.iter().all(u8::is_ascii_digit)
}
