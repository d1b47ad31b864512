//! The clusters that the filter leads to, and whose they are.

use super::document::Node;
use super::envoy::{FallbackRoute, GatewayFilter};

/// Where the host's provider stands in its metadata.
pub const PROVIDER: [&str; 4] = ["metadata", "filter_metadata", "openai-gateway", "provider"];

/// A cluster to which requests of a provider come.
pub struct LedTo<'a> {
    /// As it stands in the file.
    pub cluster: &'a Node,
    /// The providers whose cluster it is by its name; none of a cluster that only a fallback's cluster is over.
    pub owners: Vec<&'a str>,
    /// The routing header names it: what comes by a cluster that is over it does not make it so.
    pub is_routed_to: bool,
    /// The fallbacks whose attempts come here: it is their cluster, or one that theirs is over.
    pub fallbacks: Vec<&'a FallbackRoute>,
}

impl LedTo<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.cluster.text_of("name")
    }
}

/// All of them that are in the file. `fallbacks`: those of the gateway.
pub fn led_to<'a>(
    clusters: &[&'a Node],
    gateway: &'a GatewayFilter<'_>,
    fallbacks: &'a [FallbackRoute],
) -> Vec<LedTo<'a>> {
    let find = |name: &str| clusters.iter().copied().find(|node| node.text_of("name") == name);
    let mut found: Vec<LedTo<'_>> = Vec::new();
    let mut add = |cluster: &'a Node, is_routed_to: bool, fallback: Option<&'a FallbackRoute>| {
        let at = found.iter().position(|it| std::ptr::eq(it.cluster, cluster));
        let at = at.unwrap_or_else(|| {
            let owners = owners(gateway, cluster.text_of("name"));
            found.push(LedTo { cluster, owners, is_routed_to, fallbacks: Vec::new() });
            found.len().saturating_sub(1)
        });
        if let Some(it) = found.get_mut(at) {
            it.is_routed_to |= is_routed_to;
            it.fallbacks.extend(fallback);
        }
    };
    for (_, name) in gateway.providers() {
        if let Some(cluster) = find(name) {
            add(cluster, true, None);
        }
    }
    for fallback in fallbacks {
        let Some(over) = find(&fallback.cluster) else { continue };
        add(over, true, Some(fallback));
        for cluster in parts(over).into_iter().filter_map(|(_, name)| find(name)) {
            add(cluster, false, Some(fallback));
        }
    }
    found
}

/// The clusters that a composite or an aggregate cluster is over, with the node that names each. Their own filters do not
/// run for what comes by it, but the router's.
pub fn parts(over: &Node) -> Vec<(&Node, &str)> {
    let list = over.at(&["cluster_type", "typed_config", "clusters"]);
    let parts = list.map(Node::items).unwrap_or_default().iter();
    parts.map(|part| (part, part.text().unwrap_or_else(|| part.text_of("name")))).collect()
}

/// The providers whose cluster has a name; where it is none's, those for whose hosts Envoy may show it.
pub fn owners<'a>(gateway: &'a GatewayFilter<'_>, name: &str) -> Vec<&'a str> {
    let own: Vec<&str> =
        gateway.providers().filter(|(_, of)| *of == name).map(|(owner, _)| owner).collect();
    if !own.is_empty() {
        return own;
    }
    let providers = gateway.config.into_iter().flat_map(|config| config.providers.iter());
    let shown = providers.filter(|(_, provider)| provider.is_in(name.as_bytes()));
    shown.map(|(_, provider)| &*provider.name).collect()
}

/// The groups of a cluster's hosts.
pub fn groups(cluster: &Node) -> &[Node] {
    cluster.at(&["load_assignment", "endpoints"]).map(Node::items).unwrap_or_default()
}

/// The hosts of a group.
pub fn hosts(group: &Node) -> &[Node] {
    group.get("lb_endpoints").map(Node::items).unwrap_or_default()
}

/// The provider that all of these hosts name.
pub fn named<'a>(hosts: impl Iterator<Item = &'a Node>) -> Option<&'a str> {
    let mut named = hosts.map(|host| host.at(&PROVIDER).and_then(Node::text));
    let first = named.next()??;
    named.all(|other| other == Some(first)).then_some(first)
}

/// Whose a cluster is: its hosts say so, or else its name, where it is one provider's alone.
pub fn whose<'a>(gateway: &'a GatewayFilter<'_>, cluster: &'a Node) -> Option<&'a str> {
    named(groups(cluster).iter().flat_map(hosts)).or_else(|| {
        match owners(gateway, cluster.text_of("name")).as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    })
}
