//! Decides from the first bytes of a JSON answer with status 200 whether it is a good one, which then
//! streams on untouched, or may be an error, which is held to be read as a whole.

use std::ops::Range;

use crate::policy::operation::Operation;
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};

/// What the bytes so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough yet: hold what came.
    Undecided,
    /// A good answer: let it go on, what was held first.
    Good,
    /// It may be an error, or no JSON at all: hold it to its end (bounded by `max_answer_bytes`) and
    /// ask [`super::error::from_ok`].
    Suspect,
}

/// Longer than any name and any value that is looked at.
const MAX_TEXT: usize = 32;

/// The string or name that a chunk's end cut, up to [`MAX_TEXT`] bytes of it.
#[derive(Debug, Default)]
pub(super) struct Carry {
    bytes: [u8; MAX_TEXT],
    length: usize,
}

impl Carry {
    /// The text of `token`, quotes included; cut off where it is too long to be of interest.
    #[inline]
    pub(super) fn text<'a>(&'a mut self, token: Token, chunk: &'a [u8], base: u64) -> &'a [u8] {
        let place =
            |offset: u64| usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX);
        let part = chunk.get(place(token.start)..place(token.end)).unwrap_or_default();
        if token.start >= base {
            return part.get(..MAX_TEXT).unwrap_or(part);
        }
        self.append(part);
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Keeps the string that is open at the end of `chunk`, if one is.
    pub(super) fn keep(&mut self, tokenizer: &Tokenizer, chunk: &[u8], base: u64) {
        match tokenizer.open_text() {
            Some((_, start, _)) => {
                if start >= base {
                    self.length = 0;
                }
                let from = usize::try_from(start.saturating_sub(base)).unwrap_or(usize::MAX);
                self.append(chunk.get(from..).unwrap_or_default());
            }
            None => self.length = 0,
        }
    }

    fn append(&mut self, part: &[u8]) {
        for (to, byte) in self.bytes.iter_mut().skip(self.length).zip(part) {
            *to = *byte;
            self.length += 1;
        }
    }
}

/// The member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// `choices`: a good answer if it has an element.
    Choices,
    /// Another result: good if it has an element.
    Result,
    /// `text`: good, where texts are what was asked for.
    Text,
    /// `object` and `type`, which may say `error`.
    Label,
    /// A name of an error: suspect if there is anything in it.
    Error,
    /// `usage`: no evidence, but asked for later.
    Usage,
    /// In a choice: `finish_reason`.
    FinishReason,
    Other,
}

/// Before the value: white space, comments, a byte order mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    Blank,
    Mark(u8),
    Comment,
    Done,
}

/// The incremental look at one answer's body.
#[derive(Debug)]
pub struct Peek {
    operation: Operation,
    verdict: Verdict,
    lead: Lead,
    /// Bytes of framing before the value, once [`Lead::Done`].
    before: usize,
    /// There is more than white space among them.
    foreign: bool,
    tokenizer: Tokenizer,
    carry: Carry,
    member: Member,
    in_choices: bool,
    in_result: bool,
    late: bool,
    broken: bool,
    end: Option<u64>,
    in_usage: bool,
    usage: Option<Range<u64>>,
}

impl Peek {
    /// Before the first byte of an answer to `operation`.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        let anything = operation == Operation::Files;
        Self {
            operation,
            verdict: if anything { Verdict::Good } else { Verdict::Undecided },
            lead: Lead::Blank,
            before: 0,
            foreign: false,
            tokenizer: Tokenizer::new(),
            carry: Carry::default(),
            member: Member::Other,
            in_choices: false,
            in_result: false,
            late: false,
            broken: anything,
            end: None,
            in_usage: false,
            usage: None,
        }
    }

    /// Reads the next bytes. The verdict depends on the bytes so far alone, not on their chunks, and
    /// never changes once it is no longer [`Verdict::Undecided`].
    ///
    /// Further bytes of a good answer need not be pushed; [`Peek::end`] and [`Peek::look_again`] are
    /// for a caller who does.
    pub fn push(&mut self, chunk: &[u8]) -> Verdict {
        let chunk = self.after_lead(chunk);
        if self.broken || self.end.is_some() || chunk.is_empty() {
            return self.verdict;
        }
        let base = self.tokenizer.base();
        let mut at = 0;
        loop {
            // No deeper than something is looked for.
            let depth = if self.in_choices { 3 } else { 1 + u32::from(self.in_result) };
            match self.tokenizer.next(chunk, &mut at, depth) {
                Ok(Some(token)) => {
                    self.token(token, chunk, base);
                    if self.end.is_some() {
                        return self.verdict;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    // What follows a good beginning has gone to the client already.
                    self.broken = true;
                    self.decide(Verdict::Suspect);
                    return self.verdict;
                }
            }
        }
        self.carry.keep(&self.tokenizer, chunk, base);
        self.verdict
    }

    /// What the bytes so far say.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many bytes at the start of the body are framing that a JSON parser would stumble over
    /// (comments, a byte order mark): drop them when a good answer goes on.
    #[must_use]
    pub fn skip(&self) -> usize {
        if self.foreign && self.lead == Lead::Done { self.before } else { 0 }
    }

    /// Where the JSON value ended, counted from the start of the body. White space and framing
    /// (`data: [DONE]`) may follow it; a client should get neither.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_add(self.before as u64))
    }

    /// Where the top-level object `usage` stands, counted from the start of the body.
    #[must_use]
    pub fn usage(&self) -> Option<Range<u64>> {
        let before = self.before as u64;
        let usage = self.usage.as_ref().filter(|_| !self.in_usage)?;
        Some(usage.start.saturating_add(before)..usage.end.saturating_add(before))
    }

    /// Whether an answer that began well has shown an error since (`finish_reason` of `error`, an
    /// `error` after `choices`). A caller that still holds it should ask [`super::error::from_ok`].
    #[must_use]
    pub fn look_again(&self) -> bool {
        self.late
    }

    fn decide(&mut self, verdict: Verdict) {
        if self.verdict == Verdict::Undecided {
            self.verdict = verdict;
        }
    }

    /// Passes over what stands before the value.
    fn after_lead<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        for (at, &byte) in chunk.iter().enumerate() {
            self.lead = match (self.lead, byte) {
                (Lead::Done, _) => return chunk.get(at..).unwrap_or_default(),
                (Lead::Comment, b'\n' | b'\r') => Lead::Blank,
                (Lead::Comment, _) => Lead::Comment,
                (Lead::Blank, b' ' | b'\t' | b'\n' | b'\r') => Lead::Blank,
                (Lead::Blank, b':') => Lead::Comment,
                (Lead::Blank, 0xEF) if self.before == 0 => Lead::Mark(0xBB),
                (Lead::Mark(want), _) if byte == want => {
                    if want == 0xBB {
                        Lead::Mark(0xBF)
                    } else {
                        Lead::Blank
                    }
                }
                _ => {
                    self.lead = Lead::Done;
                    self.first_byte(byte);
                    return chunk.get(at..).unwrap_or_default();
                }
            };
            self.before += 1;
            self.foreign |= matches!(self.lead, Lead::Comment | Lead::Mark(_));
        }
        &[]
    }

    fn first_byte(&mut self, byte: u8) {
        if byte == b'{' {
            return;
        }
        let texts = matches!(self.operation, Operation::Transcriptions | Operation::Translations);
        self.broken = true;
        self.decide(if texts && byte != b'<' { Verdict::Good } else { Verdict::Suspect });
    }

    fn token(&mut self, token: Token, chunk: &[u8], base: u64) {
        match (token.depth, token.kind) {
            (0, Kind::EndObject) => {
                self.end = Some(token.end);
                self.decide(Verdict::Suspect);
            }
            (1, Kind::Key) => {
                self.member = name(self.carry.text(token, chunk, base), self.operation);
            }
            (1, _) => self.value(token, chunk, base),
            (2, Kind::Key) => {}
            (2, kind) if self.in_result && kind != Kind::Null => self.decide(Verdict::Good),
            (2, Kind::BeginObject) if self.in_choices => self.decide(Verdict::Good),
            (3, Kind::Key) => {
                let reason = self.carry.text(token, chunk, base) == b"\"finish_reason\"";
                self.member = if reason { Member::FinishReason } else { Member::Other };
            }
            (3, Kind::String) if self.member == Member::FinishReason => {
                let reason = self.carry.text(token, chunk, base);
                self.late |= matches!(reason, b"\"error\"" | b"\"network_error\"");
            }
            _ => {}
        }
    }

    /// A value of the top-level object, or a bracket of one.
    fn value(&mut self, token: Token, chunk: &[u8], base: u64) {
        if matches!(token.kind, Kind::EndArray | Kind::EndObject) {
            if self.in_choices || self.in_result {
                // It was empty: no result, so any other name counts.
                self.decide(Verdict::Suspect);
            }
            self.in_choices = false;
            self.in_result = false;
            if let (true, Some(usage)) = (self.in_usage, &mut self.usage) {
                usage.end = token.end;
                self.in_usage = false;
            }
            return;
        }
        match self.member {
            Member::Choices => match token.kind {
                Kind::BeginArray => self.in_choices = true,
                _ => self.decide(Verdict::Suspect),
            },
            Member::Result => self.in_result = token.kind == Kind::BeginArray,
            Member::Text if token.kind == Kind::String => self.decide(Verdict::Good),
            Member::Label if token.kind == Kind::String => {
                let label = self.carry.text(token, chunk, base);
                if label.eq_ignore_ascii_case(b"\"error\"") {
                    self.decide(Verdict::Suspect);
                } else if label.eq_ignore_ascii_case(b"\"response\"")
                    || (self.operation == Operation::Messages && label == b"\"message\"")
                {
                    self.decide(Verdict::Good);
                }
            }
            Member::Usage if token.kind == Kind::BeginObject => {
                self.usage = Some(token.start..token.end);
                self.in_usage = true;
            }
            Member::Error if says_something(token, self.carry.text(token, chunk, base)) => {
                self.late = true;
                self.decide(Verdict::Suspect);
            }
            _ => {}
        }
        self.member = Member::Other;
    }
}

fn says_something(token: Token, text: &[u8]) -> bool {
    match token.kind {
        Kind::Null | Kind::False => false,
        Kind::String => text != b"\"\"",
        Kind::Number => text.iter().any(|byte| matches!(byte, b'1'..=b'9')),
        _ => true,
    }
}

/// The meaning of a top-level name (quotes included) in an answer to `operation`. A name spelled with
/// escapes means nothing here, so it proves nothing good.
fn name(raw: &[u8], operation: Operation) -> Member {
    match raw {
        b"\"choices\"" => Member::Choices,
        b"\"usage\"" => Member::Usage,
        b"\"results\"" | b"\"data\"" | b"\"output\"" | b"\"models\"" => Member::Result,
        b"\"text\"" if matches!(operation, Operation::Transcriptions | Operation::Translations) => {
            Member::Text
        }
        b"\"object\"" | b"\"type\"" => Member::Label,
        b"\"error\"" | b"\"errors\"" | b"\"error_code\"" | b"\"error_msg\"" | b"\"detail\""
        | b"\"fault\"" | b"\"base_resp\"" | b"\"x_groq\"" | b"\"message\"" | b"\"msg\"" => {
            Member::Error
        }
        _ => Member::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn verdict(operation: Operation, body: &str) -> Verdict {
        Peek::new(operation).push(body.as_bytes())
    }

    #[test]
    fn good_answers_are_known_early() {
        for (operation, body) in [
            (Operation::ChatCompletions, r#"{"id":"x","object":"chat.completion","choices":[{"#),
            (Operation::ChatCompletions, r#"{"error":null,"message":"","choices":[{"#),
            (Operation::ChatCompletions, "\u{feff}\n: wait\r\n {\"choices\" : [ {"),
            (Operation::Responses, r#"{"id":"r","object":"response""#),
            (Operation::Rerank, r#"{"id":"r","results":[{"#),
            (Operation::ImageGeneration, r#"{"created":1,"data":[{"#),
            (Operation::Transcriptions, r#"{"text":"""#),
            (Operation::Transcriptions, "1\n00:00"),
            (Operation::Files, ""),
        ] {
            assert_eq!(verdict(operation, body), Verdict::Good, "{body}");
        }
    }

    #[test]
    fn little_says_nothing() {
        for body in [
            "",
            " \n",
            ": wait",
            "{",
            r#"{"id":"x","model":"m","created":1"#,
            r#"{"choices":["#,
            "\u{feff}",
        ] {
            assert_eq!(verdict(Operation::ChatCompletions, body), Verdict::Undecided, "{body}");
        }
    }

    #[test]
    fn what_may_be_an_error_is_held() {
        for body in [
            r#"{"id":"x","choices":null,"created":1,"base_resp":{"#,
            r#"{"object":"error","#,
            r#"{"object":"Error","#,
            r#"{"id":"x","error":{"#,
            r#"{"model":"m","error":"text""#,
            r#"{"model":"m","error":true"#,
            r#"{"choices":[],"#,
            r#"{"data":[],"#,
            r#"{"type":"error","#,
            r#"{"message":"x""#,
            r#"{"base_resp":{"#,
            r#"{"id":"x"}"#,
            "{}",
            "[",
            "<html>",
            "data: {",
            "{\"a\":x",
        ] {
            assert_eq!(verdict(Operation::ChatCompletions, body), Verdict::Suspect, "{body}");
        }
        assert_eq!(verdict(Operation::Transcriptions, "<html>"), Verdict::Suspect);
    }

    #[test]
    fn framing_is_measured() {
        let mut peek = Peek::new(Operation::ChatCompletions);
        let body = b"\n: wait\n{\"choices\":[{\"a\":1}]}\n\ndata: [DONE]\n\n";
        assert_eq!(peek.push(body), Verdict::Good);
        assert_eq!((peek.skip(), peek.end()), (8, Some(29)));
        let mut peek = Peek::new(Operation::ChatCompletions);
        peek.push(b"\n\n{\"choices\":[{\"a\":1}]}");
        assert_eq!((peek.skip(), peek.end()), (0, Some(23)));
    }

    #[test]
    fn a_late_error_is_noticed() {
        for (body, want) in [
            (r#"{"choices":[{"finish_reason":"stop"}],"error":null}"#, false),
            (r#"{"choices":[{"finish_reason":"error"}]}"#, true),
            (r#"{"choices":[{"message":{"finish_reason":"error"}}]}"#, false),
            (r#"{"choices":[{"index":0}],"error":{"message":"m"}}"#, true),
            (r#"{"choices":[{"index":0}],"base_resp":{"status_code":0}}"#, true),
        ] {
            let mut peek = Peek::new(Operation::ChatCompletions);
            assert_eq!(peek.push(body.as_bytes()), Verdict::Good);
            assert_eq!(peek.look_again(), want, "{body}");
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    fn body() -> impl Strategy<Value = String> {
        "(\u{feff})?([ \n]|: c\n){0,2}(\\{(\"(choices|data|error|object|type|message|id|finish_reason)\":\
         (null|\"\"|\"error\"|\"x\"|0|1|\\[\\]|\\[\\{\\}\\]|\\[\\{\"finish_reason\":\"error\"\\}\\]|\\{\\}),?){0,5}\\}?|<html>|x)( |\ndata: \\[DONE\\]\n)?"
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(body in body(), cuts in prop::collection::vec(0usize..200, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let mut pieces = Peek::new(Operation::ChatCompletions);
            for pair in cuts.windows(2) {
                let now = pieces.push(&body.as_bytes()[pair[0]..pair[1]]);
                let mut whole = Peek::new(Operation::ChatCompletions);
                prop_assert_eq!(whole.push(&body.as_bytes()[..pair[1]]), now);
                prop_assert_eq!(whole.end(), pieces.end());
                prop_assert_eq!(whole.skip(), pieces.skip());
                prop_assert_eq!(whole.look_again(), pieces.look_again());
            }
        }

        #[test]
        fn no_error_is_called_good_before_it_shows(body in body()) {
            let mut peek = Peek::new(Operation::ChatCompletions);
            let verdict = peek.push(body.as_bytes());
            let error = crate::repair::error::from_ok(Operation::ChatCompletions, body.as_bytes());
            if verdict == Verdict::Good && !peek.broken && peek.end.is_some() && !peek.look_again() {
                prop_assert_eq!(error, None);
            }
        }
    }
}
