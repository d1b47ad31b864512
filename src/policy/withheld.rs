//! The headers of a client's request, and of its trailers, that no upstream may see.

mod header_use;
mod tables;

use std::rc::Rc;

pub use self::header_use::HeaderUse;
use self::tables::{
    KEPT, USUAL, WITHHELD, choosing_ends, choosing_parts, credential_ends, credential_parts,
    withheld_beginnings,
};
use crate::policy::HeaderNames;
use crate::wire::grams::Grams;
use crate::wire::headers::HeaderText;
use crate::wire::name_table::NameTable;
use crate::wire::names::Readings;
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
    /// What requests usually have and what is withheld as it stands, `auth.header` of every provider included. All rules have
    /// been asked about each.
    known: NameTable<HeaderText, KnownHeader>,
    /// What their names are made of.
    grams: Grams<64>,
    own: HeaderNames,
}

/// What is known of a header by its name.
pub struct KnownHeader {
    /// What it is read for.
    pub read_for: HeaderUse,
    /// No upstream may see it.
    pub is_withheld: bool,
}

impl std::fmt::Debug for WithheldHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.iter().filter(|(_, known)| known.is_withheld);
        f.debug_set().entries(known.map(|(name, _)| &**name)).finish()
    }
}

impl WithheldHeaders {
    /// `own`: the gateway's own. `auth`: the custom headers that carry providers' credentials, in lower case.
    #[must_use]
    pub fn new(own: &HeaderNames, auth: impl IntoIterator<Item = Rc<str>>) -> Self {
        let listed: Vec<HeaderText> = WITHHELD
            .into_iter()
            .map(HeaderText::Literal)
            .chain(auth.into_iter().map(HeaderText::Shared))
            .collect();
        let is_listed = |name: &[u8]| listed.iter().any(|known| known.as_bytes() == name);
        let usual = HeaderUse::NAMES.into_iter().chain(USUAL).map(HeaderText::Literal);
        let all = usual.chain([HeaderText::from(&own.cache)]).chain(listed.iter().cloned());
        let known = all.map(|name| {
            let is_withheld = is_withheld(own, name.as_bytes(), is_listed);
            let read_for = HeaderUse::of(own, name.as_bytes());
            (name, KnownHeader { read_for, is_withheld })
        });
        let known = NameTable::new(known);
        let grams = Grams::of(known.iter().map(|(name, _)| name.as_bytes()));
        Self { known, grams, own: own.clone() }
    }

    /// What is known of a usual name (lower case), with the name; `None` of others, which are read for nothing.
    #[inline]
    #[must_use]
    pub fn usual(&self, name: &[u8]) -> Option<(&HeaderText, &KnownHeader)> {
        self.known.find(name)
    }

    /// Whether a usual name may hold `key`. `false` is certain.
    #[must_use]
    pub fn may_hold(&self, key: &[u8]) -> bool {
        self.grams.may_hold(key)
    }

    /// `name` (lower case), where no upstream may see a header of that name, the gateway's own among them. Servers behind
    /// CGI and WSGI read `x_api_key` as `x-api-key`, so signs count as one.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<HeaderText> {
        match self.usual(name) {
            Some((name, known)) => known.is_withheld.then(|| name.clone()),
            None => self.find_unusual(name),
        }
    }

    /// The same of a name that is none of the usual ones.
    #[inline(never)]
    #[must_use]
    pub fn find_unusual(&self, name: &[u8]) -> Option<HeaderText> {
        let is_known = |name: &[u8]| self.usual(name).is_some_and(|(_, it)| it.is_withheld);
        if is_withheld(&self.own, name, is_known) { owned(name) } else { None }
    }
}

/// Whether no upstream may see a header of this name, by all rules. `is_listed`: whether it is withheld as it stands.
fn is_withheld(own: &HeaderNames, name: &[u8], is_listed: impl Fn(&[u8]) -> bool) -> bool {
    let dashed: Vec<u8>;
    // Names are too short for a search by vectors.
    let name = if name.contains(&b'_') {
        dashed = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
        &dashed
    } else {
        name
    };
    // `<prefix>-cache` is the client's to send, whatever the prefix is.
    is_listed(name)
        || (own.cache.as_bytes() != name && (is_withheld_by_affix(name) || own.has(name)))
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
    let readings = Readings::of(name.as_bytes());
    NAMES.iter().any(|known| readings.may_be(known))
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
        if self.has(name) { owned(name) } else { None }
    }

    fn has(&self, name: &[u8]) -> bool {
        name == self.cluster.as_bytes() || (self.begins(name) && name != self.cache.as_bytes())
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
        let own = HeaderNames::new("x-langwatch", "x-gateway-cluster");
        let auth = ["x-key".into(), "api-key".into(), "x-key".into()];
        let withheld = WithheldHeaders::new(&own, auth);
        let is_withheld = |name: &str| {
            let found = withheld.find(name.as_bytes());
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
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    fn any_name() -> impl Strategy<Value = String> {
        let listed = proptest::sample::select([&USUAL[..], &WITHHELD, &HeaderUse::NAMES].concat());
        let near = (listed, "[a-z_-]?", "[a-z_-]?").prop_map(|(name, before, after)| {
            let name = if after == "_" { name.replace('-', "_") } else { name.to_owned() };
            [before, name, after].concat()
        });
        let own = "(x-stainless|x|accept|content)[-_](cache|lang|length|a|route)";
        prop_oneof![near, own.prop_map(String::from), "[a-z_-]{0,12}"]
    }

    proptest! {
        /// The table says what the rules say, whatever the gateway's own names and the providers' are.
        #[test]
        fn the_table_does_not_matter(
            prefix in "x-stainless|x|x-own|accept|content",
            cluster in any_name(),
            auth in proptest::collection::vec(any_name(), 0..3),
            names in proptest::collection::vec(any_name(), 0..20),
        ) {
            let own = HeaderNames::new(&prefix, &cluster);
            let withheld = WithheldHeaders::new(&own, auth.iter().map(|name| name.as_str().into()));
            let is_listed = |name: &[u8]| {
                WITHHELD.iter().any(|known| known.as_bytes() == name)
                    || auth.iter().any(|known| known.as_bytes() == name)
            };
            let names = names.iter().chain(&auth).map(String::as_str);
            for name in names.chain(USUAL).chain(WITHHELD).chain([&*own.cache, &*own.cluster]) {
                let found = withheld.find(name.as_bytes());
                let usual = withheld.usual(name.as_bytes());
                let read_for = usual.map_or(HeaderUse::Nothing, |(_, known)| known.read_for);
                prop_assert!(usual.is_none() || withheld.may_hold(name.as_bytes()));
                prop_assert_eq!(found.is_some(), is_withheld(&own, name.as_bytes(), is_listed));
                prop_assert!(found.is_none_or(|found| &*found == name));
                prop_assert_eq!(read_for, HeaderUse::of(&own, name.as_bytes()));
            }
        }
    }
}
