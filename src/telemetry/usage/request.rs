//! The text of a JSON request and the limits of its answer, read as the body arrives: what the exchange is estimated to
//! take. It reads beside the scanner that checks the body, and decides nothing: what is no JSON is refused there.

use std::borrow::Cow;

use super::TextLength;
use super::tokens_of;
use crate::policy::operation::{BodyKind, Operation};
use crate::wire::json::chunk::{Chunk, TokenText};
use crate::wire::json::string;
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};

/// Bytes that are kept of a name or a number: more than those have that are known, however they are escaped.
const MAX_KEPT: usize = 256;

/// What a top-level member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Text, at any depth, or tokens.
    Text,
    /// How many tokens the answer may have.
    Most,
    /// How many answers there are to be.
    Answers,
    /// Nothing of interest.
    Nothing,
}

/// What the name of a member further in says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Text,
    NoText,
    /// What something is.
    Type,
    /// Where the content of a document or picture stands.
    Source,
    /// That content, as the member beside it says that names its type.
    Data,
}

/// The source of a document whose members are being read: only one that says it is text has any in its `data`.
#[derive(Debug, Clone, Copy, Default)]
struct DocumentSource {
    /// Where its members stand.
    depth: u32,
    is_text: bool,
    data: u64,
}

/// Counts the text of one body. However the body is cut, it finds the same.
#[derive(Debug)]
pub struct RequestText {
    tokenizer: Tokenizer,
    kept: TokenText<MAX_KEPT>,
    /// The top-level member that is being read.
    says: Says,
    /// What a name says of the value that comes next; `None` for an element of an array.
    named: Option<Named>,
    source: Option<DocumentSource>,
    /// Of the string that is being read.
    length: TextLength,
    /// Where the last name stands.
    depth: u32,
    text: u64,
    /// Tokens that are written as numbers.
    tokens: u64,
    most: Option<u64>,
    answers: u64,
    /// It is no JSON.
    has_failed: bool,
}

impl Default for RequestText {
    fn default() -> Self {
        Self {
            tokenizer: Tokenizer::new(),
            kept: TokenText::default(),
            says: Says::Nothing,
            named: None,
            source: None,
            length: TextLength::default(),
            depth: 0,
            text: 0,
            tokens: 0,
            most: None,
            answers: 1,
            has_failed: false,
        }
    }
}

impl RequestText {
    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.has_failed {
            return;
        }
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut at = 0;
        loop {
            let depth = if self.says == Says::Text { u32::MAX } else { 1 };
            match self.tokenizer.next(bytes, &mut at, depth) {
                Ok(Some(token)) => self.token(token, chunk),
                Ok(None) => break,
                Err(_) => {
                    self.has_failed = true;
                    return;
                }
            }
        }
        match self.tokenizer.open_text() {
            Some((Kind::String, start, _)) if self.counts() => {
                self.length.push(chunk.get(start, u64::MAX));
            }
            Some((Kind::String, ..)) if !self.is_type() && !self.is_count() => {}
            _ => {
                self.kept.keep(&self.tokenizer, chunk, u32::MAX);
            }
        }
    }

    /// Tokens of the text so far.
    #[must_use]
    pub fn input(&self) -> u64 {
        tokens_of(self.text).saturating_add(self.tokens)
    }

    /// The most tokens that the answers may have together, where the body has said so. `default`: of one answer, where a
    /// body that is complete has not.
    #[must_use]
    pub fn most(&self, default: Option<u64>) -> u64 {
        self.most.or(default).unwrap_or(0).saturating_mul(self.answers)
    }

    /// Whether a string that is read now is text.
    fn counts(&self) -> bool {
        self.says == Says::Text
            && match self.named {
                Some(Named::NoText | Named::Type) => false,
                Some(Named::Data) => self.is_in_source(),
                Some(Named::Text | Named::Source) | None => true,
            }
    }

    /// Whether the member that is read now stands in a document's source itself.
    fn is_in_source(&self) -> bool {
        self.source.is_some_and(|source| source.depth == self.depth)
    }

    /// Whether a string that is read now says what a document's source is.
    fn is_type(&self) -> bool {
        self.named == Some(Named::Type) && self.is_in_source()
    }

    /// Whether a value that is read now counts something.
    fn is_count(&self) -> bool {
        matches!(self.says, Says::Most | Says::Answers)
    }

    fn token(&mut self, token: Token, chunk: Chunk<'_>) {
        if token.kind == Kind::Key {
            let raw = self.kept.read(token, chunk);
            let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            // However it is escaped, the server reads the same.
            let decoded = if inner.contains(&b'\\') { string::decode(inner) } else { None };
            let name = decoded.as_ref().map_or(inner, |name| name.as_bytes());
            self.depth = token.depth;
            if token.depth == 1 {
                (self.says, self.named) = (says(name), None);
            } else {
                self.named = Some(named(name));
            }
            return;
        }
        match token.kind {
            Kind::String if self.counts() => {
                self.length.push(chunk.get(token.start, token.end));
                let length = self.length.take();
                match &mut self.source {
                    Some(source) if self.named == Some(Named::Data) => source.data += length,
                    _ => self.text = self.text.saturating_add(length),
                }
            }
            Kind::String if self.is_type() => {
                let is_text = is_text(self.kept.read(token, chunk));
                if let Some(source) = &mut self.source {
                    source.is_text |= is_text;
                }
            }
            Kind::BeginObject if self.named == Some(Named::Source) && self.source.is_none() => {
                let depth = token.depth.saturating_add(1);
                self.source = Some(DocumentSource { depth, ..DocumentSource::default() });
            }
            Kind::EndObject => {
                let ended = |source: &mut DocumentSource| source.depth > token.depth;
                if let Some(source) = self.source.take_if(ended)
                    && source.is_text
                {
                    self.text = self.text.saturating_add(source.data);
                }
            }
            Kind::Number => self.number(token, chunk),
            // Servers read it as the number that it holds (pydantic).
            Kind::String if self.is_count() => self.number(token, chunk),
            _ => {}
        }
        self.named = None;
    }

    fn number(&mut self, token: Token, chunk: Chunk<'_>) {
        match self.says {
            // In a list of tokens, or of such lists.
            Says::Text if token.depth > 1 && self.named.is_none() => {
                self.tokens = self.tokens.saturating_add(1);
            }
            Says::Most if token.depth == 1 => {
                let most = count(self.kept.read(token, chunk));
                self.most = self.most.max(most);
            }
            Says::Answers if token.depth == 1 => {
                let answers = count(self.kept.read(token, chunk));
                self.answers = self.answers.max(answers.unwrap_or(1));
            }
            _ => {}
        }
    }
}

/// Whether the answer to an operation is text that a limit of tokens bounds.
#[must_use]
pub fn writes_text(operation: Operation) -> bool {
    use Operation::{ChatCompletions, Completions, Messages, Responses, ResponsesCompact};
    matches!(operation, ChatCompletions | Completions | Messages | Responses | ResponsesCompact)
}

/// Whether the body of a request for it is JSON whose text is counted.
#[must_use]
pub fn has_text(operation: Operation) -> bool {
    operation.body_kind() == BodyKind::Json
}

/// What the top-level member of a name says, for servers that ignore case (Go's) as well.
fn says(name: &[u8]) -> Says {
    match name {
        _ if name.iter().any(u8::is_ascii_uppercase) => says(&name.to_ascii_lowercase()),
        b"messages" | b"input" | b"prompt" | b"suffix" | b"system" | b"instructions" | b"tools"
        | b"functions" | b"query" | b"documents" => Says::Text,
        b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => Says::Most,
        b"n" | b"best_of" => Says::Answers,
        _ => Says::Nothing,
    }
}

fn named(name: &[u8]) -> Named {
    match name {
        b"type" => Named::Type,
        b"source" => Named::Source,
        b"data" => Named::Data,
        _ if is_no_text(name) => Named::NoText,
        _ => Named::Text,
    }
}

/// Whether a string, with its quotes, is `text`.
fn is_text(raw: &[u8]) -> bool {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    string::decode(inner).is_some_and(|text| text.as_bytes() == b"text")
}

/// Whether the value of a member of this name is no text for the model: what things are, where they are, and what they
/// look like.
fn is_no_text(name: &[u8]) -> bool {
    matches!(
        name,
        b"role"
            | b"id"
            | b"url"
            | b"file_data"
            | b"media_type"
            | b"signature"
            | b"encrypted_content"
            | b"ttl"
            | b"detail"
            | b"status"
            | b"format"
    ) || name.ends_with(b"_id")
        || name.ends_with(b"_url")
}

/// What a number, or a text that holds one, says that counts something. A negative one is none; where it is too large, it is the
/// largest.
fn count(raw: &[u8]) -> Option<u64> {
    let inner = raw.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let text =
        inner.map_or_else(|| std::str::from_utf8(raw).ok().map(Cow::Borrowed), string::decode)?;
    let number: f64 = text.trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    (number >= 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn read(body: &str) -> RequestText {
        let mut text = RequestText::default();
        text.push(body.as_bytes());
        text
    }

    #[test]
    fn text_is_counted_where_the_model_reads_it() {
        for (body, input) in [
            (r#"{"model":"m","messages":[{"role":"user","content":"12345678"}]}"#, 2),
            (
                r#"{"messages":[{"content":[{"type":"text","text":"12345678"}]}],"user":"me and you"}"#,
                2,
            ),
            (
                r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:AAAAAAAA","detail":"high"}}]}]}"#,
                0,
            ),
            (
                r#"{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"AAAAAAAAAAA","format":"wav"}}]}]}"#,
                0,
            ),
            (
                r#"{"messages":[{"tool_calls":[{"id":"call_123456","function":{"name":"look","arguments":"{\"a\":1}"}}]}]}"#,
                2,
            ),
            (r#"{"messages":[{"tool_call_id":"call_123456","content":"1234"}]}"#, 1),
            (
                r#"{"tools":[{"type":"function","function":{"name":"abcd","parameters":{"minimum":3}}}]}"#,
                1,
            ),
            (
                r#"{"input":[{"type":"input_image","image_url":"data:AAAAAAAA"},{"text":"1234"}]}"#,
                1,
            ),
            (
                r#"{"system":[{"text":"12345678","cache_control":{"type":"ephemeral","ttl":"5m"}}],"messages":[]}"#,
                2,
            ),
            (
                r#"{"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"12345678"},"title":"1234"}]}]}"#,
                3,
            ),
            (
                r#"{"messages":[{"content":[{"source":{"data":"12345678","x":{"type":"text","data":"1234"},"typ\u0065":"t\u0065xt"}}]}]}"#,
                2,
            ),
            (
                r#"{"messages":[{"content":[{"source":{"type":"base64","data":"12345678"}},{"type":"text","data":"1234"}]}]}"#,
                0,
            ),
            (
                r#"{"messages":[{"content":[{"source":{"data":"12345678","x":{"type":"text"}}},{"source":"1234"}]}]}"#,
                1,
            ),
            (
                r#"{"messages":[{"content":[{"source":{"type":"content","content":[{"type":"text","text":"1234"}]}}]}]}"#,
                1,
            ),
            (r#"{"input":"1234","instructions":"5678"}"#, 2),
            (r#"{"input":["1234","5678"]}"#, 2),
            (r#"{"input":[1,22,333]}"#, 3),
            (r#"{"input":[[1,22],[333]]}"#, 3),
            (r#"{"prompt":"12345678","suffix":"1234"}"#, 3),
            (r#"{"query":"1234","documents":["12345678",{"text":"1234"}]}"#, 4),
            (r#"{"prompt":"\u00e9\n1"}"#, 1),
            (r#"{"prompt":"a"}"#, 1),
            (r#"{"prompt":""}"#, 0),
            (r#"{"metadata":{"input":"12345678"},"seed":12345678}"#, 0),
        ] {
            assert_eq!(read(body).input(), input, "{body}");
        }
    }

    #[test]
    fn the_largest_limit_counts_for_each_answer() {
        for (body, most) in [
            ("{}", 1024),
            (r#"{"max_tokens":5}"#, 5),
            (r#"{"max_tokens":0}"#, 0),
            (r#"{"max_tokens":5,"max_completion_tokens":9,"max_output_tokens":7}"#, 9),
            (r#"{"max_tokens":9,"max_tokens":5}"#, 9),
            (r#"{"max_tokens":5,"n":3}"#, 15),
            (r#"{"m\u0061x_tokens":5,"\u006e":2}"#, 10),
            (r#"{"n":2}"#, 2048),
            (r#"{"n":0,"max_tokens":null}"#, 1024),
            (r#"{"max_tokens":"5","n":"2"}"#, 10),
            (r#"{"max_tokens":"\u0035 ","best_of":3}"#, 15),
            (r#"{"MAX_tokens":5,"N":2}"#, 10),
            (r#"{"max_tokens":"many"}"#, 1024),
            (r#"{"max_tokens":-5}"#, 1024),
            (r#"{"max_tokens":[5],"x":{"max_tokens":7}}"#, 1024),
            (r#"{"max_tokens":1e3}"#, 1000),
            (r#"{"max_tokens":1e300,"n":1e300}"#, u64::MAX),
        ] {
            assert_eq!(read(body).most(Some(1024)), most, "{body}");
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &[u8], cuts: &[usize]) -> (u64, u64) {
        let mut text = RequestText::default();
        let mut start = 0;
        for &cut in cuts.iter().chain([&body.len()]) {
            let end = cut.max(start).min(body.len());
            text.push(&body[start..end]);
            start = end;
        }
        (text.input(), text.most(Some(7)))
    }

    fn bodies() -> impl Strategy<Value = String> {
        let member = prop_oneof![
            5 => "\"(messages|input|prompt|max_tokens|n|x|inp\\\\u0075t)\":(\"[a-z/é]{0,6}(\\\\n|\\\\u00e9)?\"|true|null|12|1.5e2|\\[\"ab\",\\[1,2\\]\\]|\\[\\{\"(type|url|text|tool_id)\":\"[a-zé]{0,9}\",\"n\":3\\}\\])",
            1 => "[\\[\\]{}\",:a1 ]{0,5}",
        ];
        proptest::collection::vec(member, 0..5)
            .prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            body in bodies(),
            mut cuts in proptest::collection::vec(0usize..200, 0..10),
        ) {
            cuts.sort_unstable();
            let every_byte: Vec<usize> = (0..body.len()).collect();
            let whole = read(body.as_bytes(), &[]);
            prop_assert_eq!(read(body.as_bytes(), &cuts), whole);
            prop_assert_eq!(read(body.as_bytes(), &every_byte), whole);
        }
    }
}
