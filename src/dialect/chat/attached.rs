//! What a server attaches to a tool call and wants back with it: `extra_content`. Gemini's thought signatures stand there,
//! and without them Gemini refuses the next turn (400 `Function call is missing a thought_signature`).
//!
//! The clients of other APIs bring back of a call its id, and nothing that they do not know. So it goes into the id: behind
//! a mark, in base64url. An id stays one of letters, digits, `-` and `_`, as Anthropic's must be. Which provider it is from
//! stands in it, too: another one, which a fallback or the client's next choice may lead to, is not sent what it may refuse.
//!
//! What comes back is no more trustworthy than what a chat client sends in the same place, and is checked as little.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use sha2::{Digest, Sha256};

use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

/// Stands between the server's own id and what is attached.
const MARK: &[u8] = b"__gw1_";
/// Characters that tell the provider, behind the mark.
const PROVIDER: usize = 4;

/// The id by which a client brings `attached` (an object) back to `provider`, the name of one. `id` is what stands between
/// the quotes of a JSON string.
pub(crate) fn with_attached(id: &[u8], attached: &Value<'_>, provider: &str) -> Vec<u8> {
    let attached = URL_SAFE_NO_PAD.encode(attached.raw());
    [id, MARK, of_provider(provider).as_bytes(), attached.as_bytes()].concat()
}

/// What a call's id holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallId<'a> {
    /// The id as its server knows it.
    pub(crate) id: &'a [u8],
    pub(crate) attached: Attached,
}

/// What was attached to a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attached {
    Nothing,
    /// A JSON object.
    Object(Vec<u8>),
    /// Another provider's.
    Foreign,
}

impl<'a> CallId<'a> {
    /// Reads what stands between an id's quotes, for a request to `provider`. What was not made by [`with_attached`] is an
    /// id like any other.
    pub(crate) fn read(inner: &'a [u8], provider: &str) -> Self {
        Self::attached(inner, provider).unwrap_or(Self { id: inner, attached: Attached::Nothing })
    }

    fn attached(inner: &'a [u8], provider: &str) -> Option<Self> {
        let (id, behind) = inner.split_at_checked(memmem::rfind(inner, MARK)?)?;
        let (from, encoded) = behind.get(MARK.len()..)?.split_at_checked(PROVIDER)?;
        let object = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        std::str::from_utf8(&object).ok()?;
        if id.is_empty() || cursor::parse(&object).ok()?.kind != Kind::BeginObject {
            return None;
        }
        let is_its_own = from == of_provider(provider).as_bytes();
        let attached = if is_its_own { Attached::Object(object) } else { Attached::Foreign };
        Some(Self { id, attached })
    }
}

/// The id as its server knows it, of what stands between the quotes.
pub(crate) fn own_id(inner: &[u8]) -> &[u8] {
    CallId::read(inner, "").id
}

/// A short name of a provider, which does not tell it.
fn of_provider(name: &str) -> String {
    let digest = Sha256::digest(name);
    URL_SAFE_NO_PAD.encode(digest.first_chunk::<3>().unwrap_or(&[0; 3]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn attach(id: &str, object: &str, provider: &str) -> Vec<u8> {
        with_attached(id.as_bytes(), &cursor::parse(object.as_bytes()).unwrap(), provider)
    }

    fn plain(inner: &[u8]) -> CallId<'_> {
        CallId { id: inner, attached: Attached::Nothing }
    }

    #[test]
    fn comes_back_to_its_provider_alone() {
        for object in ["{}", r#"{"google":{"thought_signature":"CpMD+/=="}}"#, "{\"é\":[1]}"] {
            for id in ["c", "call_1", "functions.f:0", "a__gw", r#"\u00e9"#] {
                let with = attach(id, object, "gemini");
                let attached = Attached::Object(object.as_bytes().to_vec());
                assert_eq!(CallId::read(&with, "gemini"), CallId { id: id.as_bytes(), attached });
                let foreign = CallId { id: id.as_bytes(), attached: Attached::Foreign };
                assert_eq!(CallId::read(&with, "groq"), foreign);
            }
        }
        let with = attach("call_1", r#"{"a":"?>~ÿ"}"#, "p");
        assert!(with.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b)), "{with:?}");
    }

    #[test]
    fn what_is_not_of_this_form_is_an_id() {
        let whole = attach("c", "{\"a\":1}", "p");
        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert_eq!(CallId::read(cut, "p"), plain(cut), "{end}");
        }
        let list = attach("c", "[1]", "p");
        let nameless = attach("", "{}", "p");
        let ids: [&[u8]; 6] =
            [b"", b"c", b"c__gw1_", b"c__gw1_AAAA", b"c__gw1_AAAA\xff", b"c__gw1_AAAAgICA"];
        for id in ids.into_iter().chain([&list[..], &nameless]) {
            assert_eq!(CallId::read(id, "p"), plain(id));
        }
    }
}
