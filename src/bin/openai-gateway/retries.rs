//! Whether the route of a fallback makes Envoy ask the next provider.

use super::document::Node;
use super::envoy::FallbackRoute;
use super::report::Report;
use super::site::type_of;

/// The route that a fallback's requests take, of this virtual host.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    host: &Node,
    route: &Node,
    fallback: &FallbackRoute,
) {
    let Some(action) = route.get("route") else { return };
    let of_either = |name: &str| action.get(name).or_else(|| host.get(name));
    let alias = &fallback.alias;
    let typed = of_either("retry_policy_typed_config");
    match of_either("retry_policy") {
        None if typed.is_none() => report.warning_at(document, action, "retry_policy", format!(
            "alias {alias} never falls back here: set retry_policy: {{retry_on: \"5xx,reset,connect-failure,\
             retriable-status-codes\", retriable_status_codes: [401, 402, 403, 404, 408, 429], num_retries: {}}}",
            fallback.providers.len().saturating_sub(1)
        )),
        Some(policy) => priorities(report, document, policy, fallback),
        None => {}
    }
    let hedge = of_either("hedge_policy");
    let hedged = hedge.and_then(|hedge| hedge.get("hedge_on_per_try_timeout"));
    if hedged.is_some_and(Node::is_true) {
        let why = format!(
            "leave it out for alias {alias}, and set retry_policy.per_try_timeout alone: where the second of two hedged attempts \
             fails first, Envoy sends its body to the client before any head, or crashes; it does so with every upstream \
             filter that holds an answer's head"
        );
        report.warning_at(document, action, "hedge_policy", why);
    }
}

/// Envoy chooses the first priority again for a retry, unless it is told not to.
fn priorities(report: &mut Report<'_>, document: &Node, policy: &Node, fallback: &FallbackRoute) {
    let name = &fallback.cluster;
    let clusters = document.at(&["static_resources", "clusters"]).map(Node::items);
    let Some(over) = clusters.unwrap_or_default().iter().find(|node| node.text_of("name") == name)
    else {
        return;
    };
    let kind = over.at(&["cluster_type", "typed_config"]).map(type_of).unwrap_or_default();
    let is_aggregate = kind.ends_with("clusters.aggregate.v3.ClusterConfig");
    let groups = over.at(&["load_assignment", "endpoints"]).map(Node::items).unwrap_or_default();
    let has_priorities =
        groups.iter().any(|group| group.get("priority").and_then(Node::number) > Some(0.0));
    if (is_aggregate || has_priorities) && policy.get("retry_priority").is_none() {
        let what = if is_aggregate { "an aggregate cluster" } else { "a cluster with priorities" };
        report.warning_at(document, policy, "retry_priority", format!(
            "{name} is {what}, and each attempt of alias {} goes to its first provider: set retry_priority \
             (envoy.retry_priorities.previous_priorities, update_frequency: 1)",
            fallback.alias
        ));
    }
}
