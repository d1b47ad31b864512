//! One element of a list: its id, and what it says of its model.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

/// Longest model id, in bytes; longer ones are passed over.
pub(super) const MAX_ID: usize = 1_024;

/// Longest `owned_by`, in bytes.
const MAX_OWNER: usize = 256;

/// How much is kept of one model's further members, in bytes.
pub(super) const MAX_EXTRA: usize = 4 * 1024;

/// Names under which texts, lists and objects are kept. What a server writes elsewhere may be its own
/// business (paths, worker addresses): only numbers and booleans are kept from there.
const PUBLIC: [&str; 17] = [
    "architecture",
    "canonical_slug",
    "capabilities",
    "description",
    "display_name",
    "features",
    "input_modalities",
    "meta",
    "modalities",
    "model_type",
    "output_modalities",
    "pricing",
    "quantization",
    "supported_features",
    "supported_parameters",
    "tokenizer",
    "type",
];

/// One model of a server's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// The server's own id: not empty, no control characters.
    pub id: String,
    /// Seconds since the Unix epoch; 0 when the server does not say.
    pub created: u64,
    /// Who offers it; empty when the server does not say.
    pub owned_by: String,
    /// Further members as JSON text, each with a comma before it: `,"context_length":4096`.
    pub extra: Vec<u8>,
}

/// Names of the id, the most telling first. What servers call `name` may be for people, so it comes last but
/// for the names of a single server.
pub(super) const IDS: [&str; 13] = [
    "id",
    "model",
    "model_id",
    "modelId",
    "model_name",
    "modelName",
    "name",
    "model_uid",
    "uid",
    "slug",
    "key",
    "identifier",
    "deployment_id",
];

/// `key`: the id, where the list is a map.
pub(super) fn model(key: Option<&str>, element: Value<'_>) -> Option<ListedModel> {
    if element.kind == Kind::String {
        let id = usable_id(element)?;
        return Some(ListedModel { id, created: 0, owned_by: String::new(), extra: Vec::new() });
    }
    let mut ids: [Option<String>; IDS.len()] = std::array::from_fn(|_| None);
    let mut created = [None, None];
    let mut owners = [None, None];
    let mut extra = Extra::default();
    for (key, value) in element.members() {
        let Some(name) = key.as_str() else { continue };
        match name.as_ref() {
            "created" => keep(&mut created, 0, seconds(value)),
            "created_at" => keep(&mut created, 1, seconds(value)),
            "owned_by" => keep(&mut owners, 0, owner(value)),
            "organization" => keep(&mut owners, 1, owner(value)),
            "object" => {}
            _ => match IDS.iter().position(|known| *known == name) {
                Some(at) if matches!(value.kind, Kind::String) => {
                    keep(&mut ids, at, usable_id(value));
                }
                _ => extra.add(key, name, value),
            },
        }
    }
    Some(ListedModel {
        id: match key {
            Some(key) => Some(key.to_owned()).filter(|id| is_usable_id(id))?,
            None => chosen_id(ids)?,
        },
        created: created.into_iter().flatten().next().unwrap_or(0),
        owned_by: owners.into_iter().flatten().next().unwrap_or_default(),
        extra: extra.text,
    })
}

/// The first of members with equal names counts.
pub(super) fn keep<T, const N: usize>(slots: &mut [Option<T>; N], at: usize, value: Option<T>) {
    if let Some(slot) = slots.get_mut(at).filter(|slot| slot.is_none()) {
        *slot = value;
    }
}

/// The first id by [`IDS`]; but Cloudflare's `id` is no name that a request can use, its `name` is.
fn chosen_id(ids: [Option<String>; IDS.len()]) -> Option<String> {
    let name = IDS.iter().position(|known| *known == "name");
    let is_at = |id: &&Option<String>| id.as_ref().is_some_and(|id| id.starts_with('@'));
    let cloudflares = name.and_then(|at| ids.get(at)).filter(is_at).cloned().flatten();
    cloudflares.or_else(|| ids.into_iter().flatten().next())
}

pub(super) fn usable_id(value: Value<'_>) -> Option<String> {
    let id = value.as_str()?;
    is_usable_id(&id).then(|| id.into_owned())
}

fn is_usable_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

fn owner(value: Value<'_>) -> Option<String> {
    let owner = value.as_str()?;
    let usable =
        !owner.is_empty() && owner.len() <= MAX_OWNER && !owner.chars().any(char::is_control);
    usable.then(|| owner.into_owned())
}

/// A time as a whole number, also written as a float or a text, or as Anthropic's date and time.
fn seconds(value: Value<'_>) -> Option<u64> {
    let number = match value.kind {
        Kind::String => {
            let text = value.as_str()?;
            if let Ok(time) = OffsetDateTime::parse(&text, &Rfc3339) {
                return u64::try_from(time.unix_timestamp()).ok();
            }
            text.parse().ok()?
        }
        _ => value.as_f64()?,
    };
    // Up to 2^53 a float is exact; times are far below.
    (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}

/// Members that are passed on.
#[derive(Default)]
struct Extra<'a> {
    text: Vec<u8>,
    names: Vec<Cow<'a, str>>,
}

impl<'a> Extra<'a> {
    fn add(&mut self, key: Key<'a>, name: Cow<'a, str>, value: Value<'a>) {
        let plain = matches!(value.kind, Kind::Number | Kind::True | Kind::False);
        let printable = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let wanted = printable && (plain || PUBLIC.contains(&name.as_ref()));
        let size = key.span().len() + value.raw().len() + 2;
        // A text that is no Unicode, or a number that is none to most, would spoil the whole answer.
        if !wanted
            || self.text.len() + size > MAX_EXTRA
            || self.names.contains(&name)
            || serde_json::from_slice::<serde_json::Value>(value.raw()).is_err()
        {
            return;
        }
        self.text.extend_from_slice(b",\"");
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b"\":");
        self.text.extend_from_slice(value.raw());
        self.names.push(name);
    }
}
