//! Where a request carries its virtual key.

use crate::error::{Code, GatewayError};
use crate::policy::HeaderUse;

/// A header's values so far.
#[derive(Default, Clone, Copy)]
struct HeaderValues<'a> {
    first: Option<&'a [u8]>,
    several: bool,
}

impl<'a> HeaderValues<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.several |= self.first.is_some();
        self.first = self.first.or(Some(value));
    }
}

/// The keys in a request's head: what is added, names in lower case; values may hold any bytes.
#[derive(Default)]
pub struct PresentedKeys<'a> {
    authorization: HeaderValues<'a>,
    x_api_key: HeaderValues<'a>,
    api_key: HeaderValues<'a>,
}

impl<'a> PresentedKeys<'a> {
    /// Adds a header, where it is read for keys.
    #[inline]
    pub fn add(&mut self, read_for: HeaderUse, value: &'a [u8]) {
        match read_for {
            HeaderUse::Authorization => self.authorization.add(value),
            HeaderUse::XApiKey => self.x_api_key.add(value),
            HeaderUse::ApiKey => self.api_key.add(value),
            _ => {}
        }
    }

    /// The virtual key that a request carries: `authorization: Bearer` (scheme in any case), else `x-api-key`, else `api-key`.
    /// An `authorization` of another scheme and empty values count as absent.
    ///
    /// # Errors
    /// `invalid_api_key` when there is no key, or when the deciding header has several values, be it in several lines or joined
    /// by a comma: which of them counts would be a guess.
    pub fn one(&self) -> Result<&'a [u8], GatewayError> {
        if self.authorization.several {
            return Err(several_keys("authorization"));
        }
        let bearer =
            HeaderValues { first: self.authorization.first.and_then(bearer_token), several: false };
        for (header, values) in
            [("authorization", bearer), ("x-api-key", self.x_api_key), ("api-key", self.api_key)]
        {
            if values.several {
                return Err(several_keys(header));
            }
            match values.first.map(<[u8]>::trim_ascii) {
                None | Some(b"") => {}
                Some(key) if key.contains(&b',') => return Err(several_keys(header)),
                Some(key) => return Ok(key),
            }
        }
        Err(GatewayError::new(
            Code::InvalidApiKey,
            "You didn't provide an API key. Send a virtual key of this gateway in the header \
             `Authorization: Bearer YOUR_KEY` (`x-api-key` and `api-key` are read, too).",
        ))
    }
}

/// What follows the scheme `Bearer`.
fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.trim_ascii_start().split_at_checked(b"bearer".len())?;
    let separated = matches!(rest.first(), None | Some(b' ' | b'\t'));
    (separated && scheme.eq_ignore_ascii_case(b"bearer")).then_some(rest)
}

#[cold]
fn several_keys(header: &str) -> GatewayError {
    GatewayError::new(
        Code::InvalidApiKey,
        format!("The request has several values in its {header} header. Send one virtual key."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::HeaderNames;
    use crate::test;

    fn presented<'a>(headers: &[(&'a str, &'a [u8])]) -> Result<&'a [u8], GatewayError> {
        let own = HeaderNames::new("x-own", "x-cluster");
        let mut keys = PresentedKeys::default();
        headers
            .iter()
            .for_each(|(name, value)| keys.add(HeaderUse::of(&own, name.as_bytes()), value));
        keys.one()
    }

    #[test]
    fn finds_the_presented_key() {
        type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [u8]);
        let cases: &[Case<'_>] = &[
            (&[("authorization", b"Bearer k")], b"k"),
            (&[("authorization", b"bEARER   k ")], b"k"),
            (&[("authorization", b"Bearer\tk")], b"k"),
            (&[("authorization", b"Bearer \xff\xfe")], b"\xff\xfe"),
            (&[("x-api-key", b"k")], b"k"),
            (&[("api-key", b" k ")], b"k"),
            (&[("api-key", b"c"), ("x-api-key", b"b"), ("authorization", b"Bearer a")], b"a"),
            (&[("api-key", b"c"), ("x-api-key", b"b")], b"b"),
            (&[("authorization", b"Basic dTpw"), ("x-api-key", b"b")], b"b"),
            (&[("authorization", b"Digest a=1, b=2"), ("api-key", b"c")], b"c"),
            (&[("authorization", b"k"), ("x-api-key", b"b")], b"b"),
            (&[("authorization", b"Bearer"), ("x-api-key", b"b")], b"b"),
            (&[("authorization", b"Bearer "), ("x-api-key", b""), ("api-key", b"c")], b"c"),
            (&[("authorization", b"Bearer a"), ("x-api-key", b"b"), ("x-api-key", b"c")], b"a"),
        ];
        for (headers, want) in cases {
            assert_eq!(presented(headers).as_deref(), Ok(*want), "{headers:?}");
        }
    }

    #[test]
    fn refuses_no_key_and_several() {
        let missing: &[&[(&str, &[u8])]] = &[
            &[],
            &[("authorization", b"")],
            &[("authorization", b"Bearer")],
            &[("authorization", b"Bearerk")],
            &[("authorization", b"s3cret")],
            &[("authorization", b"\xff\xff\xff\xff\xff\xff\xff")],
            &[("cookie", b"s3cret")],
        ];
        let several: &[&[(&str, &[u8])]] = &[
            &[("authorization", b"Bearer s3cret"), ("authorization", b"Bearer s3cret")],
            &[("authorization", b"Basic x"), ("authorization", b"Bearer s3cret")],
            &[("authorization", b"Bearer s3cret,Bearer b")],
            &[("x-api-key", b"s3cret"), ("x-api-key", b"b"), ("api-key", b"c")],
            &[("x-api-key", b"s3cret, b")],
            &[("api-key", b"s3cret"), ("api-key", b"")],
        ];
        for (cases, text) in [(missing, "Authorization: Bearer YOUR_KEY"), (several, "several")] {
            for headers in cases {
                let error = presented(headers).unwrap_err();
                assert_eq!(error.code, Code::InvalidApiKey);
                assert!(error.message.contains(text), "{headers:?}: {}", error.message);
                assert!(!error.message.contains("s3cret"));
            }
        }
    }
}
