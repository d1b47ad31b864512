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
                self.further_model = Some(further);
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
                return Ok(Some(ModelSpan { span: token.start..token.end, id }));
            }
            (WatchedMember::Model, _) => return Err(invalid_model("\"model\" must be a string.")),
            (WatchedMember::Stream, kind) => self.facts.stream = kind == Kind::True,
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
                    self.facts.wants_usage = token.kind == Kind::True;
                }
                let names_usage = is_name && names(self.text.read(token, chunk), b"include_usage");
                self.container = Some(Container::StreamOptions { names_usage });
            }
            Some(Container::ToolChoice) if token.kind == Kind::Key => {
                let name = self.text.read(token, chunk);
                let names = matches!(name, b"\"function\"" | b"\"name\"" | b"\"custom\"");
                self.facts.names_tool |= names;
            }
            Some(Container::ToolChoice) | None => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::model_span::check_in_tests;

    fn scan(body: &[u8]) -> Result<(Option<ModelSpan>, BodyFacts), Code> {
        let mut scanner = JsonScanner::new(true, check_in_tests);
        let found = scanner.push(body).map_err(|e| e.code)?;
        scanner.finish().map_err(|e| e.code)?;
        Ok((found, scanner.facts()))
    }

    fn model(body: &str) -> Result<String, Code> {
        scan(body.as_bytes()).map(|(found, _)| found.unwrap().id)
    }

    #[test]
    fn finds_the_top_level_model_only() {
        for body in [
            r#"{"model":"m"}"#,
            r#"{"messages":[{"content":"{\"model\":\"x\"}"}],"metadata":{"model":"x"},"model":"m"}"#,
            "\u{feff}{\"model\":\"m\"}",
            r#" {"a":{"model":1},"mod\u0065l" : "\u006d" , "z":[[]]} "#,
        ] {
            assert_eq!(model(body).unwrap(), "m", "{body}");
        }
    }

    #[test]
    fn span_covers_the_quoted_value() {
        let body = br#"{"a":1,"model": "groq/x","b":2}"#;
        let (found, _) = scan(body).unwrap();
        let span = found.unwrap().span;
        assert_eq!(&body[span.start as usize..span.end as usize], br#""groq/x""#);
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for (body, code) in [
            (r#"{"model":"a","model":"b"}"#, Code::DuplicateModel),
            (r#"{"model":"a","mod\u0065l":"b"}"#, Code::DuplicateModel),
            (r#"{"model":"a","MODEL":"b"}"#, Code::DuplicateModel),
            (r#"{"Model":"a","model":"b"}"#, Code::DuplicateModel),
            (r#"{"Model":"a"}"#, Code::MissingModel),
            (r#"{"model\u0000":"a","model":"b"}"#, Code::DuplicateModel),
            (r#"{"model\u0000x":"a","model":"b"}"#, Code::DuplicateModel),
            (r#"{"model":"a","\ufeffmodel":"b"}"#, Code::DuplicateModel),
            (r#"{"model":"a"," model ":"b"}"#, Code::DuplicateModel),
            (r#"{"model":"a","mo_del":"b"}"#, Code::DuplicateModel),
            (r#"{"model":"a","model[]":"b"}"#, Code::DuplicateModel),
            (r#"{"model\u0000":"a"}"#, Code::MissingModel),
            (r#"{"model":"a","\ud800":"b"}"#, Code::InvalidJson),
            (r#"{"model":"a","mod\udc00el":"b"}"#, Code::InvalidJson),
            (r#"{"\ud800\u0041":1,"model":"a"}"#, Code::InvalidJson),
            (r#"{}"#, Code::MissingModel),
            (r#"{"model":null}"#, Code::InvalidModel),
            (r#"{"model":["a"]}"#, Code::InvalidModel),
            (r#"{"model":{"a":1}}"#, Code::InvalidModel),
            (r#"{"model":""}"#, Code::InvalidModel),
            (r#"{"model":"\ud800"}"#, Code::InvalidModel),
            (r#"{"model":"a\u0000"}"#, Code::InvalidModel),
            (r#"[{"model":"a"}]"#, Code::InvalidJson),
            (r#""model""#, Code::InvalidJson),
            (r#"7"#, Code::InvalidJson),
            (r#""#, Code::InvalidJson),
            (r#"{"model":"a"}{"model":"b"}"#, Code::InvalidJson),
            (r#"{"model":"a""#, Code::InvalidJson),
            (r#"{"model":"a",}"#, Code::InvalidJson),
        ] {
            assert_eq!(model(body), Err(code), "{body}");
        }
        assert_eq!(scan(b"{\"model\":\"\xff\"}"), Err(Code::InvalidModel));
        for name in [&b"mode\xc1\xac"[..], b"mod\xffel", b"\xed\xa0\x80", b"\xff", b"\\n\xe2\x82"] {
            let body = [b"{\"model\":\"a\",\"", name, b"\":\"b\"}"].concat();
            assert_eq!(scan(&body), Err(Code::InvalidJson), "{name:?}");
        }
        // Further in, names decide nothing here.
        assert!(scan(b"{\"model\":\"a\",\"x\":{\"model\":1,\"Model\":2,\"\xc1\xac\":3}}").is_ok());
    }

    #[test]
    fn long_names_and_ids_are_bounded() {
        let long = "k".repeat(1_000_000);
        let longest = "k".repeat(MAX_NAME_BYTES);
        assert_eq!(model(&format!("{{\"{longest}\":1,\"model\":\"m\"}}")).unwrap(), "m");
        for name in [format!("{longest}k"), long.clone(), format!("model{}", "\\u0000".repeat(683))]
        {
            assert_eq!(model(&format!("{{\"{name}\":1,\"model\":\"m\"}}")), Err(Code::InvalidJson));
        }
        assert_eq!(model(&format!("{{\"model\":\"{long}\"}}")), Err(Code::InvalidModel));
        let mut scanner = JsonScanner::new(false, check_in_tests);
        let mut error = scanner.push(b"{\"model\":\"").err();
        for _ in 0..100 {
            if error.is_none() {
                error = scanner.push(&[b'k'; 100]).err();
            }
        }
        assert_eq!(error.unwrap().code, Code::InvalidModel);
    }

    #[test]
    fn facts() {
        for (body, facts) in [
            (r#"{"model":"m","stream":true}"#, BodyFacts { stream: true, ..BodyFacts::default() }),
            (r#"{"model":"m","stream":false}"#, BodyFacts::default()),
            (
                r#"{"model":"m","input":"x","encoding_format":"base64"}"#,
                BodyFacts { base64: true, inputs: Some(1), ..BodyFacts::default() },
            ),
            (
                r#"{"input":["a","b"],"model":"m"}"#,
                BodyFacts { inputs: Some(2), ..BodyFacts::default() },
            ),
            (
                r#"{"input":[1,2,3],"model":"m"}"#,
                BodyFacts { inputs: Some(1), ..BodyFacts::default() },
            ),
            (
                r#"{"input":[[1,2],[3]],"model":"m"}"#,
                BodyFacts { inputs: Some(2), ..BodyFacts::default() },
            ),
            (
                r#"{"input":[],"model":"m","x":["a"]}"#,
                BodyFacts { inputs: Some(0), ..BodyFacts::default() },
            ),
        ] {
            assert_eq!(scan(body.as_bytes()).unwrap().1, facts, "{body}");
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use crate::wire::model_span::check_in_tests;
    use crate::wire::splice::{Edit, apply};
    use proptest::prelude::*;

    type Outcome = Result<(Option<ModelSpan>, BodyFacts), Code>;

    fn scan(body: &[u8], cuts: &[usize]) -> Outcome {
        let mut scanner = JsonScanner::new(true, check_in_tests);
        let mut found = None;
        let mut start = 0;
        for &cut in cuts.iter().chain([&body.len()]) {
            let end = cut.max(start).min(body.len());
            found = scanner.push(&body[start..end]).map_err(|e| e.code)?.or(found);
            start = end;
        }
        scanner.finish().map_err(|e| e.code)?;
        Ok((found, scanner.facts()))
    }

    fn bodies() -> impl Strategy<Value = String> {
        let member = prop_oneof![
            5 => "\"(model|model\\\\u0000|\\\\ud800|mo_del|mod\\\\u0065l|MODEL|stream|input|encoding_format|n|stream_options|a)\":(\"[a-z/é]{0,6}(\\\\n|\\\\u00e9)?\"|true|null|12|\\[\"a\",\\[1\\]\\]|\\{\"model\":1\\})",
            1 => "[\\[\\]{}\",:a1 ]{0,5}",
        ];
        proptest::collection::vec(member, 0..5)
            .prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(
            body in bodies(),
            mut cuts in proptest::collection::vec(0usize..200, 0..10),
        ) {
            cuts.sort_unstable();
            let every_byte: Vec<usize> = (0..body.len()).collect();
            let whole = scan(body.as_bytes(), &[]);
            prop_assert_eq!(&scan(body.as_bytes(), &cuts), &whole);
            prop_assert_eq!(&scan(body.as_bytes(), &every_byte), &whole);
        }

        #[test]
        fn a_splice_changes_only_the_model(body in bodies(), id in "[a-z\"\\\\/é]{1,12}") {
            if let Ok((Some(found), _)) = scan(body.as_bytes(), &[]) {
                let span = found.span.start as usize..found.span.end as usize;
                let new = string::encode(&id);
                let edit = Edit { span: span.clone(), with: new.clone() };
                let out = apply(body.as_bytes(), &[edit]).unwrap();
                prop_assert_eq!(&out[..span.start], &body.as_bytes()[..span.start]);
                prop_assert_eq!(&out[span.start + new.len()..], &body.as_bytes()[span.end..]);
                let again = scan(&out, &[]).unwrap().0.unwrap();
                prop_assert_eq!(again.id, id);
            }
        }
    }
}
