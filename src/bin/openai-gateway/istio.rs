//! Istio's own resources: whether they lead a provider's requests where its `base_url` says.

use openai_gateway_filter::policy::Provider;

use super::document::Node;
use super::endpoints::is_near;
use super::envoy::GatewayFilter;
use super::mesh::matched;
use super::report::Report;
use super::routes::without_port;
use super::tls::covers;

/// A long answer streams for minutes.
const SHORTEST_ANSWER_SECONDS: f64 = 300.0;

/// A cluster as Istio calls it: `outbound|PORT|SUBSET|HOST`.
struct Outbound<'a> {
    port: &'a str,
    host: &'a str,
}

impl<'a> Outbound<'a> {
    fn of(cluster: &'a str) -> Option<Self> {
        let mut parts = cluster.split('|');
        let (direction, port, _subset, host) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (direction == "outbound" && parts.next().is_none()).then_some(Self { port, host })
    }
}

/// All of them in a file, beside an EnvoyFilter with our settings, the document `own`.
pub fn check(report: &mut Report<'_>, all: &[Node], own: &Node, gateway: &GatewayFilter<'_>) {
    let Some(config) = gateway.config else { return };
    let raw = gateway.tree.get("providers").map(Node::items).unwrap_or_default();
    for ((_, provider), raw) in config.providers.iter().zip(raw) {
        let Some(outbound) = Outbound::of(&provider.cluster) else { continue };
        let is_https = raw.text_of("base_url").starts_with("https://");
        service(report, all, own, provider, &outbound, is_https);
        if gateway.sets_authority() {
            gateways(report, all, provider);
        }
    }
    for document in of_kind(all, "VirtualService") {
        routes(report, document, &config.headers.cluster);
    }
    for document in of_kind(all, "EnvoyFilter") {
        patches(report, document);
    }
}

fn of_kind<'a>(all: &'a [Node], kind: &'a str) -> impl Iterator<Item = &'a Node> {
    all.iter().filter(move |document| document.text_of("kind") == kind)
}

fn texts<'a>(node: &'a Node, path: &[&str]) -> Vec<&'a str> {
    node.at(path).map(Node::items).unwrap_or_default().iter().filter_map(Node::text).collect()
}

/// The ServiceEntry and the DestinationRule of a provider out on the internet. What is near may be a Service of Kubernetes'.
fn service(
    report: &mut Report<'_>,
    all: &[Node],
    own: &Node,
    provider: &Provider,
    Outbound { port, host }: &Outbound<'_>,
    is_https: bool,
) {
    let name = &provider.name;
    let is_here = |entry: &Node| {
        let ports = entry.at(&["spec", "ports"]).map(Node::items).unwrap_or_default();
        texts(entry, &["spec", "hosts"]).contains(host)
            && ports.iter().any(|it| it.get("number").is_some_and(|number| number.json() == *port))
    };
    let mut entries = of_kind(all, "ServiceEntry").peekable();
    if is_near(host) || entries.peek().is_none() {
        return;
    }
    if !entries.any(is_here) {
        report.warning_at(own, own, "spec", format!(
            "no ServiceEntry has the host {host} with port {port}, so that Istio makes no cluster {} (provider {name})",
            provider.cluster
        ));
    }
    let mut rules = of_kind(all, "DestinationRule")
        .filter(|rule| rule.at(&["spec", "host"]).and_then(Node::text) == Some(host));
    let Some(rule) = rules.next() else {
        if is_https {
            report.warning_at(own, own, "spec", format!(
                "no DestinationRule for {host} makes Envoy speak TLS, and base_url of provider {name} is https: add one with \
                 trafficPolicy.tls: {{mode: SIMPLE, sni: {host}, subjectAltNames: [{host}]}}"
            ));
        }
        return;
    };
    let Some(spec) = rule.get("spec") else { return };
    let tls = spec.at(&["trafficPolicy", "tls"]);
    let mode = tls.map(|tls| tls.text_of("mode")).unwrap_or_default();
    if is_https && !matches!(mode, "SIMPLE" | "MUTUAL") {
        let why = format!(
            "base_url of provider {name} is https, and this rule lets Envoy speak plain text: set tls: {{mode: SIMPLE, sni: {host}, \
             subjectAltNames: [{host}]}}"
        );
        report.warning_at(
            rule,
            tls.unwrap_or(spec),
            if tls.is_some() { "mode" } else { "trafficPolicy" },
            why,
        );
    }
    let Some(tls) = tls else { return };
    let wanted = without_port(&provider.authority);
    let sni = tls.text_of("sni");
    if !sni.is_empty() && !is_near(wanted) && !sni.eq_ignore_ascii_case(wanted) {
        let why = format!(
            "the server is asked for {sni}, and base_url of provider {name} says {wanted}: set sni: {wanted}"
        );
        report.warning_at(rule, tls, "sni", why);
    }
    let subjects = texts(tls, &["subjectAltNames"]);
    if !subjects.is_empty()
        && !is_near(wanted)
        && !subjects.iter().any(|subject| covers(subject, wanted))
    {
        let why = format!(
            "no certificate of {wanted} passes, where base_url of provider {name} leads: set subjectAltNames: [{wanted}]"
        );
        report.warning_at(rule, tls, "subjectAltNames", why);
    }
}

/// The filter puts the provider's host into `:authority`: Envoy has a virtual host for what the Gateway names alone.
fn gateways(report: &mut Report<'_>, all: &[Node], provider: &Provider) {
    let host = without_port(&provider.authority);
    for gateway in of_kind(all, "Gateway") {
        let servers = gateway.at(&["spec", "servers"]).map(Node::items).unwrap_or_default();
        let hosts: Vec<&str> =
            servers.iter().flat_map(|server| texts(server, &["hosts"])).collect();
        let names = |name: &&str| {
            let name = name.rsplit_once('/').map_or(*name, |(_, name)| name);
            name == "*"
                || name == host
                || name.strip_prefix('*').is_some_and(|end| host.ends_with(end))
        };
        if let Some(first) = servers.first().filter(|_| !hosts.iter().any(names)) {
            let why = format!(
                "the filter puts {host} into :authority, and this Gateway has no such host (404, NR): add it to hosts, or set \
                 routing.authority: route in the filter's settings"
            );
            report.warning_at(gateway, first, "hosts", why);
        }
    }
}

/// A VirtualService's routes that the filter's header leads to.
fn routes(report: &mut Report<'_>, document: &Node, header: &str) {
    let http = document.at(&["spec", "http"]).map(Node::items).unwrap_or_default();
    if !http.iter().any(|route| matched(route, header).next().is_some()) {
        return;
    }
    for route in http {
        let clusters: Vec<&str> = matched(route, header).collect();
        if clusters.is_empty() {
            if route.get("directResponse").is_some() {
                let why = "lead these requests to a host that is not there (envoy/istio/gateway.yaml): while the filter reads a body, its \
                           route is this one, and Envoy knows no request_body_buffer_limit for a directResponse";
                report.warning_at(document, route, "directResponse", why);
            }
            continue;
        }
        let limit = route.get("timeout").and_then(Node::text).and_then(go_seconds);
        if limit.is_some_and(|seconds| seconds > 0.0 && seconds < SHORTEST_ANSWER_SECONDS) {
            let why = "leave timeout out: it ends an answer that is still streaming";
            report.warning_at(document, route, "timeout", why);
        }
        let destinations = route.get("route").map(Node::items).unwrap_or_default();
        for Outbound { port, host } in clusters.iter().filter_map(|cluster| Outbound::of(cluster)) {
            let leads = |it: &Node| {
                let number = it.at(&["destination", "port", "number"]);
                it.at(&["destination", "host"]).and_then(Node::text) == Some(host)
                    && number.is_none_or(|number| number.json() == port)
            };
            if !destinations.iter().any(leads) {
                let why = format!(
                    "requests for {host}, port {port}, take this route, and it leads elsewhere: they carry its provider's credential"
                );
                report.warning_at(document, route, "route", why);
            }
        }
    }
}

/// The patches that bring the filter.
fn patches(report: &mut Report<'_>, document: &Node) {
    let patches = document.at(&["spec", "configPatches"]).map(Node::items).unwrap_or_default();
    let context = |patch: &Node| {
        patch.at(&["match", "context"]).and_then(Node::text).unwrap_or("ANY").to_owned()
    };
    for patch in patches.iter().filter(|patch| patch.text_of("applyTo") == "HTTP_FILTER") {
        let Some(inner) = patch.get("patch") else { continue };
        let Some(value) =
            inner.get("value").filter(|value| value.get("config_discovery").is_some())
        else {
            continue;
        };
        let operation = inner.text_of("operation");
        if matches!(operation, "INSERT_AFTER" | "ADD") {
            let why = "set operation: INSERT_BEFORE (of envoy.filters.http.router): behind the router no filter runs";
            report.warning_at(document, inner, "operation", why);
        }
        let name = value.text_of("name");
        let resource = patches.iter().find(|other| {
            other.text_of("applyTo") == "EXTENSION_CONFIG"
                && other.at(&["patch", "value", "name"]).and_then(Node::text) == Some(name)
        });
        let Some(resource) = resource else { continue };
        let (of_filter, of_resource) = (context(patch), context(resource));
        if of_filter != of_resource && of_resource != "ANY" {
            let why = format!(
                "the filter is put into {of_filter}, and its settings go to {of_resource}: it would wait for them for ever. Give both the \
                 same context"
            );
            report.warning_at(document, resource, "match", why);
        }
    }
}

/// A duration as Go writes it: `1m30s`, `500ms`.
fn go_seconds(text: &str) -> Option<f64> {
    let mut left = text;
    let mut seconds = 0.0;
    while !left.is_empty() {
        let digits = left.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, rest) = left.split_at_checked(digits)?;
        let unit = rest.find(|it: char| it.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at_checked(unit)?;
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        left = rest;
    }
    Some(seconds)
}
