//! A JSON text on one line, as an event's data has to be.

use crate::repair::mend::{Infinite, mend};

/// The text on one line, mended: line ends and tabs between tokens are left out. It need not be JSON
/// afterwards: that is the caller's check.
pub(in super::super) fn one_line(text: &[u8]) -> Vec<u8> {
    let mut line = mend(text, Infinite::Logprob).unwrap_or_else(|| text.to_vec());
    // In strings there are none left.
    line.retain(|byte| !matches!(byte, b'\n' | b'\r' | b'\t'));
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn table() {
        for (text, want) in [
            (&b"{\n\t\"a\": 1\r\n}"[..], r#"{"a": 1}"#),
            (b"{\"a\":NaN,\"b\":[-Infinity,Infinity,-1]}", r#"{"a":null,"b":[-9999.0,null,-1]}"#),
            (b"{\"a\":\"NaN \\\"NaN\\\\\"}", r#"{"a":"NaN \"NaN\\"}"#),
            (b"{\"a\":\"x\ny\tz\"}", r#"{"a":"x\ny\tz"}"#),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
        ] {
            assert_eq!(String::from_utf8(one_line(text)).unwrap(), want);
        }
    }
}
