//! What Envoy gets from elsewhere while it runs, and no check of a file can see.

use super::document::Node;
use super::report::Report;

/// Says what was not checked, so that silence means something.
pub fn check(report: &mut Report<'_>, document: &Node, manager: &Node) {
    if manager.get("rds").is_some() {
        let why = "the routes come by RDS and are not checked: their requests must follow cluster_header, with timeout: 0s \
                   and request_body_buffer_limit. check sees routes in route_config";
        report.warning_at(document, manager, "rds", why);
    }
    if manager.get("scoped_routes").is_some() {
        let why = "scoped routes are not checked: their requests must follow cluster_header, with timeout: 0s and \
                   request_body_buffer_limit. check sees routes in route_config";
        report.warning_at(document, manager, "scoped_routes", why);
    }
    if let Some(dynamic) = document.get("dynamic_resources")
        && dynamic.get("cds_config").is_some()
    {
        let why = "the clusters come by CDS and are not checked: each provider's must be there, speak TLS where its base_url \
                   is https, and in a fallback say whose its hosts are";
        report.warning_at(document, dynamic, "cds_config", why);
    }
}
