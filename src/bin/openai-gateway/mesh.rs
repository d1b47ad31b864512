//! Kubernetes manifests around the filter: Istio and Envoy Gateway.

use openai_gateway_filter::policy::Config;

use super::clusters;
use super::document::Node;
use super::envoy::{FallbackRoute, GatewayFilter};
use super::gateway_api;
use super::istio;
use super::plugin;
use super::report::Report;
use super::retries::{self, Policy};
use super::site::Holder;

/// What a mesh's own resource can't say.
pub fn holder(report: &mut Report<'_>, document: &Node, holder: Holder<'_>, all: &[Node]) {
    match holder {
        Holder::WasmPlugin(spec) => {
            let why = "a WasmPlugin has no field for allow_on_headers_stop_iteration, and every request with a body \
                       waits for ever: use an EnvoyFilter (envoy/istio/gateway.yaml)";
            report.warning_at(document, spec, "", why);
            if spec.get("sha256").is_some() {
                plugin::module_digest(report, document, spec);
            }
            if spec.text_of("failStrategy") == "FAIL_OPEN" {
                let why = "leave out failStrategy: FAIL_OPEN lets requests pass unchecked once the module has failed";
                report.warning_at(document, spec, "failStrategy", why);
            }
        }
        Holder::ExtensionPolicy(wasm) => gateway_api::extension_policy(report, document, wasm, all),
        Holder::File | Holder::Wasm(_) | Holder::Native(_) => {}
    }
}

/// Istio's own resources beside an EnvoyFilter that holds our settings, in the document `own`.
pub fn istio(
    report: &mut Report<'_>,
    all: &[Node],
    own: &Node,
    gateway: &GatewayFilter<'_>,
    gateways: &[GatewayFilter<'_>],
) {
    let Some(config) = gateway.config else { return };
    let fallbacks = gateway.fallbacks();
    let patches: Vec<&Node> = all
        .iter()
        .filter(|document| document.text_of("kind") == "EnvoyFilter")
        .filter_map(|document| document.at(&["spec", "configPatches"]))
        .flat_map(Node::items)
        .collect();
    let added: Vec<&Node> = patches
        .iter()
        .filter(|patch| patch.text_of("applyTo") == "CLUSTER")
        .filter(|patch| patch.at(&["patch", "operation"]).and_then(Node::text) == Some("ADD"))
        .filter_map(|patch| patch.at(&["patch", "value"]))
        .collect();
    clusters::led(report, own, &added, gateway, gateways);
    for fallback in &fallbacks {
        match added.iter().find(|node| node.text_of("name") == fallback.cluster) {
            Some(over) => retries::at_a_time(report, own, over, fallback, "DEFAULT"),
            None if fallback.cluster.contains('|') => {} // one of Istio's own
            None => report.warning_at(own, own, "spec", format!(
                "no EnvoyFilter adds the cluster {} (alias {}): add a composite or aggregate cluster over the providers' own",
                fallback.cluster, fallback.alias
            )),
        }
    }
    for document in all {
        let Some(spec) = document.get("spec") else { continue };
        match document.text_of("kind") {
            "VirtualService" => {
                let sets_authority = gateway.sets_authority();
                virtual_service(report, document, spec, config, sets_authority);
                let http = spec.get("http").map(Node::items).unwrap_or_default();
                for (fallback, route) in fallbacks.iter().filter_map(|fallback| {
                    let header = &*config.headers.cluster;
                    let leads =
                        |route: &&Node| matched(route, header).any(|it| it == fallback.cluster);
                    Some((fallback, http.iter().find(leads)?))
                }) {
                    let over =
                        added.iter().copied().find(|node| node.text_of("name") == fallback.cluster);
                    virtual_retries(report, document, route, (fallback, over), &patches);
                }
            }
            "EnvoyFilter" => envoy_filter(report, document, spec),
            "DestinationRule" => destination_rule(report, document, spec, gateway),
            _ => {}
        }
    }
    istio::check(report, all, own, gateway);
}

/// The values of a header that a route asks for.
pub fn matched<'a>(route: &'a Node, header: &'a str) -> impl Iterator<Item = &'a str> {
    let matches = route.get("match").map(Node::items).unwrap_or_default().iter();
    matches.filter_map(move |it| it.at(&["headers", header, "exact"]).and_then(Node::text))
}

/// Whether the route of a fallback asks every target. What Istio has no words for, an EnvoyFilter adds to the route.
fn virtual_retries(
    report: &mut Report<'_>,
    document: &Node,
    route: &Node,
    (fallback, over): (&FallbackRoute, Option<&Node>),
    patches: &[&Node],
) {
    let Some(retries) = route.get("retries") else {
        let why = format!(
            "alias {} never falls back here: set retries, as envoy/istio/two-positions.yaml does",
            fallback.alias
        );
        return report.warning_at(document, route, "retries", why);
    };
    let added: Vec<&Node> = patches
        .iter()
        .filter(|patch| patch.text_of("applyTo") == "HTTP_ROUTE")
        .filter(|patch| {
            let of = ["match", "routeConfiguration", "vhost", "route", "name"];
            patch.at(&of).and_then(Node::text).is_none_or(|name| name == route.text_of("name"))
        })
        .filter_map(|patch| patch.at(&["patch", "value", "route", "retry_policy"]))
        .collect();
    let words: Vec<&str> = retries::words(retries.text_of("retryOn")).collect();
    let of_envoy = added.iter().filter_map(|policy| policy.get("retriable_status_codes"));
    let statuses = words
        .iter()
        .filter_map(|word| word.parse().ok())
        .chain(of_envoy.flat_map(Node::items).filter_map(Node::number))
        .collect();
    let limits = ["per_try_idle_timeout", "per_try_timeout"];
    let gives_up = retries.get("perTryTimeout").is_some()
        || added.iter().any(|policy| limits.iter().any(|name| policy.get(name).is_some()));
    let attempts = retries.get("attempts").and_then(Node::number).unwrap_or(0.0);
    let policy = Policy {
        node: retries,
        retries: (attempts, "attempts"),
        on: (words, "retryOn"),
        statuses: (statuses, "retryOn"),
        gives_up,
        added: ", or by an EnvoyFilter to the route's retry_policy what Istio has no word for (499, per_try_idle_timeout)",
    };
    policy.check(report, document, fallback);
    if let Some(over) = over {
        policy.ends_with_the_last(report, document, over, fallback);
    }
}

/// Without a name of its own Istio sets auto_sni and auto_san_validation, which take the client's.
fn destination_rule(
    report: &mut Report<'_>,
    document: &Node,
    spec: &Node,
    gateway: &GatewayFilter<'_>,
) {
    let host = spec.text_of("host");
    let Some(tls) = spec.at(&["trafficPolicy", "tls"]) else { return };
    let leads_here = |(_, cluster): (&str, &str)| cluster.rsplit('|').next() == Some(host);
    let is_simple = matches!(tls.text_of("mode"), "SIMPLE" | "MUTUAL");
    if gateway.sets_authority() || !is_simple || !gateway.providers().any(leads_here) {
        return;
    }
    for (member, value) in [("sni", host.to_owned()), ("subjectAltNames", format!("[{host}]"))] {
        if tls.get(member).is_none() {
            let why = format!(
                "set {member}: {value}: without it Istio lets Envoy take the name from the request before the second position runs: \
                 from the client's Host"
            );
            report.warning_at(document, tls, member, why);
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
        let routed = http.iter().any(|route| matched(route, header).any(|it| it == cluster));
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
