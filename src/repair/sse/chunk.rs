//! Repairs one chunk that has `choices` (chat and text completions).

use crate::error::ErrorAnswer;
use crate::repair::chat::choice::{self, ChoiceFacts};
use crate::repair::chat::edits::Edits;
use crate::repair::chat::progress::Progress;
use crate::repair::chat::root::{Root, counts, is_zero};
use crate::repair::chat::{Api, RequestFacts, WholeOrChunk, container, straight, usage};
use crate::repair::error::{Event, from_choice, from_event};
use crate::telemetry::counters::Repair;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;

/// What becomes of a payload.
#[derive(Debug)]
pub(super) enum ChunkOutcome {
    /// It goes on, edited or (`None`) as it is.
    Emit(Option<Vec<u8>>, ChunkFacts),
    /// These payloads stand inside of it.
    Several(Vec<Vec<u8>>),
    /// Nothing that a client of this stream could read.
    Drop,
    /// An error; what else the payload carried goes before it.
    Error(Box<ErrorAnswer>, Option<Vec<u8>>),
}

/// What a chunk said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ChunkFacts {
    /// A choice has its finish reason.
    pub(super) finished: bool,
    /// Token counts were given: whether some came from a cache.
    pub(super) cached: Option<bool>,
    /// It has choices.
    pub(super) has_choices: bool,
}

/// What the payload's surroundings say about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkContext<'a> {
    pub(super) api: Api,
    pub(super) request: RequestFacts,
    /// What the framing says about errors.
    pub(super) event: Event,
    pub(super) response_model: Option<&'a str>,
}

/// Looks at a payload (JSON, UTF-8) member by member.
pub(super) fn repair(
    text: &[u8],
    progress: &mut Progress,
    about: ChunkContext<'_>,
) -> ChunkOutcome {
    let Ok(value) = cursor::parse(text) else { return ChunkOutcome::Drop };
    if let Some(straight) = straight::straightened(&value) {
        progress.repairs.insert(Repair::Message);
        return ChunkOutcome::Several(vec![straight]);
    }
    let root = Root::read(&value);
    let mut edits = Edits::new(text);
    let choices = root.choices(&mut edits, progress);
    if choices.is_empty() {
        return without_choices(&value, &root, &mut edits, progress, about);
    }
    let mut facts = ChunkFacts { has_choices: true, ..ChunkFacts::default() };
    let about_choice = choice::ChoiceContext {
        api: about.api,
        form: WholeOrChunk::Chunk,
        request: about.request,
        seed: root.seed(),
        reason: root.reason,
    };
    let seen: Vec<ChoiceFacts<'_>> = choices
        .iter()
        .enumerate()
        .map(|(position, choice)| {
            choice::repair(choice, position, about_choice, progress, &mut edits)
        })
        .collect();
    facts.finished = seen.iter().any(|seen| seen.finished);
    head(&value, &root, progress, &mut edits, about);
    let inner = seen.iter().find_map(|seen| seen.usage);
    let nested = inner.or(root.nested_usage());
    facts.cached = counts(&value, &root, nested, &mut edits, progress);
    let failure = seen.iter().find_map(|seen| seen.failure.as_ref());
    let answer = match failure {
        // What the whole chunk says tells more than one choice of it.
        _ if root.may_be_error() => from_event(text, about.event),
        Some(failure) => {
            let cause = failure.cause.map(|cause| cause.raw());
            Some(from_choice(failure.reason.as_deref(), cause))
        }
        None => None,
    };
    if let Some(answer) = answer {
        let says = seen.iter().any(|seen| seen.has_content);
        let before = says.then(|| unfinished(&mut edits, &seen));
        return ChunkOutcome::Error(Box::new(answer), before);
    }
    // It says that all went well, which clients would take for an error all the same.
    if let Some(error) = root.error.filter(|error| !error.is_null()) {
        edits.replace(&error, &b"null"[..]);
    }
    ChunkOutcome::Emit(edits.apply(), facts)
}

fn without_choices(
    value: &Value<'_>,
    root: &Root<'_>,
    edits: &mut Edits<'_>,
    progress: &mut Progress,
    about: ChunkContext<'_>,
) -> ChunkOutcome {
    let inside = container::inside(value);
    if !inside.is_empty() && !about.event.marked && !root.may_be_error() {
        progress.repairs.insert(Repair::Wrapped);
        return ChunkOutcome::Several(match inside.as_slice() {
            [inner] => vec![container::completed(value, inner)],
            inside => inside.iter().map(|inner| inner.raw().to_vec()).collect(),
        });
    }
    if let Some(inner) = container::text_inside(value).filter(|_| !about.event.marked) {
        progress.repairs.insert(Repair::Wrapped);
        return ChunkOutcome::Several(vec![inner]);
    }
    let text = edits.text();
    let nested = root.nested_usage();
    let counted = root.usage.filter(usage::counts).or(nested.filter(usage::counts));
    let judged =
        about.event.marked || root.may_be_error() || (counted.is_none() && !root.is_chatter());
    if judged && let Some(answer) = from_event(text, about.event) {
        return ChunkOutcome::Error(Box::new(answer), None);
    }
    progress.counts_zero |= root.usage.is_some_and(|usage| is_zero(&usage));
    if root.usage.is_some_and(|usage| usage::is_bad(&usage)) {
        progress.repairs.insert(Repair::Usage);
    }
    if counted.is_none() && !root.has_own_members() {
        return ChunkOutcome::Drop;
    }
    match root.choices {
        Some(choices) if choices.raw().trim_ascii() == b"[]" => {}
        Some(choices) => edits.replace(&choices, &b"[]"[..]),
        None => edits.insert(value, b"\"choices\":[]"),
    }
    head(value, root, progress, edits, about);
    let cached = counts(value, root, nested, edits, progress);
    ChunkOutcome::Emit(edits.apply(), ChunkFacts { cached, ..ChunkFacts::default() })
}

/// The chunk with every finish reason taken back, to go before an error.
fn unfinished(edits: &mut Edits<'_>, seen: &[ChoiceFacts<'_>]) -> Vec<u8> {
    for reason in seen.iter().filter_map(|seen| seen.reason) {
        edits.replace(&reason, &b"null"[..]);
    }
    edits.apply().unwrap_or_else(|| edits.text().to_vec())
}

/// What all chunks have: what they are, and which model they are of.
fn head(
    value: &Value<'_>,
    root: &Root<'_>,
    progress: &mut Progress,
    edits: &mut Edits<'_>,
    about: ChunkContext<'_>,
) {
    let object: &[u8] = match about.api {
        Api::Chat => b"\"chat.completion.chunk\"",
        Api::Completions => b"\"text_completion\"",
    };
    let seed = if root.lacks_id() { progress.seed(edits.text()) } else { [0; 32] };
    root.set_head(object, &seed, edits);
    if let Some(model) = about.response_model {
        let model = string::encode(model);
        match root.model {
            Some(found) => edits.replace(&found, model),
            None => edits.insert(value, &[b"\"model\":", &model[..]].concat()),
        }
    }
}
