//! A server's list of models, from every known shape.

use std::fmt;

use super::drift::trim_drift;
use super::loose;
use super::mend::{Infinite, rescue};
use super::proxied;
use crate::wire::failure::means_failure;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

pub use element::ListedModel;
use element::model;
use find::{MAX_CONTAINERS, at_root, find_list, group, is_grouped, is_model};
pub use pages::NextPage;

mod element;
mod find;
mod pages;
#[cfg(test)]
mod tests;

/// Most models that are taken from one list.
pub const MAX_MODELS: usize = 10_000;

/// A server's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// In the server's order, ids may repeat.
    pub models: Vec<ListedModel>,
    /// Whether [`MAX_MODELS`] cut it off.
    pub cut: bool,
    /// What follows, where this is a page of it.
    pub next: NextPage,
}

/// Why an answer is no list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListError {
    /// More bytes than the caller allows.
    TooLarge,
    /// Not JSON.
    NotJson,
    /// JSON without a list of models in a known place.
    NoList,
    /// A list, of which no element has an id under a known name.
    NoIds,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the list is too large",
            Self::NotJson => "the answer is not JSON",
            Self::NoList => "the answer holds no list of models",
            Self::NoIds => "no element of the list names a model",
        })
    }
}

/// Reads a list of at most `max_bytes`: OpenAI's `{"data": […]}`, a bare array, or an array or a map by id
/// inside up to four containers of any of the usual names. `null` is an empty list. Where there are several
/// lists, `data` counts. Elements are objects that have their id under one of many names (the first that is
/// a text), or bare ids; others are passed over.
///
/// # Errors
/// [`ListError`]; never for a single odd element, but for a list in which no element has an id.
pub fn parse_list(body: &[u8], max_bytes: usize) -> Result<List, ListError> {
    parse_within(body, max_bytes, true)
}

/// Reads what GET /models/{id} answers for `id`: one model, alone or inside of other objects, or a list (of all models, from servers
/// that take any path below for it) that has it. `None` for an error, and for what says nothing of that model.
#[must_use]
pub fn parse_model(body: &[u8], id: &str, max_bytes: usize) -> Option<ListedModel> {
    if body.len() > max_bytes {
        return None;
    }
    let json = body.get(trim_drift(body)).unwrap_or(body);
    let mended;
    let root = match cursor::parse(json) {
        Ok(root) => root,
        Err(_) => {
            mended = rescue(json, Infinite::Null)?;
            cursor::parse(&mended).ok()?
        }
    };
    let proxied = proxied::read(&root);
    let alone = match &proxied {
        Some(inside) if inside.status >= 400 => return None,
        Some(inside) => only_model(cursor::parse(&inside.body).ok()?, id),
        None => only_model(root, id),
    };
    alone.or_else(|| {
        let list = parse_list(body, max_bytes).ok()?;
        list.models.into_iter().find(|model| model.id == id)
    })
}

/// The object that is one model, inside of others that hold nothing else of use.
fn only_model(root: Value<'_>, id: &str) -> Option<ListedModel> {
    const WRAPPERS: [&str; 5] = ["data", "model", "result", "response", "body"];
    let mut value = root;
    for _ in 0..MAX_CONTAINERS {
        if value.get("error").is_some_and(|error| means_failure(&error)) {
            return None;
        }
        if says_model(&value, id) {
            return model(None, value);
        }
        let inside = WRAPPERS.iter().filter_map(|name| value.get(name));
        value = inside.into_iter().find(|inner| inner.kind == Kind::BeginObject)?;
    }
    None
}

/// Whether an object is a model: it calls itself one, has a member that only models have, or the id that was asked for.
fn says_model(value: &Value<'_>, id: &str) -> bool {
    const OF_MODELS: [&str; 5] =
        ["owned_by", "context_length", "context_window", "max_model_len", "display_name"];
    let is = |name: &str, want: &str| {
        value.get(name).and_then(|value| value.as_str()).is_some_and(|text| text == want)
    };
    value.kind == Kind::BeginObject
        && (is("object", "model")
            || is("type", "model")
            || OF_MODELS.iter().any(|name| value.get(name).is_some())
            || element::IDS.iter().any(|name| is(name, id)))
}

/// `may_be_proxied`: it may stand in a function's envelope.
fn parse_within(body: &[u8], max_bytes: usize, may_be_proxied: bool) -> Result<List, ListError> {
    if body.len() > max_bytes {
        return Err(ListError::TooLarge);
    }
    let json = body.get(trim_drift(body)).unwrap_or(body);
    let mended;
    let root = match cursor::parse(json) {
        Ok(root) => root,
        Err(_) => {
            let rescued = rescue(json, Infinite::Null).or_else(|| loose::lines(json));
            mended = rescued.ok_or(ListError::NotJson)?;
            cursor::parse(&mended).map_err(|_| ListError::NotJson)?
        }
    };
    if let Some(inside) = proxied::read(&root).filter(|_| may_be_proxied) {
        return match inside.status < 400 {
            true => parse_within(&inside.body, max_bytes, false),
            false => Err(ListError::NoList),
        };
    }
    let found = find_list(root, MAX_CONTAINERS).or_else(|| at_root(&root));
    let found = found.ok_or(ListError::NoList)?;
    let mut list = List::default();
    let mut any = false;
    let mut add = |id: Option<&str>, element: Value<'_>| {
        any = true;
        if list.models.len() < MAX_MODELS {
            list.models.extend(model(id, element));
        } else {
            list.cut = true;
        }
    };
    if is_model(&found) {
        add(None, found);
    } else if is_grouped(&found) {
        let lists = found.members().take(MAX_MODELS + 1);
        for element in lists.flat_map(|(_, list)| list.elements().take(MAX_MODELS + 1)) {
            add(None, element);
        }
    } else if found.kind == Kind::BeginObject {
        for (key, element) in found.members().take(MAX_MODELS + 1) {
            if let Some(id) = key.as_str() {
                add(Some(&id), element);
            }
        }
    } else {
        for element in found.elements().take(MAX_MODELS + 1) {
            match group(&element) {
                Some(list) => list.elements().take(MAX_MODELS + 1).for_each(|one| add(None, one)),
                None => add(None, element),
            }
        }
    }
    if any && list.models.is_empty() {
        return Err(ListError::NoIds);
    }
    list.next = pages::next(&root, list.models.len(), list.models.last().map(|it| it.id.as_str()));
    Ok(list)
}
