//! The boundary of a request's `content-type`.

use super::charset::Charset;
use super::header::{Parametrised, is_token, lower};
use super::invalid;
use crate::error::GatewayError;

/// The `boundary` parameter of a `multipart/form-data` content type, without quotes: 1 to 70 of the
/// characters of RFC 2046, 5.1.1.
///
/// # Errors
/// `invalid_multipart` for another media type, no boundary, two boundaries, characters outside the
/// RFC's set (an unquoted one that is no token included), a boundary that holds `boundary=` itself, a `charset` other
/// than UTF-8, which some servers use to decode names and values, and any other parameter: servers that search for
/// `boundary=` would find it inside.
pub fn boundary(content_type: &[u8]) -> Result<Vec<u8>, GatewayError> {
    let parsed = Parametrised::parse(content_type)
        .ok_or_else(|| invalid("its content-type header can't be read"))?;
    if parsed.kind != "multipart/form-data" {
        return Err(invalid(
            "this operation takes a form; send content-type multipart/form-data with a boundary",
        ));
    }
    if parsed.parameters.iter().any(|(name, _)| !["boundary", "charset"].contains(&name.as_str())) {
        return Err(invalid(
            "its content-type header has a parameter other than boundary and charset; leave it out",
        ));
    }
    if !matches!(Charset::of(parsed.get("charset")), Some(Charset::Utf8 | Charset::Ascii)) {
        return Err(invalid("its charset is not UTF-8"));
    }
    let boundary = parsed
        .get("boundary")
        .ok_or_else(|| invalid("its content-type header has no boundary parameter"))?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    let spaced = boundary.starts_with(b" ") || boundary.ends_with(b" ");
    if boundary.is_empty() || boundary.len() > 70 || spaced || !boundary.iter().all(allowed) {
        return Err(invalid("its boundary is not 1 to 70 of the characters that RFC 2046 allows"));
    }
    if lower(boundary).contains("boundary=") {
        return Err(invalid("its boundary holds the text 'boundary='; choose another"));
    }
    Ok(boundary.to_vec())
}

/// The one content type that every server reads in the same way, for a boundary that [`boundary`] has let pass.
#[must_use]
pub fn content_type(boundary: &[u8]) -> String {
    let boundary = String::from_utf8_lossy(boundary);
    let quote = if is_token(boundary.as_bytes()) { "" } else { "\"" };
    format!("multipart/form-data; boundary={quote}{boundary}{quote}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::test;

    #[test]
    fn what_clients_send() {
        let long = "b".repeat(70);
        for (content_type, want) in [
            (
                "multipart/form-data; boundary=a57b16f82556655c49c64508d016a70d",
                "a57b16f82556655c49c64508d016a70d",
            ),
            (
                "multipart/form-data; boundary=----formdata-undici-072331722662",
                "----formdata-undici-072331722662",
            ),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
                "----WebKitFormBoundary7MA4YWxkTrZu0gW",
            ),
            ("multipart/form-data; boundary=\"0f2ea2d4-11aa\"", "0f2ea2d4-11aa"),
            ("Multipart/Form-Data;Boundary=B", "B"),
            ("multipart/form-data; charset=UTF-8; boundary=\"a=b c\"", "a=b c"),
            (&format!("multipart/form-data; boundary={long}"), long.as_str()),
        ] {
            assert_eq!(
                boundary(content_type.as_bytes()).unwrap(),
                want.as_bytes(),
                "{content_type}"
            );
        }
    }

    #[test]
    fn the_content_type_of_our_own_says_the_same() {
        for (boundary, want) in [
            (&b"XB"[..], "multipart/form-data; boundary=XB"),
            (b"----=_Part_0", "multipart/form-data; boundary=\"----=_Part_0\""),
            (b"a b", "multipart/form-data; boundary=\"a b\""),
        ] {
            assert_eq!(content_type(boundary), want);
            assert_eq!(super::boundary(want.as_bytes()).unwrap(), boundary);
        }
    }

    #[test]
    fn what_is_refused() {
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        for content_type in [
            "",
            "application/json",
            "multipart/form-data",
            "multipart/mixed; boundary=B",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=\" a\"",
            "multipart/form-data; boundary=\"a\\b\"",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=a=b",
            "multipart/form-data; boundary=a*b",
            "multipart/form-data; boundary=A; boundary=B",
            "multipart/form-data; boundary=A, multipart/form-data; boundary=B",
            "multipart/form-data; boundary*=utf-8''B; boundary=B",
            "multipart/form-data; boundary*0=B",
            "multipart/form-data; boundary=B; charset=utf-7",
            "multipart/form-data; xboundary=YB; boundary=XB",
            "multipart/form-data; x=\"boundary=YB\"; boundary=XB",
            "multipart/form-data; boundary=XB; x=\"; boundary=YB\"",
            "multipart/form-data; boundary=XB; boundary2=YB",
            "multipart/form-data; boundary=XB; type=text",
            "multipart/form-data; boundary=\"XB boundary=YB\"",
            "multipart/form-data; boundary=\"xBoundary=YB\"",
            &long,
        ] {
            assert_eq!(
                boundary(content_type.as_bytes()).map_err(|e| e.code),
                Err(Code::InvalidMultipart),
                "{content_type}"
            );
        }
        assert!(boundary(b"multipart/form-data; boundary=\xff").is_err());
    }
}
