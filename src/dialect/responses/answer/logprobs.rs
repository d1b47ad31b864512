//! Log probabilities of a text's tokens.
//!
//! Chat and Responses agree on the members, but the SDKs' Responses types demand `bytes` and
//! `top_logprobs`, which chat servers may leave out or null.

use crate::wire::json::cursor::Value;
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

use crate::dialect::chat::text::{Text, number};

/// The entries of `logprobs.content`, as those of an `output_text` part.
pub(super) fn of_content(logprobs: &Value<'_>) -> Vec<Vec<u8>> {
    let Some(content) = logprobs.get("content") else { return Vec::new() };
    let entries = content.elements();
    entries.filter(|entry| entry.kind == Kind::BeginObject).map(|one| entry(&one, true)).collect()
}

fn entry(value: &Value<'_>, outer: bool) -> Vec<u8> {
    let (mut token, mut logprob, mut bytes, mut top) = (Text::default(), None, None, None);
    for (key, value) in value.members() {
        if key.is("token") {
            token.push(value.inner());
            token.finish();
        } else if key.is("logprob") {
            logprob = Some(value).filter(|value| value.kind == Kind::Number);
        } else if key.is("bytes") {
            bytes = Some(value).filter(|value| value.kind == Kind::BeginArray);
        } else if key.is("top_logprobs") {
            top = Some(value);
        }
    }
    let mut out = b"{\"token\":".to_vec();
    token.write(&mut out);
    out.extend_from_slice(b",\"bytes\":");
    match bytes {
        Some(bytes) => out.extend_from_slice(bytes.raw()),
        None => {
            let text = string::decode(token.raw()).unwrap_or_default();
            list(&mut out, text.bytes(), |byte, out| number(byte.into(), out));
        }
    }
    out.extend_from_slice(b",\"logprob\":");
    out.extend_from_slice(logprob.map_or(b"0", |logprob| logprob.raw()));
    if outer {
        out.extend_from_slice(b",\"top_logprobs\":");
        let others = top.iter().flat_map(Value::elements);
        let others = others.filter(|other| other.kind == Kind::BeginObject);
        list(&mut out, others, |other, out| out.extend_from_slice(&entry(&other, false)));
    }
    out.push(b'}');
    out
}

fn list<T>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = T>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    #[test]
    fn what_is_left_out_is_filled_in() {
        let all = br#"{"content":[{"token":"\u00e9","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"a","logprob":-1,"bytes":[97]}]},{"token":"b","logprob":null},3],"refusal":null}"#;
        let got = of_content(&cursor::parse(all).unwrap());
        let got: Vec<_> = got.iter().map(|one| std::str::from_utf8(one).unwrap()).collect();
        assert_eq!(
            got,
            [
                r#"{"token":"\u00e9","bytes":[195,169],"logprob":-0.5,"top_logprobs":[{"token":"a","bytes":[97],"logprob":-1}]}"#,
                r#"{"token":"b","bytes":[98],"logprob":0,"top_logprobs":[]}"#,
            ]
        );
        assert!(of_content(&cursor::parse(b"{\"content\":null}").unwrap()).is_empty());
    }
}
