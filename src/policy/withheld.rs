//! The headers of a client's request, and of its trailers, that no upstream may see.

use std::rc::Rc;

use crate::policy::HeaderNames;
use crate::wire::headers::HeaderText;
use crate::wire::names::is_nearly;
use crate::wire::percent;

/// What the client is, whom it wants to be billed, and what would make another request of this one: a server that obeys
/// `x-http-method-override` or `x-original-url` answers something else than was checked. `accept-encoding` is among them
/// because what comes back has to be readable. Beside OpenAI's, these are what the SDKs, the clouds and the proxies in
/// front of gateways write.
fn withheld(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"accept-encoding" => "accept-encoding",
        b"api-key" => "api-key",
        b"authorization" => "authorization",
        b"cookie" => "cookie",
        b"cookie2" => "cookie2",
        b"forwarded" => "forwarded",
        b"openai-organization" => "openai-organization",
        b"openai-project" => "openai-project",
        b"x-api-key" => "x-api-key",
        b"x-forwarded-client-cert" => "x-forwarded-client-cert",
        b"x-forwarded-host" => "x-forwarded-host",
        b"x-forwarded-method" => "x-forwarded-method",
        b"x-forwarded-path" => "x-forwarded-path",
        b"x-forwarded-server" => "x-forwarded-server",
        b"x-forwarded-uri" => "x-forwarded-uri",
        b"x-goog-user-project" => "x-goog-user-project",
        b"x-host" => "x-host",
        b"x-http-method" => "x-http-method",
        b"x-http-method-override" => "x-http-method-override",
        b"x-method-override" => "x-method-override",
        b"x-ms-client-principal" => "x-ms-client-principal",
        b"x-ms-client-principal-id" => "x-ms-client-principal-id",
        b"x-ms-client-principal-name" => "x-ms-client-principal-name",
        b"x-original-host" => "x-original-host",
        b"x-original-method" => "x-original-method",
        b"x-original-path" => "x-original-path",
        b"x-original-uri" => "x-original-uri",
        b"x-original-url" => "x-original-url",
        b"x-rewrite-url" => "x-rewrite-url",
        _ => return None,
    })
}

/// How names of headers end that carry a credential, whoever has thought of them (`proxy-authorization`,
/// `x-goog-api-key`, `x-amz-security-token`, `ocp-apim-subscription-key`, `helicone-auth`).
fn carries_credential(name: &[u8]) -> bool {
    let ends: &[&str] = match name.last() {
        Some(b'n') => &["authorization", "-token"],
        Some(b'y') => &[
            "api-key",
            "apikey",
            "access-key",
            "auth-key",
            "functions-key",
            "secret-key",
            "subscription-key",
            "virtual-key",
        ],
        Some(b't') => &["-secret"],
        Some(b'd') => &["password"],
        Some(b'e') => &["cookie"],
        Some(b'h') => &["-auth"],
        Some(b's') => &["-credentials"],
        _ => return false,
    };
    ends.iter().any(|end| name.ends_with(end.as_bytes()))
}

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
            auth.into_iter().filter(|name| withheld(name.as_bytes()).is_none()).collect();
        auth.sort_unstable();
        auth.dedup();
        Self { auth: auth.into() }
    }

    /// `name` (lower case), where no upstream may see a header of that name, the gateway's own among them. Servers behind
    /// CGI and WSGI read `x_api_key` as `x-api-key`, so signs count as one.
    #[must_use]
    pub fn find(&self, own: &HeaderNames, name: &[u8]) -> Option<HeaderText> {
        if memchr::memchr(b'_', name).is_some() {
            let dashed: Vec<u8> =
                name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
            return self.find(own, &dashed).and_then(|_| owned(name));
        }
        if let Some(known) = withheld(name) {
            return Some(HeaderText::Literal(known));
        }
        if let Some(known) = self.auth.iter().find(|known| known.as_bytes() == name) {
            return Some(known.into());
        }
        let envoys = name.starts_with(b"x-")
            && WITHHELD_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
        if envoys || carries_credential(name) { owned(name) } else { own.find(name) }
    }
}

/// Whether a header's value is the virtual key `presented`, whatever stands before it (`Bearer `, `Key `): under any name,
/// it is for this gateway alone.
#[must_use]
pub fn repeats_key(value: &[u8], presented: &[u8]) -> bool {
    !presented.is_empty() && value.trim_ascii_end().ends_with(presented)
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
    NAMES.iter().any(|known| is_nearly(name.as_bytes(), known))
        || percent::decode_fully(value.as_bytes()).is_none_or(|value| {
            !presented.is_empty() && memchr::memmem::find(&value, presented).is_some()
        })
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
            "content-md5",
        ] {
            assert!(!is_withheld(name), "{name}");
        }
        assert_eq!(withheld.auth.len(), 1);
    }
}
