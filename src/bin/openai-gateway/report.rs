//! Collects what was found in one file.

use openai_gateway_filter::config::{Path, ROOT};

use super::document::{Node, NodeValue};
use super::finding::{Finding, Severity};

/// The findings of one file.
pub struct Report<'a> {
    /// The file, as it was named.
    pub file: &'a str,
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    /// An empty one.
    pub fn new(file: &'a str) -> Self {
        Self { file, findings: Vec::new() }
    }

    /// What is refused.
    pub fn error(&mut self, line: usize, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, line, path.into(), message.into());
    }

    /// What is accepted and wrong.
    pub fn warning(&mut self, line: usize, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, line, path.into(), message.into());
    }

    /// A warning at a member of an object, or at the object where it lacks the member.
    pub fn warning_at(
        &mut self,
        root: &Node,
        node: &Node,
        member: &str,
        message: impl Into<String>,
    ) {
        let (line, path) = place(root, node, member);
        self.warning(line, path, message);
    }

    /// The same for what is refused.
    pub fn error_at(&mut self, root: &Node, node: &Node, member: &str, message: impl Into<String>) {
        let (line, path) = place(root, node, member);
        self.error(line, path, message);
    }

    fn add(&mut self, severity: Severity, line: usize, path: String, message: String) {
        self.findings.push(Finding { file: self.file.to_owned(), line, path, severity, message });
    }
}

/// The line and the path of a member; where the object lacks it, the line of the object's own name.
fn place(root: &Node, node: &Node, member: &str) -> (usize, String) {
    let found = node.member(member);
    let name = found.map_or(member, |found| found.name.as_str());
    let mut place = (found.map_or(node.line, |found| found.line), name.to_owned());
    search(root, node, (ROOT, root.line), &mut |(at, line)| {
        let path = if name.is_empty() { at.to_string() } else { at.field(name).to_string() };
        place = (found.map_or(line, |found| found.line), path);
    });
    place
}

/// Calls `found` with the path of `target` and the line at which it is named.
fn search(
    node: &Node,
    target: &Node,
    (at, line): (&Path<'_>, usize),
    found: &mut impl FnMut((&Path<'_>, usize)),
) {
    if std::ptr::eq(node, target) {
        found((at, line));
        return;
    }
    match &node.value {
        NodeValue::Map(members) => {
            for member in members {
                search(&member.node, target, (&at.field(&member.name), member.line), found);
            }
        }
        NodeValue::List(items) => {
            for (index, item) in items.iter().enumerate() {
                search(item, target, (&at.item(index), item.line), found);
            }
        }
        _ => {}
    }
}
