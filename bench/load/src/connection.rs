//! A connection of either role: reads messages, writes what is due.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::http::Parser;
use crate::scenario::Check;

/// What reading a connection came to.
#[derive(PartialEq, Eq)]
pub enum Got {
    /// Bytes; there may be more.
    Some(usize),
    /// Nothing more for now.
    Drained,
    /// The other side is gone.
    Closed,
}

/// A socket, what is read from it and what is being written.
pub struct Connection {
    pub stream: TcpStream,
    pub parser: Parser,
    pub check: Check,
    /// How much of the outgoing message is written.
    written: usize,
    /// How much of it may be.
    allowed: usize,
}

impl Connection {
    pub fn new(stream: TcpStream, parser: Parser) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, parser, check: Check::default(), written: 0, allowed: 0 })
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> Got {
        match self.stream.read(buffer) {
            Ok(0) => Got::Closed,
            Ok(size) => Got::Some(size),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Got::Drained,
            Err(error) if error.kind() == ErrorKind::Interrupted => Got::Some(0),
            Err(_) => Got::Closed,
        }
    }

    /// A new outgoing message, of which nothing may be written yet.
    pub fn start(&mut self) {
        self.written = 0;
        self.allowed = 0;
    }

    /// Lets the message go up to here.
    pub fn allow(&mut self, upto: usize) {
        self.allowed = upto;
    }

    pub fn has_output(&self) -> bool {
        self.written < self.allowed
    }

    /// Writes what is allowed; true when all of it went.
    pub fn write(&mut self, message: &[u8]) -> std::io::Result<bool> {
        while self.has_output() {
            match self.stream.write(&message[self.written..self.allowed]) {
                Ok(size) => self.written += size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
