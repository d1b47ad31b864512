//! Which route Envoy chooses once the filter has rewritten a request.

use super::document::Node;

/// A request after the filter.
pub struct Request<'a> {
    /// `:authority`, or `None` where the filter leaves the client's.
    pub authority: Option<&'a str>,
    /// `:path`.
    pub path: &'a str,
    /// The routing header and its value.
    pub header: (&'a str, &'a str),
}

/// Where it goes.
pub enum RouteMatch<'a> {
    /// No virtual host has its authority.
    NoVirtualHost,
    /// None of the virtual host's routes matches.
    NoRoute(&'a Node),
    /// This route of this virtual host.
    Route(&'a Node, &'a Node),
    /// A matcher that is not understood here decides: the virtual host, the route, the matcher's name.
    Unknown(&'a Node, &'a Node, String),
}

/// Follows a request through a route configuration.
pub fn follow<'a>(configuration: &'a Node, request: &Request<'_>) -> RouteMatch<'a> {
    let hosts = configuration.get("virtual_hosts").map(Node::items).unwrap_or_default();
    let chosen = match request.authority {
        Some(authority) => {
            let by_host =
                configuration.get("ignore_port_in_host_matching").is_some_and(Node::is_true);
            best_host(hosts, if by_host { without_port(authority) } else { authority })
        }
        // The client's own: any host that leads to the cluster is as good as another.
        None => hosts
            .iter()
            .find(|host| matches!(route(host, request), RouteMatch::Route(..)))
            .or(hosts.first()),
    };
    match chosen {
        Some(host) => route(host, request),
        None => RouteMatch::NoVirtualHost,
    }
}

/// An authority's host.
pub fn without_port(authority: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(authority, |(host, _)| host)
}

/// Exact, then the longest `*.suffix`, then the longest `prefix.*`, then `*`. The port counts: that Envoy strips the client's
/// (`strip_any_host_port`) is before the filter has set the provider's.
fn best_host<'a>(hosts: &'a [Node], authority: &str) -> Option<&'a Node> {
    let rank = |domain: &str| {
        let domain = domain.to_ascii_lowercase();
        if domain == authority {
            return Some((3, domain.len()));
        }
        if domain == "*" {
            return Some((0, 0));
        }
        if let Some(suffix) = domain.strip_prefix('*') {
            let is_longer = authority.len() > suffix.len();
            return (is_longer && authority.ends_with(suffix)).then_some((2, suffix.len()));
        }
        domain
            .strip_suffix('*')
            .filter(|prefix| authority.len() > prefix.len() && authority.starts_with(prefix))
            .map(|prefix| (1, prefix.len()))
    };
    hosts
        .iter()
        .filter_map(|host| {
            let domains = host.get("domains").map(Node::items).unwrap_or_default();
            let best = domains.iter().filter_map(Node::text).filter_map(rank).max()?;
            Some((best, host))
        })
        .max_by_key(|(best, _)| *best)
        .map(|(_, host)| host)
}

fn route<'a>(host: &'a Node, request: &Request<'_>) -> RouteMatch<'a> {
    for route in host.get("routes").map(Node::items).unwrap_or_default() {
        match route.get("match").map_or(Ok(false), |matcher| matches(matcher, request)) {
            Ok(true) => return RouteMatch::Route(host, route),
            Ok(false) => {}
            Err(by) => return RouteMatch::Unknown(host, route, by),
        }
    }
    RouteMatch::NoRoute(host)
}

/// A matcher by its name, where it can't be told.
type Told = Result<bool, String>;

fn matches(matcher: &Node, request: &Request<'_>) -> Told {
    if !path_matches(matcher, request.path)? {
        return Ok(false);
    }
    for header in matcher.get("headers").map(Node::items).unwrap_or_default() {
        if !header_matches(header, request)? {
            return Ok(false);
        }
    }
    let others =
        ["query_parameters", "runtime_fraction", "grpc", "tls_context", "dynamic_metadata"];
    match others.iter().find(|name| matcher.get(name).is_some()) {
        Some(name) => Err((*name).to_owned()),
        None => Ok(true),
    }
}

fn path_matches(matcher: &Node, path: &str) -> Told {
    if let Some(prefix) = matcher.get("prefix").and_then(Node::text) {
        return Ok(path.starts_with(prefix));
    }
    if let Some(exact) = matcher.get("path").and_then(Node::text) {
        return Ok(path == exact);
    }
    if let Some(prefix) = matcher.get("path_separated_prefix").and_then(Node::text) {
        let rest = path.strip_prefix(prefix);
        return Ok(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])));
    }
    let others = ["safe_regex", "path_match_policy", "connect_matcher"];
    let by = others.iter().find(|name| matcher.get(name).is_some());
    Err(by.map_or_else(|| "its path".to_owned(), |by| (*by).to_owned()))
}

fn header_matches(header: &Node, request: &Request<'_>) -> Told {
    let name = header.text_of("name");
    let inverted = header.get("invert_match").is_some_and(Node::is_true);
    // Other headers are the client's: it may have them or not.
    let value = match name.to_ascii_lowercase().as_str() {
        ":method" => "POST",
        ":path" => request.path,
        other if other.eq_ignore_ascii_case(request.header.0) => request.header.1,
        _ => return Err(format!("the header {name}")),
    };
    let is_match = if let Some(present) = header.get("present_match") {
        present.is_true() != value.is_empty()
    } else {
        let wanted = header.get("string_match").unwrap_or(header);
        let text = |name: &str| wanted.get(name).and_then(Node::text);
        if let Some(exact) = text("exact").or_else(|| text("exact_match")) {
            value == exact
        } else if let Some(prefix) = text("prefix").or_else(|| text("prefix_match")) {
            value.starts_with(prefix)
        } else if let Some(suffix) = text("suffix").or_else(|| text("suffix_match")) {
            value.ends_with(suffix)
        } else if let Some(part) = text("contains").or_else(|| text("contains_match")) {
            value.contains(part)
        } else {
            return Err(format!("how the header {name} is compared"));
        }
    };
    Ok(is_match != inverted)
}
