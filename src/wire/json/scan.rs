//! Reads a JSON request body as it arrives: where the model id stands, and the few other members
//! that decide what the answer looks like.
//!
//! Everything that could make another parser see another model is refused: a second `model` key in
//! any spelling, a name that is not Unicode, data after the value, anything that is not strict JSON.

use super::JsonError;
use super::chunk::{Chunk, TokenText};
use super::string;
use super::tokenizer::{Kind, Token, Tokenizer, plain_run};
use crate::error::{Code, GatewayError};
use crate::wire::bytes::{is_same, is_utf8};
use crate::wire::model_span::{IdCheck, MAX_MODEL_ID_BYTES, ModelSpan};
use crate::wire::names;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws;
#[cfg(test)]
mod tests;

/// A model id as it may be written: quotes, and six bytes for each (`\u0061`).
const MAX_MODEL_RAW: usize = 2 + 6 * MAX_MODEL_ID_BYTES;

/// The longest name of a top-level member, in bytes as it is written; real ones have less than 50. A longer one can't be
/// told from `model` with much put between its letters.
pub const MAX_NAME_BYTES: usize = 4_096;

/// The same with its quotes.
const MAX_KEY_RAW: usize = 2 + MAX_NAME_BYTES;

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

/// A member whose value is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WatchedMember {
    Model,
    Stream,
    EncodingFormat,
    Input,
    Prompt,
    N,
    StreamOptions,
    ToolChoice,
    /// What some servers put among the other members (LiteLLM), and others read in its place (Gemini's `google`).
    ExtraBody,
    /// Of no interest.
    Other,
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
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut found = None;
        let mut at = 0;
        loop {
            let depth = if self.container.is_some() { 2 } else { 1 };
            let Some(token) = self.tokenizer.next(bytes, &mut at, depth).map_err(invalid_json)?
            else {
                break;
            };
            if let Some(model) = self.token(token, chunk)? {
                found = Some(model);
            }
        }
        let kept = self.text.keep(&self.tokenizer, chunk, 2);
        let is_model = matches!(self.tokenizer.open_text(), Some((Kind::String, _, 1)))
            && self.member == WatchedMember::Model;
        if is_model && kept > MAX_MODEL_RAW {
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

    fn token(&mut self, token: Token, chunk: Chunk<'_>) -> Result<Option<ModelSpan>, GatewayError> {
        match token.depth {
            0 => match token.kind {
                Kind::BeginObject => self.opened = true,
                Kind::EndObject => {}
                _ => return Err(not_an_object()),
            },
            1 if token.kind == Kind::Key => {
                self.member = self.name(token, chunk)?;
            }
            1 => {
                let member = std::mem::replace(&mut self.member, WatchedMember::Other);
                return self.value(member, token, chunk);
            }
            _ => self.inside(token, chunk),
        }
        Ok(None)
    }

    fn name(&mut self, token: Token, chunk: Chunk<'_>) -> Result<WatchedMember, GatewayError> {
        let counts_inputs = self.counts_inputs;
        let raw = self.text.read(token, chunk);
        if raw.len() > MAX_KEY_RAW {
            return Err(GatewayError::new(
                Code::InvalidJson,
                format!(
                    "The body has a parameter whose name is longer than {MAX_NAME_BYTES} bytes."
                ),
            ));
        }
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        let decoded;
        let name = if plain_run(inner) == inner.len() && is_utf8(inner) {
            inner
        } else {
            decoded = string::decode(inner).ok_or_else(not_unicode)?;
            decoded.as_bytes()
        };
        let member = if is_same(name, b"model") {
            WatchedMember::Model
        } else if is_same(name, b"stream") {
            WatchedMember::Stream
        } else if is_same(name, b"encoding_format") {
            WatchedMember::EncodingFormat
        } else if counts_inputs && is_same(name, b"input") {
            WatchedMember::Input
        } else if let Some(member) = about_the_answer(name) {
            member
        } else {
            if names::is_nearly(name, "model") {
                self.variant_seen = true;
                self.refuse_second_model()?;
            } else if let Some(further) = names::further_model(name) {
                if further == names::EXTRA_BODY {
                    return Ok(WatchedMember::ExtraBody);
                }
                self.further_model = Some(further);
            } else if names::is_nearly(name, "stream") {
                return Ok(WatchedMember::Stream);
            }
            return Ok(WatchedMember::Other);
        };
        if member == WatchedMember::Model {
            if self.model_seen {
                return Err(duplicate_model());
            }
            self.model_seen = true;
            self.refuse_second_model()?;
        }
        Ok(member)
    }

    fn refuse_second_model(&self) -> Result<(), GatewayError> {
        if self.model_seen && self.variant_seen { Err(duplicate_model()) } else { Ok(()) }
    }

    fn value(
        &mut self,
        member: WatchedMember,
        token: Token,
        chunk: Chunk<'_>,
    ) -> Result<Option<ModelSpan>, GatewayError> {
        match (member, token.kind) {
            (WatchedMember::Model, Kind::String) => {
                let raw = self.text.read(token, chunk);
                if raw.len() > MAX_MODEL_RAW {
                    return Err(model_too_long());
                }
                let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
                let id = string::decode(inner)
                    .ok_or_else(|| invalid_model("\"model\" is not valid Unicode."))?
                    .into_owned();
                (self.check_id)(&id)?;
                return Ok(Some(ModelSpan { span: token.start..token.end, length: None, id }));
            }
            (WatchedMember::Model, _) => return Err(invalid_model("\"model\" must be a string.")),
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
            (WatchedMember::Other, Kind::EndArray | Kind::EndObject) => self.container = None,
            _ => {}
        }
        Ok(None)
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
            Some(Container::ExtraBody) if token.kind == Kind::Key => {
                if may_choose_model(self.text.read(token, chunk)) {
                    self.further_model = Some(names::EXTRA_BODY);
                }
            }
            Some(Container::ToolChoice | Container::ExtraBody) | None => {}
        }
    }
}

/// Whether a name in its quotes is `name`, however it is escaped.
fn names(quoted: &[u8], name: &[u8]) -> bool {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    inner == name
        || (inner.contains(&b'\\')
            && string::decode(inner).is_some_and(|decoded| decoded.as_bytes() == name))
}

/// Whether some server that puts the member of this name, in its quotes, beside `model` chooses a model by it.
fn may_choose_model(quoted: &[u8]) -> bool {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    quoted.len() > MAX_KEY_RAW
        || string::decode(inner).is_none_or(|name| {
            let name = name.as_bytes();
            names::is_nearly(name, "model") || names::further_model(name).is_some()
        })
}

/// Whether a lenient server (pydantic) reads a value that is no boolean as true.
fn reads_as_true(kind: Kind, raw: &[u8]) -> bool {
    const WORDS: [&str; 6] = ["true", "1", "on", "yes", "t", "y"];
    match kind {
        Kind::Number => std::str::from_utf8(raw).is_ok_and(|text| text.parse() == Ok(1.0)),
        Kind::String => {
            let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            let text = string::decode(inner).unwrap_or_default();
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

/// Members that say when an answer is complete.
fn about_the_answer(name: &[u8]) -> Option<WatchedMember> {
    match name {
        b"n" => Some(WatchedMember::N),
        b"prompt" => Some(WatchedMember::Prompt),
        b"stream_options" => Some(WatchedMember::StreamOptions),
        b"tool_choice" => Some(WatchedMember::ToolChoice),
        _ => None,
    }
}

fn invalid_model(message: &str) -> GatewayError {
    GatewayError::new(Code::InvalidModel, message).with_param("model")
}

fn model_too_long() -> GatewayError {
    invalid_model("\"model\" is too long.")
}

fn duplicate_model() -> GatewayError {
    GatewayError::new(
        Code::DuplicateModel,
        "The body names \"model\" more than once (names that differ only in case, white space or signs count as one).",
    )
    .with_param("model")
}

fn invalid_json(error: JsonError) -> GatewayError {
    GatewayError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))
}

fn not_unicode() -> GatewayError {
    GatewayError::new(
        Code::InvalidJson,
        "The body is not valid JSON: the name of a parameter is not valid UTF-8, or has half of a surrogate pair.",
    )
}

fn not_an_object() -> GatewayError {
    GatewayError::new(Code::InvalidJson, "The body must be one JSON object.")
}
