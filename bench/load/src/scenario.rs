//! What to send, what to answer, and what must arrive at either end.

use std::fs;

use memchr::memmem;
use serde::Deserialize;

/// One measurement, as its line on stdin says. Bodies are in files.
#[derive(Deserialize)]
pub struct Line {
    /// Address of the proxy.
    target: String,
    connections: usize,
    /// Ends the run after this many requests.
    requests: Option<usize>,
    /// No request is sent after this many seconds.
    seconds: f64,
    /// Processes of the proxy, whose CPU time is read.
    pids: Vec<u32>,
    request: Message,
    upstream: Expectation,
    answer: Answer,
    client: Expectation,
}

#[derive(Deserialize)]
struct Message {
    /// Without `content-length`; lines end with CRLF.
    head: String,
    body: String,
}

#[derive(Deserialize)]
struct Answer {
    head: String,
    body: String,
    /// Lengths of the body's events, each written and chunked on its own. Absent: the body has a
    /// length and is written at once.
    pieces: Option<Vec<usize>>,
    /// Time from one event to the next; 0: as fast as they go.
    interval_us: u64,
}

#[derive(Deserialize)]
struct Expectation {
    /// What the head must hold, in lower case.
    head: Vec<String>,
    /// A file with all of the body.
    exact: Option<String>,
    /// What the body must hold.
    contains: Vec<String>,
}

/// A measurement, ready to run.
pub struct Scenario {
    pub target: String,
    pub connections: usize,
    pub requests: usize,
    pub seconds: f64,
    pub pids: Vec<u32>,
    /// The whole request.
    pub request: Vec<u8>,
    /// The whole answer, framed.
    pub answer: Vec<u8>,
    /// Where each write of the answer ends.
    pub pieces: Vec<usize>,
    pub interval_us: u64,
    pub at_upstream: Expected,
    pub at_client: Expected,
}

impl Scenario {
    pub fn read(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let body = file(&line.request.body)?;
        let mut request =
            format!("{}content-length: {}\r\n\r\n", line.request.head, body.len()).into_bytes();
        request.extend_from_slice(&body);
        let (answer, pieces) = framed(&line.answer)?;
        Ok(Self {
            target: line.target,
            connections: line.connections,
            requests: line.requests.unwrap_or(usize::MAX),
            seconds: line.seconds,
            pids: line.pids,
            request,
            answer,
            pieces,
            interval_us: line.answer.interval_us,
            at_upstream: Expected::read(line.upstream)?,
            at_client: Expected::read(line.client)?,
        })
    }
}

fn framed(answer: &Answer) -> Result<(Vec<u8>, Vec<usize>), String> {
    let body = file(&answer.body)?;
    let Some(lengths) = &answer.pieces else {
        let head = format!("{}content-length: {}\r\n\r\n", answer.head, body.len());
        let whole = [head.as_bytes(), &body].concat();
        let end = whole.len();
        return Ok((whole, vec![end]));
    };
    let mut out = format!("{}transfer-encoding: chunked\r\n\r\n", answer.head).into_bytes();
    let mut ends = Vec::new();
    let mut rest = body.as_slice();
    for &length in lengths {
        let (piece, after) = rest.split_at_checked(length).ok_or("pieces longer than the body")?;
        rest = after;
        out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
        ends.push(out.len());
    }
    out.extend_from_slice(b"0\r\n\r\n");
    *ends.last_mut().ok_or("no pieces")? = out.len();
    Ok((out, ends))
}

fn file(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{path}: {error}"))
}

/// What a message must be.
pub struct Expected {
    head: Vec<Vec<u8>>,
    exact: Option<Vec<u8>>,
    contains: Vec<Vec<u8>>,
}

impl Expected {
    fn read(raw: Expectation) -> Result<Self, String> {
        let bytes = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect();
        Ok(Self {
            head: bytes(raw.head),
            exact: raw.exact.as_deref().map(file).transpose()?,
            contains: bytes(raw.contains),
        })
    }
}

/// Compares one message with what it must be, as it comes.
#[derive(Default)]
pub struct Check {
    position: usize,
    lower: Vec<u8>,
    collected: Vec<u8>,
    wrong: Option<String>,
}

impl Check {
    pub fn head(&mut self, head: &[u8], expected: &Expected) {
        self.lower.clear();
        self.lower.extend(head.iter().map(u8::to_ascii_lowercase));
        for wanted in &expected.head {
            if memmem::find(&self.lower, wanted).is_none() {
                self.fail(format!(
                    "no {:?} in the head {:?}",
                    String::from_utf8_lossy(wanted),
                    String::from_utf8_lossy(head)
                ));
            }
        }
    }

    pub fn body(&mut self, bytes: &[u8], expected: &Expected) {
        if let Some(exact) = &expected.exact {
            let wanted = exact.get(self.position..self.position + bytes.len());
            if wanted != Some(bytes) && self.wrong.is_none() {
                self.fail(format!(
                    "the body differs after byte {}: {:?}",
                    self.position,
                    excerpt(bytes)
                ));
            }
            self.position += bytes.len();
        } else {
            self.collected.extend_from_slice(bytes);
        }
    }

    /// The verdict on a complete message; the next one can begin.
    pub fn end(&mut self, expected: &Expected) -> Option<String> {
        if let Some(exact) = &expected.exact
            && self.position < exact.len()
        {
            self.fail(format!("the body ends after {} of {} bytes", self.position, exact.len()));
        }
        for wanted in &expected.contains {
            if memmem::find(&self.collected, wanted).is_none() {
                self.fail(format!(
                    "no {:?} in the body {:?}",
                    String::from_utf8_lossy(wanted),
                    excerpt(&self.collected)
                ));
            }
        }
        self.position = 0;
        self.collected.clear();
        self.wrong.take()
    }

    fn fail(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}
