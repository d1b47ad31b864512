//! An Envoy configuration around the filter: what is legal there and wrong.

use openai_gateway_filter::config::ROOT;
use openai_gateway_filter::policy::{Config, Positions, Provider};

use super::clusters;
use super::discovery;
use super::document::Node;
use super::durations;
use super::loggers;
use super::neighbours;
use super::positions;
use super::ratelimit;
use super::report::Report;
use super::retries;
use super::rewrites;
use super::routes::{self, Request, RouteMatch};
use super::settings::Lines;
use super::site::{self, HCM, type_of};
use super::version::{self, EnvoyVersion};

/// Envoy's default of `per_connection_buffer_limit_bytes`, and what it reads at once.
const DEFAULT_BUFFER_BYTES: f64 = 1_048_576.0;

/// A filter's settings, from wherever Envoy gets them.
pub struct GatewayFilter<'a> {
    /// The name of the filter or of the resource.
    pub name: &'a str,
    /// What holds the settings: `config` of the Wasm message, or the native module's message.
    pub message: &'a Node,
    /// It is the native module.
    pub is_native: bool,
    /// As the operator wrote them.
    pub tree: &'a Node,
    /// As the filter reads them; `None` if it would refuse them.
    pub config: Option<&'a Config>,
    /// The lines of the settings.
    pub places: &'a Lines,
}

impl GatewayFilter<'_> {
    fn routing(&self, name: &str) -> Option<&str> {
        self.tree.at(&["routing", name]).and_then(Node::text)
    }

    /// The providers: name, cluster.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &str)> {
        let providers = self.tree.get("providers").map(Node::items).unwrap_or_default();
        providers.iter().map(|provider| {
            let name = provider.text_of("name");
            (name, provider.get("cluster").and_then(Node::text).unwrap_or(name))
        })
    }

    /// The aliases that have a fallback.
    pub fn fallbacks(&self) -> Vec<FallbackRoute> {
        let mut found = Vec::new();
        for map in self.tree.maps() {
            for alias in map.get("model_aliases").map(Node::members).unwrap_or_default() {
                let forms = std::iter::once(&alias.node).chain(alias.node.items());
                for form in forms.filter(|form| form.get("fallback").is_some()) {
                    let cluster = form.get("cluster").and_then(Node::text).unwrap_or(&alias.name);
                    let targets = form.get("fallback").map(Node::items).unwrap_or_default().iter();
                    let provider =
                        |target: &Node| Some(target.text()?.split_once('/')?.0.to_owned());
                    found.push(FallbackRoute {
                        alias: alias.name.clone(),
                        cluster: cluster.to_owned(),
                        providers: targets.filter_map(provider).collect(),
                    });
                }
            }
        }
        found
    }

    /// In how many positions the settings say that the filter stands.
    pub fn positions(&self) -> u8 {
        if let Some(config) = self.config {
            return if config.routing.positions == Positions::Two { 2 } else { 1 };
        }
        match self.tree.at(&["routing", "positions"]).and_then(Node::number) {
            Some(number) if number >= 2.0 => 2,
            Some(_) => 1,
            None if self.fallbacks().is_empty() => 1,
            None => 2,
        }
    }

    /// Whether the filter sets `:authority` before Envoy chooses the route.
    pub fn sets_authority(&self) -> bool {
        match self.routing("authority") {
            Some(authority) => authority == "filter",
            None => self.positions() == 1,
        }
    }
}

/// An alias with a fallback.
pub struct FallbackRoute {
    /// Its name.
    pub alias: String,
    /// What the routing header says.
    pub cluster: String,
    /// The targets' providers, in order.
    pub providers: Vec<String>,
}

/// Checks every listener of a document. `gateways` are all that the files hold, `version` the Envoy that they are for.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    gateways: &[GatewayFilter<'_>],
    version: Option<EnvoyVersion>,
) {
    let mut checked: Vec<&Node> = Vec::new();
    for listener in document.maps() {
        if listener.get("filter_chains").is_none() && listener.get("default_filter_chain").is_none()
        {
            continue;
        }
        for manager in listener.maps().into_iter().filter(|map| type_of(map) == HCM) {
            let filters = manager.get("http_filters").map(Node::items).unwrap_or_default();
            for (index, filter) in filters.iter().enumerate() {
                if let Some(gateway) = gateway_of(filter, gateways) {
                    checked.push(filter);
                    let at = Position { document, listener, manager, index, gateways };
                    at.check(report, filter, gateway);
                    if let Some(version) = version {
                        let is_upstream = positions::is_upstream(document, gateways);
                        version::check(report, document, filter, gateway, is_upstream, version);
                    }
                }
            }
        }
    }
}

/// Whose settings a filter has, where they are ours.
pub fn gateway_of<'a, 'g>(
    filter: &Node,
    gateways: &'g [GatewayFilter<'a>],
) -> Option<&'g GatewayFilter<'a>> {
    if let Some(message) = site::message_of(filter) {
        return gateways.iter().find(|gateway| std::ptr::eq(gateway.message, message));
    }
    let name = filter.text_of("name");
    filter.get("config_discovery")?;
    gateways.iter().find(|gateway| gateway.name == name)
}

/// The filter in `http_filters` of a listener.
struct Position<'a> {
    document: &'a Node,
    listener: &'a Node,
    manager: &'a Node,
    index: usize,
    gateways: &'a [GatewayFilter<'a>],
}

impl Position<'_> {
    fn check(&self, report: &mut Report<'_>, filter: &Node, gateway: &GatewayFilter<'_>) {
        neighbours::check(report, self.document, self.manager, self.index, gateway);
        discovery::check(report, self.document, self.manager);
        durations::manager(report, self.document, self.manager);
        self.per_route(report, filter);
        self.positions(report, gateway);
        clusters::check(report, self.document, gateway, self.gateways);
        self.mirrors(report);
        if let Some(config) = gateway.config {
            loggers::check(report, self.document, self.manager, config, gateway.places);
            ratelimit::check(
                report,
                self.document,
                self.manager,
                gateway.tree,
                config,
                gateway.places,
            );
        }
        if let Some(routes) = self.manager.get("route_config") {
            self.routes(report, routes, gateway);
            self.buffers(report, routes, gateway);
        }
    }

    fn per_route(&self, report: &mut Report<'_>, filter: &Node) {
        for map in self.manager.maps() {
            let Some(own) = map.get("typed_per_filter_config") else { continue };
            if own.get(filter.text_of("name")).is_some() {
                let why = "leave it out: the filter knows no settings by route, and one that is disabled for a \
                           route lets its requests pass unchecked";
                report.warning_at(self.document, own, filter.text_of("name"), why);
            }
        }
    }

    fn positions(&self, report: &mut Report<'_>, gateway: &GatewayFilter<'_>) {
        let upstream = positions::is_upstream(self.document, self.gateways);
        let line = |path: &str| gateway.places.line(path);
        if !upstream {
            for FallbackRoute { alias, .. } in gateway.fallbacks() {
                let path = ROOT.field("model_aliases").field(&alias).to_string();
                let why = format!(
                    "alias {alias} has a fallback, and the filter stands in one position: add it to the router's \
                     upstream_http_filters, before upstream_codec"
                );
                report.warning(line(&path), path, why);
            }
            if gateway.fallbacks().is_empty() && gateway.positions() == 2 {
                let why = "positions: 2, and the filter stands in one: add it to the router's \
                           upstream_http_filters, before upstream_codec";
                report.warning(line("routing.positions"), "routing.positions", why);
            }
        } else if gateway.positions() == 1 {
            let why = "the filter stands in two positions: set routing.positions: 2";
            report.warning(line("routing.positions"), "routing.positions", why);
        }
    }

    fn mirrors(&self, report: &mut Report<'_>) {
        for map in self.manager.maps() {
            if map.get("request_mirror_policies").is_some() {
                let why = "leave it out: the mirror gets the provider's credential";
                report.warning_at(self.document, map, "request_mirror_policies", why);
            }
        }
    }

    fn routes(&self, report: &mut Report<'_>, routes: &Node, gateway: &GatewayFilter<'_>) {
        let Some(config) = gateway.config else { return };
        let header = &*config.headers.cluster;
        self.first_route(report, routes, config);
        let mut told: Vec<String> = Vec::new();
        let mut timed: Vec<*const Node> = Vec::new();
        let fallbacks = gateway.fallbacks();
        let mut retried: Vec<String> = Vec::new();
        for Routed { what, cluster, authority, path } in routed(config, gateway) {
            let request = Request { authority, path: &path, header: (header, &cluster) };
            let (node, member, why) = match routes::follow(routes, &request) {
                RouteMatch::Unknown(host, route, by) => (
                    host,
                    "routes",
                    format!(
                        "check does not understand {by} in the match of {}, which decides about requests of {what}: see for \
                         yourself that they reach a route with cluster_header: {header} ({header}: {cluster}, path {path})",
                        nth(host, route)
                    ),
                ),
                RouteMatch::NoVirtualHost => (
                    routes,
                    "virtual_hosts",
                    format!(
                        "no virtual host has the domain {}, which the filter puts into :authority{}: set domains: [\"*\"], \
                     or routing.authority: route in the filter's settings",
                        authority.unwrap_or_default(),
                        match authority {
                            Some(it) if routes::without_port(it) != it =>
                                " with its port (which counts, unless ignore_port_in_host_matching is set)",
                            _ => "",
                        }
                    ),
                ),
                RouteMatch::NoRoute(host) => (
                    host,
                    "routes",
                    format!(
                        "no route matches a request of {what} after the filter ({header}: {cluster}, path {path}): add \
                     route: {{cluster_header: {header}}}"
                    ),
                ),
                RouteMatch::Route(host, route) => {
                    if let Some((member, why)) = leads_elsewhere(route, header, &what, &cluster) {
                        (route, member, why)
                    } else {
                        if !retried.contains(&cluster) {
                            retried.push(cluster.clone());
                            for fallback in fallbacks.iter().filter(|it| it.cluster == cluster) {
                                retries::check(report, self.document, host, route, fallback);
                            }
                        }
                        if !timed.contains(&std::ptr::from_ref(route)) {
                            timed.push(std::ptr::from_ref(route));
                            self.follows(report, routes, host, route, gateway);
                        }
                        continue;
                    }
                }
            };
            if !told.contains(&why) {
                report.warning_at(self.document, node, member, why.clone());
                told.push(why);
            }
        }
    }

    /// The route that a request has while the filter reads it.
    fn first_route(&self, report: &mut Report<'_>, routes: &Node, config: &Config) {
        let path = format!("{}/chat/completions", config.path_prefix);
        let request =
            Request { authority: None, path: &path, header: (&config.headers.cluster, "") };
        if let RouteMatch::Route(_, route) = routes::follow(routes, &request)
            && route.get("direct_response").is_some()
        {
            let why = "lead these requests to a cluster that is not there: while the filter reads a body, its route is this one, and Envoy \
                       knows no request_body_buffer_limit for a direct_response";
            report.warning_at(self.document, route, "direct_response", why);
        }
    }

    /// A route that requests take behind the filter.
    fn follows(
        &self,
        report: &mut Report<'_>,
        routes: &Node,
        host: &Node,
        route: &Node,
        gateway: &GatewayFilter<'_>,
    ) {
        if let Some(action) = route.get("route") {
            durations::route(report, self.document, host, action);
        }
        rewrites::check(report, self.document, (routes, host, route), gateway);
    }

    fn buffers(&self, report: &mut Report<'_>, routes: &Node, gateway: &GatewayFilter<'_>) {
        let Some(config) = gateway.config else { return };
        let limits = &config.limits;
        #[expect(clippy::cast_precision_loss, reason = "bounded by 1 GiB")]
        let needed = limits.max_buffered_bytes.max(limits.max_answer_bytes) as f64;
        let connection = self.listener.get("per_connection_buffer_limit_bytes");
        let per_connection = connection.and_then(Node::number).unwrap_or(DEFAULT_BUFFER_BYTES);
        for host in routes.get("virtual_hosts").map(Node::items).unwrap_or_default() {
            let fields = ["request_body_buffer_limit", "per_request_buffer_limit_bytes"];
            let own = fields.iter().find_map(|name| host.get(name).map(|node| (*name, node)));
            let set = own.and_then(|(_, node)| node.number()).unwrap_or(per_connection);
            if set < needed {
                let member = own.map_or("request_body_buffer_limit", |(name, _)| name);
                let why = format!(
                    "set request_body_buffer_limit: {} on the virtual host: Envoy holds {set} bytes and refuses a \
                     body before the filter's limit of {needed} (max_buffered_bytes, max_answer_bytes) is reached",
                    needed + DEFAULT_BUFFER_BYTES
                );
                report.warning_at(self.document, host, member, why);
            }
        }
    }
}

/// How a message calls one of a virtual host's routes.
fn nth(host: &Node, route: &Node) -> String {
    let routes = host.get("routes").map(Node::items).unwrap_or_default();
    let at = routes.iter().position(|other| std::ptr::eq(other, route));
    at.map_or_else(|| "a route".to_owned(), |at| format!("routes[{at}]"))
}

/// Requests as Envoy sees them when it chooses a route behind the filter.
struct Routed<'a> {
    /// Whose they are.
    what: String,
    /// The value of the routing header.
    cluster: String,
    /// `:authority`, where the filter has set it.
    authority: Option<&'a str>,
    path: String,
}

/// The requests of each provider, and those of each fallback. In two positions the path is the client's until Envoy has
/// chosen a host.
fn routed<'a>(config: &'a Config, gateway: &GatewayFilter<'_>) -> Vec<Routed<'a>> {
    let two = gateway.positions() == 2;
    let to = |what, cluster: &str, provider: Option<&'a Provider>| {
        let base = provider.filter(|_| !two).map_or(&*config.path_prefix, |it| &it.base_path);
        let authority = provider.filter(|_| gateway.sets_authority()).map(|it| &*it.authority);
        let path = format!("{base}/chat/completions");
        Routed { what, cluster: cluster.to_owned(), authority, path }
    };
    let providers = config.providers.iter().map(|(_, provider)| {
        to(format!("provider {}", provider.name), &provider.cluster, Some(provider))
    });
    let fallbacks = gateway.fallbacks();
    let aliases = fallbacks.iter().map(|it| to(format!("alias {}", it.alias), &it.cluster, None));
    providers.chain(aliases).collect()
}

/// What is wrong with the route that these requests take.
fn leads_elsewhere(
    route: &Node,
    header: &str,
    what: &str,
    cluster: &str,
) -> Option<(&'static str, String)> {
    let Some(action) = route.get("route") else {
        let member = if route.get("redirect").is_some() { "redirect" } else { "direct_response" };
        return Some((
            member,
            format!(
                "requests of {what} end here after the filter: put a route with cluster_header: {header} before it"
            ),
        ));
    };
    if let Some(named) = action.get("cluster_header").and_then(Node::text) {
        return (!named.eq_ignore_ascii_case(header)).then(|| ("route", format!(
            "the filter names the cluster in {header}: set cluster_header: {header}, or routing.cluster_header: \
             {named} in the filter's settings"
        )));
    }
    if action.text_of("cluster") == cluster {
        return None;
    }
    Some((
        "route",
        format!(
            "requests of {what} take this route and do not follow the filter: set cluster_header: {header}"
        ),
    ))
}
