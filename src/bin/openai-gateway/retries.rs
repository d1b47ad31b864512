//! Whether the route of a fallback makes Envoy ask the next provider.

use super::document::Node;
use super::envoy::FallbackRoute;
use super::led_to::groups;
use super::report::Report;
use super::site::type_of;

/// Statuses below 500 that another provider may not have. 400, 413, 415 and 422 are the client's own.
const STATUSES: [u16; 8] = [401, 402, 403, 404, 408, 424, 429, 499];
/// Envoy's default of `num_retries`.
const DEFAULT_RETRIES: f64 = 1.0;
/// What Envoy must try again.
const RETRY_ON: &str = "5xx,reset,connect-failure,refused-stream,retriable-status-codes";

/// The route that a fallback's requests take, of this virtual host.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    host: &Node,
    route: &Node,
    fallback: &FallbackRoute,
) {
    let Some(action) = route.get("route") else { return };
    let of_either = |name: &str| action.get(name).or_else(|| host.get(name));
    let alias = &fallback.alias;
    let typed = of_either("retry_policy_typed_config");
    let over = over(document, fallback);
    match of_either("retry_policy") {
        None if typed.is_none() => report.warning_at(document, action, "retry_policy", format!(
            "alias {alias} never falls back here: set retry_policy: {{retry_on: \"{RETRY_ON}\", retriable_status_codes: \
             {STATUSES:?}, num_retries: {}}}", needed(fallback)
        )),
        Some(policy) => {
            let asked = Policy::of_envoy(policy);
            asked.check(report, document, fallback);
            if let Some(over) = over {
                asked.ends_with_the_last(report, document, over, fallback);
                priorities(report, document, policy, over, fallback);
            }
        }
        None => {}
    }
    let priority = action.get("priority").and_then(Node::text).unwrap_or("DEFAULT");
    if let Some(over) = over {
        at_a_time(report, document, over, fallback, priority);
    }
    let hedge = of_either("hedge_policy");
    let hedged = hedge.and_then(|hedge| hedge.get("hedge_on_per_try_timeout"));
    if hedged.is_some_and(Node::is_true) {
        let why = format!(
            "leave it out for alias {alias}, and set retry_policy.per_try_timeout alone: where the second of two hedged attempts \
             fails first, Envoy sends its body to the client before any head, or crashes; it does so with every upstream \
             filter that holds an answer's head"
        );
        report.warning_at(document, action, "hedge_policy", why);
    }
}

/// A retry policy, as Envoy or a mesh writes it down.
pub struct Policy<'a> {
    /// Where it stands.
    pub node: &'a Node,
    /// How often another target is asked, and the member that says so.
    pub retries: (f64, &'a str),
    /// What is tried again, and the member that says so.
    pub on: (Vec<&'a str>, &'a str),
    /// Which statuses are, and the member that says so.
    pub statuses: (Vec<f64>, &'a str),
    /// A target that is silent is given up.
    pub gives_up: bool,
    /// Who adds what the policy has no word for, behind a comma; nobody needs to in Envoy's own.
    pub added: &'a str,
}

impl<'a> Policy<'a> {
    fn of_envoy(node: &'a Node) -> Self {
        let retries = node.get("num_retries").and_then(Node::number).unwrap_or(DEFAULT_RETRIES);
        let codes = node.get("retriable_status_codes").map(Node::items).unwrap_or_default();
        let limits = ["per_try_idle_timeout", "per_try_timeout"];
        Self {
            node,
            retries: (retries, "num_retries"),
            on: (words(node.text_of("retry_on")).collect(), "retry_on"),
            statuses: (codes.iter().filter_map(Node::number).collect(), "retriable_status_codes"),
            gives_up: limits.iter().any(|name| node.get(name).is_some()),
            added: "",
        }
    }

    /// Whether every target is asked, whatever the one before answered.
    pub fn check(&self, report: &mut Report<'_>, document: &Node, fallback: &FallbackRoute) {
        let FallbackRoute { alias, providers, .. } = fallback;
        let mut warn = |member: &str, why: String| {
            report.warning_at(document, self.node, member, why);
        };
        let needed = needed(fallback);
        let (retries, member) = self.retries;
        if retries < f64::from(needed) {
            warn(
                member,
                format!(
                    "set {member}: {needed}: alias {alias} has {} targets, and Envoy asks another one {retries} times",
                    providers.len()
                ),
            );
        }
        let (on, member) = &self.on;
        let lacks_server_errors = !["5xx", "gateway-error"].iter().any(|name| on.contains(name));
        let lacks_statuses = !on.contains(&"retriable-status-codes");
        if lacks_server_errors || lacks_statuses {
            let what = if lacks_server_errors {
                "a server's error"
            } else {
                "a key that is refused or a quota that is spent"
            };
            warn(
                member,
                format!(
                    "set {member}: {RETRY_ON}: without it alias {alias} does not fall back at {what}"
                ),
            );
        }
        let (statuses, member) = &self.statuses;
        let has =
            |status: &u16| statuses.iter().any(|code| code.total_cmp(&f64::from(*status)).is_eq());
        let missing: Vec<u16> = STATUSES.into_iter().filter(|status| !has(status)).collect();
        if !lacks_statuses && !missing.is_empty() {
            warn(
                member,
                format!(
                    "add {missing:?} to {member}{}: alias {alias} does not fall back at what another provider may not answer",
                    self.added
                ),
            );
        }
        if !self.gives_up {
            warn(
                "per_try_idle_timeout",
                format!(
                    "set per_try_idle_timeout: 300s{}: alias {alias} does not fall back where a provider is silent",
                    self.added
                ),
            );
        }
    }

    /// A composite cluster has no host for an attempt behind its last cluster.
    pub fn ends_with_the_last(
        &self,
        report: &mut Report<'_>,
        document: &Node,
        over: &Node,
        fallback: &FallbackRoute,
    ) {
        let kind = over.at(&["cluster_type", "typed_config"]).map(type_of).unwrap_or_default();
        let needed = needed(fallback);
        let (retries, member) = self.retries;
        if kind.ends_with("clusters.composite.v3.ClusterConfig") && retries > f64::from(needed) {
            let why = format!(
                "set {member}: {needed}: alias {} has {} targets, and where all fail, a client gets 503 or 500 for the attempt behind the \
                 last one, in place of that provider's own answer",
                fallback.alias,
                fallback.providers.len()
            );
            report.warning_at(document, self.node, member, why);
        }
    }
}

/// How often another target may have to be asked.
fn needed(fallback: &FallbackRoute) -> u32 {
    u32::try_from(fallback.providers.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// The words of a list with commas.
pub fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// How many requests may ask another target at a time.
pub fn at_a_time(
    report: &mut Report<'_>,
    document: &Node,
    over: &Node,
    fallback: &FallbackRoute,
    priority: &str,
) {
    let thresholds = over.at(&["circuit_breakers", "thresholds"]).map(Node::items);
    let is_set = thresholds.unwrap_or_default().iter().any(|threshold| {
        threshold.get("priority").and_then(Node::text).unwrap_or("DEFAULT") == priority
            && ["max_retries", "retry_budget"].iter().any(|name| threshold.get(name).is_some())
    });
    if !is_set {
        let why = format!(
            "set circuit_breakers: {{thresholds: [{{max_retries: 1024}}]}} on cluster {}: Envoy's default is three retries at a time, \
             and with more, a request of alias {} gets the first provider's failure",
            fallback.cluster, fallback.alias
        );
        report.warning_at(document, over, "circuit_breakers", why);
    }
}

/// The cluster over the targets.
fn over<'a>(document: &'a Node, fallback: &FallbackRoute) -> Option<&'a Node> {
    let clusters = document.at(&["static_resources", "clusters"])?.items();
    clusters.iter().find(|node| node.text_of("name") == fallback.cluster)
}

/// Envoy chooses the first priority again for a retry, unless it is told not to.
fn priorities(
    report: &mut Report<'_>,
    document: &Node,
    policy: &Node,
    over: &Node,
    fallback: &FallbackRoute,
) {
    let name = &fallback.cluster;
    let kind = over.at(&["cluster_type", "typed_config"]).map(type_of).unwrap_or_default();
    let is_aggregate = kind.ends_with("clusters.aggregate.v3.ClusterConfig");
    let has_priorities =
        groups(over).iter().any(|group| group.get("priority").and_then(Node::number) > Some(0.0));
    if (is_aggregate || has_priorities) && policy.get("retry_priority").is_none() {
        let what = if is_aggregate { "an aggregate cluster" } else { "a cluster with priorities" };
        report.warning_at(document, policy, "retry_priority", format!(
            "{name} is {what}, and each attempt of alias {} goes to its first provider: set retry_priority \
             (envoy.retry_priorities.previous_priorities, update_frequency: 1)",
            fallback.alias
        ));
    }
}
