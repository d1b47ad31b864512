//! What a route changes of a request after the filter, which has settled its head.

use super::document::Node;
use super::envoy::GatewayFilter;
use super::report::Report;

/// Members of a route's action that change the path.
const PATHS: [&str; 4] = ["prefix_rewrite", "regex_rewrite", "path_rewrite", "path_rewrite_policy"];
/// And the host.
const HOSTS: [&str; 5] = [
    "host_rewrite_literal",
    "auto_host_rewrite",
    "host_rewrite_header",
    "host_rewrite_path_regex",
    "host_rewrite",
];

/// A route that follows the filter, with what stands around it: the route configuration and the virtual host.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    (routes, host, route): (&Node, &Node, &Node),
    gateway: &GatewayFilter<'_>,
) {
    let Some(action) = route.get("route") else { return };
    // In two positions path, host and credential are set behind the route.
    if gateway.positions() == 2 {
        return;
    }
    if let Some(member) = PATHS.into_iter().find(|name| action.get(name).is_some()) {
        let why = "leave it out: the filter has set the path already, from the provider's base_url";
        report.warning_at(document, action, member, why);
    }
    let rewrites = HOSTS.into_iter().find(|name| action.get(name).is_some());
    match rewrites {
        Some(member) if gateway.sets_authority() => {
            let why = "leave it out, or set routing.authority: route in the filter's settings: the filter has set the host already, \
                       from the provider's base_url";
            report.warning_at(document, action, member, why);
        }
        None if !gateway.sets_authority() => {
            let why = "set auto_host_rewrite: true: routing.authority is route, and without it the provider gets the client's Host";
            report.warning_at(document, action, "auto_host_rewrite", why);
        }
        _ => {}
    }
    let credentials: Vec<&str> = gateway
        .config
        .into_iter()
        .flat_map(|config| config.providers.iter())
        .filter_map(|(_, provider)| Some(&*provider.credential.as_ref()?.header))
        .collect();
    let is_one = |name: &str| credentials.iter().any(|it| it.eq_ignore_ascii_case(name));
    for node in [routes, host, route, action] {
        let removed = node.get("request_headers_to_remove").map(Node::items).unwrap_or_default();
        let set = node.get("request_headers_to_add").map(Node::items).unwrap_or_default().iter();
        let set = set.filter_map(|it| it.at(&["header", "key"]));
        for (member, name) in removed
            .iter()
            .map(|name| ("request_headers_to_remove", name))
            .chain(set.map(|name| ("request_headers_to_add", name)))
        {
            if name.text().is_some_and(is_one) {
                let why = "leave it out: the filter has set the provider's credential in this header, and Envoy changes it after the filter";
                report.warning_at(document, node, member, why);
            }
        }
    }
}
