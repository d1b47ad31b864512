//! What the head of a request to a provider holds beside what is asked: the credential, the version of the API that is
//! spoken, and what the operator sets. Of clients' requests and of the gateway's own questions alike.

use crate::policy::{MessagesApi, Provider};
use crate::wire::headers::HeaderEdit;

/// The version of Anthropic's API that a request without one means; there is no other.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What is to become of the headers that say which version of Anthropic's API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// The head is as it should be.
    AsItIs,
    /// A server that speaks the API needs one.
    Needed,
    /// The request is of another API now.
    Foreign,
}

impl Version {
    /// Of a question about models: who speaks Anthropic's API refuses one without a version.
    pub fn of_question(provider: &Provider) -> Self {
        match provider.messages_api {
            MessagesApi::Native => Self::Needed,
            MessagesApi::Chat => Self::AsItIs,
        }
    }
}

/// What changes headers that are the client's own, and not the gateway's to set for every provider.
pub(super) fn changes(provider: &Provider, version: Version) -> Vec<HeaderEdit> {
    let mut edits = match version {
        Version::AsItIs => Vec::new(),
        Version::Needed => vec![HeaderEdit::set("anthropic-version", ANTHROPIC_VERSION)],
        Version::Foreign => {
            vec![HeaderEdit::remove("anthropic-version"), HeaderEdit::remove("anthropic-beta")]
        }
    };
    edits.extend(provider.request_headers.iter().cloned());
    edits
}

/// Adds to `edits` the credential and all of [`changes`]. To be set takes away a header's other values, too.
pub(super) fn add(edits: &mut Vec<HeaderEdit>, provider: &Provider, version: Version) {
    let mut put = |edit: HeaderEdit| {
        edits.retain(|other| other.name() != edit.name());
        edits.push(edit);
    };
    if let Some(credential) = &provider.credential {
        put(HeaderEdit::set(&credential.header, credential.value.expose()));
    }
    changes(provider, version).into_iter().for_each(put);
}
