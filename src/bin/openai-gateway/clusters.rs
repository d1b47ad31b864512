//! The clusters that a configuration of the filter names.

use openai_gateway_filter::config::ROOT;

use super::document::Node;
use super::envoy::{FallbackRoute, GatewayFilter};
use super::report::Report;
use super::{led_to, order, positions, tls};

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
        match cluster(name) {
            None => report.warning(line, path, format!(
                "Envoy has no cluster {name}: add it to static_resources.clusters, or name the right one in \
                 the provider's cluster"
            )),
            Some(node) => {
                let is_https = provider.text_of("base_url").starts_with("https://");
                let has_tls = ["transport_socket", "transport_socket_matches"]
                    .iter()
                    .any(|name| node.get(name).is_some());
                if is_https && !has_tls {
                    report.warning_at(document, node, "transport_socket", format!(
                        "base_url of the provider is https, and the cluster speaks plain text: set \
                         transport_socket (envoy.transport_sockets.tls) on cluster {name}"
                    ));
                }
            }
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
    let fallbacks = gateway.fallbacks();
    let led_to = led_to::led_to(clusters.items(), gateway, &fallbacks);
    for cluster in &led_to {
        tls::check(report, document, cluster, gateway);
    }
    if positions::is_upstream(document, gateways) {
        positions::check(report, document, clusters.items(), &led_to, gateways);
        for fallback in &fallbacks {
            order::check(report, document, clusters.items(), gateway, fallback);
        }
    }
}
