//! What stands beside the choices of a completion or a chunk.

use sha2::{Digest, Sha256};

use super::calls::{Seed, made_up};
use super::container;
use super::edits::Edits;
use super::progress::Progress;
use super::usage;
use crate::repair::usage::cached;
use crate::telemetry::counters::Repair;
use crate::telemetry::usage::Tokens;
use crate::wire::failure::means_failure;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// The members of a completion or a chunk that matter.
#[derive(Default)]
pub(in super::super) struct Root<'a> {
    pub(in super::super) id: Option<Value<'a>>,
    pub(in super::super) object: Option<Value<'a>>,
    pub(in super::super) created: Option<Value<'a>>,
    pub(in super::super) model: Option<Value<'a>>,
    pub(in super::super) choices: Option<Value<'a>>,
    pub(in super::super) usage: Option<Value<'a>>,
    pub(in super::super) error: Option<Value<'a>>,
    pub(in super::super) base_resp: Option<Value<'a>>,
    pub(in super::super) x_groq: Option<Value<'a>>,
    pub(in super::super) kind: Option<Value<'a>>,
    /// A finish reason for all choices.
    pub(in super::super) reason: Option<Value<'a>>,
    /// Token counts under the names of other APIs.
    other_usage: Option<Value<'a>>,
    /// Token counts may stand among its members or their details.
    has_beside: bool,
    has_code: bool,
    /// It says something that no other member of a chunk says.
    has_others: bool,
}

impl<'a> Root<'a> {
    pub(in super::super) fn read(root: &Value<'a>) -> Self {
        let mut this = Self::default();
        for (key, value) in root.members() {
            let Some(name) = key.as_str() else { continue };
            let slot = match &*name {
                "id" => &mut this.id,
                "object" => &mut this.object,
                "created" => &mut this.created,
                "model" => &mut this.model,
                "choices" => &mut this.choices,
                "usage" => &mut this.usage,
                "error" => &mut this.error,
                "base_resp" => &mut this.base_resp,
                "x_groq" => &mut this.x_groq,
                "type" => &mut this.kind,
                "finish_reason" => &mut this.reason,
                other if usage::is_beside(other.as_bytes()) => {
                    this.has_beside = true;
                    continue;
                }
                other if usage::is_other_name(other.as_bytes()) => {
                    this.other_usage = Some(value.get("usage").unwrap_or(value));
                    continue;
                }
                "code" | "error_code" => {
                    this.has_code = true;
                    continue;
                }
                "status" if value.as_f64().is_some_and(|status| status >= 400.0) => {
                    this.has_code = true;
                    continue;
                }
                "system_fingerprint" | "service_tier" | "provider" | "obfuscation" => continue,
                _ => {
                    this.has_others |= value.raw().len() > 2 && !value.is_null();
                    continue;
                }
            };
            *slot = Some(value);
        }
        this
    }

    /// Whether there is one of the names of an error that count even beside choices.
    pub(in super::super) fn may_be_error(&self) -> bool {
        let x_groq = self.x_groq.and_then(|value| value.get("error"));
        let status = self.base_resp.and_then(|value| value.get("status_code"));
        [self.error, x_groq, status].iter().flatten().any(means_failure)
    }

    /// A frame with a `type` of its own and no code is chatter, even if it has a message.
    pub(in super::super) fn is_chatter(&self) -> bool {
        let kind = self.kind.and_then(|kind| kind.as_str());
        kind.is_some_and(|kind| !kind.to_ascii_lowercase().contains("error")) && !self.has_code
    }

    /// A frame of the answer's own that says something beside its choices, such as citations.
    pub(in super::super) fn has_own_members(&self) -> bool {
        let has_id = self.id.is_some_and(|id| id.kind == Kind::String && id.raw().len() > 2);
        has_id && self.has_others && self.kind.is_none()
    }

    /// The choices that are objects; one that stands for its list is made one.
    pub(in super::super) fn choices(
        &self,
        edits: &mut Edits<'_>,
        progress: &mut Progress,
    ) -> Vec<Value<'a>> {
        let is_object = |value: &Value<'_>| value.kind == Kind::BeginObject;
        match self.choices {
            Some(outer) if container::is_other_list(&outer) => {
                progress.repairs.insert(Repair::Wrapped);
                let choices = container::listed(&outer);
                edits.relist(&outer, &choices);
                choices
            }
            Some(one) if is_object(&one) && one.members().next().is_some() => {
                progress.repairs.insert(Repair::Wrapped);
                edits.enclose(&one);
                vec![one]
            }
            Some(choices) => choices.elements().filter(is_object).collect(),
            None => Vec::new(),
        }
    }

    /// Token counts that stand elsewhere than under `usage`.
    pub(in super::super) fn nested_usage(&self) -> Option<Value<'a>> {
        let groq = self.x_groq.and_then(|value| value.get("usage"));
        let list = self.usage.filter(|usage| usage.kind == Kind::BeginArray);
        let first = list.and_then(|list| list.elements().next());
        groq.or(self.other_usage.filter(usage::counts)).or(first.filter(usage::counts))
    }

    /// Token counts that stand beside the choices themselves.
    pub(in super::super) fn counts_beside(&self, root: &Value<'_>) -> Option<Tokens> {
        let tokens = self.has_beside.then(|| Tokens::beside(root)).flatten();
        tokens.filter(|tokens| !tokens.is_zero())
    }

    /// Whether there is an `id` that is none.
    pub(in super::super) fn lacks_id(&self) -> bool {
        self.id.is_some_and(|id| !matches!(id.kind, Kind::String | Kind::Number))
    }

    /// Sets right what says which answer it is, when it was made, by which model, and what it is. What is not
    /// there stays away: only Rust's clients ask for all of it. `seed`: what makes an id that is null the same
    /// for all chunks of an answer.
    pub(in super::super) fn set_head(&self, object: &[u8], seed: &[u8], edits: &mut Edits<'_>) {
        if let Some(id) = self.id.filter(|id| id.kind != Kind::String) {
            let with = match self.lacks_id() {
                true => made_up("chatcmpl-", &Sha256::digest(seed)),
                false => [b"\"", id.raw(), b"\""].concat(),
            };
            edits.replace(&id, with);
        }
        if let Some(created) = self.created.filter(|created| !is_seconds(created)) {
            edits.replace(&created, seconds(&created).to_string());
        }
        if let Some(model) = self.model.filter(|model| model.kind != Kind::String) {
            edits.replace(&model, &b"\"\""[..]);
        }
        if let Some(found) = self.object.filter(|found| found.raw() != object) {
            edits.replace(&found, object);
        }
    }

    pub(in super::super) fn seed(&self) -> Seed<'a> {
        Seed {
            id: self.id.map_or(&b""[..], |id| id.raw()),
            created: self.created.map_or(&b""[..], |created| created.raw()),
        }
    }
}

/// More seconds than any clock shows: these are milliseconds.
const MAX_SECONDS: f64 = 1e11;

/// Whole seconds since the Unix epoch, as they should be.
fn is_seconds(created: &Value<'_>) -> bool {
    created.kind == Kind::Number
        && !created.raw().contains(&b'.')
        && created.as_f64().is_some_and(|number| number < MAX_SECONDS)
}

/// The seconds of a number or a numeric text; 0 where it says nothing.
fn seconds(created: &Value<'_>) -> u64 {
    match usage::number(created) {
        Some(number) if (MAX_SECONDS..1e15).contains(&number) => (number / 1000.0) as u64,
        Some(number) if (0.0..MAX_SECONDS).contains(&number) => number as u64,
        _ => 0,
    }
}

/// Whether these are token counts, all of them zero.
pub(in super::super) fn is_zero(usage: &Value<'_>) -> bool {
    Tokens::read(usage).is_some_and(|tokens| tokens.is_zero())
}

/// Puts the token counts where clients look, as numbers. `nested`: where else they may stand. Returns whether they say "cached".
pub(in super::super) fn counts(
    value: &Value<'_>,
    root: &Root<'_>,
    nested: Option<Value<'_>>,
    edits: &mut Edits<'_>,
    progress: &mut Progress,
) -> Option<bool> {
    let own = root.usage;
    let told = own.filter(usage::counts).or(nested.filter(usage::counts));
    let (numbers, cached) = match (told, root.counts_beside(value)) {
        (Some(told), _) => (usage::canonical(&told), Some(cached(&told))),
        (None, Some(beside)) => (usage::written(&beside).into(), Some(false)),
        (None, None) => {
            progress.counts_zero |= own.is_some_and(|own| is_zero(&own));
            if own.is_some_and(|own| usage::is_bad(&own)) {
                progress.repairs.insert(Repair::Usage);
            }
            // A placeholder must not hide counts that came before.
            if let Some(own) = own.filter(|own| !own.is_null()) {
                edits.replace(&own, &b"null"[..]);
            }
            return None;
        }
    };
    match own {
        Some(own) if own.raw() == &*numbers => {}
        Some(own) => {
            progress.repairs.insert(Repair::Usage);
            edits.replace(&own, numbers);
        }
        None => {
            progress.repairs.insert(Repair::Usage);
            edits.insert(value, &[b"\"usage\":", &numbers[..]].concat());
        }
    }
    cached
}
