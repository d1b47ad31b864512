//! Whether a provider's cluster holds the certificate against the provider's own name.

use super::document::Node;
use super::envoy::GatewayFilter;
use super::led_to::{self, LedTo};
use super::report::Report;
use super::site::type_of;

const SDS: &str = "validation_context_sds_secret_config";

/// How a cluster's names in the handshake come about, where they are not written down.
struct AutoNames<'a> {
    /// Where the options stand.
    options: &'a Node,
    /// `auto_sni` or `auto_san_validation`, whichever is set.
    member: &'static str,
    /// The certificate is held against the name.
    validates: bool,
}

/// A cluster that the filter leads to.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    led_to: &LedTo<'_>,
    gateway: &GatewayFilter<'_>,
) {
    let cluster = led_to.cluster;
    let name = cluster.text_of("name");
    let auto = auto_names(cluster);
    let contexts: Vec<&Node> = cluster.maps().into_iter().filter(|map| is_tls(map)).collect();
    let wrong = match led_to.fallbacks.first() {
        Some(over) if over.cluster == name => Some(format!(
            "Envoy takes one name for all providers of {name}, from the request before its first attempt"
        )),
        Some(over) => {
            Some(format!("for what comes by cluster {} Envoy does not read it here, or (before 1.40) takes the client's Host", over.cluster))
        }
        None if gateway.sets_authority() || contexts.is_empty() => None,
        None => Some(
            "Envoy takes the name from the request as its route leaves it, before the second position has set the provider's \
             host: from the client's Host"
                .to_owned(),
        ),
    };
    let host = host_of(led_to, gateway).unwrap_or("HOST");
    let set = format!(
        "set sni: {host} in its UpstreamTlsContext, and match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: {host}}}}}] \
         in its validation_context"
    );
    if let (Some(auto), Some(wrong)) = (&auto, &wrong) {
        let why = format!("{wrong}: leave it out of cluster {name}, and {set}");
        report.warning_at(document, auto.options, auto.member, why);
    }
    let is_validated = auto.is_some_and(|auto| auto.validates) && wrong.is_none();
    speaks_plain_text(report, document, led_to, gateway);
    for context in contexts {
        context_of(report, document, context, (name, host), is_validated);
    }
}

/// A provider whose `base_url` is https, and its cluster is not.
fn speaks_plain_text(
    report: &mut Report<'_>,
    document: &Node,
    led_to: &LedTo<'_>,
    gateway: &GatewayFilter<'_>,
) {
    let sockets = ["transport_socket", "transport_socket_matches"];
    if sockets.iter().any(|name| led_to.cluster.get(name).is_some()) {
        return;
    }
    let whose = led_to::whose(gateway, led_to.cluster);
    let providers = gateway.tree.get("providers").map(Node::items).unwrap_or_default().iter();
    let is_https = providers
        .filter(|provider| {
            let name = provider.text_of("name");
            led_to.owners.contains(&name) || whose == Some(name)
        })
        .any(|provider| provider.text_of("base_url").starts_with("https://"));
    if is_https {
        let why = format!(
            "base_url of the provider is https, and the cluster speaks plain text: set transport_socket (envoy.transport_sockets.tls) \
             on cluster {}",
            led_to.name()
        );
        report.warning_at(document, led_to.cluster, "transport_socket", why);
    }
}

fn is_tls(map: &Node) -> bool {
    type_of(map).ends_with("transport_sockets.tls.v3.UpstreamTlsContext")
}

/// What one TLS context checks. `is_validated`: the certificate's name is checked by `auto_san_validation`.
fn context_of(
    report: &mut Report<'_>,
    document: &Node,
    context: &Node,
    (name, host): (&str, &str),
    is_validated: bool,
) {
    let common = context.get("common_tls_context");
    let Some(holder) = common else {
        let why = unchecked(name, host);
        return report.warning_at(document, context, "common_tls_context", why);
    };
    let combined = holder.get("combined_validation_context");
    let secret = combined.unwrap_or(holder).get(SDS);
    let validations: Vec<&Node> = [
        holder.get("validation_context"),
        combined.and_then(|combined| combined.get("default_validation_context")),
        secret.and_then(|secret| static_secret(document, secret.text_of("name"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let any = |names: &[&str]| {
        validations.iter().any(|node| names.iter().any(|name| is_set(node.get(name))))
    };
    let accepts_all = validations
        .iter()
        .any(|node| node.text_of("trust_chain_verification") == "ACCEPT_UNTRUSTED");
    if any(&["verify_certificate_spki", "verify_certificate_hash"]) && !accepts_all {
        return;
    }
    // What comes by discovery, and is in no file.
    let is_unknown =
        secret.is_some_and(|secret| static_secret(document, secret.text_of("name")).is_none());
    let has_issuer = !accepts_all
        && any(&[
            "trusted_ca",
            "system_root_certs",
            "ca_certificate_provider_instance",
            "custom_validator_config",
        ]);
    let names_it = is_validated
        || context.get("auto_sni_san_validation").is_some_and(Node::is_true)
        || any(&["match_typed_subject_alt_names", "match_subject_alt_names"]);
    if is_unknown && !accepts_all && !(has_issuer && names_it) {
        let at = combined.unwrap_or(holder);
        let why = format!(
            "what cluster {name} checks of a certificate comes by SDS and is not checked here: it needs trusted_ca, and \
             match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: {host}}}}}]"
        );
        report.warning_at(document, at, SDS, why);
    } else if !has_issuer {
        report.warning_at(document, holder, "validation_context", unchecked(name, host));
    } else if !names_it {
        let (at, member) = validations.first().map_or((holder, "validation_context"), |node| {
            (*node, "match_typed_subject_alt_names")
        });
        let why = format!(
            "cluster {name} takes a certificate of any name, so that whoever has one can read the credential: set \
             match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: {host}}}}}]"
        );
        report.warning_at(document, at, member, why);
    }
}

fn unchecked(name: &str, host: &str) -> String {
    format!(
        "cluster {name} checks no certificate, so that anybody on the way can read the credential: set validation_context: \
         {{trusted_ca: {{filename: /etc/ssl/certs/ca-certificates.crt}}, match_typed_subject_alt_names: [{{san_type: DNS, \
         matcher: {{exact: {host}}}}}]}}"
    )
}

/// A list, or an object, that is there and not empty.
fn is_set(node: Option<&Node>) -> bool {
    node.is_some_and(|node| !(node.json() == "[]" || node.json() == "null"))
}

/// The validation context of a secret that stands in the file.
fn static_secret<'a>(document: &'a Node, name: &str) -> Option<&'a Node> {
    let secrets = document.at(&["static_resources", "secrets"])?.items();
    secrets.iter().find(|secret| secret.text_of("name") == name)?.get("validation_context")
}

/// The host that the certificate must name: that of the provider whose cluster it is.
fn host_of<'a>(led_to: &LedTo<'a>, gateway: &'a GatewayFilter<'_>) -> Option<&'a str> {
    let owner = led_to::whose(gateway, led_to.cluster).or(led_to.owners.first().copied())?;
    let (_, provider) = gateway.config?.providers.iter().find(|(_, it)| *it.name == *owner)?;
    let authority = &*provider.authority;
    let port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    Some(authority.rsplit_once(':').filter(port).map_or(authority, |(host, _)| host))
}

fn auto_names(cluster: &Node) -> Option<AutoNames<'_>> {
    let typed = cluster.get("typed_extension_protocol_options").map(Node::members);
    let in_options = typed.unwrap_or_default().iter().map(|member| &member.node);
    in_options.chain([cluster]).find_map(|holder| {
        let options = holder.get("upstream_http_protocol_options")?;
        let has = |name: &str| options.get(name).is_some_and(Node::is_true);
        let validates = has("auto_san_validation");
        let member = if has("auto_sni") {
            "auto_sni"
        } else if validates {
            "auto_san_validation"
        } else {
            return None;
        };
        Some(AutoNames { options, member, validates })
    })
}
