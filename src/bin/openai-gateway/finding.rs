//! What was found, and how it is shown.

use std::cmp::Ordering;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Envoy, the mesh or the filter refuses it.
    Error,
    /// It is accepted, and does not do what it is there for.
    Warning,
}

/// One thing that was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Where in the configuration.
    pub path: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to set.
    pub message: String,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Finding {
    /// By line; errors first where there are several.
    pub fn order(&self, other: &Self) -> Ordering {
        fn key(finding: &Finding) -> (usize, bool, &str, &str) {
            let Finding { line, severity, path, message, .. } = finding;
            (*line, *severity == Severity::Warning, path, message)
        }
        key(self).cmp(&key(other))
    }

    /// `file:line: error: path: message`
    pub fn line(&self) -> String {
        let Self { file, line, path, severity, message } = self;
        format!("{file}:{line}: {}: {path}: {message}", severity.as_str())
    }
}

/// All of them as one JSON object.
pub fn json(findings: &[Finding]) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|Finding { file, line, path, severity, message }| {
            json!({"file": file, "line": line, "path": path, "severity": severity.as_str(), "message": message})
        })
        .collect();
    json!({"findings": findings})
}
