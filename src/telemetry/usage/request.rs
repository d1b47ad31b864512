//! The text of a JSON request and the limits of its answer, read as the body arrives: what the exchange is estimated to
//! take. It reads beside the scanner that checks the body, and decides nothing: what is no JSON is refused there.

mod members;

use super::TextLength;
use super::tokens_of;
use crate::policy::operation::{BodyKind, Operation};
use crate::wire::json::chunk::{Chunk, TokenText};
use crate::wire::json::string;
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};
use members::{Named, Says, count, is_text, named, says};

/// Bytes that are kept of a name or a number: more than those have that are known, however they are escaped.
const MAX_KEPT: usize = 256;

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
    /// Prompts that are answered each for itself, and those of the member that is read now.
    prompts: u64,
    listed: u64,
    /// Each element of a list of prompts is one.
    lists_prompts: bool,
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
            prompts: 1,
            listed: 0,
            lists_prompts: false,
            has_failed: false,
        }
    }
}

impl RequestText {
    /// Reads a body of this operation.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        Self { lists_prompts: operation == Operation::Completions, ..Self::default() }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.has_failed {
            return;
        }
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut at = 0;
        loop {
            let depth = if self.is_text() { u32::MAX } else { 1 };
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
        let each = self.most.or(default).unwrap_or(0).saturating_mul(self.answers);
        each.saturating_mul(self.prompts)
    }

    /// Whether the member that is read now holds text.
    fn is_text(&self) -> bool {
        matches!(self.says, Says::Text | Says::Prompts)
    }

    /// Whether a string that is read now is text.
    fn counts(&self) -> bool {
        self.is_text()
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
                self.listed = 0;
            } else {
                self.named = Some(named(name));
            }
            return;
        }
        if self.says == Says::Prompts && token.depth == 2 {
            self.prompt(token.kind);
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

    /// An element of a list of prompts. Numbers are tokens, all of them one prompt.
    fn prompt(&mut self, kind: Kind) {
        let ends = matches!(kind, Kind::EndArray | Kind::EndObject);
        if self.lists_prompts && !ends && (kind != Kind::Number || self.listed == 0) {
            self.listed = self.listed.saturating_add(1);
            self.prompts = self.prompts.max(self.listed);
        }
    }

    fn number(&mut self, token: Token, chunk: Chunk<'_>) {
        match self.says {
            // In a list of tokens, or of such lists.
            Says::Text | Says::Prompts if token.depth > 1 && self.named.is_none() => {
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
    fn each_prompt_of_a_text_completion_is_answered() {
        for (body, most) in [
            (r#"{"prompt":"ab","max_tokens":5}"#, 5),
            (r#"{"prompt":["ab"],"max_tokens":5}"#, 5),
            (r#"{"prompt":[],"max_tokens":5}"#, 5),
            (r#"{"prompt":["ab","cd",""],"max_tokens":5}"#, 15),
            (r#"{"max_tokens":5,"n":2,"prompt":["ab","cd"]}"#, 20),
            (r#"{"prompt":["ab","cd"],"best_of":3,"n":2}"#, 2 * 3 * 1024),
            // One list of tokens, and several.
            (r#"{"prompt":[1,2,3],"max_tokens":5}"#, 5),
            (r#"{"prompt":[[1,2],[3]],"max_tokens":5}"#, 10),
            (r#"{"prompt":[[[1],[2]],["a","b"],{"prompt_token_ids":[1,2]}],"max_tokens":5}"#, 15),
            // Whichever counts.
            (r#"{"prompt":["ab","cd","ef"],"prompt":["ab"],"max_tokens":5}"#, 15),
            (r#"{"prompt":["ab"],"Prompt":["ab","cd"],"max_tokens":5}"#, 10),
            (r#"{"pr\u006fmpt":["ab","cd"],"max_tokens":5}"#, 10),
            (r#"{"input":["ab","cd"],"max_tokens":5}"#, 5),
            (r#"{"prompt":"ab","n_predict":50,"max_tokens":5}"#, 50),
        ] {
            for size in [1, 3, body.len()] {
                let mut text = RequestText::new(Operation::Completions);
                body.as_bytes().chunks(size).for_each(|bytes| text.push(bytes));
                assert_eq!(text.most(Some(1024)), most, "{body} {size}");
            }
        }
        // To other operations it is a text.
        assert_eq!(read(r#"{"prompt":["ab","cd"],"max_tokens":5}"#).most(None), 5);
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
        let mut text = RequestText::new(Operation::Completions);
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
