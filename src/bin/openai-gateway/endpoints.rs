//! Where a provider's cluster leads: nothing of `base_url` but its name and path is what Envoy connects to.

use std::net::IpAddr;

use super::document::Node;
use super::envoy::GatewayFilter;
use super::led_to::{self, LedTo};
use super::report::Report;
use super::routes::without_port;

/// A provider's `base_url`.
struct Base<'a> {
    provider: &'a str,
    host: &'a str,
    port: f64,
}

/// Clusters of one name: Envoy refuses the file.
pub fn twice(report: &mut Report<'_>, document: &Node, clusters: &[Node]) {
    for (at, cluster) in clusters.iter().enumerate() {
        let name = cluster.text_of("name");
        if !name.is_empty() && clusters.iter().take(at).any(|other| other.text_of("name") == name) {
            let why = format!("there is a cluster {name} already: Envoy refuses a second one");
            report.error_at(document, cluster, "name", why);
        }
    }
}

/// The hosts of a cluster that the filter leads to.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    led_to: &LedTo<'_>,
    gateway: &GatewayFilter<'_>,
) {
    let cluster = led_to.cluster;
    let is_static =
        matches!(cluster.text_of("type"), "" | "STATIC") && cluster.get("cluster_type").is_none();
    let bases = bases(led_to, gateway);
    for host in led_to::groups(cluster).iter().flat_map(led_to::hosts) {
        let Some(socket) = host.at(&["endpoint", "address", "socket_address"]) else { continue };
        let address = socket.text_of("address");
        let is_name = !address.is_empty() && address.parse::<IpAddr>().is_err();
        if is_static && is_name {
            let why = format!(
                "Envoy refuses a name here: set type: LOGICAL_DNS (or STRICT_DNS) on cluster {}, whose default is STATIC, for IP \
                 addresses alone",
                led_to.name()
            );
            report.error_at(document, socket, "address", why);
        }
        if let Some((member, why)) =
            elsewhere(led_to.name(), &bases, address, socket.get("port_value"))
        {
            report.warning_at(document, socket, member, why);
        }
    }
}

/// A host that is not the one of `base_url`. What is near may have any name there.
fn elsewhere(
    cluster: &str,
    bases: &[Base<'_>],
    address: &str,
    port: Option<&Node>,
) -> Option<(&'static str, String)> {
    let first = bases.first()?;
    let provider = first.provider;
    let mut same = bases.iter().filter(|base| base.host.eq_ignore_ascii_case(address)).peekable();
    if same.peek().is_some() {
        let port = port.and_then(Node::number)?;
        return same.all(|base| base.port.total_cmp(&port).is_ne()).then(|| {
            ("port_value", format!(
                "Envoy connects to port {port} of {address}, and base_url of provider {provider} says {}: the cluster alone says \
                 where requests go. Give both the same port",
                first.port
            ))
        });
    }
    let is_elsewhere = !is_near(address) && bases.iter().all(|base| !is_near(base.host));
    is_elsewhere.then(|| {
        ("address", format!(
            "cluster {cluster} leads to {address}, and base_url of provider {provider} to {}: the credential of {provider} goes where \
             the cluster says. Give both the same host",
            first.host
        ))
    })
}

fn bases<'a>(led_to: &LedTo<'a>, gateway: &'a GatewayFilter<'_>) -> Vec<Base<'a>> {
    let named = led_to::whose(gateway, led_to.cluster);
    let is_its = |name: &str| led_to.owners.contains(&name) || named == Some(name);
    let raw = gateway.tree.get("providers").map(Node::items).unwrap_or_default();
    let all = gateway.config.into_iter().flat_map(|config| config.providers.iter());
    let base = |(provider, raw): (&'a openai_gateway_filter::policy::Provider, &Node)| {
        let host = without_port(&provider.authority);
        let is_https = raw.text_of("base_url").to_ascii_lowercase().starts_with("https:");
        let port = provider.authority.get(host.len()..).and_then(|rest| rest.strip_prefix(':'));
        let default = if is_https { 443.0 } else { 80.0 };
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(default);
        Base { provider: &provider.name, host: host.trim_matches(['[', ']']), port }
    };
    all.map(|(_, provider)| provider)
        .zip(raw)
        .filter(|(provider, _)| is_its(&provider.name))
        .map(base)
        .collect()
}

/// Whether a host is no public one: an address of its own network, or a name that only that network knows.
pub fn is_near(host: &str) -> bool {
    host == "localhost"
        || !host.contains('.')
        || [".local", ".internal", ".svc", ".lan", ".test", ".localhost"]
            .iter()
            .any(|end| host.ends_with(end))
        || host.parse::<IpAddr>().is_ok_and(|ip| match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(_) => false,
        })
}
