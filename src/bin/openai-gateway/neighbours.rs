//! Envoy's other filters in the list in which ours stands.

use super::document::Node;
use super::envoy::{self, GatewayFilter};
use super::report::Report;
use super::site::type_of;

/// What reads `authorization`, or calls out with a request's head: behind the filter that is the provider's credential.
const READS_CREDENTIALS: [&str; 7] = [
    "jwt_authn",
    "ext_authz",
    "ext_proc",
    "oauth2",
    "basic_auth",
    "api_key_auth",
    "credential_injector",
];

/// Whether a filter is of a kind, by its type or its name.
fn is(filter: &Node, what: &str) -> bool {
    let kind = filter.get("typed_config").map(type_of).unwrap_or_default();
    let name = filter.text_of("name").rsplit('.').next();
    kind.contains(&format!(".{what}.")) || name == Some(what)
}

/// Checks the filter at `index` of a connection manager, and those around it.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    manager: &Node,
    index: usize,
    gateway: &GatewayFilter<'_>,
) {
    let filters = manager.get("http_filters").map(Node::items).unwrap_or_default();
    for member in ["disabled", "is_optional"] {
        if let Some(filter) = filters.get(index)
            && filter.get(member).is_some_and(Node::is_true)
        {
            let why = format!(
                "leave out {member}: what counts is the route that a request has before the filter has \
                 named one, and without the filter it passes unchecked"
            );
            report.warning_at(document, filter, member, why);
        }
    }
    if !filters.iter().any(|filter| is(filter, "router")) {
        let why = "Envoy refuses a list without envoy.filters.http.router at its end";
        report.error_at(document, manager, "http_filters", why);
    }
    let ours = |filter: &Node| envoy::gateway_of(filter, std::slice::from_ref(gateway)).is_some();
    for upgrade in manager.get("upgrade_configs").map(Node::items).unwrap_or_default() {
        let own = upgrade.get("filters").map(Node::items).unwrap_or_default();
        if !own.is_empty() && !own.iter().any(ours) {
            let why = "leave it out: requests for this upgrade go by these filters alone, past openai-gateway-filter, unchecked";
            report.warning_at(document, upgrade, "filters", why);
        }
    }
    for (at, other) in filters.iter().enumerate() {
        let mut warn = |why: &str| report.warning_at(document, other, "name", why);
        if at < index && is(other, "router") {
            warn("the router must be the last filter");
        }
        if at > index && ours(other) {
            warn(
                "the filter stands twice in this list: the second one takes the provider's credential for a virtual key",
            );
        }
        if at > index && is(other, "cors") {
            warn(
                "put it before openai-gateway-filter: preflights carry no key and would be refused",
            );
        }
        // In two positions the second one, nearer the wire, holds what is held, and sets what a provider gets.
        if at > index && gateway.positions() == 1 {
            if is(other, "decompressor") {
                warn(
                    "leave it out: it puts trailers behind what it unpacks, and Envoy does not hand them to a filter \
                      that holds an answer, so compressed answers never end. Before openai-gateway-filter it unpacks \
                      requests",
                );
            }
            if READS_CREDENTIALS.iter().any(|what| is(other, what)) {
                warn(
                    "put it before openai-gateway-filter: behind it, authorization is the provider's credential, and no longer the \
                      client's",
                );
            }
        }
        if at > index && is(other, "compressor") {
            warn(
                "put it before openai-gateway-filter: behind it, accept-encoding is gone, and nothing is compressed",
            );
        }
        if at < index && is(other, "jwt_authn") {
            for provider in other.maps() {
                if provider.get("forward").is_some_and(Node::is_true) {
                    let why =
                        "set forward: false: the filter would take the JWT for the virtual key";
                    report.warning_at(document, provider, "forward", why);
                }
            }
        }
        buffer(report, document, other, gateway);
    }
}

/// Envoy's own limit of a body comes first where it is smaller.
fn buffer(report: &mut Report<'_>, document: &Node, filter: &Node, gateway: &GatewayFilter<'_>) {
    let Some(config) = gateway.config else { return };
    let Some(typed) = filter.get("typed_config").filter(|_| is(filter, "buffer")) else { return };
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    let most = config.limits.max_request_bytes as f64;
    if typed.get("max_request_bytes").and_then(Node::number).is_some_and(|bytes| bytes < most) {
        let why = format!(
            "set max_request_bytes: {most} (the filter's own limit), or leave the buffer filter out: it refuses larger bodies, and holds \
             each of them whole"
        );
        report.warning_at(document, typed, "max_request_bytes", why);
    }
}
