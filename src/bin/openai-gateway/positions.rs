//! What the second position needs of Envoy's clusters: that the filter runs there, and whose hosts they are.

use super::document::Node;
use super::envoy::{FallbackRoute, GatewayFilter, gateway_of};
use super::led_to::{self, LedTo, PROVIDER, groups, parts};
use super::report::Report;
use super::site::{self, type_of};

/// Whether the filter also stands where Envoy makes its attempts.
pub fn is_upstream(document: &Node, gateways: &[GatewayFilter<'_>]) -> bool {
    routers_have_it(document, gateways)
        || document
            .maps()
            .into_iter()
            .filter(|map| map.get("load_assignment").is_some())
            .any(|cluster| own_filters(cluster).is_some_and(|own| holds(own.filters(), gateways)))
}

/// What Envoy refuses of a list of upstream filters, and of a cluster over others.
pub fn refused(report: &mut Report<'_>, document: &Node) {
    const CODEC: &str = "upstream_codec";
    for map in document.maps() {
        let is_cluster = type_of(map).ends_with("HttpProtocolOptions");
        let member = if is_cluster { "http_filters" } else { "upstream_http_filters" };
        let filters = map.get(member).map(Node::items).unwrap_or_default();
        let is_codec = |filter: &Node| {
            filter.text_of("name").ends_with(CODEC)
                || filter
                    .get("typed_config")
                    .is_some_and(|typed| type_of(typed).ends_with("UpstreamCodec"))
        };
        if filters.last().is_some_and(|last| !is_codec(last)) {
            let why =
                "Envoy refuses this list without envoy.filters.http.upstream_codec at its end";
            report.error_at(document, map, member, why);
        }
        let kind = map.at(&["cluster_type", "name"]).and_then(Node::text).unwrap_or_default();
        let is_over = matches!(kind, "envoy.clusters.composite" | "envoy.clusters.aggregate");
        if is_over && map.text_of("lb_policy") != "CLUSTER_PROVIDED" {
            let why = "Envoy refuses this cluster without lb_policy: CLUSTER_PROVIDED";
            report.error_at(document, map, "lb_policy", why);
        }
    }
}

/// The clusters that the filter leads to, in two positions.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    clusters: &[&Node],
    led_to: &[LedTo<'_>],
    gateways: &[GatewayFilter<'_>],
) {
    for over in led_to {
        for (part, name) in parts(over.cluster) {
            if !over.fallbacks.is_empty() && !clusters.iter().any(|it| it.text_of("name") == name) {
                report.warning_at(document, part, "name", format!(
                    "Envoy has no cluster {name}: add it to static_resources.clusters, or name the right one here"
                ));
            }
        }
    }
    let in_router = routers_have_it(document, gateways);
    for cluster in led_to {
        if parts(cluster.cluster).is_empty() {
            hosts(report, document, cluster);
        }
        if cluster.is_routed_to {
            filters(report, document, cluster.cluster, in_router, gateways);
        }
    }
}

/// Whether each host says whose it is where it must, and is a provider's whose requests come to it.
fn hosts(report: &mut Report<'_>, document: &Node, led_to: &LedTo<'_>) {
    let (name, fallbacks) = (led_to.name(), &led_to.fallbacks);
    // The example is the provider whose cluster it is, where that is plain.
    let is_target = |owner: &&&str| {
        fallbacks.iter().all(|it| it.providers.iter().any(|target| target == **owner))
    };
    let first = || fallbacks.first().and_then(|it| it.providers.first()).map(String::as_str);
    let example = led_to.owners.iter().find(is_target).copied().or_else(first);
    let set = format!(
        "set metadata: {{filter_metadata: {{openai-gateway: {{provider: {}}}}}}} beside its endpoint",
        example.unwrap_or("NAME")
    );
    if led_to.cluster.get("eds_cluster_config").is_some() && !fallbacks.is_empty() {
        let why = format!(
            "the hosts of cluster {name} come by EDS and are not checked: each must say whose it is ({set})"
        );
        report.warning_at(document, led_to.cluster, "eds_cluster_config", why);
    }
    for host in groups(led_to.cluster).iter().flat_map(led_to::hosts) {
        let why = match (host.at(&PROVIDER), host.at(&PROVIDER).and_then(Node::text)) {
            (None, _) if fallbacks.is_empty() => continue,
            (None, _) => format!(
                "a fallback leads to this host of cluster {name}, and it does not say whose it is: every attempt at it ends in \
                 500: {set}"
            ),
            (Some(_), None) => format!("the provider's name must be a text: {set}"),
            (Some(_), Some(named)) => match misnamed(led_to, named, &set) {
                Some(why) => why,
                None => continue,
            },
        };
        report.warning_at(document, host, "metadata", why);
    }
}

/// What is wrong with a host that says it is the provider's of this name: it gets that provider's credential, or none.
fn misnamed(led_to: &LedTo<'_>, named: &str, set: &str) -> Option<String> {
    let name = led_to.name();
    let other = |it: &&&FallbackRoute| !it.providers.iter().any(|target| target == named);
    if let Some(fallback) = led_to.fallbacks.iter().find(other) {
        return Some(format!(
            "{named} is no provider of the fallback that leads to this host of cluster {name} ({}): every attempt at it \
             ends in 500: {set}",
            fallback.providers.join(", ")
        ));
    }
    let owner = led_to.owners.iter().find(|owner| **owner != named)?;
    Some(if led_to.owners.contains(&named) {
        format!(
            "requests of provider {owner} come to this host of cluster {name} as well, and it says that it is {named}'s: they \
             end in 500: give {owner} a cluster of its own"
        )
    } else {
        format!(
            "cluster {name} is {owner}'s, and this host says that it is {named}'s: in a fallback of both it gets {named}'s key, and \
             every other request of {owner} ends in 500: {set}"
        )
    })
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
