//! `type; name=value; name="value"`: the shape of `content-type` and `content-disposition`.

/// A header value with parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parametrised<'a> {
    /// The text before the first `;`, in lower case.
    pub kind: String,
    /// Names in lower case, each at most once.
    pub parameters: Vec<(String, &'a [u8])>,
}

impl<'a> Parametrised<'a> {
    /// `None` when the value is malformed or parsers could disagree about it: a name given twice, a
    /// quoted value with a backslash before a quote (does it end there?), control characters, white
    /// space around `=`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (kind, mut rest) = value.split_at_checked(end)?;
        let kind = trim(kind);
        if !kind.split(|byte| *byte == b'/').all(is_token) {
            return None;
        }
        let kind = lower(kind);
        let mut parameters: Vec<(String, &[u8])> = Vec::new();
        while let Some((b';', after)) = rest.split_first() {
            let after = trim_start(after);
            if after.is_empty() {
                break;
            }
            let equals = memchr::memchr(b'=', after)?;
            let (name, value) = after.split_at_checked(equals)?;
            let name = is_token(name).then(|| lower(name))?;
            let (value, after) = parameter_value(value.get(1..)?)?;
            if parameters.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parameters.push((name, value));
            rest = trim_start(after);
        }
        rest = trim_start(rest);
        (rest.is_empty() || rest == b";").then_some(Self { kind, parameters })
    }

    /// The value of a parameter, its quotes removed.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// A token or a quoted string, and what follows it.
fn parameter_value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let end = rest.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(rest.len());
        return rest.split_at_checked(end).filter(|(value, _)| !value.is_empty());
    };
    let (value, after) = quoted.split_at_checked(memchr::memchr(b'"', quoted)?)?;
    let plain = !value.ends_with(b"\\") && !value.iter().any(|byte| is_control(*byte));
    Some((value, after.get(1..)?)).filter(|_| plain)
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// RFC 9110, 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

pub(super) fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let Some((b' ' | b'\t', rest)) = bytes.split_last() {
        bytes = rest;
    }
    bytes
}

pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = bytes.split_first() {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn parse(value: &str) -> Option<(String, Vec<(String, String)>)> {
        Parametrised::parse(value.as_bytes()).map(|parsed| {
            let parameters = parsed
                .parameters
                .iter()
                .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
                .collect();
            (parsed.kind, parameters)
        })
    }

    #[test]
    fn what_clients_write() {
        for (value, kind, want) in [
            ("form-data; name=\"a\"", "form-data", vec![("name", "a")]),
            (
                "form-data;name=a;filename=b.c",
                "form-data",
                vec![("name", "a"), ("filename", "b.c")],
            ),
            ("Form-Data ; NAME=\"a b\" ;", "form-data", vec![("name", "a b")]),
            (
                "form-data; name=f; filename=\"a;b\\c%22\"; filename*=utf-8''a%20b",
                "form-data",
                vec![("name", "f"), ("filename", "a;b\\c%22"), ("filename*", "utf-8''a%20b")],
            ),
            (
                "multipart/form-data; boundary=\"a b\"",
                "multipart/form-data",
                vec![("boundary", "a b")],
            ),
            ("text/plain", "text/plain", vec![]),
            ("form-data; name=\"\"", "form-data", vec![("name", "")]),
        ] {
            let want = want.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(parse(value), Some((kind.to_owned(), want)), "{value}");
        }
    }

    #[test]
    fn what_parsers_disagree_on() {
        for value in [
            "",
            "; name=a",
            "form data; name=a",
            "form-data name=a",
            "form-data; name",
            "form-data; name=",
            "form-data; name =a",
            "form-data; name= a",
            "form-data; name=a b",
            "form-data; name=\"a",
            "form-data; name=\"a\"b",
            "form-data; name=\"a\\\"b\"",
            "form-data; name=\"a\\\"",
            "form-data; name=\"a\tb\"",
            "form-data; name=\"a\0b\"",
            "form-data; name=a; name=b",
            "form-data; name=a; NAME=b",
            "form-data;; name=a",
            "form-data; name=a, form-data; x=b",
            "form-data; name=é",
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }
}
