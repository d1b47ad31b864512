//! HTTP/1.1 messages, read as they come: heads, then bodies with a length or in chunks.

use memchr::{memchr, memmem};

/// Who gets the parts of a message.
pub trait Sink {
    /// The head, with its closing empty line.
    fn head(&mut self, head: &[u8]);
    /// The next bytes of the body.
    fn body(&mut self, bytes: &[u8]);
    /// The message is complete.
    fn end(&mut self);
}

#[derive(Clone, Copy)]
enum State {
    Head,
    Fixed(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd(usize),
    Trailers,
}

/// Reads messages of one direction of one connection.
pub struct Parser {
    state: State,
    /// A head or a line that has not come in full.
    carry: Vec<u8>,
    /// Without a length there is no body: true of requests.
    bodiless: bool,
}

impl Parser {
    pub fn requests() -> Self {
        Self { state: State::Head, carry: Vec::new(), bodiless: true }
    }

    pub fn answers() -> Self {
        Self { state: State::Head, carry: Vec::new(), bodiless: false }
    }

    /// Takes the next bytes of the connection.
    pub fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) -> Result<(), String> {
        while !input.is_empty() {
            input = match self.state {
                State::Head => match self.upto(input, b"\r\n\r\n") {
                    Some((head, rest)) => {
                        self.begin(&head, sink)?;
                        rest
                    }
                    None => return Ok(()),
                },
                State::Fixed(left) => {
                    let (body, rest) = input.split_at(left.min(input.len()));
                    sink.body(body);
                    self.state = State::Fixed(left - body.len());
                    if left == body.len() {
                        self.finish(sink);
                    }
                    rest
                }
                State::ChunkSize => match self.upto(input, b"\r\n") {
                    Some((line, rest)) => {
                        let size = chunk_size(&line)?;
                        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
                        rest
                    }
                    None => return Ok(()),
                },
                State::Chunk(left) => {
                    let (body, rest) = input.split_at(left.min(input.len()));
                    sink.body(body);
                    self.state = match left - body.len() {
                        0 => State::ChunkEnd(2),
                        left => State::Chunk(left),
                    };
                    rest
                }
                State::ChunkEnd(left) => {
                    let skipped = left.min(input.len());
                    self.state = match left - skipped {
                        0 => State::ChunkSize,
                        left => State::ChunkEnd(left),
                    };
                    &input[skipped..]
                }
                State::Trailers => match self.upto(input, b"\r\n") {
                    Some((line, rest)) => {
                        if line.len() == 2 {
                            self.finish(sink);
                        }
                        rest
                    }
                    None => return Ok(()),
                },
            };
        }
        Ok(())
    }

    /// The bytes up to and with `mark`, and what follows them in `input`.
    fn upto<'a>(
        &mut self,
        input: &'a [u8],
        mark: &[u8],
    ) -> Option<(std::borrow::Cow<'a, [u8]>, &'a [u8])> {
        if self.carry.is_empty() {
            if let Some(at) = memmem::find(input, mark) {
                let (found, rest) = input.split_at(at + mark.len());
                return Some((found.into(), rest));
            }
            self.carry.extend_from_slice(input);
            return None;
        }
        let before = self.carry.len();
        self.carry.extend_from_slice(input);
        let from = before.saturating_sub(mark.len() - 1);
        let end = memmem::find(&self.carry[from..], mark)? + from + mark.len();
        self.carry.truncate(end);
        Some((std::mem::take(&mut self.carry).into(), &input[end - before..]))
    }

    fn begin(&mut self, head: &[u8], sink: &mut impl Sink) -> Result<(), String> {
        sink.head(head);
        if let Some(length) = header(head, b"content-length") {
            let length = str::from_utf8(length).ok().and_then(|text| text.parse().ok());
            match length.ok_or("a content-length that is no number")? {
                0 => self.finish(sink),
                length => self.state = State::Fixed(length),
            }
        } else if header(head, b"transfer-encoding").is_some() {
            self.state = State::ChunkSize;
        } else if self.bodiless {
            self.finish(sink);
        } else {
            return Err("an answer with neither a length nor chunks".to_owned());
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut impl Sink) {
        self.state = State::Head;
        sink.end();
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let digits = line.split(|byte| !byte.is_ascii_hexdigit()).next().unwrap_or_default();
    str::from_utf8(digits)
        .ok()
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .ok_or_else(|| format!("a broken chunk size {:?}", String::from_utf8_lossy(line)))
}

/// The value of a header, whatever its name's case.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = memchr(b':', line)?;
        line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
    })
}
