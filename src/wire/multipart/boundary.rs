//! The boundary of a request's `content-type`.

use super::header::Parametrised;
use super::invalid;
use crate::error::GatewayError;

/// The `boundary` parameter of a `multipart/form-data` content type, without quotes: 1 to 70 of the
/// characters of RFC 2046, 5.1.1.
///
/// # Errors
/// `invalid_multipart` for another media type, no boundary, two boundaries, characters outside the
/// RFC's set (an unquoted one that is no token included), and a `charset` other than UTF-8, which
/// some servers use to decode names and values.
pub fn boundary(content_type: &[u8]) -> Result<Vec<u8>, GatewayError> {
    let parsed = Parametrised::parse(content_type)
        .ok_or_else(|| invalid("its content-type header can't be read"))?;
    if parsed.kind != "multipart/form-data" {
        return Err(invalid(
            "this operation takes a form; send content-type multipart/form-data with a boundary",
        ));
    }
    if parsed.parameters.iter().any(|(name, _)| name.contains('*')) {
        return Err(invalid("its content-type header has an extended parameter"));
    }
    if !is_utf8_charset(parsed.get("charset")) {
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
    Ok(boundary.to_vec())
}

/// Absent, UTF-8 or its subset ASCII: every parser reads the same text.
pub(super) fn is_utf8_charset(charset: Option<&[u8]>) -> bool {
    charset.is_none_or(|charset| {
        [b"utf-8".as_slice(), b"utf8", b"us-ascii", b"ascii"]
            .iter()
            .any(|known| charset.eq_ignore_ascii_case(known))
    })
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
