//! The clusters that a configuration of the filter names.

use openai_gateway_filter::config::ROOT;

use super::document::Node;
use super::envoy::{FallbackRoute, GatewayFilter};
use super::report::Report;
use super::{durations, endpoints, led_to, order, positions, tls};

/// Whether Envoy has them, and each is one to which its providers' credentials may go.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    gateway: &GatewayFilter<'_>,
    gateways: &[GatewayFilter<'_>],
) {
    let Some(clusters) = document.at(&["static_resources", "clusters"]) else { return };
    if document.at(&["dynamic_resources", "cds_config"]).is_some() {
        return;
    }
    let cluster = |name: &str| clusters.items().iter().find(|node| node.text_of("name") == name);
    for (index, provider) in
        gateway.tree.get("providers").map(Node::items).unwrap_or_default().iter().enumerate()
    {
        let own = provider.get("cluster").and_then(Node::text);
        let (member, name) = match own {
            Some(name) => ("cluster", name),
            None => ("name", provider.text_of("name")),
        };
        if name.is_empty() {
            continue;
        }
        let path = format!("providers[{index}].{member}");
        let line = gateway.places.line(&path);
        if cluster(name).is_none() {
            report.warning(line, path, format!(
                "Envoy has no cluster {name}: add it to static_resources.clusters, or name the right one in \
                 the provider's cluster"
            ));
        }
    }
    for FallbackRoute { alias, cluster: name, .. } in gateway.fallbacks() {
        if cluster(&name).is_none() {
            let path = ROOT.field("model_aliases").field(&alias).to_string();
            report.warning(gateway.places.line(&path), path, format!(
                "Envoy has no cluster {name}: add it to static_resources.clusters as a composite or aggregate \
                 cluster over the providers' own"
            ));
        }
    }
    endpoints::twice(report, document, clusters.items());
    let clusters: Vec<&Node> = clusters.items().iter().collect();
    led(report, document, &clusters, gateway, gateways);
}

/// Whether those that the filter leads to are the right providers', and each knows its provider's name.
pub fn led(
    report: &mut Report<'_>,
    document: &Node,
    clusters: &[&Node],
    gateway: &GatewayFilter<'_>,
    gateways: &[GatewayFilter<'_>],
) {
    let fallbacks = gateway.fallbacks();
    let led_to = led_to::led_to(clusters, gateway, &fallbacks);
    for cluster in &led_to {
        tls::check(report, document, cluster, gateway);
        endpoints::check(report, document, cluster, gateway);
        durations::cluster(report, document, cluster.cluster);
    }
    if positions::is_upstream(document, gateways) {
        positions::check(report, document, clusters, &led_to, gateways);
        for fallback in &fallbacks {
            order::check(report, document, clusters, gateway, fallback);
        }
    }
}
