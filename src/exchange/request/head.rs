//! A request's head: what is read from it, and what the upstream gets in its place.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::body::too_large;
use super::repetition::is_repeated;
use super::rewrite::Rewrite;
use crate::dialect::seal::Sealer;
use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::operation::{BodyKind, Operation, RequestTarget};
use crate::policy::{
    CacheMode, Config, HeaderUse, PresentedKeys, is_credential_parameter, repeats_key,
};
use crate::wire::headers::{HeaderEdit, HeaderText, Headers};
use crate::wire::names::Readings;
use crate::wire::paths::{lenient_segments, resolved};
use crate::wire::{multipart, percent};

/// More edits than the head of a usual request needs.
const MOST_EDITS: usize = 10;

/// Parameters that a query may have: each name is held against all that choose a model or carry a credential.
const MAX_PARAMETERS: usize = 1_000;

/// What one walk over a request's head finds: the first value of each header that is looked at, and what is to go.
#[derive(Default)]
pub(super) struct HeadFields<'a> {
    pub method: &'a [u8],
    /// With its query.
    pub path: &'a [u8],
    /// Envoy's `x-request-id`.
    pub request_id: Option<&'a str>,
    pub content_type: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    /// A `content-encoding` other than `identity`.
    is_encoded: bool,
    /// Another protocol is asked for: `upgrade`, or HTTP/2's extended CONNECT.
    is_upgrade: bool,
    cache: CacheOverride<'a>,
    /// There is an `anthropic-version`.
    pub has_version: bool,
    /// A page in a browser asks: there is an `origin`.
    pub is_page: bool,
    pub keys: PresentedKeys<'a>,
    /// There is a name that was not known beforehand.
    has_unusual: bool,
    /// The removals of what no upstream may see, for its name.
    withheld: Vec<HeaderEdit>,
}

/// The values of `<prefix>-cache`.
#[derive(Debug, Default, Clone, Copy)]
enum CacheOverride<'a> {
    #[default]
    None,
    One(&'a [u8]),
    Several,
}

impl<'a> HeadFields<'a> {
    pub fn read(config: &Config, headers: &'a Headers) -> Self {
        // With room for what is set beside what is removed.
        let mut fields = Self { withheld: Vec::with_capacity(MOST_EDITS), ..Self::default() };
        for (name, value) in headers.iter() {
            let Some((usual, known)) = config.withheld.usual(name) else {
                fields.has_unusual = true;
                let withheld = config.withheld.find_unusual(name);
                fields.withheld.extend(withheld.map(HeaderEdit::remove));
                continue;
            };
            if known.is_withheld {
                fields.withheld.push(HeaderEdit::remove(usual.clone()));
            }
            match known.read_for {
                HeaderUse::Nothing => {}
                HeaderUse::Method => fields.method = value,
                HeaderUse::Path => fields.path = value,
                // Java's HTTP client offers h2c with each request, and takes HTTP/1 as the answer.
                HeaderUse::Upgrade if value.eq_ignore_ascii_case(b"h2c") => {}
                HeaderUse::Upgrade | HeaderUse::Protocol => fields.is_upgrade = true,
                HeaderUse::RequestId => {
                    fields.request_id =
                        fields.request_id.or_else(|| std::str::from_utf8(value).ok());
                }
                HeaderUse::AnthropicVersion => fields.has_version = true,
                HeaderUse::Origin => fields.is_page = true,
                HeaderUse::ContentType => {
                    fields.content_type = fields.content_type.or(Some(value));
                }
                HeaderUse::ContentLength => {
                    fields.content_length = fields.content_length.or(Some(value));
                }
                HeaderUse::ContentEncoding => {
                    fields.is_encoded |= !value.trim_ascii().eq_ignore_ascii_case(b"identity");
                }
                HeaderUse::Cache => {
                    fields.cache = match fields.cache {
                        CacheOverride::None => CacheOverride::One(value),
                        _ => CacheOverride::Several,
                    };
                }
                HeaderUse::Authorization | HeaderUse::XApiKey | HeaderUse::ApiKey => {
                    fields.keys.add(known.read_for, value);
                }
            }
        }
        fields
    }

    /// The cache mode: the request's header over the key's over the global one.
    pub fn cache_mode(&self, config: &Config, key: &VirtualKey) -> Result<CacheMode, GatewayError> {
        let mode = match self.cache {
            CacheOverride::None => return Ok(key.cache.unwrap_or(config.cache)),
            CacheOverride::One(value) => std::str::from_utf8(value).ok(),
            CacheOverride::Several => None,
        };
        mode.and_then(|mode| CacheMode::from_name(mode.trim())).ok_or_else(|| {
            GatewayError::new(
                Code::CacheOverrideInvalid,
                format!("{} must be one of respect, disable and force.", config.headers.cache),
            )
        })
    }

    /// `content-length`.
    pub fn declared(&self) -> Option<u64> {
        let value = std::str::from_utf8(self.content_length?).ok()?;
        value.trim().parse().ok()
    }

    /// Checks what the head says about the body; returns its declared length.
    fn check_limits(&self, config: &Config) -> Result<Option<u64>, GatewayError> {
        if self.is_upgrade {
            return Err(GatewayError::new(
                Code::UnsupportedOperation,
                "This gateway offers no WebSocket or other upgrade. Send the request without the header \
                 `upgrade`.",
            ));
        }
        if self.is_encoded {
            return Err(GatewayError::new(
                Code::UnsupportedContentEncoding,
                "The body is compressed, so its model can't be checked. Send it without \
                 content-encoding.",
            ));
        }
        let declared = self.declared();
        let limit = config.limits.max_request_bytes;
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        Ok(declared)
    }
}

/// What is kept of a client's head while the body is read.
#[derive(Debug)]
pub(super) struct ClientHead {
    pub key: Arc<VirtualKey>,
    pub cache: CacheMode,
    pub operation: Operation,
    /// Seals for this key, where the operation has something to seal.
    pub sealer: Option<Rc<Sealer>>,
    /// `content-length`.
    pub declared: Option<u64>,
    /// Path after the prefix, with its query.
    pub path: String,
    /// There is an `anthropic-version`.
    pub has_version: bool,
    /// A page in a browser asks.
    pub is_page: bool,
    /// The `content-type` that leaves no doubt that the body is what was checked, where the client's own does.
    content_type: Option<HeaderEdit>,
    /// Headers to remove: credentials, the gateway's own, what must not go upstream.
    removals: Vec<HeaderEdit>,
}

impl ClientHead {
    /// Reads the head of an authenticated request.
    ///
    /// # Errors
    /// What can be refused before the body: `cache_override_invalid`, `unsupported_content_encoding`,
    /// `request_too_large`, and a model in the query.
    pub fn read(
        config: &Config,
        key: Arc<VirtualKey>,
        target: &RequestTarget<'_>,
        headers: &Headers,
        presented: &[u8],
        fields: &mut HeadFields<'_>,
    ) -> Result<Self, GatewayError> {
        let cache = fields.cache_mode(config, &key)?;
        let declared = fields.check_limits(config)?;
        if target.query.is_some_and(|query| has_many_names(query.as_bytes())) {
            return Err(GatewayError::new(
                Code::UnsupportedParameter,
                format!("The query has more than {MAX_PARAMETERS} parameters."),
            ));
        }
        if target.query.is_some_and(names_model) {
            return Err(GatewayError::new(
                Code::DuplicateModel,
                "The query names a model, or has a name that is not UTF-8. Name the model in the body only.",
            )
            .with_param("model"));
        }
        Ok(Self {
            key,
            cache,
            operation: target.operation,
            sealer: None,
            declared,
            path: match target.query.map(|query| without_credentials(query, presented)) {
                Some(query) if !query.is_empty() => [target.path, "?", &query].concat(),
                _ => target.path.to_owned(),
            },
            has_version: fields.has_version,
            is_page: fields.is_page,
            content_type: content_type(target.operation, fields.content_type)?,
            removals: match is_repeated(
                headers,
                presented,
                fields.has_unusual || config.withheld.may_hold(presented),
            ) {
                true => removals(config, headers, |text| repeats_key(text, presented)),
                false => std::mem::take(&mut fields.withheld),
            },
        })
    }

    /// The head's edits that are the same for every provider.
    pub fn common(self, rewrite: &Rewrite<'_>) -> Vec<HeaderEdit> {
        let mut edits = self.removals;
        edits.extend(self.content_type);
        if rewrite.decision.cache == CacheMode::Disable {
            edits.push(HeaderEdit::set("cache-control", "no-cache"));
        }
        edits
    }
}

/// What is removed from every governed request. `is_key`: whether a name or value holds the client's virtual key.
pub(super) fn removals(
    config: &Config,
    headers: &Headers,
    is_key: impl Fn(&[u8]) -> bool,
) -> Vec<HeaderEdit> {
    let mut edits = Vec::with_capacity(MOST_EDITS);
    for (name, value) in headers.iter() {
        if let Some(name) = config.withheld.find(name) {
            edits.push(HeaderEdit::remove(name));
        } else if (is_key(value) || is_key(name)) && !name.starts_with(b":") {
            let name = std::str::from_utf8(name).ok();
            edits.extend(name.map(|name| HeaderEdit::remove(name.to_owned())));
        }
    }
    edits
}

/// Whether no upstream may see a header of this name from a client.
pub(super) fn is_withheld(config: &Config, name: &str) -> bool {
    config.withheld.find(name.as_bytes()).is_some()
}

/// A client's copies of the gateway's own headers.
pub(super) fn own_headers(config: &Config, headers: &Headers) -> Vec<HeaderEdit> {
    let names = headers.iter().filter_map(|(name, _)| config.headers.find(name));
    names.map(HeaderEdit::remove).collect()
}

/// What is to stand in the place of a request's `content-type`; `None` where it may stay. Forms get one of our own
/// making: parsers find another boundary where more than one can be read.
fn content_type(
    operation: Operation,
    given: Option<&[u8]>,
) -> Result<Option<HeaderEdit>, GatewayError> {
    let own: Option<HeaderText> = match operation.body_kind() {
        BodyKind::Json if !given.is_some_and(is_utf8_json) => Some("application/json".into()),
        BodyKind::Multipart => {
            let given = given.unwrap_or_default();
            let own = multipart::content_type(&multipart::boundary(given)?);
            (own.as_bytes() != given).then(|| own.into())
        }
        BodyKind::Json | BodyKind::None => None,
    };
    Ok(own.map(|value| HeaderEdit::set("content-type", value)))
}

/// Whether a `content-type` says JSON in UTF-8. Under another one a server might read the body in
/// another way than it was checked: as a form, or in another character set.
fn is_utf8_json(value: &[u8]) -> bool {
    if value == b"application/json" {
        return true;
    }
    let value = value.to_ascii_lowercase();
    let mut parts = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let essence = parts.next().unwrap_or_default();
    let json = essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"));
    json && !value.contains(&b',')
        && parts.all(|parameter| {
            !parameter.starts_with(b"charset")
                || matches!(parameter, b"charset=utf-8" | b"charset=\"utf-8\"" | b"charset=utf8")
        })
}

/// Whether `path`, which does not lie under `prefix` as it is written, does once a server has decoded it: percent escapes
/// (however often), case, doubled slashes, dots and backslashes. Starlette, under vLLM and SGLang, answers such paths.
pub(super) fn is_beside_prefix(path: &[u8], prefix: &str) -> bool {
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    if !path.starts_with(b"//") && path.iter().all(plain) && prefix.bytes().all(|byte| plain(&byte))
    {
        // Nothing to decode: most paths end here.
        let same = path
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()));
        let has_doubled = path.windows(2).any(|pair| pair == b"//");
        if !has_doubled {
            return same && matches!(path.get(prefix.len()), None | Some(b'/'));
        }
    }
    // What is escaped more often than anybody decodes has something to hide.
    let Some(decoded) = lenient_segments(path).map(resolved) else { return true };
    let wanted = lenient_segments(prefix.as_bytes()).map(resolved).unwrap_or_default();
    decoded.starts_with(&wanted)
}

/// The parameters of a query.
fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split(['&', ';'])
}

/// A query without the parameters that carry a key of the client's: like a header, it is no upstream's.
fn without_credentials<'a>(query: &'a str, presented: &[u8]) -> Cow<'a, str> {
    let is_credential = |parameter: &&str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        is_credential_parameter(name, value, presented)
    };
    if !parameters(query).any(|parameter| is_credential(&parameter)) {
        return Cow::Borrowed(query);
    }
    let kept: Vec<&str> = parameters(query).filter(|parameter| !is_credential(parameter)).collect();
    Cow::Owned(kept.join("&"))
}

/// The part of `path` after `prefix`, if the path lies under it.
pub(super) fn under_prefix<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    if prefix.is_empty() {
        return Some(rest);
    }
    matches!(rest.first(), None | Some(b'/' | b'?')).then_some(rest)
}

/// Where some server may cut a query.
fn parts(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|byte| matches!(byte, b'&' | b';' | b'?' | b'#'))
}

/// Whether more names than [`MAX_PARAMETERS`] may be read in a query.
fn has_many_names(query: &[u8]) -> bool {
    parts(query).nth(MAX_PARAMETERS).is_some()
}

/// Whether a query string has a parameter by which some server may choose the model: there are servers that let it override
/// the body (LiteLLM). A name that is not UTF-8 can be read as any, and so can one in what is escaped more often than anybody
/// decodes. Some decode before they cut.
fn names_model(query: &str) -> bool {
    let names = |query: &[u8]| {
        // Decoded, there may be more of them.
        has_many_names(query)
            || parts(query).any(|parameter| {
                let name = parameter.split(|&byte| byte == b'=').next().unwrap_or_default();
                let readings = Readings::of(name);
                readings.may_be("model")
                    || readings.known_further_model().is_some()
                    || std::str::from_utf8(&percent::decode(name)).is_err()
            })
    };
    names(query.as_bytes())
        || (query.contains('%')
            && percent::decode_fully(query.as_bytes()).is_none_or(|decoded| names(&decoded)))
}
