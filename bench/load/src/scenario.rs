//! What to send, what to answer, and what must arrive at either end.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

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
    /// Lengths of the body's events, each a chunk of its own. Absent: the body has a length.
    pieces: Option<Vec<usize>>,
    /// Time from one event to the next; 0: all are written at once.
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
    /// How long the body must be.
    length: Option<usize>,
    /// A file to write the message to: its head, and its body without chunks.
    capture: Option<String>,
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
    pub answer: Rc<Framed>,
    /// Of the answer; 1 when it is no stream.
    pub events: usize,
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
        let events = line.answer.pieces.as_ref().map_or(1, Vec::len);
        Ok(Self {
            target: line.target,
            connections: line.connections,
            requests: line.requests.unwrap_or(usize::MAX),
            seconds: line.seconds,
            pids: line.pids,
            request,
            answer: Rc::new(Framed::read(&line.answer)?),
            events,
            at_upstream: Expected::read(line.upstream)?,
            at_client: Expected::read(line.client)?,
        })
    }
}

/// An answer as it is written.
pub struct Framed {
    pub bytes: Vec<u8>,
    /// Where each write ends.
    pub writes: Vec<usize>,
    /// From one write to the next.
    pub interval_us: u64,
}

impl Framed {
    /// For what a proxy asks on its own behalf: health checks, the list of models.
    pub fn probe() -> Self {
        let body = r#"{"object":"list","data":[]}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let bytes = format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        Self { writes: vec![bytes.len()], bytes, interval_us: 0 }
    }

    fn read(answer: &Answer) -> Result<Self, String> {
        let body = file(&answer.body)?;
        let Some(lengths) = &answer.pieces else {
            let head = format!("{}content-length: {}\r\n\r\n", answer.head, body.len());
            let bytes = [head.as_bytes(), &body].concat();
            return Ok(Self { writes: vec![bytes.len()], bytes, interval_us: 0 });
        };
        let mut bytes = format!("{}transfer-encoding: chunked\r\n\r\n", answer.head).into_bytes();
        let mut writes = Vec::new();
        let mut rest = body.as_slice();
        for &length in lengths {
            let (piece, after) =
                rest.split_at_checked(length).ok_or("pieces longer than the body")?;
            rest = after;
            bytes.extend_from_slice(format!("{length:x}\r\n").as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
            writes.push(bytes.len());
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        *writes.last_mut().ok_or("no pieces")? = bytes.len();
        if answer.interval_us == 0 {
            writes = vec![bytes.len()];
        }
        Ok(Self { bytes, writes, interval_us: answer.interval_us })
    }
}

fn file(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{path}: {error}"))
}

/// What a message must be.
pub struct Expected {
    head: Vec<Vec<u8>>,
    exact: Option<Vec<u8>>,
    contains: Vec<Vec<u8>>,
    length: Option<usize>,
    capture: Option<PathBuf>,
}

impl Expected {
    fn read(raw: Expectation) -> Result<Self, String> {
        let bytes = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect();
        Ok(Self {
            head: bytes(raw.head),
            exact: raw.exact.as_deref().map(file).transpose()?,
            contains: bytes(raw.contains),
            length: raw.length,
            capture: raw.capture.map(PathBuf::from),
        })
    }
}

/// Compares one message with what it must be, as it comes.
#[derive(Default)]
pub struct Check {
    position: usize,
    head: Vec<u8>,
    lower: Vec<u8>,
    collected: Vec<u8>,
    wrong: Option<String>,
}

impl Check {
    pub fn head(&mut self, head: &[u8], expected: &Expected) {
        self.lower.clear();
        self.lower.extend(head.iter().map(u8::to_ascii_lowercase));
        if expected.capture.is_some() {
            self.head = head.to_vec();
        }
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
        if let Some(length) = expected.length
            && self.collected.len() != length
        {
            self.fail(format!("the body has {} bytes instead of {length}", self.collected.len()));
        }
        if let Some(path) = &expected.capture
            && let Err(error) = fs::write(path, [&*self.head, &*self.collected].concat())
        {
            self.fail(format!("{}: {error}", path.display()));
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
