//! The headers of a client's request, and of its trailers, that no upstream may see.

use std::rc::Rc;

use crate::policy::HeaderNames;
use crate::wire::headers::HeaderText;

/// Credentials of the client's, or whom it wants to be billed: they are for this gateway or for nobody. `accept-encoding`
/// is among them because what comes back has to be readable. Beside OpenAI's, these are what the SDKs, the clouds and the
/// proxies in front of gateways write.
const WITHHELD: [&str; 23] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "cookie",
    "cookie2",
    "ocp-apim-subscription-key",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-request-access-token",
    "x-auth-token",
    "x-authorization",
    "x-forwarded-access-token",
    "x-forwarded-authorization",
    "x-forwarded-client-cert",
    "x-functions-key",
    "x-goog-api-key",
    "x-goog-iam-authorization-token",
    "x-goog-user-project",
    "x-ms-client-principal",
];

/// What Envoy takes from a request's head: `x-envoy-original-dst-host` and `x-gateway-destination-endpoint` name the host
/// that it is sent to, others its retries and timeouts. Those that the router writes, it writes after this filter.
const WITHHELD_PREFIXES: [&str; 2] = ["x-envoy-", "x-gateway-destination-"];

/// One compiled set for heads and trailers.
#[derive(Debug)]
pub struct WithheldHeaders {
    /// `auth.header` of every provider.
    auth: Box<[Rc<str>]>,
}

impl WithheldHeaders {
    /// `auth`: the custom headers that carry providers' credentials, in lower case.
    #[must_use]
    pub fn new(auth: impl IntoIterator<Item = Rc<str>>) -> Self {
        let mut auth: Vec<_> =
            auth.into_iter().filter(|name| !WITHHELD.contains(&&**name)).collect();
        auth.sort_unstable();
        auth.dedup();
        Self { auth: auth.into() }
    }

    /// `name` (lower case), where no upstream may see a header of that name, the gateway's own among them.
    #[must_use]
    pub fn find(&self, own: &HeaderNames, name: &[u8]) -> Option<HeaderText> {
        if let Some(known) = WITHHELD.iter().find(|known| known.as_bytes() == name) {
            return Some(HeaderText::Literal(known));
        }
        if let Some(known) = self.auth.iter().find(|known| known.as_bytes() == name) {
            return Some(known.into());
        }
        let envoys = WITHHELD_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
        if envoys { owned(name) } else { own.find(name) }
    }
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
        ] {
            assert!(!is_withheld(name), "{name}");
        }
        assert_eq!(withheld.auth.len(), 1);
    }
}
