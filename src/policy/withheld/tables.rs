//! The names of headers that are withheld, and by what their kinds are known.

/// Names that are withheld as they stand: what the client is, whom it wants to be billed, which model it wants to have, and
/// what would make another request of this one, and digests of a body that does not go on as it came. `accept-encoding` is
/// among them because what comes back has to be readable. Beside OpenAI's, these are what the SDKs, the clouds and the
/// proxies in front of gateways write.
pub(super) const WITHHELD: [&str; 31] = [
    "accept-encoding",
    "api-key",
    "auth",
    "authorization",
    "bearer",
    "client-cert",
    "client-cert-chain",
    "content-digest",
    "content-md5",
    "cookie",
    "cookie2",
    "digest",
    "forwarded",
    "key",
    "openai-organization",
    "openai-project",
    "remote-user",
    "repr-digest",
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
pub(super) fn withheld_beginnings(first: u8) -> &'static [&'static str] {
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
pub(super) const KEPT: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"];

/// How names end that carry a credential, whoever has thought of them, by their last two bytes.
pub(super) fn credential_ends(last: [u8; 2]) -> &'static [&'static str] {
    match &last {
        b"en" => &["-token"],
        b"er" => &["-bearer"],
        b"ey" => &["auth-key", "functions-key", "subscription-key", "virtual-key"],
        b"ie" => &["cookie"],
        b"rt" => &["-client-cert"],
        b"th" => &["-auth"],
        _ => &[],
    }
}

/// What a name holds that carries a credential, by its first byte (`proxy-authorization`, `x-goog-api-key`,
/// `x-portkey-aws-access-key-id`).
pub(super) fn credential_parts(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["access-key", "api-key", "apikey", "assertion", "authorization"],
        b'c' => &["credential"],
        b'j' => &["jwt"],
        b'p' => &["passphrase", "passwd", "password"],
        b's' => &["secret", "service-account"],
        _ => &[],
    }
}

/// How names end by which a server or a gateway behind this one is told another host (`helicone-target-url`,
/// `x-portkey-custom-host`) or another model (`x-amzn-sagemaker-inference-component`).
pub(super) fn choosing_ends(last: [u8; 2]) -> &'static [&'static str] {
    match &last {
        b"am" => &["-upstream"],
        b"er" => &["-adapter", "-provider"],
        b"ks" => &["-fallbacks"],
        b"nd" => &["-backend"],
        b"nt" => &["-endpoint", "-target-variant", "-inference-component"],
        b"ra" => &["-lora"],
        b"ri" => &["-uri"],
        b"rl" => &["-url"],
        b"se" => &["-api-base"],
        b"st" => &["-host"],
        _ => &[],
    }
}

/// What a name holds by which another model is asked for (`azureml-model-deployment`, `x-gateway-model-name-rewrite`,
/// `mm-vmodel-id`, `x-portkey-azure-deployment-id`).
pub(super) fn choosing_parts(first: u8) -> &'static [&'static str] {
    match first {
        b'd' => &["deployment"],
        b'm' => &["model"],
        _ => &[],
    }
}

/// What requests usually have, and Envoy adds to them: what the rules say of these is known when a request comes.
pub(super) const USUAL: [&str; 37] = [
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
    "cache-control",
    "openai-beta",
    "priority",
    "traceparent",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-internal",
];
