//! Kubernetes manifests around the filter: Istio and Envoy Gateway.

use openai_gateway_filter::policy::Config;

use super::document::Node;
use super::report::Report;
use super::site::Holder;

/// What a mesh's own resource can't say.
pub fn holder(report: &mut Report<'_>, document: &Node, holder: Holder<'_>, all: &[Node]) {
    match holder {
        Holder::WasmPlugin(spec) => {
            let why = "a WasmPlugin has no field for allow_on_headers_stop_iteration, and every request with a body \
                       waits for ever: use an EnvoyFilter (envoy/istio/gateway.yaml)";
            report.warning_at(document, spec, "", why);
            if spec.text_of("failStrategy") == "FAIL_OPEN" {
                let why = "leave out failStrategy: FAIL_OPEN lets requests pass unchecked once the module has failed";
                report.warning_at(document, spec, "failStrategy", why);
            }
        }
        Holder::ExtensionPolicy(wasm) => extension_policy(report, document, wasm, all),
        Holder::File | Holder::Wasm(_) | Holder::Native(_) => {}
    }
}

fn extension_policy(report: &mut Report<'_>, document: &Node, wasm: &Node, all: &[Node]) {
    let patches = |field: &str| {
        all.iter()
            .filter(|other| other.text_of("kind") == "EnvoyPatchPolicy")
            .any(|policy| policy.json().contains(field))
    };
    if !patches("allow_on_headers_stop_iteration") {
        let why = "an EnvoyExtensionPolicy has no field for allow_on_headers_stop_iteration, and every request with a \
                   body waits for ever: add it by an EnvoyPatchPolicy (envoy/envoy-gateway)";
        report.warning_at(document, wasm, "", why);
    }
    if !patches("request_body_buffer_limit") && !patches("per_connection_buffer_limit_bytes") {
        let why = "Envoy Gateway's listener buffers 32 KiB: set request_body_buffer_limit on the virtual host by an \
                   EnvoyPatchPolicy";
        report.warning_at(document, wasm, "", why);
    }
    if wasm.get("failOpen").is_some_and(Node::is_true) {
        let why = "leave out failOpen: requests would pass unchecked once the module has failed";
        report.warning_at(document, wasm, "failOpen", why);
    }
    for provider in wasm.at(&["config", "providers"]).map(Node::items).unwrap_or_default() {
        // One that names the rule's cluster itself needs no further name for it.
        let is_named = provider.text_of("cluster").starts_with("httproute/");
        if provider.get("upstream_clusters").is_none() && !is_named {
            let why = "set upstream_clusters: [httproute/NAMESPACE/NAME/rule/NUMBER], as Envoy Gateway calls the cluster of \
                       the provider's rule: else its answers are refused as misrouted";
            report.warning_at(document, provider, "upstream_clusters", why);
        }
    }
    for backend in all.iter().filter(|other| other.text_of("kind") == "Backend") {
        for endpoint in backend.at(&["spec", "endpoints"]).map(Node::items).unwrap_or_default() {
            if let Some(ip) = endpoint.get("ip")
                && ip.text_of("address").parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
            {
                let why = "in a cluster Envoy Gateway refuses loopback addresses, and the routes that lead here answer 500";
                report.warning_at(backend, ip, "address", why);
            }
        }
    }
    let Some(spec) = document.get("spec") else { return };
    let several = spec.get("targetRefs").map(Node::items).unwrap_or_default();
    for target in several.iter().chain(spec.get("targetRef")) {
        if target.text_of("kind") != "Gateway" {
            let why = "target the Gateway: what counts is the route that a request has before the filter has named one";
            report.warning_at(document, target, "kind", why);
        }
    }
}

/// Istio's own resources beside an EnvoyFilter that holds our settings.
pub fn istio(report: &mut Report<'_>, all: &[Node], config: &Config, sets_authority: bool) {
    for document in all {
        let Some(spec) = document.get("spec") else { continue };
        match document.text_of("kind") {
            "VirtualService" => virtual_service(report, document, spec, config, sets_authority),
            "EnvoyFilter" => envoy_filter(report, document, spec),
            _ => {}
        }
    }
}

fn virtual_service(
    report: &mut Report<'_>,
    document: &Node,
    spec: &Node,
    config: &Config,
    sets_authority: bool,
) {
    let http = spec.get("http").map(Node::items).unwrap_or_default();
    let header = &*config.headers.cluster;
    let follows = |route: &Node| route.json().contains(header);
    if !http.iter().any(follows) {
        return;
    }
    for route in http {
        if route.text_of("timeout") == "0s" {
            let why = "Istio refuses 0s: leave timeout out, its default is none";
            report.error_at(document, route, "timeout", why);
        }
    }
    let hosts: Vec<&str> = spec
        .get("hosts")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(Node::text)
        .collect();
    for (_, provider) in config.providers.iter() {
        let authority = &*provider.authority;
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let is_named = hosts.iter().any(|name| {
            *name == "*"
                || *name == host
                || name.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix))
        });
        if sets_authority && !is_named {
            report.warning_at(document, spec, "hosts", format!(
                "the filter puts {host} into :authority, and no virtual host has it (404, NR): add it to hosts here and \
                 in the Gateway, or set routing.authority: route in the filter's settings"
            ));
        }
        let cluster = &*provider.cluster;
        let routed = http.iter().filter_map(|route| route.get("match")).flat_map(Node::items).any(
            |matcher| {
                matcher.at(&["headers", header, "exact"]).and_then(Node::text) == Some(cluster)
            },
        );
        if !routed && !cluster.starts_with("inbound|") {
            report.warning_at(
                document,
                spec,
                "http",
                format!(
                    "no route matches {header}: {cluster} (provider {}): add one that leads to it",
                    provider.name
                ),
            );
        }
    }
}

fn envoy_filter(report: &mut Report<'_>, document: &Node, spec: &Node) {
    let Some(patches) = spec.get("configPatches") else { return };
    let json = patches.json();
    let holds_filter = json.contains("envoy.extensions.filters.http.wasm.v3.Wasm");
    if holds_filter
        && !json.contains("request_body_buffer_limit")
        && !json.contains("per_connection_buffer_limit_bytes")
    {
        let why = "no patch sets request_body_buffer_limit: MERGE it into VIRTUAL_HOST, or bodies above 1 MiB are refused";
        report.warning_at(document, spec, "configPatches", why);
    }
    for patch in patches.items() {
        let value = patch.at(&["patch", "value"]);
        let Some(name) = value
            .filter(|value| value.get("config_discovery").is_some())
            .map(|value| value.text_of("name"))
        else {
            continue;
        };
        let is_there = patches.items().iter().any(|other| {
            other.text_of("applyTo") == "EXTENSION_CONFIG"
                && other.at(&["patch", "value", "name"]).and_then(Node::text) == Some(name)
        });
        if let Some(value) = value.filter(|_| !is_there) {
            let why = "no EXTENSION_CONFIG patch has this name: the filter would wait for its settings for ever";
            report.warning_at(document, value, "name", why);
        }
    }
}
