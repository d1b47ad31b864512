//! What an upstream's error may tell a client: not the provider's key, not models that the client's key may
//! not use, and whose credential it is that was refused.

use serde_json::Map;

use super::decision::ReaderContext;
use crate::error::{ErrorAnswer, ErrorObject};
use crate::exchange::redact::redacted;
use crate::policy::Provider;
use crate::policy::key::VirtualKey;
use crate::policy::model::Allowlist;
use crate::repair::error::{conceal, refuses_credential};
use crate::wire::json::{cursor, string};
use crate::wire::splice::{Edit, apply};

impl ReaderContext<'_> {
    /// Makes an upstream's error fit for the client. Whether there was anything to do; done twice, it does
    /// nothing more.
    pub(super) fn disclose(&self, answer: &mut ErrorAnswer) -> bool {
        let concealed = self.conceal_models(answer);
        self.name_credential(answer) || concealed
    }

    /// An error that lists the server's models, for a key that may not use all of them.
    pub(super) fn conceal_models(&self, answer: &mut ErrorAnswer) -> bool {
        let Some(route) = self.route else { return false };
        let Some(provider) = self.config.providers.get(route.provider) else { return false };
        let Some(key) = self.key else { return false };
        let asked = |name: &str| name == &*route.model || name == route.requested;
        conceal_models(provider, key, &asked, answer)
    }

    /// An error in a shape of the Responses API (`error`, `response.failed`, a failed Response), without the models that the client
    /// is not to know; `None` where it says nothing of them. Other members keep their bytes.
    pub(super) fn without_models(&self, json: &[u8]) -> Option<Vec<u8>> {
        let root = cursor::parse(json).ok()?;
        let inside = root.get("response").and_then(|response| response.get("error"));
        let itself = root.get("type").is_some_and(|kind| kind.raw() == b"\"error\"");
        let error = [root.get("error"), inside, itself.then_some(root)]
            .into_iter()
            .flatten()
            .find(|error| error.get("message").is_some_and(|message| message.as_str().is_some()))?;
        let message = error.get("message")?;
        let text = |name: &str| Some(error.get(name)?.as_str()?.into_owned());
        let mut answer = ErrorAnswer {
            status: 502,
            error: ErrorObject {
                message: message.as_str()?.into_owned(),
                kind: String::new(),
                param: text("param"),
                code: text("code"),
                extra: Map::new(),
            },
            own: None,
            is_page: false,
        };
        if !self.conceal_models(&mut answer) {
            return None;
        }
        let with = string::encode(&answer.error.message);
        apply(json, &[Edit { span: message.span(), with }])
    }

    /// A refusal of the credential that the gateway sent: nobody is to take it for a wrong virtual key.
    fn name_credential(&self, answer: &mut ErrorAnswer) -> bool {
        let provider = self.route.and_then(|route| self.config.providers.get(route.provider));
        provider.is_some_and(|provider| name_credential(provider, answer))
    }

    /// `body` without the provider's key, which some servers repeat when they refuse it; `None` where
    /// it is not there.
    pub(super) fn redacted(&self, body: &[u8]) -> Option<Vec<u8>> {
        redacted(self.provider_key()?, body)
    }
}

/// Takes the names of models that `key` may not use out of an error of `provider`'s, but for those that the client `asked` for.
/// Whether there was any.
pub(in crate::exchange) fn conceal_models(
    provider: &Provider,
    key: &VirtualKey,
    asked: &dyn Fn(&str) -> bool,
    answer: &mut ErrorAnswer,
) -> bool {
    if matches!(key.allowed, Allowlist::All) && provider.models.is_none() {
        return false;
    }
    let shown = |name: &str| {
        asked(name)
            || (key.allowed.allows(None, &provider.name, name)
                && provider.models.as_ref().is_none_or(|list| list.contains(name)))
    };
    conceal(&mut answer.error, &shown)
}

/// Says of a credential that was refused that it was `provider` who refused it. Whether it did.
pub(in crate::exchange) fn name_credential(provider: &Provider, answer: &mut ErrorAnswer) -> bool {
    if provider.credential.is_none() || !refuses_credential(answer) {
        return false;
    }
    let begin = format!("Provider {} refused the gateway's credential: ", provider.name);
    if answer.error.message.starts_with(&begin) {
        return false;
    }
    answer.error.message.insert_str(0, &begin);
    answer.error.code.get_or_insert_with(|| "upstream_authentication_failed".to_owned());
    true
}
