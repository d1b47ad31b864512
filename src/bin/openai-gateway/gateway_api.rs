//! Envoy Gateway's manifests around the filter.

use super::document::Node;
use super::plugin;
use super::report::Report;

/// `limits.max_buffered_bytes` where the settings have none.
const DEFAULT_BODY_BYTES: f64 = 33_554_432.0;

/// One of an EnvoyPatchPolicy's patches.
struct JsonPatch<'a> {
    policy: &'a Node,
    operation: &'a Node,
}

impl JsonPatch<'_> {
    /// Whether it sets a field, as the end of its path or in its value.
    fn sets(&self, field: &str) -> bool {
        let path = self.operation.text_of("path");
        path.rsplit('/').next() == Some(field)
            || self
                .operation
                .get("value")
                .is_some_and(|value| value.members().iter().any(|it| it.name == field))
    }
}

fn patches(all: &[Node]) -> impl Iterator<Item = JsonPatch<'_>> {
    let policies = all.iter().filter(|other| other.text_of("kind") == "EnvoyPatchPolicy");
    policies.flat_map(|policy| {
        let list = policy.at(&["spec", "jsonPatches"]).map(Node::items).unwrap_or_default();
        list.iter()
            .filter_map(move |it| Some(JsonPatch { policy, operation: it.get("operation")? }))
    })
}

/// The names by which policies find the Gateway, and patches what Envoy Gateway makes of it.
fn names(report: &mut Report<'_>, document: &Node, all: &[Node]) {
    let targets = |policy: &Node| -> Vec<String> {
        let Some(spec) = policy.get("spec") else { return Vec::new() };
        let several = spec.get("targetRefs").map(Node::items).unwrap_or_default();
        let all = several.iter().chain(spec.get("targetRef"));
        all.filter(|it| it.text_of("kind") == "Gateway")
            .map(|it| it.text_of("name").to_owned())
            .collect()
    };
    let own = targets(document);
    for policy in all.iter().filter(|other| other.text_of("kind") == "EnvoyPatchPolicy") {
        let theirs = targets(policy);
        let (Some(name), Some(first)) = (theirs.first(), own.first()) else { continue };
        if !own.contains(name) {
            let why = format!(
                "the filter is put into Gateway {first}, and this patches Gateway {name}: give both the same"
            );
            let target = policy.at(&["spec", "targetRef"]).unwrap_or(policy);
            report.warning_at(policy, target, "name", why);
            continue;
        }
        let namespace =
            policy.at(&["metadata", "namespace"]).and_then(Node::text).unwrap_or("default");
        for patch in policy.at(&["spec", "jsonPatches"]).map(Node::items).unwrap_or_default() {
            let is_its = patch.text_of("name").starts_with(&format!("{namespace}/{name}/"));
            // Listeners and routes are called so; clusters after their rules.
            let kind = patch.text_of("type");
            if !is_its && (kind.ends_with(".Listener") || kind.ends_with(".RouteConfiguration")) {
                let why = format!(
                    "Envoy Gateway calls what it makes of this Gateway {namespace}/{name}/LISTENER: this patches nothing"
                );
                report.warning_at(policy, patch, "name", why);
            }
        }
    }
}

/// What an EnvoyExtensionPolicy can't say, and the policies beside it.
pub fn extension_policy(report: &mut Report<'_>, document: &Node, wasm: &Node, all: &[Node]) {
    let patches = |field: &str| patches(all).find(|patch| patch.sets(field));
    let stops = patches("allow_on_headers_stop_iteration");
    if let Some(patch) = &stops {
        if !patch.operation.get("value").is_some_and(Node::is_true) {
            let why = "set value: true: without it Envoy hands over no body, and every request with one waits for ever";
            report.warning_at(patch.policy, patch.operation, "value", why);
        }
        // The resource that Envoy Gateway makes does not have it.
        if patch.operation.text_of("op") != "add" {
            let why = "set op: add: the field is not there before";
            report.warning_at(patch.policy, patch.operation, "op", why);
        }
    } else {
        let why = "an EnvoyExtensionPolicy has no field for allow_on_headers_stop_iteration, and every request with a \
                   body waits for ever: add it by an EnvoyPatchPolicy (envoy/envoy-gateway)";
        report.warning_at(document, wasm, "", why);
    }
    let limit = patches("request_body_buffer_limit");
    let needed = wasm.at(&["config", "limits", "max_buffered_bytes"]).and_then(Node::number);
    let needed = needed.unwrap_or(DEFAULT_BODY_BYTES);
    if let Some(patch) = &limit
        && patch.operation.get("value").and_then(Node::number).is_some_and(|bytes| bytes < needed)
    {
        let why = format!(
            "set value: {}: Envoy refuses a body before max_buffered_bytes of the filter is reached",
            needed + 1_048_576.0
        );
        report.warning_at(patch.policy, patch.operation, "value", why);
    }
    if limit.is_none() && patches("per_connection_buffer_limit_bytes").is_none() {
        let why = "Envoy Gateway's listener buffers 32 KiB: set request_body_buffer_limit on the virtual host by an \
                   EnvoyPatchPolicy";
        report.warning_at(document, wasm, "", why);
    }
    for source in ["http", "image"].iter().filter_map(|kind| wasm.at(&["code", kind])) {
        if source.get("sha256").is_some() {
            plugin::module_digest(report, document, source);
        }
    }
    if wasm.get("failOpen").is_some_and(Node::is_true) {
        let why = "leave out failOpen: requests would pass unchecked once the module has failed";
        report.warning_at(document, wasm, "failOpen", why);
    }
    for provider in wasm.at(&["config", "providers"]).map(Node::items).unwrap_or_default() {
        // One that names the rule's cluster itself needs no further name for it.
        let is_named = provider.text_of("cluster").starts_with("httproute/");
        for name in provider.get("upstream_clusters").map(Node::items).unwrap_or_default() {
            let parts: Vec<&str> = name.text().unwrap_or_default().split('/').collect();
            let is_rule = matches!(parts.as_slice(), ["httproute", _, _, "rule", _, ..]);
            if parts.first() == Some(&"httproute")
                && !is_rule
                && !name.text().unwrap_or_default().contains('*')
            {
                let why = "Envoy Gateway calls no cluster so: write httproute/NAMESPACE/NAME/rule/NUMBER, or the provider's answers are refused \
                           as misrouted";
                report.warning_at(document, provider, "upstream_clusters", why);
            }
        }
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
    names(report, document, all);
    let Some(spec) = document.get("spec") else { return };
    let several = spec.get("targetRefs").map(Node::items).unwrap_or_default();
    for target in several.iter().chain(spec.get("targetRef")) {
        if target.text_of("kind") != "Gateway" {
            let why = "target the Gateway: what counts is the route that a request has before the filter has named one";
            report.warning_at(document, target, "kind", why);
        }
    }
}
