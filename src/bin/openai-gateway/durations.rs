//! Durations on a request's way: as Envoy writes them, and long enough for a model.

use super::document::{Node, NodeValue};
use super::report::Report;

/// A model may think for minutes before its first byte.
const SHORTEST_SECONDS: f64 = 60.0;
/// A long answer streams for minutes.
const SHORTEST_ANSWER_SECONDS: f64 = 300.0;

/// A protobuf duration: `1.5s`.
fn seconds(text: &str) -> Option<f64> {
    text.strip_suffix('s')?.parse().ok()
}

/// Warns of a member that is set, and shorter than `least` seconds. 0 is none.
fn long_enough(
    report: &mut Report<'_>,
    root: &Node,
    node: Option<&Node>,
    (member, least): (&str, f64),
    why: &str,
) {
    let Some(node) = node else { return };
    let set = node.get(member).and_then(Node::text).and_then(seconds);
    if set.is_some_and(|seconds| seconds > 0.0 && seconds < least) {
        report.warning_at(root, node, member, why);
    }
}

/// The connection manager's own.
pub fn manager(report: &mut Report<'_>, root: &Node, manager: &Node) {
    let why = "set stream_idle_timeout: 600s: a model may be silent for minutes before it answers";
    long_enough(report, root, Some(manager), ("stream_idle_timeout", SHORTEST_SECONDS), why);
    let why = "set request_timeout: 300s, or leave it out: it ends an upload that is still coming";
    long_enough(report, root, Some(manager), ("request_timeout", SHORTEST_SECONDS), why);
    total(report, root, manager.get("common_http_protocol_options"));
}

/// Those of a route to providers. `host`: its virtual host.
pub fn route(report: &mut Report<'_>, root: &Node, host: &Node, action: &Node) {
    if action.get("timeout").is_none() {
        let why = "set timeout: 0s: Envoy's default ends every answer after 15 seconds";
        report.warning_at(root, action, "timeout", why);
    }
    let why = "set timeout: 0s: it ends an answer that is still streaming";
    long_enough(report, root, Some(action), ("timeout", SHORTEST_ANSWER_SECONDS), why);
    let why = "set idle_timeout: 600s, or leave it out: a model may be silent for minutes";
    long_enough(report, root, Some(action), ("idle_timeout", SHORTEST_SECONDS), why);
    total(report, root, action.get("max_stream_duration"));
    for policy in [action, host].into_iter().filter_map(|node| node.get("retry_policy")) {
        let why = "set per_try_timeout: 0s: it ends an answer that is still streaming";
        long_enough(report, root, Some(policy), ("per_try_timeout", SHORTEST_ANSWER_SECONDS), why);
        let why = "set per_try_idle_timeout: 300s: a model may be silent for minutes";
        long_enough(report, root, Some(policy), ("per_try_idle_timeout", SHORTEST_SECONDS), why);
    }
}

/// Those of a cluster.
pub fn cluster(report: &mut Report<'_>, root: &Node, cluster: &Node) {
    for map in cluster.maps() {
        total(report, root, map.get("common_http_protocol_options"));
    }
}

fn total(report: &mut Report<'_>, root: &Node, node: Option<&Node>) {
    let why = "leave it out: it ends an answer that is still streaming";
    long_enough(report, root, node, ("max_stream_duration", SHORTEST_ANSWER_SECONDS), why);
}

/// Members that hold what is not Envoy's own: another's settings, or the fields of a log.
const NOT_ENVOYS: [&str; 6] =
    ["filter_metadata", "typed_filter_metadata", "value", "filter_config", "json_format", "fields"];

/// Durations in a file of Envoy's that it can't read: `5m`, `15`.
pub fn spelled(report: &mut Report<'_>, document: &Node) {
    if document.get("static_resources").is_none() {
        return;
    }
    let mut left = vec![document];
    while let Some(node) = left.pop() {
        for member in node.members() {
            let is_one = member.name.ends_with("timeout") || member.name.ends_with("_duration");
            let is_wrong = match &member.node.value {
                NodeValue::Text(text, _) => seconds(text).is_none(),
                NodeValue::Number(_) => true,
                _ => false,
            };
            if is_one && is_wrong {
                let why = "Envoy refuses this: write seconds, as 15s, 0.5s or 300s";
                report.error_at(document, node, &member.name, why);
            }
            if !NOT_ENVOYS.contains(&member.name.as_str()) {
                left.push(&member.node);
            }
        }
        left.extend(node.items());
    }
}
