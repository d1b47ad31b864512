//! Rewrites a spec-shaped answer as it streams: the number format of its vectors, and what is missing
//! at the end of an item or of the whole. Every other byte goes on as it came.

use super::recognise::is_decimal;
use super::vector::{MAX_NUMBER, ToBase64, ToFloats, VectorError, parse_f32};
use super::{EmbeddingsFacts, Format, invalid};
use crate::error::GatewayError;
use crate::wire::failure::says_failure;
use crate::wire::json::chunk::{Chunk, TokenText};
use crate::wire::json::string;
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};

/// The longest value of `error`, in bytes with what stands before it, that may say that all went well.
const MAX_ERROR: usize = 4_096;

fn failed() -> GatewayError {
    invalid("it says behind its vectors that it failed")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConvertedMember {
    Data,
    Index,
    Embedding,
    Other,
}

/// What was seen of the four members of the answer, or of those of an item.
#[derive(Debug, Clone, Copy, Default)]
struct MembersSeen {
    any: bool,
    object: bool,
    index: bool,
    embedding: bool,
    model: bool,
    usage: bool,
}

/// The vector that is being read.
#[derive(Debug)]
enum VectorConversion {
    /// None, or one in the right format, which is copied like anything else.
    None,
    Numbers(ToBase64),
    Text(ToFloats),
}

/// The streaming rewriter of one answer that a [`super::Recogniser`] judged fit for it.
///
/// An answer that stops fitting on the way (items out of order, a vector that is none) is an error: what
/// has gone out can't be taken back, so the stream must be reset.
#[derive(Debug)]
pub struct EmbeddingsConverter {
    format: Format,
    model: String,
    tokenizer: Tokenizer,
    text: TokenText<{ MAX_NUMBER + 1 }>,
    /// Everything before this offset has been written or replaced.
    done: u64,
    member: ConvertedMember,
    in_data: bool,
    position: u64,
    top: MembersSeen,
    item: MembersSeen,
    vector: VectorConversion,
    /// The value of `error` as far as it came, from behind its name on.
    error: Option<Vec<u8>>,
    ended: bool,
}

impl EmbeddingsConverter {
    /// Before the first byte.
    #[must_use]
    pub fn new(facts: &EmbeddingsFacts) -> Self {
        Self {
            format: facts.format,
            model: facts.model.clone(),
            tokenizer: Tokenizer::new(),
            text: TokenText::default(),
            done: 0,
            member: ConvertedMember::Other,
            in_data: false,
            position: 0,
            top: MembersSeen::default(),
            item: MembersSeen::default(),
            vector: VectorConversion::None,
            error: None,
            ended: false,
        }
    }

    /// Reads the next bytes and appends what leaves for them to `out`.
    ///
    /// # Errors
    /// 502 `invalid_upstream_response` for an answer that can't be converted.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), GatewayError> {
        if self.ended {
            // White space or framing after the value.
            return Ok(());
        }
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut at = 0;
        while let Some(token) = self
            .tokenizer
            .next(bytes, &mut at, 4)
            .map_err(|error| invalid(format!("its JSON is broken: {error}")))?
        {
            self.token(token, chunk, out)?;
            if self.ended {
                return Ok(());
            }
        }
        let end = chunk.end();
        if self.error.is_some() {
            self.hold_error(end, chunk)?;
        }
        self.open_text(chunk, out)?;
        match self.vector {
            VectorConversion::None => self.copy(end, chunk, out),
            VectorConversion::Numbers(_) | VectorConversion::Text(_) => self.done = end,
        }
        self.text.keep(&self.tokenizer, chunk, 4);
        Ok(())
    }

    /// The end of the body.
    ///
    /// # Errors
    /// 502 `invalid_upstream_response` when it was cut off.
    pub fn finish(&self) -> Result<(), GatewayError> {
        if self.ended { Ok(()) } else { Err(invalid("it was cut off")) }
    }

    /// A base64 string that the chunk's end cuts.
    fn open_text(&mut self, chunk: Chunk<'_>, out: &mut Vec<u8>) -> Result<(), GatewayError> {
        let Some((Kind::String, start, 3)) = self.tokenizer.open_text() else { return Ok(()) };
        if self.member != ConvertedMember::Embedding || self.format != Format::Float {
            return Ok(());
        }
        if matches!(self.vector, VectorConversion::None) {
            self.copy(start, chunk, out);
            self.vector = VectorConversion::Text(ToFloats::new());
            self.done = start.saturating_add(1);
        }
        self.text(chunk.end(), chunk, out)
    }

    /// Decodes the string's bytes from `done` up to `end`.
    fn text(&mut self, end: u64, chunk: Chunk<'_>, out: &mut Vec<u8>) -> Result<(), GatewayError> {
        let bytes = chunk.get(self.done, end);
        self.done = end;
        match &mut self.vector {
            VectorConversion::Text(floats) => floats.push(bytes, out).map_err(invalid),
            _ => Ok(()),
        }
    }

    /// Copies what came before `end` and has not been written yet.
    fn copy(&mut self, end: u64, chunk: Chunk<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(chunk.get(self.done, end));
        self.done = self.done.max(end);
    }

    fn token(
        &mut self,
        token: Token,
        chunk: Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), GatewayError> {
        if self.error.is_some() {
            return self.error_token(token, chunk, out);
        }
        match (token.depth, token.kind) {
            (0, Kind::EndObject) if self.position == 0 => {
                return Err(invalid("there is no vector in it"));
            }
            (0, Kind::EndObject) => {
                self.copy(token.start, chunk, out);
                self.close_answer(out);
                self.copy(token.end, chunk, out);
                self.ended = true;
            }
            (0, Kind::BeginObject) => {}
            (0, _) => return Err(invalid("there is no vector in it")),
            (1, Kind::Key) => {
                self.top.any = true;
                self.member = ConvertedMember::Other;
                match self.text.read(token, chunk) {
                    b"\"data\"" => self.member = ConvertedMember::Data,
                    b"\"error\"" => {
                        self.copy(token.end, chunk, out);
                        self.error = Some(Vec::new());
                    }
                    b"\"object\"" => self.top.object = true,
                    b"\"model\"" => self.top.model = true,
                    b"\"usage\"" => self.top.usage = true,
                    _ => {}
                }
            }
            (1, Kind::BeginArray) => self.in_data = self.member == ConvertedMember::Data,
            (1, Kind::EndArray) => self.in_data = false,
            _ if !self.in_data => {}
            (2, Kind::BeginObject) => self.item = MembersSeen::default(),
            (2, Kind::EndObject) => {
                self.copy(token.start, chunk, out);
                self.close_item(out)?;
            }
            (2, _) => return Err(invalid(VectorError::NotNumbers)),
            (3, Kind::Key) => {
                self.member = ConvertedMember::Other;
                match self.text.read(token, chunk) {
                    b"\"embedding\"" => self.member = ConvertedMember::Embedding,
                    b"\"index\"" => self.member = ConvertedMember::Index,
                    b"\"object\"" => self.item.object = true,
                    _ => {}
                }
            }
            (3, _) => self.item_value(token, chunk, out)?,
            (4, kind) if self.member == ConvertedMember::Embedding => {
                if kind != Kind::Number {
                    let fault = if kind == Kind::Null {
                        VectorError::NotFinite
                    } else {
                        VectorError::NotNumbers
                    };
                    return Err(invalid(fault));
                }
                self.item.any = true;
                if let VectorConversion::Numbers(base64) = &mut self.vector {
                    let text = self.text.read(token, chunk);
                    base64.push(parse_f32(text).map_err(invalid)?, out);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps what came of `error` before `end`.
    fn hold_error(&mut self, end: u64, chunk: Chunk<'_>) -> Result<(), GatewayError> {
        let Some(held) = &mut self.error else { return Ok(()) };
        held.extend_from_slice(chunk.get(self.done, end));
        self.done = self.done.max(end);
        if held.len() > MAX_ERROR { Err(failed()) } else { Ok(()) }
    }

    /// A token of the value of `error`: at its end, what it says. An error may say more than a client is to see: nothing
    /// of it goes on before it is known to be none.
    fn error_token(
        &mut self,
        token: Token,
        chunk: Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), GatewayError> {
        if token.depth != 1 || matches!(token.kind, Kind::BeginObject | Kind::BeginArray) {
            return Ok(());
        }
        self.hold_error(token.end, chunk)?;
        let held = self.error.take().unwrap_or_default();
        let value = held.iter().position(|byte| *byte == b':').and_then(|at| held.get(at + 1..));
        if says_failure(value.unwrap_or_default()) {
            return Err(failed());
        }
        out.extend_from_slice(&held);
        Ok(())
    }

    /// A value of an item, or a bracket of one.
    fn item_value(
        &mut self,
        token: Token,
        chunk: Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), GatewayError> {
        match (self.member, token.kind) {
            (ConvertedMember::Index, Kind::Number) => {
                self.item.index = true;
                let index = self.text.read(token, chunk);
                if !is_decimal(index, self.position) {
                    return Err(invalid("its vectors are not in the order of the inputs"));
                }
            }
            (ConvertedMember::Index, _) => return Err(invalid("an index is not a number")),
            (ConvertedMember::Embedding, Kind::BeginArray) => {
                self.begin_vector()?;
                if self.format == Format::Base64 {
                    self.copy(token.start, chunk, out);
                    out.push(b'"');
                    self.vector = VectorConversion::Numbers(ToBase64::default());
                }
            }
            (ConvertedMember::Embedding, Kind::EndArray) => {
                if !self.item.any {
                    return Err(invalid(VectorError::Empty));
                }
                if let VectorConversion::Numbers(mut base64) =
                    std::mem::replace(&mut self.vector, VectorConversion::None)
                {
                    base64.finish(out);
                    out.push(b'"');
                    self.done = token.end;
                }
            }
            (ConvertedMember::Embedding, Kind::String) => {
                if token.end - token.start <= 2 {
                    return Err(invalid(VectorError::Empty));
                }
                self.begin_vector()?;
                if self.format == Format::Float {
                    self.end_text(token, chunk, out)?;
                }
            }
            (ConvertedMember::Embedding, _) => return Err(invalid("an item has no vector")),
            _ => {}
        }
        Ok(())
    }

    fn begin_vector(&mut self) -> Result<(), GatewayError> {
        if std::mem::replace(&mut self.item.embedding, true) {
            return Err(invalid("an item has several vectors"));
        }
        Ok(())
    }

    fn end_text(
        &mut self,
        token: Token,
        chunk: Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), GatewayError> {
        if !matches!(self.vector, VectorConversion::Text(_)) {
            self.copy(token.start, chunk, out);
            self.done = token.start.saturating_add(1);
            self.vector = VectorConversion::Text(ToFloats::new());
        }
        self.text(token.end.saturating_sub(1), chunk, out)?;
        self.done = token.end;
        match std::mem::replace(&mut self.vector, VectorConversion::None) {
            VectorConversion::Text(floats) => floats.finish(out).map_err(invalid),
            _ => Ok(()),
        }
    }

    fn close_item(&mut self, out: &mut Vec<u8>) -> Result<(), GatewayError> {
        if !self.item.embedding {
            return Err(invalid("an item has no vector"));
        }
        if !self.item.object {
            out.extend_from_slice(b",\"object\":\"embedding\"");
        }
        if !self.item.index {
            out.extend_from_slice(format!(",\"index\":{}", self.position).as_bytes());
        }
        self.position += 1;
        Ok(())
    }

    fn close_answer(&self, out: &mut Vec<u8>) {
        let mut comma = self.top.any;
        let mut member = |present: bool, text: &[u8]| {
            if !present {
                if std::mem::replace(&mut comma, true) {
                    out.push(b',');
                }
                out.extend_from_slice(text);
            }
        };
        member(self.top.object, b"\"object\":\"list\"");
        member(self.top.model, &[b"\"model\":", string::encode(&self.model).as_slice()].concat());
        member(self.top.usage, b"\"usage\":{\"prompt_tokens\":0,\"total_tokens\":0}");
    }
}
