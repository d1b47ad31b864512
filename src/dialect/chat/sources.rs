//! Sources that stand beside the choices, as annotations of the text.
//!
//! OpenAI and OpenRouter annotate the message. Perplexity, xAI, GLM and Qwen list beside the choices what `[1]` in the text
//! stands for: addresses, or objects with an address and a title.

use super::{Answer, Sources};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

/// Names of an address.
const ADDRESSES: [&str; 3] = ["url", "link", "uri"];

/// The list that a member of this name holds. Where there are several lists, all say the same: the last one counts.
pub(super) fn listed<'a>(name: &[u8], value: &Value<'a>) -> Option<Value<'a>> {
    let list = match name {
        b"citations" | b"search_results" | b"web_search" => *value,
        b"search_info" => value.get("search_results")?,
        _ => return None,
    };
    list.elements().any(|source| address(&source).is_some()).then_some(list)
}

impl Sources {
    /// Keeps the list until the text has ended.
    pub(super) fn keep(&mut self, list: &Value<'_>) {
        if let Self::Waiting(kept) = self
            && kept != list.raw()
        {
            *kept = list.raw().to_vec();
        }
    }
}

/// Tells of the sources, once.
pub(super) fn tell(answer: &mut impl Answer) {
    let Sources::Waiting(kept) = &mut answer.head().sources else { return };
    let kept = std::mem::take(kept);
    let Ok(list) = cursor::parse(&kept) else { return };
    answer.head().sources = Sources::Told;
    for source in list.elements() {
        let Some(address) = address(&source) else { continue };
        let title = source.get("title").filter(|title| title.kind == Kind::String);
        let annotation = [
            &br#"{"type":"url_citation","url_citation":{"start_index":0,"end_index":0,"title":"#[..],
            title.map_or(&b"\"\""[..], |title| title.raw()),
            b",\"url\":",
            address.raw(),
            b"}}",
        ]
        .concat();
        if let Ok(annotation) = cursor::parse(&annotation) {
            answer.annotation(&annotation);
        }
    }
}

fn address<'a>(source: &Value<'a>) -> Option<Value<'a>> {
    let is_address =
        |value: &Value<'_>| value.kind == Kind::String && (value.inner().starts_with(b"http"));
    let named = || ADDRESSES.iter().filter_map(|name| source.get(name)).find(is_address);
    Some(*source).filter(is_address).or_else(named)
}
