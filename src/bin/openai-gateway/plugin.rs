//! Envoy's own fields around the settings: the Wasm message.

use openai_gateway_filter::config::{closest, digest_problem};

use super::document::{Node, camel_case};
use super::report::Report;

/// The members of the messages that are checked by name. Envoy refuses others in a file of its own, but
/// goes on without them where it gets them by discovery, unless it was told to be strict.
const MESSAGES: [(&[&str], &[&str]); 5] = [
    (
        &[],
        &[
            "name",
            "root_id",
            "vm_config",
            "configuration",
            "fail_open",
            "failure_policy",
            "reload_config",
            "capability_restriction_config",
            "allow_on_headers_stop_iteration",
        ],
    ),
    (
        &["vm_config"],
        &[
            "vm_id",
            "runtime",
            "code",
            "configuration",
            "allow_precompiled",
            "nack_on_code_cache_miss",
            "environment_variables",
        ],
    ),
    (&["vm_config", "code"], &["local", "remote"]),
    (
        &["vm_config", "code", "local"],
        &["filename", "inline_bytes", "inline_string", "environment_variable", "watched_directory"],
    ),
    (&["vm_config", "environment_variables"], &["host_env_keys", "key_values"]),
];

const RUNTIME: &str = "envoy.wasm.runtime.v8";

/// What is wrong with the message that holds the settings.
pub fn check(report: &mut Report<'_>, root: &Node, config: &Node) {
    for (path, known) in MESSAGES {
        let Some(message) = config.at(path) else { continue };
        for member in message.members() {
            let is_known =
                known.iter().any(|name| *name == member.name || camel_case(name) == member.name);
            if !is_known {
                let reason = match closest(&member.name, known) {
                    Some(meant) => format!("Envoy has no such field; did you mean `{meant}`?"),
                    None => "Envoy has no such field".to_owned(),
                };
                report.error_at(root, message, &member.name, reason);
            }
        }
    }
    variables(report, root, config);
    stops(report, root, config);
    failure(report, root, config);
    configuration(report, root, config, "configuration");
    code(report, root, config);
}

/// Variables that Envoy refuses: named in both places, or with a value that is no text.
fn variables(report: &mut Report<'_>, root: &Node, config: &Node) {
    let Some(variables) = config.at(&["vm_config", "environment_variables"]) else { return };
    let host = variables.get("host_env_keys").map(Node::items).unwrap_or_default();
    let Some(values) = variables.get("key_values") else { return };
    for member in values.members() {
        if host.iter().any(|name| name.text() == Some(&member.name)) {
            let why = "also in host_env_keys: Envoy refuses a variable that is given twice";
            report.error_at(root, values, &member.name, why);
        }
        if member.node.text().is_none() {
            report.error_at(
                root,
                values,
                &member.name,
                "Envoy refuses a value that is no text: put it in quotes",
            );
        }
    }
}

fn stops(report: &mut Report<'_>, root: &Node, config: &Node) {
    const FIELD: &str = "allow_on_headers_stop_iteration";
    if !config.get(FIELD).is_some_and(Node::is_true) {
        let why = "set allow_on_headers_stop_iteration: true beside vm_config: without it Envoy hands over no \
                   body, and every request with one waits for ever";
        report.warning_at(root, config, FIELD, why);
    }
}

fn failure(report: &mut Report<'_>, root: &Node, config: &Node) {
    let policy = config.text_of("failure_policy");
    let why = "set failure_policy: FAIL_RELOAD";
    if policy == "FAIL_OPEN" {
        let why =
            format!("{why}: with FAIL_OPEN requests pass unchecked once the module has failed");
        report.warning_at(root, config, "failure_policy", why);
    } else if config.get("fail_open").is_some_and(Node::is_true) {
        let why = format!("{why} and leave out fail_open: requests would pass unchecked");
        report.warning_at(root, config, "fail_open", why);
    } else if policy != "FAIL_RELOAD" {
        let why = format!(
            "{why}: otherwise one trap makes the worker refuse every request until Envoy restarts"
        );
        report.warning_at(root, config, "failure_policy", why);
    }
}

/// What is wrong with the message that holds the native module's settings.
pub fn native(report: &mut Report<'_>, root: &Node, message: &Node) {
    const MODULE: &str = "openai_gateway_filter";
    if message.at(&["dynamic_module_config", "name"]).and_then(Node::text).is_none() {
        let why = format!(
            "set dynamic_module_config: {{name: {MODULE}}}: Envoy looks for lib{MODULE}.so"
        );
        report.error_at(root, message, "dynamic_module_config", why);
    }
    configuration(report, root, message, "filter_config");
}

fn configuration(report: &mut Report<'_>, root: &Node, config: &Node, member: &str) {
    let Some(configuration) = config.get(member) else {
        report.error_at(root, config, member, "missing: the filter's own configuration");
        return;
    };
    let kind = super::site::type_of(configuration);
    let forms = "give a google.protobuf.Struct, or a google.protobuf.StringValue that holds JSON";
    if kind.is_empty() {
        let why = format!("\"@type\" is missing: {forms}, and the filter's settings under value");
        report.error_at(root, configuration, "", why);
    } else if !matches!(kind, "google.protobuf.Struct" | "google.protobuf.StringValue") {
        report.error_at(
            root,
            configuration,
            "@type",
            format!("the filter can't read this: {forms}"),
        );
    } else if configuration.get("value").is_none() {
        report.error_at(root, configuration, "value", "missing: the filter's own configuration");
    } else if kind == "google.protobuf.StringValue"
        && configuration.get("value").is_some_and(|value| value.text().is_none())
    {
        let why = "a google.protobuf.StringValue holds a text; for YAML use google.protobuf.Struct";
        report.error_at(root, configuration, "value", why);
    }
}

fn code(report: &mut Report<'_>, root: &Node, config: &Node) {
    let Some(vm) = config.get("vm_config") else {
        report.error_at(root, config, "vm_config", "missing: which module, and how to run it");
        return;
    };
    if vm.text_of("runtime") != RUNTIME {
        report.error_at(root, vm, "runtime", format!("must be {RUNTIME}"));
    }
    match vm.get("code") {
        None => report.error_at(root, vm, "code", "missing: where the module is"),
        Some(code) => {
            let Some(remote) = code.get("remote") else { return };
            module_digest(report, root, remote);
        }
    }
}

/// What is wrong with the digest of a module that comes from elsewhere.
pub fn module_digest(report: &mut Report<'_>, root: &Node, source: &Node) {
    let why = match source.text_of("sha256") {
        "" => "set sha256: without it whatever the address gives is run".to_owned(),
        hex => match digest_problem(hex) {
            None => return,
            Some(why) => {
                format!(
                    "{why}: write the SHA-256 of the module, or nothing that the address gives is taken"
                )
            }
        },
    };
    report.warning_at(root, source, "sha256", why);
}
