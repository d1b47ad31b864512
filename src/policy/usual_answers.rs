//! The headers that answers usually have.

use std::sync::LazyLock;

use crate::wire::name_table::NameTable;

/// What the heads of answers usually have, and Envoy adds to them: what is to be known of these is known when one comes.
pub const USUAL_ANSWERS: [&str; 24] = [
    ":status",
    "access-control-expose-headers",
    "alt-svc",
    "cache-control",
    "cf-cache-status",
    "cf-ray",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "openai-organization",
    "openai-processing-ms",
    "openai-version",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "via",
    "x-content-type-options",
    "x-envoy-upstream-service-time",
    "x-ratelimit-remaining-requests",
    "x-request-id",
];

/// The same as a table.
pub(super) fn usual_answers() -> &'static NameTable<&'static str, ()> {
    static KNOWN: LazyLock<NameTable<&str, ()>> =
        LazyLock::new(|| NameTable::new(USUAL_ANSWERS.map(|name| (name, ()))));
    &KNOWN
}
