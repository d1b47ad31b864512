//! `virtual_keys`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::document::Keys;
use super::super::field::{Field, Object as _};
use super::super::problems::{Path, Problems, ROOT};
use super::super::raw::{OneOrMany, RawVirtualKey, Streamed};
use super::super::text;
use super::{Env, ProviderNames, alias, cache, strings, usage};
use crate::policy::intern::Interner;
use crate::policy::key::{
    self, Bound, Digest, MAX_KEY_BYTES, VirtualKey, VirtualKeys, VirtualKeysBuilder, Weakness,
};
use crate::policy::model::{AliasTable, Allowlist, Interned, pattern_problem};
use crate::policy::{Secret, UsageSettings};

/// The longest `id`: it goes into headers and metric names.
const MAX_ID_BYTES: usize = 128;

/// A shorter virtual key is warned of at start.
const SAFE_KEY_BYTES: usize = 16;

/// What the virtual keys share.
#[derive(Default)]
struct SharedByKeys {
    models: Interned,
    bound: Interner<Bound>,
}

/// Where ids and digests were seen first.
#[derive(Default)]
struct FirstUses {
    ids: HashMap<Arc<str>, usize>,
    digests: HashMap<Digest, usize>,
}

/// What the configuration says beside the keys.
pub(super) struct Beside<'a> {
    pub names: &'a ProviderNames,
    /// `usage` for keys without their own.
    pub usage: UsageSettings,
}

/// The keys that are good. They are read one by one, each when the one before it is compiled: there may be very many.
pub(super) fn compile(
    raw: Field<Streamed<RawVirtualKey>>,
    keys: Keys<'_>,
    beside: &Beside<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> VirtualKeys {
    let at = ROOT.field("virtual_keys");
    let _not_a_list = raw.given(&at, problems);
    let every_provider = Arc::new(Bound::new(beside.names.ids()));
    let mut seen = FirstUses::default();
    let mut shared = SharedByKeys::default();
    let mut compiled = VirtualKeysBuilder::default();
    keys.each(&at, problems, |index, key: Field<RawVirtualKey>, problems| {
        let at = at.item(index);
        let Some(key) = key.given(&at, problems) else { return };
        key.unknown.report(&at, problems);
        let (digests, weakness) = digest(&key, &at, env, problems).unzip();
        let mut compiled_key = virtual_key(
            key,
            weakness.flatten(),
            beside,
            &every_provider,
            &mut shared,
            &at,
            problems,
        );
        if let (Some(digests), Some(key)) = (&digests, &mut compiled_key)
            && is_its_own_id(&key.id, digests)
        {
            key.weakness = Some(Weakness::Shown);
        }
        for digest in digests.iter().flatten() {
            if let Some(first) = first_seen(&mut seen.digests, *digest, index) {
                problems.add(&at, format!("the same key as virtual_keys[{first}]"));
            }
        }
        if let Some(key) = &compiled_key
            && let Some(first) = first_seen(&mut seen.ids, Arc::clone(&key.id), index)
        {
            problems.add(&at.field("id"), format!("the same as virtual_keys[{first}].id"));
        }
        if let (Some(digests), Some(key)) = (digests, compiled_key) {
            compiled.push(&digests, key);
        }
    });
    compiled.build()
}

/// Whether somebody has written a key where its name belongs. A short one is no key that is worth the hashing of every id.
fn is_its_own_id(id: &str, digests: &[Digest]) -> bool {
    id.len() >= SAFE_KEY_BYTES && digests.contains(&key::digest(id.as_bytes()))
}

/// The index at which `value` was seen before, if it was.
fn first_seen<T: std::hash::Hash + Eq>(
    seen: &mut HashMap<T, usize>,
    value: T,
    index: usize,
) -> Option<usize> {
    let first = *seen.entry(value).or_insert(index);
    (first != index).then_some(first)
}

fn virtual_key(
    raw: RawVirtualKey,
    weakness: Option<Weakness>,
    beside: &Beside<'_>,
    every_provider: &Arc<Bound>,
    shared: &mut SharedByKeys,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<VirtualKey> {
    let names = beside.names;
    let at_id = at.field("id");
    let id = raw.id.given(&at_id, problems);
    if let Some(why) = id.as_deref().and_then(key_id_problem) {
        problems.add(&at_id, why);
    }
    let bound = match raw.providers.is_there() {
        true => bound(raw.providers, names, &at.field("providers"), problems)
            .map(|bound| shared.bound.intern(bound)),
        false => Some(Arc::clone(every_provider)),
    };
    let at_allowed = at.field("models_allowed");
    let allowed = match raw.models_allowed.given(&at_allowed, problems) {
        None => Allowlist::All,
        Some(list) => {
            let entries = strings(list, &at_allowed, problems, entry_problem);
            Allowlist::interned(entries, |name| names.get(name).is_some(), &mut shared.models)
        }
    };
    let at_aliases = at.field("model_aliases");
    let aliases = alias::compile(
        raw.model_aliases,
        &at_aliases,
        names,
        alias::Scope::Key(bound.as_deref()),
        problems,
    );
    let cache = cache(raw.cache, &at.field("cache"), problems);
    let usage = usage(raw.usage, beside.usage, &at.field("usage"), problems);
    let revoked = raw.revoked.given(&at.field("revoked"), problems).unwrap_or(false);
    let expires_at = expiry(raw.expires_at, &at.field("expires_at"), problems);
    Some(VirtualKey {
        id: id?.into(),
        weakness,
        bound: bound?,
        allowed,
        aliases: AliasTable::interned(aliases, &mut shared.models),
        cache,
        usage,
        revoked,
        expires_at,
    })
}

/// Why an entry of `models_allowed` can't mean what it says. As a pattern, a regular expression would match nothing, or
/// what nobody meant.
fn entry_problem(entry: &str) -> Option<Cow<'static, str>> {
    if !text::is_printable(entry) || entry.contains(['^', '$', '(', '[', '|']) {
        let rule = "an entry must not be empty or hold control characters, nor `^`, `$`, `(`, `[` or `|`: entries \
                    are no regular expressions, only `*` stands for any run of characters";
        return Some(rule.into());
    }
    let why = pattern_problem(entry)?;
    Some(format!("no request can ask for what this entry allows: such a model id {why}").into())
}

/// `None` if the list is wrong.
fn bound(
    raw: Field<Vec<Field<String>>>,
    names: &ProviderNames,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<Bound> {
    let raw = raw.given(at, problems)?;
    if raw.is_empty() {
        problems.add(at, "binds no provider; leave it out for all of them");
        return None;
    }
    let given = raw.len();
    let mut ids = Vec::with_capacity(given);
    for (index, item) in raw.into_iter().enumerate() {
        let at = at.item(index);
        let Some(name) = item.given(&at, problems) else { continue };
        match names.get(&name) {
            Some(id) => ids.push(id),
            None => problems.add(&at, "no provider of this name is configured"),
        }
    }
    (ids.len() == given).then(|| Bound::new(ids))
}

/// Seconds since the Unix epoch; a time before it is 0.
fn expiry(raw: Field<String>, at: &Path<'_>, problems: &mut Problems) -> Option<u64> {
    match OffsetDateTime::parse(&raw.given(at, problems)?, &Rfc3339) {
        Ok(time) => Some(u64::try_from(time.unix_timestamp()).unwrap_or(0)),
        Err(_) => {
            problems.add(at, "must be a time as in RFC 3339, such as 2027-01-01T00:00:00Z");
            None
        }
    }
}

/// What is wrong with a virtual key's id: the one rule of the configuration and of what mints keys.
///
/// ```
/// use openai_gateway_filter::config::key_id_problem;
///
/// assert_eq!(key_id_problem("search-team"), None);
/// assert!(key_id_problem("search team").is_some());
/// ```
#[must_use]
pub fn key_id_problem(id: &str) -> Option<String> {
    (!text::is_visible(id) || id.len() > MAX_ID_BYTES).then(|| {
        format!("must be 1 to {MAX_ID_BYTES} characters of printable ASCII without spaces")
    })
}

/// The key's digests, and what makes the key a weak one, as far as that can be told.
fn digest(
    raw: &RawVirtualKey,
    at: &Path<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<(Vec<Digest>, Option<Weakness>)> {
    if raw.given_of() != 1 {
        problems.add(at, format!("needs exactly one of {}", RawVirtualKey::ONE_OF.join(", ")));
        return None;
    }
    let RawVirtualKey { key: literal, key_sha256: sha256, key_env: variable, .. } = raw;
    let (at_key, at_sha256, at_env) =
        (at.field("key"), at.field("key_sha256"), at.field("key_env"));
    if let Some(given) = sha256.get(&at_sha256, problems) {
        return hashes(given, &at_sha256, problems).map(|digests| {
            let weakness = digests.iter().any(is_placeholder).then_some(Weakness::Placeholder);
            (digests, weakness)
        });
    }
    if let Some(name) = variable.get(&at_env, problems) {
        let key = super::from_env(name, &at_env, env, problems)?;
        return hash(&key, &at_env, problems);
    }
    hash(literal.get(&at_key, problems)?, &at_key, problems)
}

/// The digests of one key's lifetime: several while a new key takes over from an old one.
fn hashes(
    given: &OneOrMany<Secret>,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<Vec<Digest>> {
    let read = |hex: &Secret, at: &Path<'_>, problems: &mut Problems| {
        let digest = from_hex(hex.expose());
        if digest.is_none() {
            problems.add(at, "must be 64 hexadecimal digits: the key's SHA-256, without a prefix, a file's name or a line feed");
        }
        digest
    };
    let list = match given {
        OneOrMany::One(hex) => return read(hex, at, problems).map(|digest| vec![digest]),
        OneOrMany::Many(list) => list,
    };
    if list.is_empty() {
        problems.add(at, "must hold at least one SHA-256");
    }
    let mut digests: Vec<Digest> = Vec::with_capacity(list.len());
    for (index, hex) in list.iter().enumerate() {
        let at = at.item(index);
        if let Some(hex) = hex.get(&at, problems)
            && let Some(digest) = read(hex, &at, problems)
            && !digests.contains(&digest)
        {
            digests.push(digest);
        }
    }
    (!digests.is_empty()).then_some(digests)
}

/// Refuses a key that no request could present.
fn hash(
    key: &Secret,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<(Vec<Digest>, Option<Weakness>)> {
    let key = key.expose();
    if key.len() > MAX_KEY_BYTES || !text::is_visible(key) || key.contains(',') {
        problems.add(
            at,
            format!(
                "a virtual key must be 1 to {MAX_KEY_BYTES} characters of printable ASCII, without \
                 spaces and commas; is there a line feed at its end?"
            ),
        );
        return None;
    }
    let weakness = (key.len() < SAFE_KEY_BYTES).then_some(Weakness::Short);
    Some((vec![key::digest(key.as_bytes())], weakness))
}

/// Texts that are hashed in the place of a key: nothing, what a command prints that found nothing, a variable that no shell
/// replaced, an example's word. Each also with the line feed that `echo` adds.
const NO_KEYS: [&str; 24] = [
    "",
    " ",
    "-n",
    "-n ",
    "null",
    "undefined",
    "None",
    "none",
    "nil",
    "EMPTY",
    "changeme",
    "change-me",
    "secret",
    "password",
    "test",
    "key",
    "api-key",
    "your-api-key",
    "YOUR_API_KEY",
    "YOUR_KEY",
    "$KEY",
    "$VK",
    "vk-...",
    "sk-...",
];
/// The longest pattern, in digits, that is taken for a repeated one.
const PERIOD: usize = 16;
/// How many equal digits of 64 are no accident.
const EQUAL: usize = 40;

/// Whether a digest is none of a key's: no SHA-256 of a random key repeats itself, or is of one digit for the most part.
fn is_placeholder(digest: &Digest) -> bool {
    static HASHED: LazyLock<Vec<Digest>> = LazyLock::new(|| {
        let lines = NO_KEYS.iter().flat_map(|text| [(*text).to_owned(), format!("{text}\n")]);
        lines.map(|text| key::digest(text.as_bytes())).collect()
    });
    let digits: Vec<u8> = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    let repeats = |period| digits.iter().zip(digits.iter().skip(period)).all(|(a, b)| a == b);
    let equal = |digit: u8| digits.iter().filter(|other| **other == digit).count();
    HASHED.contains(digest)
        || (1..=PERIOD).any(repeats)
        || (0..16).any(|digit| equal(digit) >= EQUAL)
}

/// What is wrong with the SHA-256 of a file that somebody has written down in hexadecimal digits.
#[must_use]
pub fn digest_problem(hex: &str) -> Option<&'static str> {
    match from_hex(hex) {
        None => Some("must be 64 hexadecimal digits"),
        Some(digest) => is_placeholder(&digest).then_some("is a placeholder"),
    }
}

fn from_hex(hex: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(digest)
}
