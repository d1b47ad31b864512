//! Embeddings: spec-shaped answers stream on, the number format is changed on the way, and every other
//! shape is held and rebuilt.

use std::borrow::Cow;

use super::decision::{BodyDecision, ReaderContext, Rest, hold, pass};
use super::head::{content_length, label};
use super::json::joined;
use crate::exchange::{BodyOut, SentRequest};
use crate::policy::ResponseModel;
use crate::repair::embeddings::{self, EmbeddingsConverter, EmbeddingsFacts, Format, Recogniser};
use crate::telemetry::usage::{Meter, Tokens};
use crate::wire::headers::HeaderEdit;
use crate::wire::json::{cursor, string};
use crate::wire::splice::{Edit, apply};

/// An embeddings answer on its way.
#[derive(Debug)]
pub(in super::super) struct Embeddings {
    facts: EmbeddingsFacts,
    /// The id that the client asked for, where answers are to carry that.
    renamed: Option<String>,
    labelled_json: bool,
    state: EmbeddingsState,
    /// It leaves in another shape, and nobody has asked yet.
    is_changed: bool,
}

#[derive(Debug)]
enum EmbeddingsState {
    /// Held; what it needs is not known yet, or needs all of it.
    Collecting { collected: Vec<u8>, recogniser: Recogniser },
    /// Its head has gone on; each chunk is rewritten.
    Converting(EmbeddingsConverter),
}

impl Embeddings {
    /// `labelled_json`: the content-type says so.
    pub(super) fn new(
        context: &ReaderContext<'_>,
        route: &SentRequest,
        labelled_json: bool,
    ) -> Self {
        let renamed = (context.config.response_model == ResponseModel::Requested)
            .then(|| route.requested.clone());
        let facts = EmbeddingsFacts {
            inputs: route.facts.inputs,
            format: if route.facts.base64 { Format::Base64 } else { Format::Float },
            model: renamed.clone().unwrap_or_else(|| route.model.to_string()),
        };
        let recogniser = Recogniser::new(&facts);
        let state = EmbeddingsState::Collecting { collected: Vec::new(), recogniser };
        Self { facts, renamed, labelled_json, state, is_changed: false }
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            EmbeddingsState::Collecting { collected, .. } => collected.len(),
            EmbeddingsState::Converting(_) => 0,
        }
    }

    pub(super) fn is_holding(&self) -> bool {
        matches!(&self.state, EmbeddingsState::Collecting { collected, .. } if !collected.is_empty())
    }

    /// Whether the answer was given another shape since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
        meter: &mut Meter,
    ) -> BodyDecision {
        let (collected, recogniser) = match &mut self.state {
            EmbeddingsState::Converting(converter) => {
                let mut out = Vec::with_capacity(bytes.len());
                let done = converter.push(bytes, &mut out);
                let done = done.and_then(|()| if end { converter.finish() } else { Ok(()) });
                self.is_changed = end && done.is_ok();
                return match done {
                    Ok(()) => {
                        meter.push(bytes);
                        pass(BodyOut::Replace(out))
                    }
                    Err(error) => BodyDecision::Abort(error),
                };
            }
            EmbeddingsState::Collecting { collected, recogniser } => (collected, recogniser),
        };
        let seen = recogniser.push(bytes);
        let body = joined(collected, bytes);
        // A renamed model may stand at the end of the answer.
        match seen {
            embeddings::Recognition::PassThrough if self.renamed.is_none() => {
                meter.push(&body);
                let body = BodyOut::Same;
                BodyDecision::Pass { edits: label(self.labelled_json), body, rest: Rest::Pass }
            }
            _ if end => {
                let decision = self.finish(&body);
                match &decision {
                    BodyDecision::Pass { body: BodyOut::Replace(answer), .. } if counts(answer) => {
                        meter.push(answer);
                    }
                    BodyDecision::Pass { .. } => meter.push(&body),
                    _ => {}
                }
                decision
            }
            embeddings::Recognition::Convert if self.renamed.is_none() => {
                let mut converter = EmbeddingsConverter::new(&self.facts);
                let mut out = Vec::with_capacity(body.len());
                if let Err(error) = converter.push(&body, &mut out) {
                    return BodyDecision::Fail(error.to_answer());
                }
                meter.push(&body);
                let mut edits = label(self.labelled_json);
                edits.push(HeaderEdit::remove("content-length"));
                self.state = EmbeddingsState::Converting(converter);
                BodyDecision::Pass { edits, body: BodyOut::Replace(out), rest: Rest::Read }
            }
            _ => {
                *collected = body.into_owned();
                hold(collected.len(), context)
            }
        }
    }

    fn finish(&mut self, body: &[u8]) -> BodyDecision {
        let EmbeddingsState::Collecting { recogniser, .. } = &self.state else {
            return BodyDecision::Hold;
        };
        if self.renamed.is_none() && recogniser.is_canonical(self.facts.inputs) {
            let (edits, body) = (label(self.labelled_json), BodyOut::Same);
            return BodyDecision::Pass { edits, body, rest: Rest::Pass };
        }
        let mut answer = match embeddings::answer(body, &self.facts) {
            Ok(answer) => answer,
            Err(error) => return BodyDecision::Fail(*error),
        };
        self.is_changed = matches!(answer, Cow::Owned(_));
        if let Some(renamed) = &self.renamed
            && let Some(model) = cursor::parse(&answer).ok().and_then(|answer| answer.get("model"))
        {
            let edit = Edit { span: model.span(), with: string::encode(renamed) };
            if let Some(edited) = apply(&answer, &[edit]) {
                answer = Cow::Owned(edited);
            }
        }
        let mut edits = label(self.labelled_json);
        let body = match answer {
            Cow::Borrowed(_) => BodyOut::Same,
            Cow::Owned(answer) => {
                edits.push(content_length(answer.len()));
                BodyOut::Replace(answer)
            }
        };
        BodyDecision::Pass { edits, body, rest: Rest::Pass }
    }
}

/// Whether a rebuilt answer counts tokens. Zeros may be the gateway's own: then what came tells more.
fn counts(answer: &[u8]) -> bool {
    let usage = cursor::parse(answer).ok().and_then(|answer| answer.get("usage"));
    usage.and_then(|usage| Tokens::read(&usage)).is_some_and(|tokens| !tokens.is_zero())
}
