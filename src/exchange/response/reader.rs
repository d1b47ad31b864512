//! Who reads a good answer: one table of operations and media types.

use super::decision::ReaderContext;
use super::head::AnswerFields;
use super::phase::ResponsePhase;
use super::stream::stream_kind;
use super::{bridged, embeddings, failure, json, speech, stream};
use crate::exchange::SentRequest;
use crate::policy::operation::Operation;
use crate::repair::chat::RequestFacts;
use crate::wire::headers::is_media_type;

/// Who reads an answer with status 2xx.
pub(super) fn reader(
    context: &ReaderContext<'_>,
    route: &SentRequest,
    fields: &AnswerFields<'_>,
) -> ResponsePhase {
    let content_type = fields.content_type.unwrap_or_default();
    let is_stream = is_media_type(content_type, "text/event-stream");
    let is_labelled = is_media_type(content_type, "application/json");
    let is_json = is_labelled || content_type.is_empty();
    let is_page = is_media_type(content_type, "text/html");
    let operation = route.answered_as();
    let has_length = fields.has_length();
    match operation {
        // Speech that is a text is what went wrong, whatever the status says. Images are JSON, also under the
        // label of text that Go's servers give what has none.
        Operation::Speech if content_type.starts_with(b"text/") && !is_stream && !is_page => {
            ResponsePhase::Failure(failure::FailureBody::new(502, fields))
        }
        // Partial images are events of a kind of their own; audio is bytes.
        Operation::Speech | Operation::ImageGeneration | Operation::ImageEdit if is_stream => {
            ResponsePhase::Speech(Box::new(speech::Speech::events(operation)))
        }
        Operation::Speech | Operation::ImageGeneration | Operation::ImageEdit
            if !(is_json || is_page || content_type.starts_with(b"text/")) =>
        {
            ResponsePhase::Speech(Box::new(speech::Speech::new(operation)))
        }
        // Lines of JSON: what was said, or nothing, where the server failed.
        Operation::Transcriptions | Operation::Translations
            if is_media_type(content_type, "application/x-ndjson") && !route.facts.stream =>
        {
            ResponsePhase::Json(json::Json::new(operation, true, has_length))
        }
        // Plain text, SRT and VTT are what was asked for, unless that was a stream. Some servers tell under
        // such a label what went wrong.
        Operation::Transcriptions | Operation::Translations
            if !is_stream && !is_json && !route.facts.stream =>
        {
            let may_be_error = content_type.starts_with(b"text/")
                && !is_media_type(content_type, "text/vtt")
                && !is_media_type(content_type, "text/srt");
            match may_be_error {
                true => ResponsePhase::Json(
                    json::Json::new(operation, false, has_length).labelled_text(),
                ),
                false => ResponsePhase::Passing,
            }
        }
        Operation::Embeddings => ResponsePhase::Embeddings(Box::new(embeddings::Embeddings::new(
            context,
            route,
            is_labelled,
        ))),
        _ => match (stream_kind(operation), &route.bridge) {
            (Some(kind), bridge)
                if route.facts.stream && (bridge.is_none() || !fields.is_encoded) =>
            {
                let head = stream::head(fields);
                ResponsePhase::Stream(Box::new(stream::RepairedStream::new(
                    kind, context, route, head,
                )))
            }
            (_, Some(_)) => ResponsePhase::Bridged(Box::new(bridged::Bridged::new(
                context,
                route,
                fields.is_encoded,
            ))),
            _ => ResponsePhase::Json(json::Json::new(operation, is_labelled, has_length)),
        },
    }
}

impl SentRequest {
    /// What the answer has to be held against.
    pub(super) fn request_facts(&self) -> RequestFacts {
        let facts = &self.facts;
        let prompts = facts.prompts.unwrap_or(1).max(1) as u64;
        RequestFacts {
            choices: facts.n.unwrap_or(1).max(1).saturating_mul(prompts),
            // A converted request asks for them, since its answer has to tell them.
            wants_usage: facts.wants_usage || self.hides_usage || self.bridge.is_some(),
            names_tool: facts.names_tool,
        }
    }
}
