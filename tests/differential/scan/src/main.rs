//! With the argument `serde_json` it says what that parser reads of JSON.
//!
//! Reads cases from standard input, each `J <length>\n` (JSON) or `F <length>\n` (a form with the boundary XB) and the
//! body, and writes for each a line: the model id that the filter lets pass, as JSON, or `null` where it refuses.

use std::io::{self, BufRead, Read, Write};

use openai_gateway_filter::policy::model::check_id;
use openai_gateway_filter::wire::json::scan::JsonScanner;
use openai_gateway_filter::wire::multipart::FormScanner;

fn json(body: &[u8]) -> Option<String> {
    let mut scanner = JsonScanner::new(false, check_id);
    let found = scanner.push(body).ok()?;
    scanner.finish().ok()?;
    Some(found?.id)
}

fn serde(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(value.get("model")?.as_str()?.to_owned())
}

fn form(body: &[u8]) -> Option<String> {
    let mut scanner = FormScanner::new(b"XB", check_id);
    let found = scanner.push(body).ok()?;
    scanner.finish().ok()?;
    Some(found?.id)
}

fn main() -> io::Result<()> {
    let reads_json = if std::env::args().nth(1).as_deref() == Some("serde_json") { serde } else { json };
    let mut input = io::stdin().lock();
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let (kind, length) = line.trim().split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
        let mut body = vec![0; length.parse().map_err(|_| io::ErrorKind::InvalidData)?];
        input.read_exact(&mut body)?;
        let id = if kind == "J" { reads_json(&body) } else { form(&body) };
        writeln!(output, "{}", serde_json::to_string(&id)?)?;
        line.clear();
    }
    output.flush()
}
