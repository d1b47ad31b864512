//! A whole chat or text completion.
//!
//! It has a choice with a message or a text. Where it has none, it may stand inside of something else, or
//! come as a stream; else it is an error, with whatever words are in it.

use std::borrow::Cow;

use super::choice::{self, ChoiceFacts};
use super::edits::Edits;
use super::progress::Progress;
use super::root::{Root, counts};
use super::{Api, RequestFacts, WholeOrChunk, collect, container, straight};
use crate::error::ErrorAnswer;
use crate::policy::operation::Operation;
use crate::repair::drift::trim_drift;
use crate::repair::error::{from_choice, from_ok, from_words, no_answer};
use crate::repair::loose;
use crate::repair::mend::{Infinite, mend};
use crate::repair::sse::{StreamFormat, detect};
use crate::telemetry::counters::{Repair, Repairs};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

/// What an answer without one lacks.
pub(super) const LACK: &str = "no choices with a message or a text";

/// An answer as it leaves.
#[derive(Debug, PartialEq, Eq)]
pub struct Completion<'a> {
    /// One JSON object.
    pub body: Cow<'a, [u8]>,
    /// What had to be repaired.
    pub repairs: Repairs,
    /// It came in events whose token counts were all zero, which do not show in `body`.
    pub counts_zero: bool,
}

/// The operation that an API is.
fn operation(api: Api) -> Operation {
    match api {
        Api::Chat => Operation::ChatCompletions,
        Api::Completions => Operation::Completions,
    }
}

/// Reads and repairs the body of a plain answer with a status of success.
///
/// # Errors
/// The error that it is, or that it is no answer.
pub fn answer(
    api: Api,
    body: &[u8],
    request: RequestFacts,
    max_event_bytes: usize,
) -> Result<Completion<'_>, Box<ErrorAnswer>> {
    within(api, body, request, max_event_bytes, MAX_TEXTS)
}

/// How many texts may stand inside of each other.
const MAX_TEXTS: u8 = 3;

fn within(
    api: Api,
    body: &[u8],
    request: RequestFacts,
    max_event_bytes: usize,
    levels: u8,
) -> Result<Completion<'_>, Box<ErrorAnswer>> {
    let mut repairs = Repairs::default();
    let json = body.get(trim_drift(body)).unwrap_or_default();
    if json.len() < body.trim_ascii().len() {
        repairs.insert(Repair::Framing);
    }
    let text = match mend(json, Infinite::Logprob) {
        Some(mended) if cursor::parse(&mended).is_ok() => {
            repairs.insert(Repair::Json);
            Cow::Owned(mended)
        }
        _ => Cow::Borrowed(json),
    };
    let loose = cursor::parse(&text).err().and_then(|_| loose::to_json(&text));
    let text = match loose {
        Some(json) => {
            repairs.insert(Repair::Json);
            Cow::Owned(json)
        }
        None => text,
    };
    let Ok(root) = cursor::parse(&text) else {
        return of_stream(api, body, request, max_event_bytes);
    };
    if let Some(levels) = levels.checked_sub(1)
        && let Some(straight) = straight::straightened(&root)
    {
        let answer = within(api, &straight, request, max_event_bytes, levels)?;
        repairs.extend(answer.repairs);
        repairs.insert(Repair::Message);
        let body = answer.body.into_owned().into();
        return Ok(Completion { body, repairs, counts_zero: answer.counts_zero });
    }
    if let Some(chunks) =
        (api == Api::Chat && request.choices == 1).then(|| container::parts_of_one(&root)).flatten()
    {
        let mut answer = collect::chunks(api, &chunks, request, usize::MAX)?;
        answer.repairs = repairs;
        answer.repairs.insert(Repair::Message);
        return Ok(answer);
    }
    if container::has_choice(&root) {
        let repaired = whole(api, &text, &root, request, &mut repairs)?;
        let body = repaired.map_or(text, Cow::Owned);
        return Ok(Completion { body, repairs, counts_zero: false });
    }
    if let Some(levels) = levels.checked_sub(1)
        && let Some(inner) = container::text_inside(&root)
    {
        let answer = within(api, &inner, request, max_event_bytes, levels)?;
        repairs.extend(answer.repairs);
        repairs.insert(Repair::Wrapped);
        let body = answer.body.into_owned().into();
        return Ok(Completion { body, repairs, counts_zero: answer.counts_zero });
    }
    if root.kind == Kind::String {
        return Err(Box::new(from_words(&text)));
    }
    let error = from_ok(operation(api), &text);
    match (container::inside(&root).as_slice(), error) {
        (_, Some(answer)) if root.kind == Kind::BeginObject => Err(Box::new(answer)),
        ([inner], _) => {
            repairs.insert(Repair::Wrapped);
            let text = container::completed(&root, inner);
            let straight = cursor::parse(&text).ok().and_then(|root| straight::straightened(&root));
            if straight.is_some() {
                repairs.insert(Repair::Message);
            }
            let text = straight.unwrap_or(text);
            let Ok(root) = cursor::parse(&text) else {
                return Err(Box::new(no_answer(&text, LACK)));
            };
            let repaired = whole(api, &text, &root, request, &mut repairs)?;
            let body = Cow::Owned(repaired.unwrap_or(text));
            Ok(Completion { body, repairs, counts_zero: false })
        }
        ([], Some(answer)) => Err(Box::new(answer)),
        ([], None) => Err(Box::new(no_answer(&text, LACK))),
        // Several: the chunks of a stream.
        _ => of_stream(api, body, request, max_event_bytes),
    }
}

/// Chunks, one to a line or in a list, where one completion was due.
fn of_stream(
    api: Api,
    body: &[u8],
    request: RequestFacts,
    max_event_bytes: usize,
) -> Result<Completion<'static>, Box<ErrorAnswer>> {
    let is_list = body.trim_ascii_start().first() == Some(&b'[');
    let error = if is_list { None } else { from_ok(operation(api), body) };
    let has_lines = body.trim_ascii().iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    if let Some(answer) = error.filter(|_| !has_lines) {
        return Err(Box::new(answer));
    }
    let collected = collect::chunks(api, body, request, max_event_bytes);
    collected.map_err(|answer| match from_ok(operation(api), body) {
        // It is no stream either.
        Some(error) if !is_list && detect(body) != StreamFormat::Sse => Box::new(error),
        _ => answer,
    })
}

/// The completion `text` repaired; `None` if it is right.
fn whole(
    api: Api,
    text: &[u8],
    value: &Value<'_>,
    request: RequestFacts,
    repairs: &mut Repairs,
) -> Result<Option<Vec<u8>>, Box<ErrorAnswer>> {
    let root = Root::read(value);
    let mut edits = Edits::new(text);
    let mut progress = Progress::default();
    let choices = root.choices(&mut edits, &mut progress);
    if root.may_be_error()
        && let Some(answer) = from_ok(operation(api), text)
    {
        return Err(Box::new(answer));
    }
    let about = choice::ChoiceContext {
        api,
        form: WholeOrChunk::Whole,
        request,
        seed: root.seed(),
        reason: root.reason,
    };
    let seen: Vec<ChoiceFacts<'_>> = choices
        .iter()
        .enumerate()
        .map(|(position, choice)| {
            choice::repair(choice, position, about, &mut progress, &mut edits)
        })
        .collect();
    if let Some(failure) = seen.iter().find_map(|seen| seen.failure.as_ref()) {
        let cause = failure.cause.map(|cause| cause.raw());
        return Err(Box::new(from_choice(failure.reason.as_deref(), cause)));
    }
    // A message that says nothing, of a choice that has not ended, is none.
    let is_blank = |seen: &ChoiceFacts<'_>| !seen.finished && !seen.has_content && seen.is_bare;
    if !seen.iter().any(|seen| seen.has_answer && !is_blank(seen)) {
        return Err(Box::new(no_answer(text, LACK)));
    }
    let object: &[u8] = match api {
        Api::Chat => b"\"chat.completion\"",
        Api::Completions => b"\"text_completion\"",
    };
    root.set_head(object, text, &mut edits);
    let inner = seen.iter().find_map(|seen| seen.usage);
    let nested = inner.or(root.nested_usage());
    // Zeros stay as they are: nothing came before that they could hide.
    let is_placeholder = root
        .usage
        .is_none_or(|usage| !super::usage::counts(&usage) && !super::usage::is_bad(&usage));
    if !is_placeholder || nested.is_some() || root.counts_beside(value).is_some() {
        counts(value, &root, nested, &mut edits, &mut progress);
    }
    // It says that all went well, which clients would take for an error all the same.
    if let Some(error) = root.error.filter(|error| !error.is_null()) {
        edits.replace(&error, &b"null"[..]);
    }
    repairs.extend(progress.repairs);
    Ok(edits.apply())
}
