//! Whether a provider's cluster holds the certificate against the provider's own name.

use super::document::Node;
use super::envoy::GatewayFilter;
use super::led_to::{self, LedTo};
use super::report::Report;
use super::routes::without_port;
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
    let hosts = hosts_of(led_to, gateway);
    let is_named = auto_sni_of(cluster);
    for context in contexts {
        context_of(report, document, context, (name, host), is_validated);
        sni(report, document, context, (name, &hosts), is_named);
        subjects(report, document, context, (name, &hosts));
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

/// Whether a host has a name that a certificate is held against.
fn is_dns(host: &str) -> bool {
    host.contains('.') && host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err()
}

/// The name that the server is asked for. `hosts`: of the providers whose cluster it is.
fn sni(
    report: &mut Report<'_>,
    document: &Node,
    context: &Node,
    (name, hosts): (&str, &[&str]),
    is_named: bool,
) {
    let Some(host) = hosts.first().filter(|_| hosts.iter().all(|host| is_dns(host))) else {
        return;
    };
    let why = match context.text_of("sni") {
        "" if is_named || context.get("auto_host_sni").is_some_and(Node::is_true) => return,
        "" => format!(
            "set sni: {host}: without it the server behind cluster {name} is not told which certificate is wanted, and most refuse"
        ),
        sni if hosts.iter().any(|host| host.eq_ignore_ascii_case(sni)) => return,
        sni => format!(
            "the server of cluster {name} is asked for {sni}, and base_url says {host}: set sni: {host}"
        ),
    };
    report.warning_at(document, context, "sni", why);
}

/// The names that a certificate may have.
fn subjects(
    report: &mut Report<'_>,
    document: &Node,
    context: &Node,
    (name, hosts): (&str, &[&str]),
) {
    let Some(host) = hosts.first().filter(|_| hosts.iter().all(|host| is_dns(host))) else {
        return;
    };
    const MEMBER: &str = "match_typed_subject_alt_names";
    for holder in context.maps().into_iter().filter(|map| is_set(map.get(MEMBER))) {
        let matchers = holder.get(MEMBER).map(Node::items).unwrap_or_default();
        let mut names = matchers.iter().filter(|it| it.text_of("san_type") == "DNS").peekable();
        let set = format!("set {MEMBER}: [{{san_type: DNS, matcher: {{exact: {host}}}}}]");
        if names.peek().is_none() {
            let why = format!(
                "no certificate of cluster {name} passes, since it names its host by DNS: {set}"
            );
            report.warning_at(document, holder, MEMBER, why);
            continue;
        }
        // What is no exact name may mean anything.
        let fits = |it: &Node| {
            let exact = it.at(&["matcher", "exact"]).and_then(Node::text);
            exact.is_none_or(|exact| hosts.iter().any(|host| covers(exact, host)))
        };
        if !names.any(fits) {
            let why = format!(
                "no certificate of {host} passes, where base_url of cluster {name} leads: {set}"
            );
            report.warning_at(document, holder, MEMBER, why);
        }
    }
}

/// Whether a certificate's name is that of a host: the same, or `*` for its first label.
pub fn covers(name: &str, host: &str) -> bool {
    let parent = || host.split_once('.').map(|(_, parent)| parent);
    name.eq_ignore_ascii_case(host)
        || name
            .strip_prefix("*.")
            .is_some_and(|rest| parent().is_some_and(|it| it.eq_ignore_ascii_case(rest)))
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
    hosts_of(led_to, gateway).first().copied()
}

/// Those of all whose cluster it is.
fn hosts_of<'a>(led_to: &LedTo<'a>, gateway: &'a GatewayFilter<'_>) -> Vec<&'a str> {
    let named = led_to::whose(gateway, led_to.cluster);
    let owners: Vec<&str> = named.map_or_else(|| led_to.owners.clone(), |only| vec![only]);
    let host = |owner: &&str| {
        let (_, provider) = gateway.config?.providers.iter().find(|(_, it)| *it.name == **owner)?;
        Some(without_port(&provider.authority))
    };
    owners.iter().filter_map(host).collect()
}

/// Whether Envoy takes the name in the handshake from the request.
fn auto_sni_of(cluster: &Node) -> bool {
    auto_names(cluster).is_some_and(|auto| auto.member == "auto_sni")
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
