//! A reply that an attempt's instance has for its answer, and can't give: from there it would go to the client past Envoy's
//! retries. Its status goes on as the answer's, so that Envoy may try again, and the reply itself as a note
//! ([`crate::exchange::Note::Reply`]) to the listener's instance, which gives it, should that have been the last attempt.

use std::borrow::Cow;

use crate::error::Code;
use crate::exchange::Reply;

/// The gateway's own errors that an answer can lead to.
const CODES: [Code; 5] = [
    Code::InvalidUpstreamResponse,
    Code::UpstreamError,
    Code::UpstreamStreamTruncated,
    Code::Overloaded,
    Code::InternalError,
];

/// The note: status and code, a line for each header, an empty one, and the body.
pub(super) fn write(reply: &Reply) -> String {
    let code = reply.code.map_or("", Code::as_str);
    let mut note = format!("{} {code}\n", reply.status);
    for (name, value) in &reply.headers {
        note.extend([name, "\t", value, "\n"]);
    }
    note.push('\n');
    note.push_str(&String::from_utf8_lossy(&reply.body));
    note
}

/// Reads a note; `None` where it is none.
pub(super) fn read(note: &[u8]) -> Option<Reply> {
    let (head, body) = std::str::from_utf8(note).ok()?.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let (status, name) = lines.next()?.split_once(' ')?;
    let header = |line: &str| {
        let (name, value) = line.split_once('\t')?;
        Some((Cow::Owned(name.to_owned()), value.to_owned()))
    };
    Some(Reply {
        status: status.parse().ok()?,
        headers: lines.map(header).collect::<Option<_>>()?,
        body: body.as_bytes().to_vec(),
        code: CODES.into_iter().find(|code| code.as_str() == name),
        answered: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn notes_round_trip() {
        for code in CODES.map(Some).into_iter().chain([None]) {
            for headers in
                [vec![], vec![("content-type", "application/json"), ("retry-after", "1\t2")]]
            {
                let headers =
                    headers.into_iter().map(|(name, value)| (name.into(), value.to_owned()));
                let body = b"{\"error\":\n\n{}}".to_vec();
                let reply =
                    Reply { status: 502, headers: headers.collect(), body, code, answered: None };
                assert_eq!(read(write(&reply).as_bytes()), Some(reply));
            }
        }
        for none in [&b""[..], b"502", b"502 \n", b"x \n\n", b"502 \na\n\n", b"\xff \n\n"] {
            assert_eq!(read(none), None);
        }
    }
}
