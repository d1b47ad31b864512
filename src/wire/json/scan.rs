//! Reads a JSON request body as it arrives: where the model id stands, and the few other members
//! that decide what the answer looks like.
//!
//! Everything that could make another parser see another model is refused: a second `model` key in
//! any spelling, a name that is not Unicode, data after the value, anything that is not strict JSON.

use super::JsonError;
use super::chunk::{Chunk, TokenText};
use super::string;
use super::tokenizer::{Kind, Token, Tokenizer};
use crate::error::{Code, GatewayError};
use crate::wire::model_span::{IdCheck, MAX_MODEL_ID_BYTES, ModelSpan};
use crate::wire::names::{self, Readings};
use members::{
    MAX_KEY_RAW, MAX_MEMBERS, Named, WatchedMember, of_any_name, too_many, unquoted, usual,
};

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod members;
#[cfg(test)]
mod tests;

/// A model id as it may be written: quotes, and six bytes for each (`\u0061`).
const MAX_MODEL_RAW: usize = 2 + 6 * MAX_MODEL_ID_BYTES;

/// What else the answer depends on, as far as it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BodyFacts {
    /// `"stream": true`.
    pub stream: bool,
    /// `"encoding_format": "base64"` (embeddings).
    pub base64: bool,
    /// How many texts or token lists `input` holds (embeddings).
    pub inputs: Option<usize>,
    /// The same for `prompt` (text completions).
    pub prompts: Option<usize>,
    /// `n`: choices for each prompt; `u64::MAX` where that could not be told.
    pub n: Option<u64>,
    /// `"stream_options": {"include_usage": true}`.
    pub wants_usage: bool,
    /// `tool_choice` is an object that names a tool.
    pub names_tool: bool,
}

/// A top-level value whose members or elements are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Input,
    Prompt,
    /// `include_usage` was its last name.
    StreamOptions {
        names_usage: bool,
    },
    ToolChoice,
    ExtraBody,
}

/// The incremental scanner of one body.
#[derive(Debug)]
pub struct JsonScanner {
    check_id: IdCheck,
    tokenizer: Tokenizer,
    text: TokenText<{ MAX_MODEL_RAW + 1 }>,
    /// The member whose value comes next.
    member: WatchedMember,
    /// How many there were.
    members: u32,
    model_seen: bool,
    /// A name that other parsers may take for `model` (see [`mod@names`]).
    variant_seen: bool,
    /// A member by which some server is told further models.
    further_model: Option<&'static str>,
    opened: bool,
    counts_inputs: bool,
    container: Option<Container>,
    facts: BodyFacts,
}

impl JsonScanner {
    /// A scanner before the first byte. `counts_inputs`: whether `input` matters (embeddings). `check_id` says what
    /// a model id may be.
    #[must_use]
    pub fn new(counts_inputs: bool, check_id: IdCheck) -> Self {
        Self {
            check_id,
            tokenizer: Tokenizer::new(),
            text: TokenText::default(),
            member: WatchedMember::Other,
            members: 0,
            model_seen: false,
            variant_seen: false,
            further_model: None,
            opened: false,
            counts_inputs,
            container: None,
            facts: BodyFacts::default(),
        }
    }

    /// Reads the next bytes. Returns the model id in the call that completes it, once.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_model`, `duplicate_model`. The scanner must not be used afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<ModelSpan>, GatewayError> {
        // A body's end often comes alone.
        if bytes.is_empty() {
            return Ok(None);
        }
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut found = None;
        let mut at = 0;
        loop {
            let depth = if self.container.is_some() { 2 } else { 1 };
            match self.tokenizer.next(bytes, &mut at, depth) {
                Ok(Some(token)) => self.token(token, chunk, &mut found)?,
                Ok(None) => break,
                Err(error) => return Err(invalid_json(error)),
            }
        }
        if self.text.keep(&self.tokenizer, chunk, 2) > MAX_MODEL_RAW
            && self.member == WatchedMember::Model
            && matches!(self.tokenizer.open_text(), Some((Kind::String, _, 1)))
        {
            return Err(model_too_long());
        }
        Ok(found)
    }

    /// Whether the body has named no model yet, under no spelling.
    #[must_use]
    pub fn names_none(&self) -> bool {
        !self.model_seen && !self.variant_seen
    }

    /// The end of the body.
    ///
    /// # Errors
    /// `invalid_json` for a cut body, `missing_model`.
    pub fn finish(&mut self) -> Result<(), GatewayError> {
        self.tokenizer.finish().map_err(invalid_json)?;
        if !self.opened {
            return Err(not_an_object());
        }
        if self.model_seen {
            return Ok(());
        }
        let message = if self.variant_seen {
            "The body has no \"model\". Its name must be written exactly so, in lower case."
        } else {
            "The body has no \"model\". Name one, such as \"provider/model\"."
        };
        Err(GatewayError::new(Code::MissingModel, message).with_param("model"))
    }

    /// Whether the body's one value is complete: only white space may follow.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.tokenizer.is_complete()
    }

    /// A member by which some server chooses a model beside or after the one in `model`, if there is one so far.
    #[must_use]
    pub fn further_model(&self) -> Option<&'static str> {
        self.further_model
    }

    /// What is known so far.
    #[must_use]
    pub fn facts(&self) -> BodyFacts {
        self.facts
    }

    /// A token, and in `found` the model id that it may be.
    #[inline]
    fn token(
        &mut self,
        token: Token,
        chunk: Chunk<'_>,
        found: &mut Option<ModelSpan>,
    ) -> Result<(), GatewayError> {
        match token.depth {
            0 => match token.kind {
                Kind::BeginObject => self.opened = true,
                Kind::EndObject => {}
                _ => return Err(not_an_object()),
            },
            1 if token.kind == Kind::Key => {
                self.member = self.name(token, chunk)?;
            }
            1 => match std::mem::replace(&mut self.member, WatchedMember::Other) {
                // Most members.
                WatchedMember::Other => {
                    if matches!(token.kind, Kind::EndArray | Kind::EndObject) {
                        self.container = None;
                    }
                }
                WatchedMember::Model => *found = Some(self.model(token, chunk)?),
                member => self.value(member, token, chunk),
            },
            _ => self.inside(token, chunk),
        }
        Ok(())
    }

    #[inline]
    fn name(&mut self, token: Token, chunk: Chunk<'_>) -> Result<WatchedMember, GatewayError> {
        self.members = self.members.saturating_add(1);
        if self.members > MAX_MEMBERS {
            return Err(too_many());
        }
        let raw = self.text.read(token, chunk);
        let named = match usual(unquoted(raw), self.counts_inputs) {
            Some(member) => Named::Member(member),
            None => of_any_name(raw, self.counts_inputs)?,
        };
        match named {
            Named::Member(WatchedMember::Model) => {
                if self.model_seen {
                    return Err(duplicate_model());
                }
                self.model_seen = true;
                self.refuse_second_model()?;
                Ok(WatchedMember::Model)
            }
            Named::Member(member) => Ok(member),
            Named::NearlyModel => {
                self.variant_seen = true;
                self.refuse_second_model()?;
                Ok(WatchedMember::Other)
            }
            Named::Further(further) => {
                self.further_model = Some(further);
                Ok(WatchedMember::Other)
            }
        }
    }

    fn refuse_second_model(&self) -> Result<(), GatewayError> {
        if self.model_seen && self.variant_seen { Err(duplicate_model()) } else { Ok(()) }
    }

    /// The value of `model`.
    #[inline(never)]
    fn model(&mut self, token: Token, chunk: Chunk<'_>) -> Result<ModelSpan, GatewayError> {
        if token.kind != Kind::String {
            return Err(invalid_model("\"model\" must be a string."));
        }
        let raw = self.text.read(token, chunk);
        if raw.len() > MAX_MODEL_RAW {
            return Err(model_too_long());
        }
        let id = string::decode(unquoted(raw))
            .ok_or_else(|| invalid_model("\"model\" is not valid Unicode."))?
            .into_owned();
        (self.check_id)(&id)?;
        Ok(ModelSpan { span: token.start..token.end, length: None, id })
    }

    /// The value of another member that is looked at.
    #[inline(never)]
    fn value(&mut self, member: WatchedMember, token: Token, chunk: Chunk<'_>) {
        match (member, token.kind) {
            // However often it is said: servers take the first or the last.
            (WatchedMember::Stream, kind) => {
                let raw = self.text.read(token, chunk);
                self.facts.stream |= kind == Kind::True || reads_as_true(kind, raw);
            }
            (WatchedMember::EncodingFormat, Kind::String) => {
                self.facts.base64 = self.text.read(token, chunk) == b"\"base64\"";
            }
            (WatchedMember::Input, Kind::String) => self.facts.inputs = Some(1),
            (WatchedMember::Input, Kind::BeginArray) => {
                self.container = Some(Container::Input);
                self.facts.inputs = Some(0);
            }
            (WatchedMember::Prompt, Kind::BeginArray) => {
                self.container = Some(Container::Prompt);
                self.facts.prompts = Some(0);
            }
            (WatchedMember::N, Kind::Number) => {
                let digits = std::str::from_utf8(self.text.read(token, chunk)).ok();
                let n = digits.and_then(|digits| digits.parse().ok());
                self.facts.n = Some(n.unwrap_or(u64::MAX));
            }
            // The last one counts.
            (WatchedMember::StreamOptions, kind) => {
                self.facts.wants_usage = false;
                if kind == Kind::BeginObject {
                    self.container = Some(Container::StreamOptions { names_usage: false });
                }
            }
            (WatchedMember::ToolChoice, Kind::BeginObject) => {
                self.container = Some(Container::ToolChoice);
            }
            (WatchedMember::ExtraBody, Kind::BeginObject) => {
                self.container = Some(Container::ExtraBody);
            }
            (WatchedMember::ExtraBody, _) => self.further_model = Some(names::EXTRA_BODY),
            _ => {}
        }
    }

    /// A token of the container that is looked at.
    fn inside(&mut self, token: Token, chunk: Chunk<'_>) {
        match self.container {
            Some(Container::Input) => count_element(&mut self.facts.inputs, token.kind),
            Some(Container::Prompt) => count_element(&mut self.facts.prompts, token.kind),
            Some(Container::StreamOptions { names_usage }) => {
                let is_name = token.kind == Kind::Key;
                if !is_name && names_usage {
                    let raw = self.text.read(token, chunk);
                    self.facts.wants_usage =
                        token.kind == Kind::True || reads_as_true(token.kind, raw);
                }
                let names_usage = is_name && names(self.text.read(token, chunk), b"include_usage");
                self.container = Some(Container::StreamOptions { names_usage });
            }
            Some(Container::ToolChoice) if token.kind == Kind::Key => {
                let name = self.text.read(token, chunk);
                let names = matches!(name, b"\"function\"" | b"\"name\"" | b"\"custom\"");
                self.facts.names_tool |= names;
            }
            // Of too many, one may. Once one does, no other matters.
            Some(Container::ExtraBody)
                if token.kind == Kind::Key && self.further_model.is_none() =>
            {
                self.members = self.members.saturating_add(1);
                if self.members > MAX_MEMBERS || may_choose_model(self.text.read(token, chunk)) {
                    self.further_model = Some(names::EXTRA_BODY);
                }
            }
            Some(Container::ToolChoice | Container::ExtraBody) | None => {}
        }
    }
}

/// Whether a name in its quotes is `name`, however it is escaped.
fn names(quoted: &[u8], name: &[u8]) -> bool {
    let inner = unquoted(quoted);
    inner == name
        || (inner.contains(&b'\\')
            && string::decode(inner).is_some_and(|decoded| decoded.as_bytes() == name))
}

/// Whether some server that puts the member of this name, in its quotes, beside `model` chooses a model by it.
fn may_choose_model(quoted: &[u8]) -> bool {
    let inner = unquoted(quoted);
    quoted.len() > MAX_KEY_RAW
        || string::decode(inner).is_none_or(|name| {
            let readings = Readings::of(name.as_bytes());
            readings.may_be("model") || readings.further_model().is_some()
        })
}

/// Whether a lenient server (pydantic) reads a value that is no boolean as true.
fn reads_as_true(kind: Kind, raw: &[u8]) -> bool {
    const WORDS: [&str; 6] = ["true", "1", "on", "yes", "t", "y"];
    match kind {
        Kind::Number => std::str::from_utf8(raw).is_ok_and(|text| text.parse() == Ok(1.0)),
        Kind::String => {
            let text = string::decode(unquoted(raw)).unwrap_or_default();
            WORDS.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

/// A list of numbers is one input; a list of strings or of lists is as many as it holds.
fn count_element(count: &mut Option<usize>, kind: Kind) {
    match kind {
        Kind::Number => *count = Some(1),
        Kind::EndArray | Kind::EndObject | Kind::Key => {}
        _ => *count = count.map(|count| count.saturating_add(1)),
    }
}

#[cold]
fn invalid_model(message: &str) -> GatewayError {
    GatewayError::new(Code::InvalidModel, message).with_param("model")
}

#[cold]
fn model_too_long() -> GatewayError {
    invalid_model("\"model\" is too long.")
}

#[cold]
fn duplicate_model() -> GatewayError {
    GatewayError::new(
        Code::DuplicateModel,
        "The body names \"model\" more than once (names that differ only in case, white space or signs count as one).",
    )
    .with_param("model")
}

#[cold]
fn invalid_json(error: JsonError) -> GatewayError {
    GatewayError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))
}

#[cold]
fn not_an_object() -> GatewayError {
    GatewayError::new(Code::InvalidJson, "The body must be one JSON object.")
}
