//! A prompt that does not fit into the model's context. Every server says so in words of its own; agents
//! look for OpenAI's code and make their conversation shorter when they see it, and fail for good when they
//! do not.
//!
//! A message says it in two parts: what is limited (the context, the input) and that it was passed. Both
//! are looked for in one table of phrases each, so that a wording made of known parts is understood as well
//! as the recorded ones. A limit on anything else (a rate, a batch, a file) is none of it.

use serde_json::Value;

use crate::error::ErrorObject;

use phrases::{Meaning, Meanings};

mod phrases;
#[cfg(test)]
mod tests;

/// OpenAI's code for it (API reference, "Error codes").
pub const CODE: &str = "context_length_exceeded";

/// The status that goes with the code.
pub(super) const STATUS: u16 = 400;

/// How much of a message is read, in characters: servers say it first.
const MAX_READ: usize = 2_048;

/// Codes and types that say it by name, as [`super::status::key`] spells them.
const NAMES: [&str; 12] = [
    "contextlengthexceeded",
    "contextlength",
    "contextwindowexceeded",
    "contextsizeexceeded",
    "contextlimitexceeded",
    "contextoverflow",
    "exceedcontextsize",
    "exceedscontextsize",
    "maxcontextlengthexceeded",
    "modelmaxprompttokensexceeded",
    "prompttoolong",
    "inputtoolong",
];

/// The vendors' numbers for it: Zhipu's GLM ("Prompt exceeds max length").
const NUMBERS: [i64; 1] = [1261];

/// Whether an error says that the context is exceeded. `status`: of its answer; `hints`: its codes and
/// types.
pub(super) fn is_said(status: u16, hints: &[Value], message: &str) -> bool {
    // A refused credential, an unknown model and a rate are what they are, whatever words they use.
    if matches!(status, 401..=404 | 408 | 429) {
        return false;
    }
    let named = hints.iter().any(|hint| {
        let number = super::status::integer(hint).is_some_and(|number| NUMBERS.contains(&number));
        let name = hint.as_str().and_then(super::status::key);
        number || name.is_some_and(|name| NAMES.contains(&name.as_str()))
    });
    named || is_told(message)
}

/// Whether a text says so by itself.
pub(super) fn is_told(message: &str) -> bool {
    is_worded(&plain(message))
}

fn is_worded(text: &str) -> bool {
    let said = Meanings::of(text);
    if said.has(Meaning::Elsewhere) {
        return false;
    }
    if said.has(Meaning::Limited) {
        return said.has(Meaning::Passed) || said.has(Meaning::Idiom);
    }
    (said.has(Meaning::Idiom) && !said.has(Meaning::OtherInput)) || is_negative_room(text)
}

/// vLLM before 0.7, where the prompt leaves no room: `max_tokens must be at least 1, got -904` ([`plain`]
/// leaves out "at least"). -1 is what clients send for "no limit".
fn is_negative_room(text: &str) -> bool {
    text.split_once("max tokens must be 1, got -")
        .and_then(|(_, rest)| number_at(rest.as_bytes(), 0))
        .is_some_and(|(room, _)| room > 1)
}

/// What a message says of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Tokens of the prompt.
    pub prompt: Option<u64>,
    /// Tokens that were asked for beside it (`max_tokens`).
    pub max_tokens: Option<u64>,
    /// Tokens that fit.
    pub limit: Option<u64>,
}

impl Figures {
    /// Whether the prompt alone would fit, so that a smaller `max_tokens` is enough.
    #[must_use]
    pub fn fits_without_answer(&self) -> bool {
        matches!((self.prompt, self.limit), (Some(prompt), Some(limit)) if prompt < limit)
            && self.max_tokens.is_some()
    }
}

/// The figures of an error whose code is [`CODE`]; `None` for another one.
#[must_use]
pub fn figures(error: &ErrorObject) -> Option<Figures> {
    if error.code.as_deref() != Some(CODE) {
        return None;
    }
    let member = |names: [&str; 2]| names.iter().find_map(|name| error.extra.get(*name)?.as_u64());
    let said = read_figures(&plain(&error.message));
    Some(Figures {
        // llama.cpp has them as members of the error.
        prompt: member(["n_prompt_tokens", "prompt_tokens"]).or(said.prompt),
        limit: member(["n_ctx", "max_context_length"]).or(said.limit),
        max_tokens: said.max_tokens,
    })
}

/// What stands before and behind a number that says `limit`; the first that is found counts.
const LIMIT: [(&str, &str); 45] = [
    ("context length is ", ""),
    ("context length of ", ""),
    ("context length: ", ""),
    ("context length (", ""),
    ("context window is ", ""),
    ("context window of ", ""),
    ("context window: ", ""),
    ("context window (", ""),
    ("context window limit (", ""),
    ("context size is ", ""),
    ("context size of ", ""),
    ("context size (", ""),
    ("context limit is ", ""),
    ("context limit of ", ""),
    ("context limit (", ""),
    ("n ctx: ", ""),
    ("n ctx = ", ""),
    (">= n ctx: ", ""),
    ("", " maximum context length"),
    ("> ", " maximum"),
    ("model length of ", ""),
    ("model length is ", ""),
    ("max length: ", ""),
    ("max seq len ", ""),
    ("max seq len (", ""),
    ("max model len (", ""),
    ("maximum prompt length is ", ""),
    ("maximum input length (", ""),
    ("maximum input length of ", ""),
    ("maximum input length ", ""),
    ("maximum allowed length (", ""),
    ("number of tokens allowed (", ""),
    ("must be <= ", ""),
    ("must have less than ", ""),
    ("limit is ", ""),
    ("limit of ", ""),
    ("max num tokens (", ""),
    ("> ", ""),
    ("limit: ", ""),
    ("tokens limit ", ""),
    ("length limit ", ""),
    ("max input tokens: ", ""),
    ("supports up to ", ""),
    ("should be [1, ", ""),
    ("cannot exceed ", ""),
];

/// The same for `prompt`.
const PROMPT: [(&str, &str); 40] = [
    ("", " in the messages"),
    ("", " in your prompt"),
    ("", " of text input"),
    ("", " tokens from the input"),
    ("", " tokens in the input"),
    ("", " input tokens"),
    ("", " prompt tokens"),
    ("", " inputs tokens"),
    ("(length ", ""),
    ("total length ", ""),
    ("messages resulted in ", ""),
    ("input (", " tokens"),
    ("request (", " tokens"),
    ("prompt (", " tokens"),
    ("prompt has ", ""),
    ("prompt contains ", ""),
    ("request contains ", ""),
    ("too long: ", ""),
    ("requested input length ", ""),
    ("prompt length (", ""),
    ("input length (", ""),
    ("prompt length of ", ""),
    ("prompt length ", ""),
    ("input length ", ""),
    ("request length ", ""),
    ("context length ", " is greater"),
    ("input token count (", ""),
    ("input token count is ", ""),
    ("input token count: ", ""),
    ("prompt token count of ", ""),
    ("prompt token count (", ""),
    ("given: ", ""),
    ("prompt tokens: ", ""),
    ("number of input tokens ", ""),
    ("current length is ", ""),
    ("requested tokens (", ""),
    ("keep the first ", ""),
    ("n keep: ", ""),
    ("received ", ""),
    ("context limit: ", " + "),
];

/// The same for `max_tokens`.
const MAX_TOKENS: [(&str, &str); 8] = [
    ("", " in the completion"),
    ("", " for the completion"),
    ("", " tokens for the completion"),
    ("", " in the output"),
    ("", " output tokens"),
    ("", " max new tokens"),
    ("completion tokens is too large: ", ""),
    (" + ", " > "),
];

/// The same for prompt and `max_tokens` together.
const TOTAL: [(&str, &str); 4] = [
    ("total of ", " tokens"),
    ("requested ", " tokens"),
    ("will take ", " tokens"),
    (") and ", ""),
];

fn read_figures(text: &str) -> Figures {
    let limit = first_of(text, &LIMIT);
    let other = |number: &u64| Some(*number) != limit;
    let mut prompt = first_of(text, &PROMPT).filter(other);
    let max_tokens = first_of(text, &MAX_TOKENS);
    let total = first_of(text, &TOTAL).filter(other);
    if prompt.is_none() {
        prompt = match (total, max_tokens) {
            (Some(total), Some(max_tokens)) => total.checked_sub(max_tokens),
            (total, _) => total,
        };
    }
    if prompt.is_some() && limit.is_some() {
        return Figures { prompt, max_tokens, limit };
    }
    // Two numbers of which the larger is what was asked for: it passed the smaller.
    if let (&[a, b], None) = (numbers(text).as_slice(), max_tokens) {
        let (less, more) = (a.min(b), a.max(b));
        if less < more && limit.is_none_or(|it| it == less) && prompt.is_none_or(|it| it == more) {
            return Figures { prompt: Some(more), max_tokens: None, limit: Some(less) };
        }
    }
    Figures { prompt, max_tokens, limit }
}

fn first_of(text: &str, places: &[(&str, &str)]) -> Option<u64> {
    places.iter().find_map(|(before, behind)| {
        if before.is_empty() {
            return text.match_indices(behind).find_map(|(at, _)| {
                let head = text.get(..at)?;
                let head = head.strip_suffix(" tokens").unwrap_or(head);
                let start = head.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
                head.get(start..)?.parse().ok()
            });
        }
        let mut from = 0;
        while let Some(at) = text.get(from..)?.find(before) {
            from += at + before.len();
            let found = number_at(text.as_bytes(), from)
                .filter(|(_, end)| text.get(*end..).is_some_and(|rest| rest.starts_with(behind)));
            if let Some((number, _)) = found {
                return Some(number);
            }
        }
        None
    })
}

/// The whole number at `at`, and where it ends; one written as `9000.0` too.
fn number_at(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let digits = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(text.get(at..at + digits)?).ok()?.parse().ok()?;
    let mut end = at + digits;
    if text.get(end..)?.starts_with(b".0") {
        end += 2;
    }
    Some((number, end))
}

/// The whole numbers of a text, as far as they stand alone: not those in a model's name.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',' | ':' | ';'))
        .filter_map(|word| word.trim_end_matches('.').parse().ok())
        .collect()
}

/// A message as the tables spell it: lower case, without quotes and commas in numbers, `_` and `-` as
/// spaces, single spaces, without words that only make a number vague.
fn plain(message: &str) -> String {
    let mut out = String::with_capacity(message.len().min(MAX_READ));
    let mut chars = message.chars().take(MAX_READ).peekable();
    while let Some(c) = chars.next() {
        let next_is_digit = chars.peek().is_some_and(char::is_ascii_digit);
        match c {
            '\'' | '"' | '`' | '’' | '*' => {}
            ',' if next_is_digit && out.ends_with(|c: char| c.is_ascii_digit()) => {}
            '-' if next_is_digit => out.push('-'),
            '_' | '-' => out.push(' '),
            c if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => out.extend(c.to_lowercase()),
        }
    }
    for vague in ["at least ", "about ", "approximately ", "around ", "only "] {
        if out.contains(vague) {
            out = out.replace(vague, "");
        }
    }
    out
}
