//! FastAPI's findings printed by Python's `str()` into a message, as vLLM, SGLang and TensorRT-LLM do:
//! `[{'type': 'missing', 'loc': ('body', 'n'), 'msg': 'Field required', 'input': {…}}]`, or after
//! `2 validation errors:`, or as pydantic's exception prints them itself. They hold the user's whole request under `input`, so they are read for
//! `loc` and `msg` and nothing else is repeated.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Value, json};

use super::shape::{Draft, read};

/// The findings in `text`, as one draft; `None` when it holds none. A text that was cut is read as far
/// as it goes.
pub fn findings(text: &str) -> Option<Draft> {
    if text.contains(" [type=") && text.contains("input_value=") {
        return pydantic(text);
    }
    let named = |name: &str| {
        ['\'', '"'].iter().any(|quote| text.contains(&format!("{quote}{name}{quote}:")))
    };
    if !named("loc") || !named("msg") {
        return None;
    }
    let items = PythonScanner::default().run(text);
    (!items.is_empty()).then(|| read(&Value::Array(items)))?
}

/// The findings as pydantic's exception prints them: a line with the place, and one with the finding, behind
/// which `[type=…, input_value=…, input_type=…]` repeats what was sent.
fn pydantic(text: &str) -> Option<Draft> {
    let mut place = "";
    let mut items = Vec::new();
    for line in text.lines() {
        match line.split_once(" [type=") {
            Some((message, _)) => {
                items.push(json!({"loc": place.trim(), "msg": message.trim()}));
                place = "";
            }
            None => place = line,
        }
    }
    // A finding without a place, and what a single line says before it.
    for item in &mut items {
        if item.get("loc").is_some_and(|loc| loc == "") {
            *item = item.get("msg").cloned().unwrap_or_default();
        }
    }
    (!items.is_empty()).then(|| read(&Value::Array(items)))?
}

/// Where the reader stands. Brackets of any kind count as depth.
#[derive(Default)]
struct PythonScanner {
    depth: usize,
    /// The depth inside the dict that is being read as a finding.
    finding: Option<usize>,
    key: String,
    loc: Vec<Value>,
    message: Option<String>,
    items: Vec<Value>,
}

impl PythonScanner {
    fn run(mut self, text: &str) -> Vec<Value> {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '[' | '(' => {
                    self.depth += 1;
                    if c == '{' && self.finding.is_none() {
                        self.finding = Some(self.depth);
                    }
                }
                '}' | ']' | ')' => {
                    if self.finding == Some(self.depth) {
                        self.close();
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                // Outside of a dict a quote is an apostrophe.
                '\'' | '"' if self.finding.is_some() => {
                    let string = literal(c, &mut chars);
                    while chars.next_if(|c| c.is_whitespace()).is_some() {}
                    let is_key = chars.peek() == Some(&':');
                    self.string(string, is_key);
                }
                '0'..='9' => {
                    let mut number = String::from(c);
                    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                        number.push(digit);
                    }
                    self.step(json!(number));
                }
                _ => {}
            }
        }
        // The last finding of a text that was cut.
        self.close();
        self.items
    }

    fn string(&mut self, string: String, is_key: bool) {
        if self.finding == Some(self.depth) {
            if is_key {
                self.key = string;
            } else if self.key == "msg" {
                self.message = Some(string);
            } else if self.key == "loc" {
                self.loc.extend(string.split('.').map(|step| json!(step)));
            }
        } else {
            self.step(json!(string));
        }
    }

    /// A step of `loc`: one level below the dict, after that key.
    fn step(&mut self, step: Value) {
        if self.key == "loc" && self.finding.is_some_and(|depth| depth + 1 == self.depth) {
            self.loc.push(step);
        }
    }

    fn close(&mut self) {
        self.finding = None;
        self.key.clear();
        let loc = std::mem::take(&mut self.loc);
        if let Some(message) = self.message.take().filter(|_| !loc.is_empty()) {
            self.items.push(json!({"loc": loc, "msg": message}));
        }
    }
}

/// The rest of a Python string literal after its opening quote.
fn literal(quote: char, chars: &mut Peekable<Chars<'_>>) -> String {
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(escaped) => out.push(escaped),
                None => break,
            },
            _ if c == quote => break,
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn tells_place_and_finding_and_nothing_of_the_request() {
        for (text, want, param) in [
            (
                "[{'type': 'extra_forbidden', 'loc': ('body', 'n'), 'msg': 'Extra inputs', 'input': {'msg': 'secret'}}]",
                "body.n: Extra inputs",
                Some("n"),
            ),
            (
                "2 validation errors:\n  {'type': 'missing', 'loc': ('body', 'messages', 0, 'role'), 'msg': 'Field required', 'input': 'secret'}\n  {'type': 'x', 'loc': ('body',), 'msg': \"Input's bad\"}",
                "body.messages.0.role: Field required; body: Input's bad",
                Some("messages.0.role"),
            ),
            (
                "[{'loc': ('body', 'n'), 'msg': 'No', 'input': {'a': ['secret",
                "body.n: No",
                Some("n"),
            ),
            (
                "1 validation error:\n  {'type': 'float_parsing', 'loc': 'body.temperature', 'msg': 'Not a number', 'input': 'secret'}",
                "body.temperature: Not a number",
                Some("temperature"),
            ),
            (
                "Bad request: [{\"loc\": [\"body\", \"n\"], \"msg\": \"No\", \"input\": \"secret\"}]",
                "body.n: No",
                Some("n"),
            ),
            (
                "2 validation errors for ChatCompletionRequest\ntemperature\n  Input should be a valid number [type=float_parsing, input_value='secret', input_type=str]\n    For further information visit https://errors.pydantic.dev/2.11/v/float_parsing\nmessages.0.content\n  Field required [type=missing, input_value={'role': 'secret'}, input_type=dict]",
                "temperature: Input should be a valid number; messages.0.content: Field required",
                Some("temperature"),
            ),
        ] {
            let found = findings(text).unwrap();
            assert_eq!(found.message.as_deref(), Some(want));
            assert_eq!(found.param.as_deref(), param);
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "plain", "[{'a': 1}]", "it's a validation error", "[1]", "[{\"a\": 1}]"] {
            assert!(findings(text).is_none(), "{text}");
        }
    }
}
