//! The request half: authenticate, find the model, decide, rewrite, and go on checking to the end.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Exchange, ModelsQuery, Note, Release, RequestStep, Route};
use crate::config::{CacheMode, Config, Limits, ResponsesApi};
use crate::error::{Code, GatewayError};
use crate::headers::{HeaderEdit, Headers};
use crate::json::scan::Facts;
use crate::json::string;
use crate::key::{VirtualKey, presented_key};
use crate::model::{self, Found};
use crate::models::Want;
use crate::operation::{self, BodyKind, Operation, Target};
use crate::splice::{self, Edit};
use crate::{json, multipart};

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
    /// We answer, now or once the model lists are there.
    Replied,
}

/// A request whose head is held.
#[derive(Debug)]
pub(super) struct Reading {
    head: Head,
    body: Body,
    /// Set as soon as the model is known; what is left is to wait for the rest of the body.
    chosen: Option<(Route, Option<Edit>)>,
}

/// A request on its way upstream.
#[derive(Debug)]
pub(super) struct Streaming {
    body: Body,
    pub(super) route: Route,
}

/// What is kept of the head while the body is read.
#[derive(Debug)]
enum Head {
    /// The request as its client sent it.
    Client(ClientHead),
    /// A request that this filter has rewritten before (see [`Attempt`]).
    Rewritten(Attempt),
}

#[derive(Debug)]
struct ClientHead {
    key: Rc<VirtualKey>,
    cache: CacheMode,
    operation: Operation,
    /// Path after the prefix, with its query.
    path: String,
    has_content_type: bool,
    /// Headers to remove: credentials, the gateway's own, what must not go upstream.
    removals: Vec<HeaderEdit>,
}

/// What an earlier instance of this filter decided about the same request.
///
/// As an upstream filter, Envoy makes one instance for each attempt. A second attempt gets the head as
/// the first one left it, with the provider's credential in the place of the virtual key, but the body
/// as the client sent it. So the decision is kept in filter state, which all attempts share and no
/// client can write.
#[derive(Debug, Serialize, Deserialize)]
struct Attempt {
    operation: String,
    provider: String,
    model: String,
    requested: String,
    cache: String,
    /// `content-length` of the rewritten body, where it was known.
    length: Option<u64>,
}

/// The body as far as it has come.
#[derive(Debug)]
struct Body {
    reader: Reader,
    /// `content-length`.
    declared: Option<u64>,
    counted: u64,
    /// It ends with trailers, which need chunked framing.
    trailers: bool,
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

    /// Whether the text is complete, so that its end must follow.
    fn is_complete(&self) -> bool {
        match self {
            Self::Json(scanner) => scanner.is_complete(),
            Self::Multipart(scanner) => scanner.finish().is_ok(),
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
    /// Reads the next bytes, and the end where it is one. `searching`: the model is not known yet.
    fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        searching: bool,
        limits: &Limits,
    ) -> Result<Option<Found>, GatewayError> {
        self.counted = self.counted.saturating_add(bytes.len() as u64);
        if self.counted > limits.max_request_bytes {
            return Err(too_large(limits.max_request_bytes));
        }
        let found = self.reader.push(bytes)?;
        // Where the model ends decides, not how much came with it: the same body is judged the same
        // way in one piece and in many.
        let held = found.as_ref().map_or(self.counted, |found| found.span.end);
        if searching && held > limits.max_buffered_bytes {
            return Err(too_much_held(limits.max_buffered_bytes));
        }
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
    ///
    /// `recall` reads what [`Note::Attempt`] wrote in an earlier attempt at the same request.
    pub fn on_request_head(
        &mut self,
        headers: &Headers,
        end: bool,
        now: u64,
        recall: impl Fn() -> Option<Vec<u8>>,
    ) -> RequestStep {
        let path = headers.get(":path").unwrap_or_default();
        let Some(rest) = under_prefix(path, &self.config.path_prefix) else {
            if let Some(step) = recall().and_then(|note| self.attempt_again(headers, end, &note)) {
                return step;
            }
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
            // In a second attempt the virtual key is no longer there.
            Err(error) if error.code == Code::InvalidApiKey => recall()
                .and_then(|note| self.attempt_again(headers, end, &note))
                .unwrap_or_else(|| self.refuse(&error)),
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
                let read = streaming.body.push(bytes, end, false, &limits);
                streaming.route.facts = streaming.body.reader.facts();
                read.map(|_| RequestStep::Continue)
            }
            Phase::Reading(reading) => {
                let searching = reading.chosen.is_none();
                let read = reading.body.push(bytes, end, searching, &limits);
                read.and_then(|found| self.on_held_body(found, end))
            }
            Phase::Start | Phase::Untouched => Ok(RequestStep::Continue),
            // Nothing of it may go upstream.
            Phase::Replied => Ok(RequestStep::Hold),
        };
        step.unwrap_or_else(|error| self.refuse(&error))
    }

    /// The trailers: the end of a body that has some.
    pub fn on_request_trailers(&mut self) -> RequestStep {
        if let Phase::Reading(reading) = &mut self.request {
            reading.body.trailers = true;
        }
        self.on_request_body(&[], true)
    }

    /// The whole body, after [`RequestStep::ReadWhole`].
    pub fn on_request_whole(&mut self, body: &[u8]) -> RequestStep {
        match self.release(Some(body), true) {
            Ok(step) => step,
            Err(error) => self.refuse(&error),
        }
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
        let cache = cache_mode(&self.config, &key, headers)?;
        let declared = check_limits(&self.config, headers)?;
        if target.query.is_some_and(names_model) {
            return Err(GatewayError::new(
                Code::DuplicateModel,
                "The query names a model. Name it in the body only.",
            )
            .with_param("model"));
        }
        let Some(reader) = reader(target.operation, headers)? else {
            return self.without_body(key, &target);
        };
        let path = match target.query {
            Some(query) => format!("{}?{query}", target.path),
            None => target.path.to_owned(),
        };
        let head = Head::Client(ClientHead {
            removals: removals(&self.config, headers),
            has_content_type: headers.get("content-type").is_some(),
            operation: target.operation,
            cache,
            key,
            path,
        });
        Ok(self.read_body(head, reader, declared, end))
    }

    /// Takes up a request that an earlier instance has rewritten. `None` when the note is of no use.
    fn attempt_again(&mut self, headers: &Headers, end: bool, note: &[u8]) -> Option<RequestStep> {
        let attempt: Attempt = serde_json::from_slice(note).ok()?;
        let reader = reader(Operation::from_name(&attempt.operation)?, headers).ok()??;
        // The declared length may be that of the first attempt's body: the end will tell.
        Some(self.read_body(Head::Rewritten(attempt), reader, None, end))
    }

    fn read_body(
        &mut self,
        head: Head,
        reader: Reader,
        declared: Option<u64>,
        end: bool,
    ) -> RequestStep {
        let body = Body { reader, declared, counted: 0, trailers: false };
        self.request = Phase::Reading(Box::new(Reading { head, body, chosen: None }));
        // A request without a body is judged like one with an empty body.
        if end { self.on_request_body(&[], true) } else { RequestStep::Hold }
    }

    /// Operations that name no model in a body: model lists are ours to answer, the rest has nothing
    /// that would name its provider.
    fn without_body(
        &mut self,
        key: Rc<VirtualKey>,
        target: &Target<'_>,
    ) -> Result<RequestStep, GatewayError> {
        if target.operation == Operation::Models {
            self.request = Phase::Replied;
            return Ok(RequestStep::ListModels(ModelsQuery {
                key,
                want: Want::from_path(target.path),
                request_id: self.request_id.clone(),
            }));
        }
        let name = key
            .bound
            .primary()
            .and_then(|id| self.config.providers.get(id))
            .map_or("(none)", |provider| provider.name.as_str());
        Err(unsupported(target.operation, name))
    }

    /// The body is held, and `found` is its model id if this call completed it.
    fn on_held_body(
        &mut self,
        found: Option<Found>,
        end: bool,
    ) -> Result<RequestStep, GatewayError> {
        let Phase::Reading(reading) = &mut self.request else { return Ok(RequestStep::Continue) };
        if let Some(found) = found {
            let route = match &reading.head {
                Head::Client(head) => {
                    resolve(&self.config, head, &found.id, self.request_id.as_deref())?
                }
                Head::Rewritten(attempt) => attempt.route(&self.config, &found.id)?,
            };
            // An id that stays as it is leaves the body untouched, however it is escaped.
            let edit = (route.model != found.id).then(|| Edit {
                span: found.span.start as usize..found.span.end as usize,
                with: reading.body.reader.write(&route.model),
            });
            reading.chosen = Some((route, edit));
        }
        let body = &reading.body;
        let Some((route, _)) = &reading.chosen else { return Ok(RequestStep::Hold) };
        // Cache markers are edited anywhere in the body, so all of it must be there.
        let whole = matches!(body.reader, Reader::Json(_)) && route.cache != CacheMode::Respect;
        if body.is_complete(end) {
            return if whole { Ok(RequestStep::ReadWhole) } else { self.release(None, true) };
        }
        let limit = self.config.limits.max_buffered_bytes;
        if whole && body.counted > limit {
            return Err(GatewayError::new(
                Code::RequestTooLarge,
                format!(
                    "The body is larger than {limit} bytes, and cache mode {} has to hold all of it.",
                    route.cache.as_str()
                ),
            ));
        }
        // The end of a complete body is about to come: with it the length is known, which some servers
        // insist on (mlx-lm answers 411 without).
        let length_is_near = body.declared.is_none() && body.reader.is_complete();
        if whole || length_is_near { Ok(RequestStep::Hold) } else { self.release(None, false) }
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
        let Reading { head, body, chosen } = *reading;
        let (mut route, model_edit) = chosen.ok_or_else(internal)?;
        route.facts = body.reader.facts();
        let mut edits = match (whole, route.cache) {
            (Some(whole), CacheMode::Disable) => crate::cache_control::disable(whole)?,
            (Some(whole), CacheMode::Force) => crate::cache_control::force(whole)?,
            _ => Vec::new(),
        };
        if let Some(edit) = model_edit {
            let at = edits.partition_point(|other| other.span.start < edit.span.start);
            edits.insert(at, edit);
        }
        let headers = match head {
            Head::Client(head) => {
                let length = match (body.declared, complete && !body.trailers) {
                    (Some(length), _) => Some(length),
                    (None, true) => Some(body.counted),
                    (None, false) => None,
                }
                .map(|length| length.saturating_add_signed(splice::growth(&edits)));
                self.client_head(&route, head, body.declared, length)?
            }
            // Everything else is still as the first attempt set it.
            Head::Rewritten(_) if edits.is_empty() => Vec::new(),
            Head::Rewritten(attempt) => attempt.length.map(content_length).into_iter().collect(),
        };
        self.request = Phase::Streaming(Box::new(Streaming { body, route }));
        Ok(RequestStep::Release(Release { headers, body: edits }))
    }

    /// The head that the upstream gets, and what is noted of it. The routing header comes last: each
    /// change makes Envoy choose the route anew.
    fn client_head(
        &mut self,
        route: &Route,
        head: ClientHead,
        declared: Option<u64>,
        length: Option<u64>,
    ) -> Result<Vec<HeaderEdit>, GatewayError> {
        let provider = self.config.providers.get(route.provider).ok_or_else(internal)?;
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
        if head.cache == CacheMode::Disable {
            edits.push(HeaderEdit::set("cache-control", "no-cache"));
        }
        if length != declared {
            edits.extend(length.map(content_length));
        }
        edits.push(HeaderEdit::set(":authority", provider.authority.clone()));
        edits.push(HeaderEdit::set(":path", format!("{}{}", provider.base_path, head.path)));
        edits.push(HeaderEdit::set(self.config.headers.cluster.clone(), provider.cluster.clone()));

        let attempt = Attempt {
            operation: route.operation.as_str().to_owned(),
            provider: provider.name.clone(),
            model: route.model.clone(),
            requested: route.requested.clone(),
            cache: route.cache.as_str().to_owned(),
            length,
        };
        if let Ok(attempt) = serde_json::to_string(&attempt) {
            self.notes.push((Note::Attempt, attempt));
        }
        self.notes.push((Note::Provider, provider.name.clone()));
        self.notes.push((Note::Model, route.model.clone()));
        Ok(edits)
    }
}

impl Attempt {
    /// The same decision again. `found` is the id in the body: the client's own, or the upstream's if
    /// the body was rewritten before it came here.
    fn route(&self, config: &Config, found: &str) -> Result<Route, GatewayError> {
        if found != self.requested && found != self.model {
            return Err(internal());
        }
        Ok(Route {
            operation: Operation::from_name(&self.operation).ok_or_else(internal)?,
            provider: config.providers.by_name(&self.provider).ok_or_else(internal)?,
            model: self.model.clone(),
            requested: self.requested.clone(),
            cache: CacheMode::from_name(&self.cache).ok_or_else(internal)?,
            facts: Facts::default(),
        })
    }
}

/// Resolves the model, and checks that the provider serves the operation.
fn resolve(
    config: &Config,
    head: &ClientHead,
    id: &str,
    request_id: Option<&str>,
) -> Result<Route, GatewayError> {
    // The same request always draws the same target.
    let mut hasher = DefaultHasher::new();
    request_id.hash(&mut hasher);
    let chosen = model::resolve(config, &head.key, id, hasher.finish())?;
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
        requested: id.to_owned(),
        cache: head.cache,
        facts: Facts::default(),
    })
}

/// The scanner for an operation's body; `None` for an operation without one.
fn reader(operation: Operation, headers: &Headers) -> Result<Option<Reader>, GatewayError> {
    let counts_inputs = operation == Operation::Embeddings;
    Ok(match operation.body_kind() {
        BodyKind::Json => Some(Reader::Json(Box::new(json::scan::Scanner::new(counts_inputs)))),
        BodyKind::Multipart => {
            let content_type = headers.get("content-type").unwrap_or_default();
            let boundary = multipart::boundary(content_type)?;
            Some(Reader::Multipart(Box::new(multipart::Scanner::new(&boundary))))
        }
        BodyKind::None => None,
    })
}

fn content_length(length: u64) -> HeaderEdit {
    HeaderEdit::set("content-length", length.to_string())
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
    key: &VirtualKey,
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

fn too_much_held(limit: u64) -> GatewayError {
    GatewayError::new(
        Code::RequestTooLarge,
        format!(
            "No model in the first {limit} bytes of the body. Put `model` first, before large values \
             and files: then the rest need not be held."
        ),
    )
    .with_param("model")
}

fn internal() -> GatewayError {
    GatewayError::new(Code::InternalError, "The gateway lost track of this request.")
}
