//! The request half: authenticate, find the model, decide, rewrite, and go on checking to the end.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Caller, Exchange, Note, Release, RequestStep, Route};
use crate::config::{CacheMode, Config, Provider, ResponsesApi};
use crate::error::{Code, GatewayError};
use crate::headers::{HeaderEdit, Headers};
use crate::json::scan::Facts;
use crate::json::string;
use crate::key::presented_key;
use crate::model::{self, Found};
use crate::operation::{self, BodyKind, Operation};
use crate::splice::{self, Edit};
use crate::{json, multipart};

/// A body without a declared length is held until this much has come: then most requests can be sent
/// with a `content-length`, which some servers insist on (mlx-lm answers 411).
const HOLD_UNDECLARED_BYTES: u64 = 16 * 1024;

/// Where the request stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Start,
    /// Outside of `path_prefix`: not ours.
    Untouched,
    /// The head is held until the body has named the model.
    Reading(Box<Reading>),
    /// Head and model are upstream; the rest is checked while it passes.
    Streaming(Box<Streaming>),
    /// We answered.
    Replied,
}

/// A request whose head is held.
#[derive(Debug)]
pub(super) struct Reading {
    head: Head,
    body: Body,
    /// Set as soon as the model is known; what is left is to wait for the rest of the body.
    route: Option<(Route, Edit)>,
}

/// A request on its way upstream.
#[derive(Debug)]
pub(super) struct Streaming {
    body: Body,
    pub(super) route: Route,
}

/// What is kept of the head while the body is read.
#[derive(Debug)]
struct Head {
    caller: Caller,
    operation: Operation,
    /// Path after the prefix, with its query.
    path: String,
    /// `content-type` is there.
    has_content_type: bool,
    /// Headers to remove: credentials, the gateway's own, what must not go upstream.
    removals: Vec<HeaderEdit>,
}

/// The body as far as it has come.
#[derive(Debug)]
struct Body {
    reader: Reader,
    /// `content-length`.
    declared: Option<u64>,
    counted: u64,
}

/// The scanner for the operation's kind of body.
#[derive(Debug)]
enum Reader {
    Json(Box<json::scan::Scanner>),
    Multipart(Box<multipart::Scanner>),
}

impl Reader {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Found>, GatewayError> {
        match self {
            Self::Json(scanner) => scanner.push(bytes),
            Self::Multipart(scanner) => scanner.push(bytes),
        }
    }

    fn finish(&mut self) -> Result<(), GatewayError> {
        match self {
            Self::Json(scanner) => scanner.finish(),
            Self::Multipart(scanner) => scanner.finish(),
        }
    }

    fn facts(&self) -> Facts {
        match self {
            Self::Json(scanner) => scanner.facts(),
            Self::Multipart(scanner) => {
                Facts { stream: scanner.facts().stream, ..Facts::default() }
            }
        }
    }

    /// The model id as it is written in this kind of body.
    fn write(&self, id: &str) -> Vec<u8> {
        match self {
            Self::Json(_) => string::encode(id),
            Self::Multipart(_) => id.as_bytes().to_vec(),
        }
    }
}

impl Body {
    /// Reads the next bytes, and the end where it is one.
    fn push(&mut self, bytes: &[u8], end: bool, limit: u64) -> Result<Option<Found>, GatewayError> {
        self.counted = self.counted.saturating_add(bytes.len() as u64);
        if self.counted > limit {
            return Err(too_large(limit));
        }
        let found = self.reader.push(bytes)?;
        if self.is_complete(end) {
            self.reader.finish()?;
        }
        Ok(found)
    }

    /// Whether no more bytes will come. With a declared length this is known in the call that brings
    /// the last byte, so that a body which is wrong at its end is never handed on in full.
    fn is_complete(&self, end: bool) -> bool {
        end || self.declared == Some(self.counted)
    }
}

impl Exchange {
    /// The request's head. `end`: it has no body. `now`: Unix seconds.
    pub fn on_request_head(&mut self, headers: &Headers, end: bool, now: u64) -> RequestStep {
        let path = headers.get(":path").unwrap_or_default();
        let Some(rest) = under_prefix(path, &self.config.path_prefix) else {
            self.request = Phase::Untouched;
            let removals = own_headers(&self.config, headers);
            return if removals.is_empty() {
                RequestStep::Continue
            } else {
                RequestStep::Release(Release { headers: removals, body: Vec::new() })
            };
        };
        self.request_id = headers
            .get("x-request-id")
            .and_then(|id| std::str::from_utf8(id).ok())
            .map(str::to_owned);
        match self.accept_head(headers, rest, end, now) {
            Ok(step) => step,
            Err(error) => self.refuse(&error),
        }
    }

    /// Whether the bytes of the request's body are to be read and given to
    /// [`Self::on_request_body`].
    #[must_use]
    pub fn reads_request_body(&self) -> bool {
        matches!(self.request, Phase::Reading(_) | Phase::Streaming(_))
    }

    /// The next bytes of the body (never the same twice). `end`: these are the last.
    pub fn on_request_body(&mut self, bytes: &[u8], end: bool) -> RequestStep {
        let limits = self.config.limits;
        let step = match &mut self.request {
            Phase::Streaming(streaming) => {
                let read = streaming.body.push(bytes, end, limits.max_request_bytes);
                streaming.route.facts = streaming.body.reader.facts();
                read.map(|_| RequestStep::Continue)
            }
            Phase::Reading(reading) => reading
                .body
                .push(bytes, end, limits.max_request_bytes)
                .and_then(|found| self.on_held_body(found, end)),
            Phase::Start | Phase::Untouched | Phase::Replied => Ok(RequestStep::Continue),
        };
        step.unwrap_or_else(|error| self.refuse(&error))
    }

    /// The whole body, after [`RequestStep::ReadWhole`].
    pub fn on_request_whole(&mut self, body: &[u8]) -> RequestStep {
        match self.release(Some(body), true) {
            Ok(step) => step,
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &GatewayError) -> RequestStep {
        self.reply(&error.to_answer())
    }

    fn accept_head(
        &mut self,
        headers: &Headers,
        rest: &[u8],
        end: bool,
        now: u64,
    ) -> Result<RequestStep, GatewayError> {
        let key = self.config.virtual_keys.authenticate(presented_key(headers.iter())?, now)?;
        self.notes.push((Note::VirtualKey, key.id.clone()));
        let rest = std::str::from_utf8(rest)
            .map_err(|_| GatewayError::new(Code::UnknownUrl, "The path is not valid UTF-8."))?;
        let method = headers.get(":method").unwrap_or_default();
        let target = operation::classify(method, rest)?;
        self.notes.push((Note::Operation, target.operation.as_str().to_owned()));
        let caller = Caller { cache: cache_mode(&self.config, &key, headers)?, key };
        let declared = check_limits(&self.config, headers)?;
        if target.query.is_some_and(names_model) {
            return Err(GatewayError::new(
                Code::DuplicateModel,
                "The query names a model. Name it in the body only.",
            )
            .with_param("model"));
        }
        let counts_inputs = target.operation == Operation::Embeddings;
        let reader = match target.operation.body_kind() {
            BodyKind::Json => Reader::Json(Box::new(json::scan::Scanner::new(counts_inputs))),
            BodyKind::Multipart => {
                let content_type = headers.get("content-type").unwrap_or_default();
                let boundary = multipart::boundary(content_type)?;
                Reader::Multipart(Box::new(multipart::Scanner::new(&boundary)))
            }
            BodyKind::None => return self.without_body(&caller, target.operation),
        };
        let path = match target.query {
            Some(query) => format!("{}?{query}", target.path),
            None => target.path.to_owned(),
        };
        self.request = Phase::Reading(Box::new(Reading {
            head: Head {
                removals: removals(&self.config, headers),
                has_content_type: headers.get("content-type").is_some(),
                operation: target.operation,
                caller,
                path,
            },
            body: Body { reader, declared, counted: 0 },
            route: None,
        }));
        // A request without a body is judged like one with an empty body.
        if end { Ok(self.on_request_body(&[], true)) } else { Ok(RequestStep::Hold) }
    }

    /// Operations that name no model in a body.
    fn without_body(
        &mut self,
        caller: &Caller,
        operation: Operation,
    ) -> Result<RequestStep, GatewayError> {
        let name = caller
            .key
            .bound
            .primary()
            .and_then(|id| self.config.providers.get(id))
            .map_or("(none)", |provider| provider.name.as_str());
        Err(unsupported(operation, name))
    }

    /// The body is held, and `found` is its model id if this call completed it.
    fn on_held_body(
        &mut self,
        found: Option<Found>,
        end: bool,
    ) -> Result<RequestStep, GatewayError> {
        let Phase::Reading(reading) = &mut self.request else { return Ok(RequestStep::Continue) };
        if let Some(found) = found {
            let route = resolve(&self.config, reading, &found, self.request_id.as_deref())?;
            let (start, end) = (found.span.start as usize, found.span.end as usize);
            let with = reading.body.reader.write(&route.model);
            reading.route = Some((route, Edit { span: start..end, with }));
        }
        let body = &reading.body;
        let complete = body.is_complete(end);
        let whole = needs_whole_body(reading);
        if reading.route.is_some() && complete {
            return if whole { Ok(RequestStep::ReadWhole) } else { self.release(None, true) };
        }
        let wait = reading.route.is_none()
            || whole
            || (body.declared.is_none() && body.counted <= HOLD_UNDECLARED_BYTES);
        if !wait {
            return self.release(None, false);
        }
        let limit = self.config.limits.max_buffered_bytes;
        if body.counted > limit {
            return Err(too_much_held(limit, reading.route.is_none()));
        }
        Ok(RequestStep::Hold)
    }

    /// The model is known and allowed: settles head and body. `whole` is the complete body where the
    /// cache mode edits it.
    fn release(
        &mut self,
        whole: Option<&[u8]>,
        complete: bool,
    ) -> Result<RequestStep, GatewayError> {
        let Phase::Reading(reading) = std::mem::replace(&mut self.request, Phase::Replied) else {
            return Err(internal());
        };
        let Reading { head, body, route } = *reading;
        let (mut route, model_edit) = route.ok_or_else(internal)?;
        route.facts = body.reader.facts();
        let provider = self.config.providers.get(route.provider).ok_or_else(internal)?;

        let mut edits = match (whole, head.caller.cache) {
            (Some(whole), CacheMode::Disable) => crate::cache_control::disable(whole)?,
            (Some(whole), CacheMode::Force) => crate::cache_control::force(whole)?,
            _ => Vec::new(),
        };
        let at = edits.partition_point(|edit| edit.span.start < model_edit.span.start);
        edits.insert(at, model_edit);

        let length = match (body.declared, complete) {
            (Some(length), _) => Some(length),
            (None, true) => Some(body.counted),
            (None, false) => None,
        };
        let length = length.map(|length| length.saturating_add_signed(splice::growth(&edits)));
        let headers = upstream_head(&self.config, provider, head, length);

        self.notes.push((Note::Provider, provider.name.clone()));
        self.notes.push((Note::Model, route.model.clone()));
        self.request = Phase::Streaming(Box::new(Streaming { body, route }));
        Ok(RequestStep::Release(Release { headers, body: edits }))
    }
}

/// Resolves the model, and checks that the provider serves the operation.
fn resolve(
    config: &Config,
    reading: &Reading,
    found: &Found,
    request_id: Option<&str>,
) -> Result<Route, GatewayError> {
    let head = &reading.head;
    // The same request always draws the same target, also when Envoy tries it again.
    let mut hasher = DefaultHasher::new();
    request_id.hash(&mut hasher);
    let chosen = model::resolve(config, &head.caller.key, &found.id, hasher.finish())?;
    let provider = config.providers.get(chosen.provider).ok_or_else(internal)?;
    let translated =
        head.operation == Operation::Responses && provider.responses_api == ResponsesApi::Chat;
    if !provider.operations.contains(head.operation) || translated {
        return Err(unsupported(head.operation, &provider.name));
    }
    Ok(Route {
        operation: head.operation,
        provider: chosen.provider,
        model: chosen.model,
        requested: found.id.clone(),
        cache: head.caller.cache,
        facts: Facts::default(),
    })
}

/// Whether the body is edited elsewhere than at the model, so that it must be there as a whole.
fn needs_whole_body(reading: &Reading) -> bool {
    matches!(reading.body.reader, Reader::Json(_))
        && reading.head.caller.cache != CacheMode::Respect
}

/// The head that the upstream gets. The routing header comes last: each change makes Envoy choose the
/// route anew.
fn upstream_head(
    config: &Config,
    provider: &Provider,
    head: Head,
    length: Option<u64>,
) -> Vec<HeaderEdit> {
    let mut edits = head.removals;
    if let Some(header) = &provider.auth_header {
        edits.push(HeaderEdit::remove(header.clone()));
    }
    if let Some(credential) = &provider.credential {
        edits.push(HeaderEdit::set(
            credential.header.clone(),
            credential.value.expose().as_bytes().to_vec(),
        ));
    }
    if !head.has_content_type && head.operation.body_kind() == BodyKind::Json {
        edits.push(HeaderEdit::set("content-type", "application/json"));
    }
    if head.caller.cache == CacheMode::Disable {
        edits.push(HeaderEdit::set("cache-control", "no-cache"));
    }
    if let Some(length) = length {
        edits.push(HeaderEdit::set("content-length", length.to_string()));
    }
    edits.push(HeaderEdit::set(":authority", provider.authority.clone()));
    edits.push(HeaderEdit::set(":path", format!("{}{}", provider.base_path, head.path)));
    edits.push(HeaderEdit::set(config.headers.cluster.clone(), provider.cluster.clone()));
    edits
}

/// What is removed from every governed request.
fn removals(config: &Config, headers: &Headers) -> Vec<HeaderEdit> {
    let mut edits = own_headers(config, headers);
    for name in ["authorization", "x-api-key", "api-key", "accept-encoding"] {
        if headers.get(name).is_some() {
            edits.push(HeaderEdit::remove(name));
        }
    }
    edits
}

/// A client's copies of the gateway's own headers. `<prefix>-cache` is a request header by contract
/// and stays.
fn own_headers(config: &Config, headers: &Headers) -> Vec<HeaderEdit> {
    let names = &config.headers;
    headers
        .iter()
        .filter_map(|(name, _)| std::str::from_utf8(name).ok())
        .filter(|&name| {
            name == names.cluster || (name.starts_with(&names.prefix) && name != names.cache)
        })
        .map(|name| HeaderEdit::remove(name.to_owned()))
        .collect()
}

/// The cache mode: the request's header over the key's over the global one.
fn cache_mode(
    config: &Config,
    key: &crate::key::VirtualKey,
    headers: &Headers,
) -> Result<CacheMode, GatewayError> {
    let Some(value) = headers.get(&config.headers.cache) else {
        return Ok(key.cache.unwrap_or(config.cache));
    };
    std::str::from_utf8(value).ok().and_then(|name| CacheMode::from_name(name.trim())).ok_or_else(
        || {
            GatewayError::new(
                Code::CacheOverrideInvalid,
                format!("{} must be respect, disable or force.", config.headers.cache),
            )
        },
    )
}

/// Checks what the head says about the body; returns its declared length.
fn check_limits(config: &Config, headers: &Headers) -> Result<Option<u64>, GatewayError> {
    if let Some(encoding) = headers.get("content-encoding")
        && !encoding.trim_ascii().eq_ignore_ascii_case(b"identity")
    {
        return Err(GatewayError::new(
            Code::UnsupportedContentEncoding,
            "The body is compressed, so its model can't be checked. Send it without content-encoding.",
        ));
    }
    let declared = headers
        .get("content-length")
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| value.trim().parse().ok());
    let limit = config.limits.max_request_bytes;
    if declared.is_some_and(|length: u64| length > limit) {
        return Err(too_large(limit));
    }
    Ok(declared)
}

/// The part of `path` after `prefix`, if the path lies under it.
fn under_prefix<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    matches!(rest.first(), None | Some(b'/' | b'?')).then_some(rest)
}

/// Whether a query string has a parameter `model`, in any case and however it is escaped: some
/// servers let it override the body (seen in LiteLLM).
fn names_model(query: &str) -> bool {
    query.split(['&', ';']).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        percent_decoded(name).eq_ignore_ascii_case(b"model")
    })
}

/// Percent-decodes; a broken escape stands for itself.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let Some((&[high, low], tail)) = tail.split_first_chunk::<2>()
            && let (Some(high), Some(low)) =
                (char::from(high).to_digit(16), char::from(low).to_digit(16))
        {
            out.push((high * 16 + low) as u8);
            rest = tail;
        } else {
            out.push(byte);
        }
    }
    out
}

fn unsupported(operation: Operation, provider: &str) -> GatewayError {
    GatewayError::new(
        Code::UnsupportedOperation,
        format!("{} is not supported by provider {provider}", operation.as_str()),
    )
}

fn too_large(limit: u64) -> GatewayError {
    GatewayError::new(Code::RequestTooLarge, format!("The body is larger than {limit} bytes."))
}

fn too_much_held(limit: u64, model_missing: bool) -> GatewayError {
    let message = if model_missing {
        format!(
            "No \"model\" in the first {limit} bytes of the body. Put \"model\" first, before large \
             values and files: then the rest need not be held."
        )
    } else {
        format!("The body is larger than {limit} bytes, and this cache mode has to hold all of it.")
    };
    GatewayError::new(Code::RequestTooLarge, message).with_param("model")
}

fn internal() -> GatewayError {
    GatewayError::new(Code::InternalError, "The gateway lost track of this request.")
}
