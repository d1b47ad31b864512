//! Whether the attempts of a fallback go to its targets, in their order.

use super::document::Node;
use super::envoy::{FallbackRoute, GatewayFilter};
use super::led_to::{groups, hosts, named, parts, whose};
use super::report::Report;

/// Attempt n goes to the nth cluster of a composite or an aggregate cluster, or to the nth priority of a plain one.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    clusters: &[&Node],
    gateway: &GatewayFilter<'_>,
    fallback: &FallbackRoute,
) {
    let find = |name: &str| clusters.iter().copied().find(|node| node.text_of("name") == name);
    let Some(over) = find(&fallback.cluster) else { return };
    let parts = parts(over);
    let (attempts, node, member, what): (Vec<Option<&str>>, _, _, _) = if parts.is_empty() {
        if groups(over).is_empty() {
            return;
        }
        (by_priority(over), over, "load_assignment", "priorities")
    } else {
        let of = |name| find(name).and_then(|cluster| whose(gateway, cluster));
        let of_parts = parts.iter().map(|(_, name)| of(name)).collect();
        let typed = over.at(&["cluster_type", "typed_config"]).unwrap_or(over);
        (of_parts, typed, "clusters", "clusters")
    };
    let FallbackRoute { alias, cluster, providers } = fallback;
    let order = providers.join(", ");
    let asks_another = attempts.iter().enumerate().find_map(|(at, provider)| {
        let provider = (*provider)?;
        (providers.get(at).map(String::as_str) != Some(provider)).then_some((at, provider))
    });
    if let Some((at, provider)) = asks_another {
        let attempt = at.saturating_add(1);
        let why = format!(
            "attempt {attempt} of alias {alias} goes to {provider}, and not to its target {attempt}: put the {what} of {cluster} into \
             the fallback's order ({order})"
        );
        report.warning_at(document, node, member, why);
    } else if attempts.len() < providers.len() {
        let why = format!(
            "{cluster} has {} {what}, and alias {alias} has {} targets: one for each of {order}, in this order",
            attempts.len(),
            providers.len()
        );
        report.warning_at(document, node, member, why);
    }
}

/// Whose the hosts of each priority are, where they are one provider's.
fn by_priority(cluster: &Node) -> Vec<Option<&str>> {
    let priority = |group: &Node| group.get("priority").and_then(Node::number).unwrap_or(0.0);
    let mut levels: Vec<f64> = groups(cluster).iter().map(priority).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let of = |level: f64| {
        groups(cluster).iter().filter(move |group| priority(group).total_cmp(&level).is_eq())
    };
    levels.into_iter().map(|level| named(of(level).flat_map(hosts))).collect()
}
