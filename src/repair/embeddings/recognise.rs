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

/// One item of `data`, as far as it came.
#[derive(Debug, Clone, Copy, Default)]
struct ItemProgress {
    labelled: bool,
    indexed: bool,
    /// The vector's format.
    format: Option<Format>,
    /// Where it began, behind its bracket.
    opened: u64,
}

/// The incremental look at one answer's body.
#[derive(Debug)]
pub struct Recogniser {
    format: Format,
    recognition: Recognition,
    tokenizer: Tokenizer,
    text: TokenText<{ MAX_NUMBER + 1 }>,
    member: ExpectedMember,
    in_data: bool,
    /// Position of the item that is being read.
    position: u64,
    item: ItemProgress,
    complete: bool,
    /// Something must be written that is not there.
    convert: bool,
    in_usage: bool,
    /// What the top level says, as far as it came.
    says: Says,
}

/// The fields of a canonical answer beside its vectors.
#[derive(Debug, Clone, Copy, Default)]
struct Says {
    list: bool,
    model: bool,
    prompt_tokens: bool,
    total_tokens: bool,
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
            in_data: false,
            position: 0,
            item: ItemProgress::default(),
            complete: false,
            convert: false,
            in_usage: false,
            says: Says::default(),
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
        if self.complete {
            self.recognition =
                if self.convert { Recognition::Convert } else { Recognition::PassThrough };
        }
    }

    /// Whether the whole answer has come, in OpenAI's shape with nothing missing and a vector for each
    /// of `inputs`. Then [`super::answer`] would find nothing to do.
    #[must_use]
    pub fn is_canonical(&self, inputs: Option<usize>) -> bool {
        let Says { list, model, prompt_tokens, total_tokens } = self.says;
        self.recognition == Recognition::Undecided
            && self.tokenizer.is_complete()
            && self.complete
            && !self.convert
            && list
            && model
            && prompt_tokens
            && total_tokens
            && inputs.is_none_or(|inputs| inputs as u64 == self.position)
    }

    /// Whether the answer still fits OpenAI's shape after `token`.
    fn token(&mut self, token: Token, chunk: Chunk<'_>) -> bool {
        match (token.depth, token.kind) {
            (0, kind) => matches!(kind, Kind::BeginObject | Kind::EndObject),
            (1, Kind::Key) => {
                self.member = match self.text.read(token, chunk) {
                    b"\"data\"" => ExpectedMember::Data,
                    b"\"object\"" => ExpectedMember::Object,
                    b"\"error\"" => ExpectedMember::Error,
                    b"\"model\"" => ExpectedMember::Model,
                    b"\"usage\"" => ExpectedMember::Usage,
                    _ => ExpectedMember::Other,
                };
                true
            }
            (1, Kind::EndArray | Kind::EndObject) => {
                self.in_data = false;
                self.in_usage = false;
                true
            }
            (1, kind) => match self.member {
                ExpectedMember::Data => {
                    self.in_data = kind == Kind::BeginArray;
                    self.in_data
                }
                ExpectedMember::Object => {
                    self.says.list = self.text.read(token, chunk) == b"\"list\"";
                    self.says.list
                }
                ExpectedMember::Model => {
                    // Two quotes are an empty string.
                    self.says.model = kind == Kind::String && token.end - token.start > 2;
                    true
                }
                ExpectedMember::Usage => {
                    self.in_usage = kind == Kind::BeginObject;
                    true
                }
                ExpectedMember::Error => kind == Kind::Null,
                _ => true,
            },
            (2, Kind::Key) if self.in_usage => {
                self.member = match self.text.read(token, chunk) {
                    b"\"prompt_tokens\"" => ExpectedMember::PromptTokens,
                    b"\"total_tokens\"" => ExpectedMember::TotalTokens,
                    _ => ExpectedMember::Other,
                };
                true
            }
            (2, kind) if self.in_usage => {
                match self.member {
                    ExpectedMember::PromptTokens => self.says.prompt_tokens = kind == Kind::Number,
                    ExpectedMember::TotalTokens => self.says.total_tokens = kind == Kind::Number,
                    _ => {}
                }
                self.member = ExpectedMember::Other;
                true
            }
            _ if !self.in_data => true,
            (2, Kind::BeginObject) => {
                self.item = ItemProgress::default();
                true
            }
            (2, Kind::EndObject) => {
                self.position += 1;
                self.complete = true;
                self.convert |= !self.item.labelled
                    || !self.item.indexed
                    || self.item.format != Some(self.format);
                self.item.format.is_some()
            }
            (2, _) => false,
            (3, Kind::Key) => {
                self.member = match self.text.read(token, chunk) {
                    b"\"embedding\"" => ExpectedMember::Embedding,
                    b"\"object\"" => ExpectedMember::Object,
                    b"\"index\"" => ExpectedMember::Index,
                    _ => ExpectedMember::Other,
                };
                true
            }
            (3, Kind::EndArray | Kind::EndObject) => {
                // Between the brackets of an empty vector stands at most a blank.
                let is_empty = self.member == ExpectedMember::Embedding
                    && token.start.saturating_sub(self.item.opened) <= 1;
                self.member = ExpectedMember::Other;
                !is_empty
            }
            (3, kind) => match self.member {
                ExpectedMember::Embedding => {
                    let format = match kind {
                        Kind::BeginArray => Some(Format::Float),
                        Kind::String => Some(Format::Base64),
                        _ => None,
                    };
                    let first = self.item.format.is_none();
                    self.item.format = format;
                    self.item.opened = token.end;
                    let is_empty = kind == Kind::String && token.end - token.start <= 2;
                    first && format.is_some() && !is_empty
                }
                ExpectedMember::Object => {
                    self.item.labelled = self.text.read(token, chunk) == b"\"embedding\"";
                    self.item.labelled
                }
                ExpectedMember::Index => {
                    self.item.indexed = true;
                    kind == Kind::Number && is_decimal(self.text.read(token, chunk), self.position)
                }
                _ => true,
            },
            (4, _) => self.member != ExpectedMember::Embedding,
            _ => true,
        }
    }
}
