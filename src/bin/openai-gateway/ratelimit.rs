//! Budgets that Envoy's filters count by the facts that this filter leaves.

use openai_gateway_filter::policy::{Config, UsageMode};

use super::document::Node;
use super::report::Report;
use super::settings::Lines;

/// The facts that are there only where `usage.mode` is not `off` (docs/reference.md).
const FACTS: [&str; 9] = [
    "gateway_virtual_key",
    "gateway_operation",
    "gateway_model",
    ESTIMATE,
    "gateway_input_tokens",
    "gateway_output_tokens",
    "gateway_cached_tokens",
    "gateway_total_tokens",
    "gateway_usage_source",
];

/// The one that is written before an answer is there.
const ESTIMATE: &str = "gateway_estimate";

/// Whether a document is a mesh's patch that brings rate limits which read our facts. It may stand in a file of its own.
pub fn is_mesh(document: &Node) -> bool {
    matches!(document.text_of("kind"), "EnvoyFilter" | "EnvoyPatchPolicy")
        && document.maps().into_iter().any(|map| map.get("rate_limits").is_some())
        && fact(&document.json()).is_some()
}

/// Rate limits below `manager` that read facts which nobody leaves.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    manager: &Node,
    tree: &Node,
    config: &Config,
    places: &Lines,
) {
    // A key that is off by its own word has no budget on purpose.
    let raw = tree.get("virtual_keys").map(Node::items).unwrap_or_default();
    let is_meant = |id: &str| {
        let own = raw.iter().find(|key| key.text_of("id") == id);
        own.is_some_and(|key| key.at(&["usage", "mode"]).is_some())
    };
    let of = |mode| {
        let mut keys = config.virtual_keys.iter();
        keys.find(|key| key.usage.mode == mode && !is_meant(&key.id))
    };
    let (off, observed) = (of(UsageMode::Off), of(UsageMode::Observe));
    let mut read = Vec::new();
    for limits in manager.maps().into_iter().filter_map(|map| map.get("rate_limits")) {
        for map in limits.items().iter().flat_map(Node::maps) {
            for member in map.members() {
                let texts = std::iter::once(&member.node).chain(member.node.items());
                let fact = texts.filter_map(Node::text).find_map(fact);
                if let Some(fact) = fact {
                    read.push((map, &*member.name, fact));
                }
            }
        }
    }
    let usage = places.line("usage.mode");
    for (map, member, fact) in read {
        let why = match (off, observed) {
            (Some(key), _) => format!(
                "reads {fact}, which is not there while usage.mode is off (virtual key {}, for one): requests are not \
                 counted against this limit. Set usage: {{mode: require}} in the filter's settings (line {usage}), or observe \
                 where nobody escapes a limit by it",
                key.id
            ),
            (None, Some(key)) if fact == ESTIMATE => format!(
                "reads {fact}, which is short while usage.mode is observe (virtual key {}, for one): a body that comes in \
                 pieces goes on before it has said how many tokens it asks for. Set usage: {{mode: require}} in the filter's \
                 settings (line {usage})",
                key.id
            ),
            _ => continue,
        };
        report.warning_at(document, map, member, why);
    }
}

/// The fact that a text reads, as `%FILTER_STATE(wasm.gateway_estimate:PLAIN)%` or `filter_state['wasm.gateway_estimate']`.
fn fact(text: &str) -> Option<&'static str> {
    FACTS.into_iter().find(|fact| text.contains(&format!("wasm.{fact}")))
}
