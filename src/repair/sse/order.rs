//! Places in a Responses stream: `sequence_number`, `output_index` and `content_index`, which llama.cpp's own
//! Responses API leaves out and the SDKs look items up by.

use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// Most items that are told apart by their ids; a later one counts as the last.
const MAX_ITEMS: usize = 4_096;

/// What has been said of the items so far.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The items' ids, by `output_index`.
    items: Vec<String>,
    /// Parts that the current item has begun.
    parts: u64,
}

impl Order {
    /// The event `root`, called `name`, with the places that it does not say; `None` where it says all.
    /// `sequence`: the number that it would get.
    pub(super) fn complete(
        &mut self,
        text: &[u8],
        root: &Value<'_>,
        name: &str,
        sequence: u64,
    ) -> Option<Vec<u8>> {
        let event = name.strip_prefix("response.")?;
        let mut said = String::new();
        let mut say = |member: &str, value: u64| {
            if root.get(member).is_none() {
                said.push_str(&format!("\"{member}\":{value},"));
            }
        };
        say("sequence_number", sequence);
        let item = root.get("item");
        let id = match &item {
            Some(item) => item.get("id"),
            None => root.get("item_id"),
        };
        let id = id.and_then(|id| id.as_str()).unwrap_or_default();
        if event == "output_item.added" {
            self.parts = 0;
            if self.items.len() < MAX_ITEMS {
                self.items.push(id.clone().into_owned());
            }
        }
        if item.is_some() || root.get("item_id").is_some() {
            let last = self.items.len().saturating_sub(1);
            let known = self.items.iter().rposition(|item| !id.is_empty() && *item == *id);
            say("output_index", known.unwrap_or(last) as u64);
        }
        let begins = matches!(event, "content_part.added" | "reasoning_summary_part.added");
        self.parts += u64::from(begins);
        let place = match event.split('.').next().unwrap_or_default() {
            "content_part" | "output_text" | "refusal" | "reasoning_text" => Some("content_index"),
            "reasoning_summary_part" | "reasoning_summary_text" => Some("summary_index"),
            _ => None,
        };
        if let Some(place) = place {
            say(place, self.parts.saturating_sub(1));
        }
        if said.is_empty() {
            return None;
        }
        let behind_bracket = |value: &Value<'_>| value.span().start + 1;
        let at = behind_bracket(root);
        let mut edits = vec![Edit { span: at..at, with: said.into_bytes() }];
        // A snapshot begins with the response of the first event: items are added to its output.
        let begins = matches!(event, "created" | "in_progress" | "queued");
        let response = root.get("response").filter(|it| begins && it.kind == Kind::BeginObject);
        if let Some(response) = response.filter(|response| response.get("output").is_none()) {
            let at = behind_bracket(&response);
            let comma = if response.members().next().is_some() { "," } else { "" };
            edits.push(Edit { span: at..at, with: format!("\"output\":[]{comma}").into_bytes() });
        }
        splice::apply(text, &edits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    #[test]
    fn places_are_filled_in_and_what_is_said_stays() {
        let mut order = Order::default();
        for (number, (event, want)) in [
            (r#"{"type":"response.created","response":{"id":"r"}}"#, r#"{"sequence_number":0,"type":"response.created","response":{"output":[],"id":"r"}}"#),
            (r#"{"type":"response.output_item.added","item":{"id":"a"}}"#, r#"{"sequence_number":1,"output_index":0,"type":"response.output_item.added","item":{"id":"a"}}"#),
            (r#"{"type":"response.content_part.added","item_id":"a"}"#, r#"{"sequence_number":2,"output_index":0,"content_index":0,"type":"response.content_part.added","item_id":"a"}"#),
            (r#"{"type":"response.output_text.delta","item_id":"a","sequence_number":7}"#, r#"{"output_index":0,"content_index":0,"type":"response.output_text.delta","item_id":"a","sequence_number":7}"#),
            (r#"{"type":"response.output_item.added","item":{"id":"b"},"output_index":1}"#, r#"{"sequence_number":4,"type":"response.output_item.added","item":{"id":"b"},"output_index":1}"#),
            (r#"{"type":"response.function_call_arguments.delta","item_id":"b"}"#, r#"{"sequence_number":5,"output_index":1,"type":"response.function_call_arguments.delta","item_id":"b"}"#),
            (r#"{"type":"response.output_item.done","item":{"id":"a"}}"#, r#"{"sequence_number":6,"output_index":0,"type":"response.output_item.done","item":{"id":"a"}}"#),
        ]
        .into_iter()
        .enumerate()
        {
            let root = cursor::parse(event.as_bytes()).unwrap();
            let name = root.get("type").unwrap().as_str().unwrap().into_owned();
            let out = order.complete(event.as_bytes(), &root, &name, number as u64).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
        let whole = r#"{"type":"response.completed","sequence_number":7,"response":{"output":[]}}"#;
        let root = cursor::parse(whole.as_bytes()).unwrap();
        assert_eq!(order.complete(whole.as_bytes(), &root, "response.completed", 0), None);
    }
}
