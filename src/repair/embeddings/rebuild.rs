//! Writes what [`super::read`] found in OpenAI's shape.

use std::borrow::Cow;

use super::read::{AnswerObject, FoundVectors, VectorItem, VectorValue, find, numeric};
use super::vector::{ToBase64, ToFloats, VectorError, is_finite, parse_f32};
use super::{EmbeddingsFacts, Format, invalid};
use crate::error::GatewayError;
use crate::repair::drift::trim_drift;
use crate::repair::loose;
use crate::repair::mend::{Infinite, rescue};
use crate::telemetry::usage::Tokens;
use crate::wire::failure::means_failure;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

/// How many vectors there are, and the body in OpenAI's shape; borrowed when it has that shape already.
///
/// Vectors are put in the order of their inputs: by `index`, or by position where indices are missing
/// or equal. The model comes from the request and the usage from wherever it is, when the body names
/// none. Other fields are kept, of the body and of its items.
///
/// # Errors
/// 502 `invalid_upstream_response`: no JSON, no vectors, NaN, several vectors for one input, sparse
/// vectors, another number of vectors than of inputs.
pub(super) fn rebuild<'a>(
    body: &'a [u8],
    facts: &EmbeddingsFacts,
) -> Result<(usize, Cow<'a, [u8]>), GatewayError> {
    let json = body.get(trim_drift(body)).unwrap_or(body);
    let lossy;
    let text = match std::str::from_utf8(json) {
        Ok(text) => text.as_bytes(),
        Err(_) => {
            lossy = String::from_utf8_lossy(json);
            lossy.as_bytes()
        }
    };
    let mended;
    let (text, top) = match cursor::parse(text) {
        Ok(top) => (text, top),
        Err(error) => {
            let broken = || invalid(format!("its JSON is broken: {error}"));
            let rescued = rescue(text, Infinite::Null).or_else(|| loose::lines(text));
            mended = rescued.ok_or_else(broken)?;
            let top = cursor::parse(&mended).map_err(|_| broken())?;
            (mended.as_slice(), top)
        }
    };
    let members = AnswerObject::read(&top)?;
    if members.get("error").is_some_and(means_failure) {
        return Err(invalid("it holds an error"));
    }
    let found = find(&top, &members, facts.inputs)?;
    let out = Vec::with_capacity(text.len().saturating_add(256));
    let changed = text != body.trim_ascii();
    let mut writer = EmbeddingsWriter { out, json: text, facts, changed };
    writer.body(&members, &found)?;
    let out = if writer.changed { Cow::Owned(writer.out) } else { Cow::Borrowed(body) };
    Ok((found.items.len(), out))
}

struct EmbeddingsWriter<'w> {
    out: Vec<u8>,
    /// The text that every value stands in.
    json: &'w [u8],
    facts: &'w EmbeddingsFacts,
    /// What was written says more than the body, not only the same in another order.
    changed: bool,
}

impl EmbeddingsWriter<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn body(
        &mut self,
        top: &AnswerObject<'_>,
        found: &FoundVectors<'_>,
    ) -> Result<(), GatewayError> {
        self.changed |= !found.in_place
            || found.container != "data"
            || top.get("object").is_none_or(|object| object.raw() != b"\"list\"");
        self.text("{\"object\":\"list\",\"data\":[");
        for (index, item) in found.items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.item(index, item)?;
        }
        self.text("],\"model\":");
        match top.get("model").filter(|model| model.kind == Kind::String && model.raw().len() > 2) {
            Some(model) => self.out.extend_from_slice(model.raw()),
            None => {
                self.changed = true;
                let model = string::encode(&self.facts.model);
                self.out.extend_from_slice(&model);
            }
        }
        self.text(",\"usage\":");
        self.usage(top)?;
        self.others(top, &["object", "data", "model", "usage", found.container]);
        self.out.push(b'}');
        Ok(())
    }

    fn item(&mut self, position: usize, item: &VectorItem<'_>) -> Result<(), GatewayError> {
        self.text("{\"object\":\"embedding\",\"index\":");
        self.text(&position.to_string());
        self.text(",\"embedding\":");
        self.vector(&item.vector)?;
        self.changed |= !item.tidy || item.index != Some(position as u64);
        if let Some(object) = item.object.filter(|_| item.more) {
            self.others(
                &AnswerObject::read(&object)?,
                &["object", "index", "embedding", item.name],
            );
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The members of `object` that are not `known`, as they stand.
    fn others(&mut self, object: &AnswerObject<'_>, known: &[&str]) {
        for (key, value) in &object.0 {
            if known.iter().any(|name| key.is(name)) {
                continue;
            }
            self.out.push(b',');
            self.out.extend_from_slice(self.json.get(key.span()).unwrap_or(b"\"\""));
            self.out.push(b':');
            self.out.extend_from_slice(value.raw());
        }
    }

    /// `usage` with both counts. Embeddings only have prompt tokens, so one count tells the other.
    fn usage(&mut self, top: &AnswerObject<'_>) -> Result<(), GatewayError> {
        let given = top.get("usage").filter(|usage| usage.kind == Kind::BeginObject);
        let usage = given.map(AnswerObject::read).transpose()?;
        // What is no count spoils what stands beside it.
        let is_told = given.is_some_and(|usage| Tokens::look(usage).is_ok());
        let member = |name: &str| usage.as_ref().filter(|_| is_told)?.get(name).and_then(count);
        let (prompt, total) = (member("prompt_tokens"), member("total_tokens"));
        // Clients with types read whole numbers alone.
        let is_plain = |name: &str| {
            let written = given.and_then(|usage| usage.get(name));
            written.is_some_and(|count| count.raw().iter().all(u8::is_ascii_digit))
        };
        let are_plain = is_plain("prompt_tokens") && is_plain("total_tokens");
        if let (Some(given), Some(_), Some(_), true) = (given, prompt, total, are_plain) {
            self.out.extend_from_slice(given.raw());
            return Ok(());
        }
        self.changed = true;
        let elsewhere = || {
            let billed = || top.get("meta")?.get("billed_units")?.get("input_tokens");
            member("input_tokens")
                .or_else(|| {
                    let names = [
                        "prompt_eval_count",
                        "inputTextTokenCount",
                        "input_token_count",
                        "total_tokens",
                    ];
                    names.iter().find_map(|name| top.get(name).and_then(count))
                })
                .or_else(|| billed().as_ref().and_then(count))
        };
        let prompt = prompt.or_else(elsewhere).or(total).unwrap_or(0);
        let total = total.unwrap_or(prompt);
        self.text(&format!("{{\"prompt_tokens\":{prompt},\"total_tokens\":{total}"));
        if let Some(usage) = &usage {
            self.others(usage, &["prompt_tokens", "total_tokens"]);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn vector(&mut self, vector: &VectorValue<'_>) -> Result<(), GatewayError> {
        match (vector, self.facts.format) {
            (VectorValue::Numbers(value), format) => self.numbers(value, 0..usize::MAX, format),
            (VectorValue::Part(value, from, to), format) => self.numbers(value, *from..*to, format),
            (VectorValue::Text(value), format) => self.string(value, format),
        }
        .map_err(invalid)
    }

    fn numbers(
        &mut self,
        value: &Value<'_>,
        span: std::ops::Range<usize>,
        format: Format,
    ) -> Result<(), VectorError> {
        let start = self.out.len();
        let mut base64 = ToBase64::default();
        self.out.push(if format == Format::Base64 { b'"' } else { b'[' });
        let mut as_is = span.start == 0;
        let mut first = true;
        let mut any = false;
        for element in value.elements().skip(span.start).take(span.len()) {
            any = true;
            let spelled;
            let text = match element.kind {
                Kind::Number => element.raw(),
                Kind::String => {
                    as_is = false;
                    spelled = numeric(&element).ok_or(VectorError::NotNumbers)?;
                    spelled.as_bytes()
                }
                Kind::Null => return Err(VectorError::NotFinite),
                _ => return Err(VectorError::NotNumbers),
            };
            if format == Format::Base64 {
                base64.push(parse_f32(text)?, &mut self.out);
                continue;
            }
            if !is_finite(text) {
                return Err(VectorError::NotFinite);
            }
            if !std::mem::replace(&mut first, false) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(text);
        }
        if !any {
            return Err(VectorError::Empty);
        }
        if format == Format::Base64 {
            base64.finish(&mut self.out);
            self.out.push(b'"');
            self.changed = true;
            return Ok(());
        }
        self.out.push(b']');
        if as_is && span.end == usize::MAX {
            // All numbers: as the upstream wrote them, blanks included.
            self.out.truncate(start);
            self.out.extend_from_slice(value.raw());
        } else {
            self.changed = true;
        }
        Ok(())
    }

    fn string(&mut self, value: &Value<'_>, format: Format) -> Result<(), VectorError> {
        let text = value.as_str().ok_or(VectorError::NotBase64)?;
        if text.trim_start().starts_with('[') {
            // An array printed into a string.
            self.changed = true;
            let inner = cursor::parse(text.as_bytes()).map_err(|_| VectorError::NotNumbers)?;
            return self.numbers(&inner, 0..usize::MAX, format);
        }
        let mut decimals = Vec::new();
        let mut floats = ToFloats::new();
        floats.push(text.as_bytes(), &mut decimals)?;
        floats.finish(&mut decimals)?;
        if decimals == b"[]" {
            return Err(VectorError::Empty);
        }
        match format {
            Format::Float => {
                self.changed = true;
                self.out.extend_from_slice(&decimals);
                Ok(())
            }
            // Sound as it is, if it is spelled as SDKs decode it: padded, in the standard alphabet.
            Format::Base64 if text.len() % 4 == 0 && !text.contains(['-', '_', '\n', '\r']) => {
                self.out.extend_from_slice(value.raw());
                Ok(())
            }
            Format::Base64 => {
                let inner = cursor::parse(&decimals).map_err(|_| VectorError::NotBase64)?;
                self.numbers(&inner, 0..usize::MAX, format)
            }
        }
    }
}

/// A count of tokens.
fn count(value: &Value<'_>) -> Option<u64> {
    if value.kind == Kind::String {
        return value.as_str()?.trim().parse().ok();
    }
    // 5.0 is a count as well; beyond 2^53 none is, nor is a part of one.
    let is_count = |count: &f64| (0.0..9e15).contains(count) && count.fract() == 0.0;
    value.as_f64().filter(is_count).map(|count| count as u64)
}
