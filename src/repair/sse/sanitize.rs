//! Small faults of a JSON text that have one obvious meaning.

/// The text on one line, with: control characters in strings escaped, line ends and tabs between
/// tokens left out, `NaN` and the infinities (Python's and C++'s spelling of "no number") as `null`,
/// invalid UTF-8 as U+FFFD. It need not be JSON afterwards: that is the caller's check.
pub(super) fn one_line(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    let mut in_string = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (in_string, byte) {
            (true, b'\\') => {
                out.push(byte);
                if let Some((&escaped, after)) = rest.split_first() {
                    out.push(escaped);
                    rest = after;
                }
            }
            (true, b'\n') => out.extend_from_slice(b"\\n"),
            (true, 0..0x20) => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            (_, b'"') => {
                in_string = !in_string;
                out.push(byte);
            }
            (false, b'\n' | b'\r' | b'\t') => {}
            (false, b'N' | b'I' | b'-') => {
                let word = [&b"NaN"[..], b"Infinity", b"-Infinity", b"-NaN"].into_iter().find_map(
                    |word| {
                        rest.strip_prefix(word.get(1..)?).filter(|_| word.first() == Some(&byte))
                    },
                );
                match word {
                    Some(after) => {
                        out.extend_from_slice(b"null");
                        rest = after;
                    }
                    None => out.push(byte),
                }
            }
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn table() {
        for (text, want) in [
            (&b"{\n\t\"a\": 1\r\n}"[..], r#"{"a": 1}"#),
            (b"{\"a\":NaN,\"b\":[-Infinity,Infinity,-1]}", r#"{"a":null,"b":[null,null,-1]}"#),
            (b"{\"a\":\"NaN \\\"NaN\\\\\"}", r#"{"a":"NaN \"NaN\\"}"#),
            (b"{\"a\":\"x\ny\tz\"}", r#"{"a":"x\ny\u0009z"}"#),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
        ] {
            assert_eq!(String::from_utf8(one_line(text)).unwrap(), want);
        }
    }
}
