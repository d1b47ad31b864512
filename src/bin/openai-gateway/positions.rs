//! What the second position needs of Envoy's clusters: that the filter runs there, and whose hosts they are.

use std::collections::BTreeSet;

use super::document::Node;
use super::envoy::{GatewayFilter, gateway_of};
use super::report::Report;
use super::site::{self, type_of};

/// Where the host's provider stands in its metadata.
const PROVIDER: [&str; 4] = ["metadata", "filter_metadata", "openai-gateway", "provider"];

/// Whether the filter also stands where Envoy makes its attempts.
pub fn is_upstream(document: &Node, gateways: &[GatewayFilter<'_>]) -> bool {
    routers_have_it(document, gateways)
        || document
            .maps()
            .into_iter()
            .filter(|map| map.get("load_assignment").is_some())
            .any(|cluster| own_filters(cluster).is_some_and(|own| holds(own.filters(), gateways)))
}

/// The clusters that the filter leads to, in two positions.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    clusters: &[Node],
    gateway: &GatewayFilter<'_>,
    gateways: &[GatewayFilter<'_>],
) {
    let find = |name: &str| clusters.iter().find(|node| node.text_of("name") == name);
    let mut led_to: BTreeSet<String> =
        gateway.providers().map(|(_, cluster)| cluster.to_owned()).collect();
    for fallback in gateway.fallbacks() {
        led_to.insert(fallback.cluster.clone());
        let Some(over) = find(&fallback.cluster) else { continue };
        let parts = parts(over);
        for (part, name) in &parts {
            match find(name) {
                Some(cluster) => hosts(report, document, cluster, &fallback.providers, gateway),
                None => report.warning_at(document, part, "name", format!(
                    "Envoy has no cluster {name}: add it to static_resources.clusters, or name the right one here"
                )),
            }
        }
        if parts.is_empty() {
            hosts(report, document, over, &fallback.providers, gateway);
        }
    }
    let in_router = routers_have_it(document, gateways);
    for cluster in led_to.iter().filter_map(|name| find(name)) {
        filters(report, document, cluster, in_router, gateways);
    }
}

/// The clusters that a composite or an aggregate cluster is over, with the node that names each. Their own filters do not
/// run for what comes by it, but the router's.
fn parts(over: &Node) -> Vec<(&Node, &str)> {
    let list = over.at(&["cluster_type", "typed_config", "clusters"]);
    let parts = list.map(Node::items).unwrap_or_default().iter();
    parts.map(|part| (part, part.text().unwrap_or_else(|| part.text_of("name")))).collect()
}

/// Whether each host says whose it is, and is one of the fallback's.
fn hosts(
    report: &mut Report<'_>,
    document: &Node,
    cluster: &Node,
    providers: &[String],
    gateway: &GatewayFilter<'_>,
) {
    let name = cluster.text_of("name");
    // The example is the provider whose cluster it is, where that is plain.
    let own = gateway
        .providers()
        .find(|(provider, of)| *of == name && providers.iter().any(|target| target == provider));
    let example = own.map(|(provider, _)| provider).or(providers.first().map(String::as_str));
    let set = format!(
        "set metadata: {{filter_metadata: {{openai-gateway: {{provider: {}}}}}}} beside its endpoint",
        example.unwrap_or("NAME")
    );
    if cluster.get("eds_cluster_config").is_some() {
        let why = format!(
            "the hosts of cluster {name} come by EDS and are not checked: each must say whose it is ({set})"
        );
        report.warning_at(document, cluster, "eds_cluster_config", why);
    }
    let groups = cluster.at(&["load_assignment", "endpoints"]).map(Node::items).unwrap_or_default();
    let hosts = groups.iter().filter_map(|group| group.get("lb_endpoints")).flat_map(Node::items);
    for host in hosts {
        let (member, why) = match host.at(&PROVIDER) {
            None => (
                "metadata",
                format!(
                    "a fallback leads to this host of cluster {name}, and it does not say whose it is: every attempt at it ends in \
                 500: {set}"
                ),
            ),
            Some(named) => match named.text() {
                Some(named) if providers.iter().any(|target| target == named) => continue,
                Some(named) => (
                    "metadata",
                    format!(
                        "{named} is no provider of the fallback that leads to this host of cluster {name} ({}): every attempt at it \
                     ends in 500: {set}",
                        providers.join(", ")
                    ),
                ),
                None => ("metadata", format!("the provider's name must be a text: {set}")),
            },
        };
        report.warning_at(document, host, member, why);
    }
}

/// Whether the filter runs for what goes to a cluster: a list of its own takes the place of the router's.
fn filters(
    report: &mut Report<'_>,
    document: &Node,
    cluster: &Node,
    in_router: bool,
    gateways: &[GatewayFilter<'_>],
) {
    let name = cluster.text_of("name");
    match own_filters(cluster) {
        Some(own) if !holds(own.filters(), gateways) => {
            let why = format!(
                "these take the place of the router's upstream_http_filters, and openai-gateway-filter is not among them: \
                 requests to cluster {name} go without any credential. Leave http_filters out here and put what they do into \
                 the router's upstream_http_filters, or add openai-gateway-filter before upstream_codec"
            );
            report.warning_at(document, own.options, "http_filters", why);
        }
        None if !in_router => {
            let why = format!(
                "the filter stands in the second position of other clusters, not of {name}, whose requests go without any \
                 credential: put it into the router's upstream_http_filters, before upstream_codec"
            );
            report.warning_at(document, cluster, "name", why);
        }
        _ => {}
    }
}

/// A cluster's own `http_filters`.
struct OwnFilters<'a> {
    options: &'a Node,
}

impl<'a> OwnFilters<'a> {
    fn filters(&self) -> &'a [Node] {
        self.options.get("http_filters").map(Node::items).unwrap_or_default()
    }
}

fn own_filters(cluster: &Node) -> Option<OwnFilters<'_>> {
    let options = cluster.get("typed_extension_protocol_options")?;
    let found = options.members().iter().map(|member| &member.node);
    found
        .filter(|node| type_of(node).ends_with("HttpProtocolOptions"))
        .map(|options| OwnFilters { options })
        .find(|own| !own.filters().is_empty())
}

fn routers_have_it(document: &Node, gateways: &[GatewayFilter<'_>]) -> bool {
    let lists = document.maps().into_iter().filter_map(|map| map.get("upstream_http_filters"));
    lists.map(Node::items).any(|list| holds(list, gateways))
}

fn holds(filters: &[Node], gateways: &[GatewayFilter<'_>]) -> bool {
    filters.iter().any(|filter| {
        gateway_of(filter, gateways).is_some()
            || site::is_discovered(filter)
            || gateways.iter().any(|gateway| gateway.name == filter.text_of("name"))
    })
}
