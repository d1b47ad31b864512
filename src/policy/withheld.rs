//! The headers of a client's request, and of its trailers, that no upstream may see.

use std::ops::Deref;
use std::rc::Rc;

use crate::policy::HeaderNames;
use crate::wire::headers::HeaderText;
use crate::wire::names::is_nearly;
use crate::wire::percent;

/// Names that are withheld as they stand: what the client is, whom it wants to be billed, which model it wants to have, and
/// what would make another request of this one, and digests of a body that does not go on as it came. `accept-encoding` is among them because what comes back has to be
/// readable. Beside OpenAI's, these are what the SDKs, the clouds and the proxies in front of gateways write.
const WITHHELD: [&str; 38] = [
    "accept-encoding",
    "api-key",
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "client-cert",
    "client-cert-chain",
    "content-digest",
    "content-md5",
    "cookie",
    "cookie2",
    "credentials",
    "digest",
    "forwarded",
    "jwt",
    "key",
    "model",
    "model-id",
    "model-name",
    "openai-organization",
    "openai-project",
    "remote-user",
    "repr-digest",
    "secret",
    "token",
    "x-amz-target",
    "x-api-key",
    "x-bearer",
    "x-goog-user-project",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-key",
    "x-method-override",
    "x-portkey-config",
    "x-real-user",
    "x-remote-user",
];

/// How names begin that are withheld: `x-envoy-original-dst-host` and `x-gateway-destination-endpoint` name the host that
/// Envoy sends the request to, others its retries and timeouts (those that the router writes, it writes after this filter);
/// the rest is what proxies in front of a server say of the request and of whose it is.
/// By what follows `x-`.
fn withheld_beginnings(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["auth-request-", "amzn-oidc-"],
        b'e' => &["envoy-"],
        b'f' => &["forwarded-"],
        b'g' => &["gateway-destination-", "goog-iap-", "goog-authenticated-user-"],
        b'm' => &["ms-client-principal"],
        b'o' => &["original-", "override-"],
        b'r' => &["rewrite-"],
        b'w' => &["webauth-"],
        _ => &[],
    }
}

/// What begins so and stays: the addresses on the way, which Envoy writes itself.
const KEPT: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"];

/// How names end that are withheld, whoever has thought of them, by their last two bytes: those that carry a credential
/// (`proxy-authorization`, `x-goog-api-key`, `x-amz-security-token`, `ocp-apim-subscription-key`, `helicone-auth`), and those
/// by which a gateway behind this one is told another host (`helicone-target-url`, `x-portkey-custom-host`) or another model
/// (`azureml-model-deployment`, `x-ai-eg-model`, `x-amzn-sagemaker-inference-component`).
fn withheld_ends(last: [u8; 2]) -> &'static [&'static str] {
    match &last {
        b"al" => &["-credential"],
        b"am" => &["-upstream"],
        b"ck" => &["-model-fallback"],
        b"de" => &["-model-override"],
        b"el" => &["-model"],
        b"en" => &["-token"],
        b"er" => &["-bearer", "-provider"],
        b"et" => &["-secret"],
        b"ey" => &[
            "api-key",
            "apikey",
            "access-key",
            "auth-key",
            "functions-key",
            "secret-key",
            "subscription-key",
            "virtual-key",
        ],
        b"id" => &["-model-id"],
        b"ie" => &["cookie"],
        b"ks" => &["-fallbacks"],
        b"ls" => &["-credentials"],
        b"me" => &["-model-name", "-deployment-name"],
        b"nd" => &["-backend"],
        b"nt" => &["-endpoint", "-deployment", "-target-variant", "-inference-component"],
        b"on" => &["authorization", "-assertion"],
        b"rd" => &["password"],
        b"ri" => &["-uri"],
        b"rl" => &["-url"],
        b"rt" => &["-client-cert"],
        b"se" => &["-passphrase", "-api-base"],
        b"st" => &["-host"],
        b"th" => &["-auth"],
        b"wd" => &["passwd"],
        b"wt" => &["-jwt"],
        b"ys" => &["api-keys", "apikeys", "-access-keys"],
        _ => &[],
    }
}

/// Whether a name begins or ends as one that is withheld.
fn is_withheld_by_affix(name: &[u8]) -> bool {
    let begins = || match name {
        [b'x', b'-', rest @ ..] => {
            let first = rest.first().copied().unwrap_or_default();
            withheld_beginnings(first).iter().any(|known| rest.starts_with(known.as_bytes()))
                && !KEPT.iter().any(|kept| kept.as_bytes() == name)
        }
        _ => false,
    };
    let ends = || {
        let last = name.last_chunk().copied().unwrap_or_default();
        withheld_ends(last).iter().any(|end| name.ends_with(end.as_bytes()))
    };
    begins() || ends()
}

/// What requests usually have, and Envoy adds to them: most names end at one of these, before all other rules.
const USUAL: [&str; 30] = [
    ":authority",
    ":method",
    ":path",
    ":scheme",
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "content-type",
    "host",
    "origin",
    "referer",
    "transfer-encoding",
    "user-agent",
    "anthropic-beta",
    "anthropic-version",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-read-timeout",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
];

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

/// Whether a query parameter of this name (as written) or with this value carries a credential of the client's.
#[must_use]
pub fn is_credential_parameter(name: &str, value: &str, presented: &[u8]) -> bool {
    const NAMES: [&str; 13] = [
        "key",
        "api_key",
        "access_key",
        "access_token",
        "api_token",
        "auth_token",
        "authorization",
        "bearer_token",
        "password",
        "secret",
        "subscription_key",
        "token",
        "x_api_key",
    ];
    let holds_key = |text: &str| {
        percent::decode_fully(text.as_bytes()).is_none_or(|text| repeats_key(&text, presented))
    };
    NAMES.iter().any(|known| is_nearly(name.as_bytes(), known))
        || holds_key(name)
        || holds_key(value)
}

impl HeaderNames {
    /// `name` (lower case), where it is one of the gateway's own that a client may not send. `<prefix>-cache` is a
    /// request header by contract.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<HeaderText> {
        let is_own = name == self.cluster.as_bytes()
            || (name.starts_with(self.prefix.as_bytes()) && name != self.cache.as_bytes());
        if is_own { owned(name) } else { None }
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
        for (first, second) in
            (0..=u8::MAX).flat_map(|first| (0..=u8::MAX).map(move |second| (first, second)))
        {
            for end in withheld_ends([first, second]) {
                count += 1;
                assert!(end.as_bytes().ends_with(&[first, second]), "{end}");
            }
        }
        assert!(count > 40);
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
        ] {
            assert!(!is_withheld(name), "{name}");
        }
        let listed: usize = withheld.names.0.iter().map(|names| names.len()).sum();
        assert_eq!(listed, WITHHELD.len());
    }
}
