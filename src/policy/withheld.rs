//! The headers of a client's request, and of its trailers, that no upstream may see.

mod tables;

use std::ops::Deref;
use std::rc::Rc;

use self::tables::{
    KEPT, USUAL, WITHHELD, choosing_ends, choosing_parts, credential_ends, credential_parts,
    withheld_beginnings,
};
use crate::policy::HeaderNames;
use crate::wire::headers::HeaderText;
use crate::wire::names::is_nearly;
use crate::wire::percent;

/// Whether `name` ends with one of `ends`, which are found by its last two bytes.
fn ends_with_one(name: &[u8], ends: fn([u8; 2]) -> &'static [&'static str]) -> bool {
    let last = name.last_chunk().copied().unwrap_or_default();
    ends(last).iter().any(|end| name.ends_with(end.as_bytes()))
}

/// Whether `name` holds one of `parts`, which are found by their first byte.
fn holds_one(name: &[u8], parts: fn(u8) -> &'static [&'static str]) -> bool {
    name.iter().enumerate().any(|(at, &first)| {
        let rest = || name.get(at..).unwrap_or_default();
        parts(first).iter().any(|part| rest().starts_with(part.as_bytes()))
    })
}

/// Whether a header or a parameter of this name (lower case, words parted by `-`) carries a credential.
fn is_credential(name: &[u8]) -> bool {
    ends_with_one(name, credential_ends) || holds_one(name, credential_parts)
}

/// Whether a name is withheld for what it begins with, ends with or holds.
fn is_withheld_by_affix(name: &[u8]) -> bool {
    let begins = || match name {
        [b'x', b'-', rest @ ..] => {
            let first = rest.first().copied().unwrap_or_default();
            withheld_beginnings(first).iter().any(|known| rest.starts_with(known.as_bytes()))
                && !KEPT.iter().any(|kept| kept.as_bytes() == name)
        }
        _ => false,
    };
    begins()
        || is_credential(name)
        || ends_with_one(name, choosing_ends)
        || holds_one(name, choosing_parts)
}

/// One compiled set for heads and trailers.
pub struct WithheldHeaders {
    /// Those of [`USUAL`] that are not withheld.
    usual: ByLength<&'static str>,
    /// The names that are withheld as they stand, `auth.header` of every provider among them.
    names: ByLength<HeaderText>,
}

/// Names by their length: most names of a request are compared with a few at most.
struct ByLength<T>(Vec<Vec<T>>);

impl<T: Deref<Target = str>> ByLength<T> {
    fn new(names: impl Iterator<Item = T>) -> Self {
        let mut all = Self(Vec::new());
        for name in names {
            if all.find(name.as_bytes()).is_some() {
                continue;
            }
            if all.0.len() <= name.len() {
                all.0.resize_with(name.len() + 1, Vec::new);
            }
            if let Some(names) = all.0.get_mut(name.len()) {
                names.push(name);
            }
        }
        all
    }

    fn find(&self, name: &[u8]) -> Option<&T> {
        let is_same = |known: &&T| {
            // Hardly any name is looked at beyond its first letter.
            known.as_bytes().first() == name.first() && known.as_bytes() == name
        };
        self.0.get(name.len())?.iter().find(is_same)
    }
}

impl std::fmt::Debug for WithheldHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.names.0.iter().flatten().map(|name| &**name);
        f.debug_set().entries(names).finish()
    }
}

impl WithheldHeaders {
    /// `auth`: the custom headers that carry providers' credentials, in lower case.
    #[must_use]
    pub fn new(auth: impl IntoIterator<Item = Rc<str>>) -> Self {
        let known = WITHHELD.into_iter().map(HeaderText::Literal);
        let names = ByLength::new(known.chain(auth.into_iter().map(HeaderText::Shared)));
        let is_free = |name: &&str| {
            names.find(name.as_bytes()).is_none() && !is_withheld_by_affix(name.as_bytes())
        };
        Self { usual: ByLength::new(USUAL.into_iter().filter(is_free)), names }
    }

    /// `name` (lower case), where no upstream may see a header of that name, the gateway's own among them. Servers behind
    /// CGI and WSGI read `x_api_key` as `x-api-key`, so signs count as one.
    #[must_use]
    pub fn find(&self, own: &HeaderNames, name: &[u8]) -> Option<HeaderText> {
        if self.usual.find(name).is_some() {
            return own.find(name);
        }
        // Names are too short for a search by vectors.
        if name.contains(&b'_') {
            let dashed: Vec<u8> =
                name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
            return self.find(own, &dashed).and_then(|_| owned(name));
        }
        match self.names.find(name) {
            Some(known) => Some(known.clone()),
            // `<prefix>-cache` is the client's to send, whatever the prefix is.
            None if own.cache.as_bytes() == name => None,
            None if is_withheld_by_affix(name) => owned(name),
            None => own.find(name),
        }
    }
}

/// Whether a header's value, or its name, holds the virtual key `presented`, whatever stands around it (`Bearer `, `key=`): under
/// any name, it is for this gateway alone.
#[must_use]
pub fn repeats_key(text: &[u8], presented: &[u8]) -> bool {
    !presented.is_empty() && memchr::memmem::find(text, presented).is_some()
}

/// Whether a query parameter of this name (as written) or with this value carries a credential of the client's: by the names of
/// [`WithheldHeaders`], however they are written, and those that only a query has (Azure's `code`).
#[must_use]
pub fn is_credential_parameter(name: &str, value: &str, presented: &[u8]) -> bool {
    const NAMES: [&str; 12] = [
        "api_key",
        "apikeys",
        "auth",
        "authorization",
        "bearer",
        "code",
        "cookie",
        "key",
        "password",
        "secret",
        "sig",
        "token",
    ];
    /// What a list goes on with.
    const PAGES: [&str; 4] = ["page", "next", "continuation", "skip"];
    let holds_key = |text: &str| {
        percent::decode_fully(text.as_bytes()).is_none_or(|text| repeats_key(&text, presented))
    };
    let words = || {
        let words = dashed(&percent::decode_leniently(name.as_bytes()));
        is_credential(&words) && !PAGES.iter().any(|page| words.starts_with(page.as_bytes()))
    };
    NAMES.iter().any(|known| is_nearly(name.as_bytes(), known))
        || words()
        || holds_key(name)
        || holds_key(value)
}

/// A name in lower case with its words parted by `-`, however it was written (`clientSecret`, `client_secret`).
fn dashed(name: &[u8]) -> Vec<u8> {
    let mut words = Vec::with_capacity(name.len());
    for &byte in name {
        let is_capital = byte.is_ascii_uppercase();
        if (is_capital && words.last().is_some_and(u8::is_ascii_lowercase))
            || !byte.is_ascii_alphanumeric()
        {
            words.push(b'-');
        }
        if byte.is_ascii_alphanumeric() {
            words.push(byte.to_ascii_lowercase());
        }
    }
    words
}

impl HeaderNames {
    /// `name` (lower case), where it is one of the gateway's own that a client may not send. `<prefix>-cache` is a
    /// request header by contract.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<HeaderText> {
        let is_own =
            name == self.cluster.as_bytes() || (self.begins(name) && name != self.cache.as_bytes());
        if is_own { owned(name) } else { None }
    }

    /// Whether `name` (lower case) begins as the gateway's own do. Hardly any other has the letter where that ends.
    #[inline]
    #[must_use]
    pub fn begins(&self, name: &[u8]) -> bool {
        let prefix = self.prefix.as_bytes();
        prefix.last() == prefix.len().checked_sub(1).and_then(|last| name.get(last))
            && name.starts_with(prefix)
    }
}

fn owned(name: &[u8]) -> Option<HeaderText> {
    std::str::from_utf8(name).ok().map(|name| name.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn ends_stand_where_they_are_looked_for() {
        let mut count = 0;
        for first in 0..=u8::MAX {
            for part in [credential_parts(first), choosing_parts(first)].concat() {
                count += 1;
                assert_eq!(part.as_bytes().first(), Some(&first), "{part}");
            }
            for second in 0..=u8::MAX {
                let last = [first, second];
                for end in [credential_ends(last), choosing_ends(last)].concat() {
                    count += 1;
                    assert!(end.as_bytes().ends_with(&last), "{end}");
                }
            }
        }
        assert!(count > 30);
    }

    #[test]
    fn credentials_in_a_query() {
        for name in [
            "key",
            "api_key",
            "apiKey",
            "APIKEY",
            "x-api-key",
            "x-goog-api-key",
            "client_secret",
            "clientSecret",
            "id_token",
            "idToken",
            "access%5Ftoken",
            "access_token",
            "token",
            "ocp-apim-subscription-key",
            "functions_key",
            "code",
            "auth",
            "jwt",
            "bearer",
            "credentials",
            "cookie",
            "x_auth",
            "aws_access_key_id",
            "X-Amz-Security-Token",
            "X-Amz-Credential",
            "\u{ff4b}ey",
        ] {
            assert!(is_credential_parameter(name, "v", b""), "{name}");
        }
        for name in [
            "api-version",
            "beta",
            "limit",
            "after",
            "before",
            "order",
            "after_id",
            "page_token",
            "pageToken",
            "next_token",
            "include",
            "include[]",
            "purpose",
            "max_tokens",
            "base-url",
            "deployment",
            "keys",
            "stream",
            "",
        ] {
            assert!(!is_credential_parameter(name, "v", b""), "{name}");
        }
        assert!(is_credential_parameter("x", "vk-1", b"vk-1"));
    }

    #[test]
    fn what_no_upstream_sees() {
        let withheld = WithheldHeaders::new(["x-key".into(), "api-key".into(), "x-key".into()]);
        let own = HeaderNames::new("x-langwatch", "x-gateway-cluster");
        let is_withheld = |name: &str| {
            let found = withheld.find(&own, name.as_bytes());
            found.inspect(|text| assert_eq!(&**text, name)).is_some()
        };
        for name in [
            "authorization",
            "cookie",
            "openai-project",
            "x-key",
            "x-envoy-original-dst-host",
            "x-envoy-max-retries",
            "x-envoy-",
            "x-gateway-destination-endpoint",
            "x-gateway-cluster",
            "x-langwatch-provider",
            "proxy-authorization",
            "x-goog-api-key",
            "x-amz-security-token",
            "ocp-apim-subscription-key",
            "helicone-auth",
            "x-csrf-token",
            "x_api_key",
            "openai_organization",
            "x_key",
            "x_gateway-cluster",
            "x-http-method-override",
            "x_original_url",
            "x-forwarded-prefix",
            "x-forwarded-email",
            "x-auth-request-user",
            "x-ms-client-principal-idp",
            "ssl-client-cert",
            "cf-access-jwt-assertion",
            "model",
            "x-ai-eg-model",
            "x-model-id",
            "azureml-model-deployment",
            "helicone-target-url",
            "helicone-openai-api-base",
            "x-portkey-custom-host",
            "x_portkey_provider",
            "content-md5",
            "x-amzn-sagemaker-inference-component",
            "x_upstream",
            "x-gateway-model-name-rewrite",
            "x-llm-d-model-name-rewrite",
            "x-portkey-azure-deployment-id",
            "x-portkey-aws-access-key-id",
            "x-portkey-vertex-service-account-json",
            "mm-vmodel-id",
            "mm-vmodel-id-bin",
            "x-azure-deployment",
            "x-model-override",
            "x-lora",
            "x-secret-name",
            "apikey",
            "jwt",
        ] {
            assert!(is_withheld(name), "{name}");
        }
        for name in [
            "x-langwatch-cache",
            "x-request-id",
            "openai-beta",
            "anthropic-version",
            "anthropic-beta",
            "x-stainless-lang",
            "user-agent",
            "x-forwarded-for",
            "traceparent",
            "x-envoyer",
            ":path",
            "cookies",
            "idempotency-key",
            "x_request_id",
            "x-max-tokens",
            "x-forwarded-proto",
            "host",
            "origin",
            "http-referer",
            "x-title",
            "x-stainless-helper-method",
            "x-stainless-timeout",
            "anthropic-dangerous-direct-browser-access",
            "sec-websocket-key",
            "session_id",
            "chatgpt-account-id",
            "x-exploration-id",
            "x-gateway-inference-fairness-id",
            "x-app",
            "originator",
            "x-codex-turn-state",
        ] {
            assert!(!is_withheld(name), "{name}");
        }
        let listed: usize = withheld.names.0.iter().map(|names| names.len()).sum();
        assert_eq!(listed, WITHHELD.len());
    }
}
