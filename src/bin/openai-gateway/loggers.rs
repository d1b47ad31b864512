//! Loggers, metrics and spans that read a header which no answer has.

use openai_gateway_filter::policy::{AnswerHeader, Config};

use super::document::Node;
use super::report::Report;
use super::settings::Lines;

/// The headers that `answer_headers` may leave out, by their names behind the prefix, and what tells the same.
const HIDDEN: [(&str, AnswerHeader, &str); 5] = [
    (
        "provider",
        AnswerHeader::Provider,
        "read %FILTER_STATE(wasm.gateway_provider:PLAIN)%, which is there instead where usage.mode is not off",
    ),
    (
        "model",
        AnswerHeader::Model,
        "read %FILTER_STATE(wasm.gateway_model:PLAIN)%, which is there where usage.mode is not off",
    ),
    ("request-id", AnswerHeader::RequestId, "read %REQ(X-REQUEST-ID)%"),
    ("cache-mode", AnswerHeader::CacheMode, "leave it out here, too"),
    ("cache", AnswerHeader::Cache, "leave it out here, too"),
];

/// What this filter's headers begin with where nobody says otherwise.
const DEFAULT_PREFIX: &str = "x-langwatch-";

/// Format strings below `manager` that read our headers of answers.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    manager: &Node,
    config: &Config,
    places: &Lines,
) {
    let mut found = Vec::new();
    for member in ["access_log", "tracing"] {
        let Some(below) = manager.get(member) else { continue };
        for map in below.maps() {
            for member in map.members() {
                let texts = std::iter::once(&member.node).chain(member.node.items());
                for name in texts.filter_map(Node::text).flat_map(read) {
                    if let Some(why) = problem(&name, config, places) {
                        found.push((map, &*member.name, format!("reads {name}: {why}")));
                    }
                }
            }
        }
    }
    for (map, member, why) in found {
        report.warning_at(document, map, member, why);
    }
}

/// Why no answer has this header, if it is one of ours.
fn problem(name: &str, config: &Config, places: &Lines) -> Option<String> {
    let prefix = [&*config.headers.prefix, "-"].concat();
    if let Some(behind) = name.strip_prefix(&*prefix) {
        let (_, _, instead) = HIDDEN
            .iter()
            .find(|(known, header, _)| *known == behind && !config.headers.answers.has(*header))?;
        return Some(format!(
            "answer_headers in the filter's settings (line {}) leaves it out of every answer; {instead}",
            places.line("answer_headers")
        ));
    }
    let behind = name.strip_prefix(DEFAULT_PREFIX)?;
    Some(format!(
        "with header_prefix in the filter's settings (line {}) it is called {prefix}{behind}",
        places.line("header_prefix")
    ))
}

/// The answer's headers that a format string reads: `%RESP(NAME)%`, `%RESP(NAME?OTHER):LENGTH%`, in lower case.
fn read(text: &str) -> Vec<String> {
    let operators = text.split("%RESP(").skip(1);
    let names = operators.filter_map(|rest| rest.split(')').next());
    names.flat_map(|names| names.split('?')).map(str::to_ascii_lowercase).collect()
}
