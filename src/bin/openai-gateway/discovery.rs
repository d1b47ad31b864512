//! What Envoy gets from elsewhere while it runs, and no check of a file can see.

use super::document::Node;
use super::envoy::GatewayFilter;
use super::report::Report;
use super::site::{self, NATIVE, WASM};

/// Says what was not checked, so that silence means something.
pub fn check(report: &mut Report<'_>, document: &Node, manager: &Node) {
    if manager.get("rds").is_some() {
        let why = "the routes come by RDS and are not checked: their requests must follow cluster_header, with timeout: 0s \
                   and request_body_buffer_limit. check sees routes in route_config";
        report.warning_at(document, manager, "rds", why);
    }
    if manager.get("scoped_routes").is_some() {
        let why = "scoped routes are not checked: their requests must follow cluster_header, with timeout: 0s and \
                   request_body_buffer_limit. check sees routes in route_config";
        report.warning_at(document, manager, "scoped_routes", why);
    }
    if let Some(dynamic) = document.get("dynamic_resources")
        && dynamic.get("cds_config").is_some()
    {
        let why = "the clusters come by CDS and are not checked: each provider's must be there, speak TLS where its base_url \
                   is https, and in a fallback say whose its hosts are";
        report.warning_at(document, dynamic, "cds_config", why);
    }
}

/// Filters whose settings come by discovery: what they find, or that it is in none of the files.
pub fn filters(report: &mut Report<'_>, document: &Node, gateways: &[GatewayFilter<'_>]) {
    // A mesh's own patches say where theirs are.
    let is_mesh = document.text_of("kind") == "EnvoyFilter";
    for filter in document.maps() {
        let name = filter.text_of("name");
        let Some(discovery) = filter.get("config_discovery") else { continue };
        let found = gateways.iter().find(|gateway| gateway.name == name);
        if let Some(gateway) = found {
            types(report, document, discovery, gateway.is_native);
        } else if !is_mesh && site::is_discovered(filter) {
            let file = discovery.at(&["config_source", "path_config_source", "path"]);
            let file =
                file.and_then(Node::text).map_or_else(String::new, |path| format!(" ({path})"));
            let others: Vec<&str> = gateways.iter().map(|gateway| gateway.name).collect();
            let others = match others.as_slice() {
                [] => String::new(),
                others => format!(". They hold {}", others.join(", ")),
            };
            let why = format!(
                "the settings of {name} come by discovery{file}, and are in none of the files: nothing of them was checked. Name \
                 their file as well, and call the resource in it {name}{others}"
            );
            report.warning_at(document, filter, "config_discovery", why);
        }
    }
}

/// Envoy takes a resource of the types alone that the filter lists.
fn types(report: &mut Report<'_>, document: &Node, discovery: &Node, is_native: bool) {
    let types = discovery.get("type_urls").map(Node::items).unwrap_or_default();
    let wanted = if is_native { NATIVE } else { WASM };
    let is_listed =
        |url: &Node| url.text().is_some_and(|url| url.rsplit('/').next() == Some(wanted));
    if !types.iter().any(is_listed) {
        let why = format!(
            "must list type.googleapis.com/{wanted}: Envoy refuses the resource, and the filter waits for its settings for ever"
        );
        report.error_at(document, discovery, "type_urls", why);
    }
}
