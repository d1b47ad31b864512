//! Members that are given twice around the filter's own part, which tells its own.

use super::document::Node;
use super::report::Report;

/// Every one of a document, but for those in `settings`. A reader of YAML takes one of the two and says nothing.
pub fn check(report: &mut Report<'_>, document: &Node, settings: &[&Node]) {
    let mut left = vec![document];
    while let Some(node) = left.pop() {
        if settings.iter().any(|own| std::ptr::eq(*own, node)) {
            continue;
        }
        for (at, member) in node.members().iter().enumerate() {
            let is_again = node.members().iter().take(at).any(|other| other.name == member.name);
            if is_again {
                let why = "given twice: one of the two is lost, and nobody is told which";
                report.error(member.line, member.name.clone(), why);
            }
            left.push(&member.node);
        }
        left.extend(node.items());
    }
}
