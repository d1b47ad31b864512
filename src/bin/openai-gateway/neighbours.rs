//! Envoy's other filters in the list in which ours stands.

use super::document::Node;
use super::report::Report;
use super::site::type_of;

/// Checks the filter at `index` and those around it. `positions` is what its settings say.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    filters: &[Node],
    index: usize,
    positions: u8,
) {
    if let Some(filter) = filters.get(index)
        && filter.get("disabled").is_some_and(Node::is_true)
    {
        let why = "leave out disabled: what counts is the route that a request has before the filter has \
                   named one, and without the filter it passes unchecked";
        report.warning_at(document, filter, "disabled", why);
    }
    for (at, other) in filters.iter().enumerate() {
        let kind = other.get("typed_config").map(type_of).unwrap_or_default();
        let name = other.text_of("name");
        let is = |what: &str| kind.contains(what) || name.ends_with(what);
        if at < index && is("jwt_authn") {
            for provider in other.maps() {
                if provider.get("forward").is_some_and(Node::is_true) {
                    let why =
                        "set forward: false: the filter would take the JWT for the virtual key";
                    report.warning_at(document, provider, "forward", why);
                }
            }
        }
        if at < index && is("router") {
            report.warning_at(document, other, "name", "the router must be the last filter");
        }
        if at > index && is("cors") {
            let why =
                "put it before openai-gateway-filter: preflights carry no key and would be refused";
            report.warning_at(document, other, "name", why);
        }
        // In two positions the second one, nearer the wire, holds what is held.
        if at > index && is("decompressor") && positions == 1 {
            let why = "leave it out: it puts trailers behind what it unpacks, and Envoy does not hand them to a filter \
                       that holds an answer, so compressed answers never end. Before openai-gateway-filter it unpacks \
                       requests";
            report.warning_at(document, other, "name", why);
        }
    }
}
