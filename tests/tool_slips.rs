//! Slips that operators make around the filter: each was silent once.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "tool/common.rs"]
#[macro_use]
mod common;

use std::fs;

use common::{Planted, check, file, filled, find_all, root, run};
use serde_json::Value;

const SLIPS: &[Planted] = planted! {
    // The list of filters.
    "envoy.yaml": "          - name: envoy.filters.http.router\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}\n" => "",
        at "http_filters:": "error" "http_filters" "without envoy.filters.http.router at its end";
    "envoy.yaml": "          - name: envoy.filters.http.router" => "          - name: envoy.filters.http.ext_authz\n          - name: envoy.filters.http.router",
        at "ext_authz": "warning" "http_filters[1].name" "authorization is the provider's credential";
    "envoy.yaml": "          - name: envoy.filters.http.router" => "          - name: login\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication}\n          - name: envoy.filters.http.router",
        at "name: login": "warning" "http_filters[1].name" "no longer the client's";
    "envoy.yaml": "          - name: envoy.filters.http.router" => "          - name: envoy.filters.http.compressor\n          - name: envoy.filters.http.router",
        at "http.compressor": "warning" "http_filters[1].name" "nothing is compressed";
    "envoy.yaml": "          - name: envoy.filters.http.router" => "          - name: envoy.filters.http.buffer\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 1048576}\n          - name: envoy.filters.http.router",
        at "max_request_bytes: 1048576": "warning" "typed_config.max_request_bytes" "set max_request_bytes: 33554432";
    "envoy.yaml": "          - name: openai-gateway-filter\n" => "          - name: openai-gateway-filter\n            is_optional: true\n",
        at "is_optional": "warning" "is_optional" "passes unchecked";
    "envoy.yaml": "          stat_prefix: gateway\n" => "          stat_prefix: gateway\n          upgrade_configs: [{upgrade_type: websocket, filters: [{name: envoy.filters.http.router}]}]\n",
        at "upgrade_configs": "warning" "upgrade_configs[0].filters" "unchecked";
    // Durations.
    "envoy.yaml": "stream_idle_timeout: 600s" => "request_timeout: 10s", at "request_timeout": "warning" "request_timeout" "still coming";
    "envoy.yaml": "stream_idle_timeout: 600s" => "common_http_protocol_options: {max_stream_duration: 60s}", at "max_stream":
        "warning" "common_http_protocol_options.max_stream_duration" "still streaming";
    "envoy.yaml": "timeout: 0s}" => "timeout: 0s, max_stream_duration: {max_stream_duration: 30s}}", at "max_stream":
        "warning" "max_stream_duration.max_stream_duration" "still streaming";
    "envoy.yaml": "timeout: 0s}" => "timeout: 0s, retry_policy: {retry_on: 5xx, per_try_timeout: 10s}}", at "per_try":
        "warning" "retry_policy.per_try_timeout" "still streaming";
    "envoy.yaml": "timeout: 0s}" => "timeout: 5m}", at "timeout: 5m": "error" "route.timeout" "write seconds";
    "envoy.yaml": "timeout: 0s}" => "timeout: 0}", at "timeout: 0}": "error" "route.timeout" "write seconds";
    "envoy.yaml": "timeout: 0s}" => "timeout: 120s}", at "timeout: 120s": "warning" "route.timeout" "still streaming";
    "envoy.yaml": "    type: STRICT_DNS\n" => "    type: STRICT_DNS\n    typed_extension_protocol_options: {o: {\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, common_http_protocol_options: {max_stream_duration: 20s}}}\n",
        at "max_stream_duration": "warning" "common_http_protocol_options.max_stream_duration" "still streaming";
    // What a route changes behind the filter, and where a request waits.
    "envoy.yaml": "timeout: 0s}" => "timeout: 0s, prefix_rewrite: /v1}", at "prefix_rewrite": "warning" "route.prefix_rewrite" "has set the path already";
    "envoy.yaml": "timeout: 0s}" => "timeout: 0s, host_rewrite_literal: llm}", at "host_rewrite": "warning" "route.host_rewrite_literal" "routing.authority: route";
    "envoy.yaml": "routing: {cluster_header" => "routing: {authority: route, cluster_header", at "route: {cluster_header":
        "warning" "route.auto_host_rewrite" "gets the client's Host";
    "envoy.yaml": "              request_body" => "              request_headers_to_remove: [Authorization]\n              request_body", at "_to_remove":
        "warning" "request_headers_to_remove" "the provider's credential in this header";
    "envoy.yaml": "                route: {clus" => "                request_headers_to_add: [{header: {key: x-key, value: a}}]\n                route: {clus", at "_to_add":
        "warning" "request_headers_to_add" "the provider's credential in this header";
    "envoy.yaml": "              - match: {prefix: /}" => "              - match: {prefix: /v1, headers: [{name: x-gateway-cluster, present_match: false}]}\n                direct_response: {status: 404}\n              - match: {prefix: /}",
        at "direct_response": "warning" "routes[0].direct_response" "while the filter reads a body";
    "envoy.yaml": "domains: [\"*\"]" => "domains: [127.0.0.1, api.groq.com, example.openai.azure.com]", at "virtual_hosts":
        "warning" "virtual_hosts" "127.0.0.1:8000, which the filter puts into :authority with its port";
    "envoy.yaml": "timeout: 0s}" => "timeout: 0s, timeout: 15s}", at "route: {clus": "error" "timeout" "given twice";
    "envoy.yaml": "          stream_idle_timeout" => "          http_filters: []\n          stream_idle_timeout", at "http_filters:\n": "error" "http_filters" "given twice";
    // Clusters.
    "envoy.yaml": "        sni: api.groq.com\n" => "", at "typed_config:\n        \"@type\": type.googleapis.com/envoy.extensions.transport": "warning" "typed_config.sni" "set sni: api.groq.com";
    "envoy.yaml": "sni: api.groq.com" => "sni: api.grok.com", at "api.grok.com": "warning" "typed_config.sni" "base_url says api.groq.com";
    "envoy.yaml": "exact: api.groq.com" => "exact: \"https://api.groq.com\"", at "https://api.groq.com\"}": "warning" "match_typed_subject_alt_names" "no certificate of api.groq.com passes";
    "envoy.yaml": "exact: api.groq.com" => "exact: groq.com", at "exact: groq.com": "warning" "match_typed_subject_alt_names" "no certificate of api.groq.com passes";
    "envoy.yaml": "san_type: DNS" => "san_type: EMAIL", at "EMAIL": "warning" "match_typed_subject_alt_names" "names its host by DNS";
    "envoy.yaml": "address: api.groq.com, port_value: 443" => "address: api.groq.com, port_value: 80", at "port_value: 80}": "warning" "socket_address.port_value" "Envoy connects to port 80";
    "envoy.yaml": "base_url: http://127.0.0.1:8000" => "base_url: http://127.0.0.1:8001", at "port_value: 8000": "warning" "socket_address.port_value" "base_url of provider vllm says 8001";
    "envoy.yaml": "address: api.groq.com" => "address: api.openai.com", at "api.openai.com": "warning" "socket_address.address" "where the cluster says";
    "envoy.yaml": "    type: LOGICAL_DNS\n" => "", at "address: api.groq.com": "error" "socket_address.address" "type: LOGICAL_DNS";
    "envoy.yaml": "  - name: vllm\n    type" => "  - name: groq\n    type", at "name: groq\n    type: LOGICAL": "error" "clusters[1].name" "Envoy refuses a second one";
    "fallback.yaml": "    lb_policy: CLUSTER_PROVIDED\n" => "", at "- name: over": "error" "lb_policy" "without lb_policy: CLUSTER_PROVIDED";
    "fallback.yaml": "              - name: envoy.filters.http.upstream_codec\n                typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec}\n" => "",
        at "upstream_http_filters": "error" "upstream_http_filters" "upstream_codec at its end";
    // Discovery.
    "fallback.yaml": "              - name: openai-gateway-filter\n                config_d" => "              - name: openai-gateway\n                config_d", at "config_discovery":
        "warning" "config_discovery" "in none of the files: nothing of them was checked";
    "fallback.yaml": "type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]" => "type_urls: []", at "type_urls": "error" "config_discovery.type_urls" "http.wasm.v3.Wasm";
    // The VM.
    "envoy.yaml": "[GROQ_API_KEY, TEAM_KEY]" => "[GROQ_API_KEY, TEAM_KEY, AZURE_KEY]", at "key_values": "error" "key_values.AZURE_KEY" "given twice";
    "envoy.yaml": "AZURE_KEY: not-a-secret" => "AZURE_KEY: 12345", at "key_values": "error" "key_values.AZURE_KEY" "put it in quotes";
    // The filter's own part.
    "envoy.yaml": "key_env: GROQ_API_KEY}" => "key_env: sk-hush-1}", at "sk-hush": "error" "providers[1].auth.key_env" "must be the name of a variable";
    "settings.yaml": "key_env: GROQ_API_KEY" => "key_env: gsk_hush0123456789abcdefgh", at "gsk_hush": "warning" "key_env" "looks like the key itself";
    "envoy.yaml": "prefix: \"Key \", key_env: AZURE_KEY" => "prefix: \"Key \", key_env: GROQ_API_KEY", at "prefix: \"Key \"": "warning" "providers[2].auth.key_env" "the same variable as that of provider groq";
    "envoy.yaml": "                      auth: {key_env: GROQ_API_KEY}\n" => "", at "- name: groq\n                      base": "warning" "providers[1].auth" "no credential is sent";
    "envoy.yaml": "/openai/v1\n                      auth: {key" => "/openai/v1/embeddings\n                      auth: {key", at "v1/embeddings": "error" "providers[1].base_url" "must end before";
    "envoy.yaml": "[\"groq/*\", \"BAAI/bge-m3\", fast]" => "[\"vllm/*\", fast]", at "model_aliases: {gpt-4o": "warning" "virtual_keys[0].model_aliases.gpt-4o" "refuses every request for it";
    "envoy.yaml": "4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6" => "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        at "key_sha256": "warning" "virtual_keys[0].key_sha256" "a placeholder";
    "envoy.yaml": "4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6" => "sha256:4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6",
        at "key_sha256": "error" "virtual_keys[0].key_sha256" "without a prefix";
    "envoy.yaml": "max_buffered_bytes: 33554432" => "max_held_bytes: 67108864", at "max_held_bytes": "warning" "limits.max_held_bytes" "a quarter of max_held_bytes (67108864)";
    // Istio.
    "istio.yaml": "    - destination: {host: api.groq.com" => "    - destination: {host: no-provider.internal", at "route:\n    - destination": "warning" "http[0].route" "it leads elsewhere";
    "istio.yaml": "      mode: SIMPLE\n" => "      mode: DISABLE\n", at "mode: DISABLE": "warning" "tls.mode" "lets Envoy speak plain text";
    "istio.yaml": "  host: api.groq.com\n" => "  host: api.grok.com\n", at "spec:\n  workloadSelector": "warning" "spec" "no DestinationRule for api.groq.com";
    "istio.yaml": "      subjectAltNames: [api.groq.com]" => "      subjectAltNames: [api.grok.com]", at "subjectAltNames": "warning" "tls.subjectAltNames" "no certificate of api.groq.com passes";
    "istio.yaml": "      sni: api.groq.com" => "      sni: api.grok.com", at "sni: api.grok": "warning" "tls.sni" "set sni: api.groq.com";
    "istio.yaml": "    hosts: [llm.example.com, api.groq.com]\n    tls" => "    hosts: [llm.example.com]\n    tls", at "hosts: [llm": "warning" "servers[0].hosts" "this Gateway has no such host";
    "istio.yaml": "    retries: {attempts: 0}   #" => "    timeout: 1m30s\n    retries: {attempts: 0}   #", at "timeout: 1m30s": "warning" "http[0].timeout" "still streaming";
    "istio.yaml": "INSERT_BEFORE" => "INSERT_AFTER", at "INSERT_AFTER": "warning" "patch.operation" "behind the router";
    "istio.yaml": "    match: {context: GATEWAY}\n    patch:\n      operation: ADD" => "    match: {context: SIDECAR_INBOUND}\n    patch:\n      operation: ADD", at "match: {context: SIDECAR": "warning" "configPatches[0].match" "the same context";
    "istio.yaml": "          - type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n" => "", at "type_urls": "error" "config_discovery.type_urls" "must list";
    "istio.yaml": "  hosts: [api.groq.com]\n  location" => "  hosts: [api.grok.com]\n  location", at "spec:\n  workloadSelector": "warning" "spec" "no ServiceEntry has the host api.groq.com";
    "istio.yaml": "  - route:\n    - destination: {host: no-provider" => "  - directResponse: {status: 404}\n  - route:\n    - destination: {host: no-provider", at "directResponse": "warning" "http[1].directResponse" "no request_body_buffer_limit";
    "envoy/istio/gateway.yaml": "4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6" => "0000000000000000000000000000000000000000000000000000000000000000",
        at "sha256: \"0000": "warning" "remote.sha256" "is a placeholder";
    // Envoy Gateway.
    "envoy-gateway.yaml": "value: true" => "value: false", at "operation: {op: add, jsonPath: \"..http": "warning" "operation.value" "set value: true";
    "envoy-gateway.yaml": "{op: add, jsonPath: \"..http" => "{op: replace, jsonPath: \"..http", at "op: replace": "warning" "operation.op" "not there before";
    "envoy-gateway.yaml": "value: 34603008" => "value: 1048576", at "value: 1048576": "warning" "operation.value" "set value: 34603008";
    "envoy-gateway.yaml": "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: llm}" => "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: other}",
        at "name: other": "warning" "targetRef.name" "this patches Gateway other";
    "envoy-gateway.yaml": "    name: default/llm/http\n    operation: {op: add, jsonPath: \"virtual" => "    name: llm/http\n    operation: {op: add, jsonPath: \"virtual",
        at "name: llm/http": "warning" "jsonPatches[1].name" "this patches nothing";
    "envoy-gateway.yaml": "[httproute/default/llm/rule/0]" => "[httproute/llm/rule/0]", at "upstream_clusters": "warning" "upstream_clusters" "calls no cluster so";
};

#[test]
fn slips_are_found_at_their_lines() {
    find_all("slips", SLIPS);
}

/// What Envoy or a mesh takes all the same.
#[test]
fn what_is_no_slip_has_no_finding() {
    for (number, (name, old, new)) in [
        ("envoy.yaml", "4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6", "4E8381805481DC7B1D066D747D1FD3E51ED40F6DBE7C6632AEF3DC02F478C4E6"),
        ("envoy.yaml", "          - name: openai-gateway-filter\n", "          - name: envoy.filters.http.ext_authz\n          - name: envoy.filters.http.compressor\n          - name: openai-gateway-filter\n"),
        ("envoy.yaml", "domains: [\"*\"]", "domains: [\"127.0.0.1:8000\", api.groq.com, \"*.openai.azure.com\"]"),
        ("envoy.yaml", "route_config:\n            virtual_hosts:\n            - name: gateway\n              domains: [\"*\"]",
         "route_config:\n            ignore_port_in_host_matching: true\n            virtual_hosts:\n            - name: gateway\n              domains: [127.0.0.1, api.groq.com, example.openai.azure.com]"),
        ("envoy.yaml", "exact: api.groq.com", "exact: \"*.groq.com\""),
        ("envoy.yaml", "exact: api.groq.com", "suffix: .groq.com"),
        ("envoy.yaml", "timeout: 0s}", "timeout: 600s, retry_policy: {retry_on: reset, per_try_idle_timeout: 60s}}"),
        ("envoy.yaml", "          stat_prefix: gateway\n", "          stat_prefix: gateway\n          upgrade_configs: [{upgrade_type: websocket}]\n"),
        ("fallback.yaml", "cluster_header: x-gateway-cluster, timeout: 0s}", "cluster_header: x-gateway-cluster, timeout: 0s, auto_host_rewrite: true, prefix_rewrite: /v1}"),
        ("envoy.yaml", "          stat_prefix: gateway\n",
         "          stat_prefix: gateway\n          access_log: [{name: x, typed_config: {log_format: {json_format: {idle_timeout: \"%DURATION%\", a_timeout: 5}}}}]\n"),
        ("envoy.yaml", "    type: STRICT_DNS\n", "    type: STRICT_DNS\n    metadata: {filter_metadata: {other: {a_timeout: 5, b_duration: long}}}\n"),
        ("fallback.yaml", "          - name: envoy.filters.http.local_ratelimit\n", "          - name: envoy.filters.http.decompressor\n          - name: envoy.filters.http.local_ratelimit\n"),
        ("istio.yaml", "port: {number: 443}}", "port: {number: 443}}\n      weight: 100"),
        ("istio.yaml", "    retries: {attempts: 0}   #", "    timeout: 1h\n    retries: {attempts: 0}   #"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = fs::read_to_string(root().join("tests/tool").join(name)).unwrap();
        assert!(text.contains(old), "{old} is not in {name}");
        let path = file(&format!("no-slip-{number}.yaml"), &text.replacen(old, new, 1));
        assert_eq!(check(&path), (0, Vec::new()), "{old} => {new}");
    }
}

/// What a ConfigMap holds for Envoy is read as Envoy reads it; a script beside it may be anything.
#[test]
fn a_configmaps_member_that_cannot_be_read_is_told() {
    let good = filled("envoy/kubernetes/gateway.yaml");
    let at =
        |text: &str, what: &str| text[..text.find(what).unwrap()].matches('\n').count() as u64 + 1;
    assert_eq!(check(&file("configmap.yaml", &good)), (0, Vec::new()));
    let broken = good.replacen("kind: vllm,", "kind: [vllm,", 1);
    let (status, findings) = check(&file("configmap.yaml", &broken));
    assert_eq!((status, findings.len()), (2, 1), "{findings:?}");
    let told = findings[0]["message"].as_str().unwrap();
    assert!(told.starts_with("filter.yaml: not valid YAML"), "{told}");
    let line = findings[0]["line"].as_u64().unwrap();
    assert!(
        (at(&broken, "kind: [vllm")..at(&broken, "kind: [vllm") + 60).contains(&line),
        "{line}"
    );
    // Beside it a page, a script, and JSON that is none.
    let beside = |member: &str| {
        let text = format!(
            "{good}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: beside}}\ndata:\n{member}"
        );
        (check(&file("beside.yaml", &text)), at(&text, "name: beside"))
    };
    for fine in
        ["  run.sh: |\n    a: [\n", "  page.html: \"<a: [>\"\n", "  x.json: |\n    {\"a\": 1}\n"]
    {
        assert_eq!(beside(fine).0, (0, Vec::new()), "{fine}");
    }
    for (wrong, line) in [
        ("  x.yaml: |\n    a: 1\n    b: [\n", 4),
        ("  x.yml: |\n    a: b: c\n", 3),
        ("  x.json: |\n    {\"a\": 1,\n    }\n", 4),
        ("  filter: |\n    openai-gateway: [\n", 3),
    ] {
        let ((status, findings), start) = beside(wrong);
        assert_eq!((status, findings.len()), (2, 1), "{wrong} {findings:?}");
        let told = findings[0]["line"].as_u64().unwrap();
        assert!((start + line - 1..=start + line + 2).contains(&told), "{wrong} {told} {start}");
    }
    // A Secret's text, as a ConfigMap's.
    let secret = good.replacen("kind: ConfigMap", "kind: Secret", 1).replacen(
        "\ndata:\n",
        "\nstringData:\n",
        1,
    );
    assert_eq!(check(&file("secret.yaml", &secret)), (0, Vec::new()));
}

#[test]
fn json_is_read_by_its_own_rules() {
    let (status, findings) = check(&file("comma.json", "{\"static_resources\": {},\n}\n"));
    assert_eq!((status, findings.len()), (2, 1));
    assert_eq!(findings[0]["line"], 2);
    assert!(findings[0]["message"].as_str().unwrap().starts_with("not valid JSON"));
}

#[test]
fn a_discovered_filter_that_is_nowhere_is_told() {
    let examples = root().join("examples/hot-reload");
    let [envoy, filter] =
        ["envoy.yaml", "filter.yaml"].map(|name| examples.join(name).display().to_string());
    let told = |arguments: &[&str]| String::from_utf8(run(arguments).stdout).unwrap();
    let alone = told(&["check", &envoy]);
    assert_eq!(
        alone.matches("(examples/hot-reload/filter.yaml), and are in none of the files").count(),
        2,
        "{alone}"
    );
    assert!(!told(&["check", &envoy, &filter]).contains("none of the files"));
    let other = fs::read_to_string(&filter)
        .unwrap()
        .replace("name: openai-gateway-filter", "name: openai-gateway");
    let other = file("other-filter.yaml", &other).display().to_string();
    let told = told(&["check", &envoy, &other]);
    assert!(
        told.contains("call the resource in it openai-gateway-filter. They hold openai-gateway"),
        "{told}"
    );
}

#[test]
fn a_pasted_key_is_not_shown() {
    let good = fs::read_to_string(root().join("tests/tool/settings.yaml")).unwrap();
    for (key, is_read) in [
        ("gsk_hush0123456789abcdef", true),
        ("sk-hush", false),
        ("hush/+==", false),
        ("9hush", false),
    ] {
        let path =
            file("pasted.yaml", &good.replacen("GROQ_API_KEY", key, 1)).display().to_string();
        for arguments in [
            &["check", &path][..],
            &["explain", &path, "--key", "search-team", "--model", "groq/llama-3.3-70b-versatile"],
            &[
                "explain",
                &path,
                "--key",
                "search-team",
                "--model",
                "groq/llama-3.3-70b-versatile",
                "--json",
            ],
        ] {
            let output = run(arguments);
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(!text.contains("hush") && !text.is_empty(), "{text}");
            assert_eq!(output.status.success(), is_read, "{text}");
            assert!(!String::from_utf8(output.stderr).unwrap().contains("hush"));
        }
    }
}

/// A split whose draws this key may use in part; and one of which it may use all that it is bound to.
#[test]
fn a_splits_refused_shares_are_told() {
    let good = fs::read_to_string(root().join("tests/tool/envoy.yaml")).unwrap();
    let text = good.replacen("BAAI/bge-m3\", fast", "BAAI/bge-m3\"", 1);
    let path = file("refused.yaml", &text).display().to_string();
    let explain = ["explain", &path, "--key", "search-team", "--model", "fast"];
    let answer: Value =
        serde_json::from_slice(&run(&[&explain[..], &["--json"]].concat()).stdout).unwrap();
    let lost =
        serde_json::json!([{"code": "model_not_allowed", "target": "vllm/small", "weight": 90}]);
    assert_eq!((&answer["decision"], &answer["refused"]), (&"route".into(), &lost));
    assert_eq!(
        (answer["targets"].as_array().unwrap().len(), &answer["targets"][0]["weight"]),
        (1, &10.into())
    );
    let text = String::from_utf8(run(&explain).stdout).unwrap();
    assert!(text.contains("refused     model_not_allowed for vllm/small, weight 90"), "{text}");
    // Of a provider that the key is not bound to, no draw is made.
    let old = "[\"groq/*\", \"BAAI/bge-m3\", fast]";
    let bound = good.replacen(old, "[\"groq/*\"]\n                      providers: [groq]", 1);
    assert_ne!(bound, good);
    let (status, findings) = check(&file("bound.yaml", &bound));
    assert_eq!((status, findings), (0, Vec::new()));
}

#[test]
fn an_id_is_refused_before_a_key_is_minted() {
    let long = "x".repeat(129);
    for (id, is_good) in
        [("a b", false), ("", false), ("ü", false), (long.as_str(), false), ("a@b:c", true)]
    {
        let output = run(&["vk", "new", "--id", id]);
        assert_eq!(output.status.code(), Some(if is_good { 0 } else { 2 }), "{id}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            told.contains("1 to 128 characters of printable ASCII without spaces"),
            !is_good,
            "{told}"
        );
        assert_eq!(output.stdout.is_empty(), !is_good);
    }
}

/// Codes that stand for a server's errors are told beside the gateway's own.
#[test]
fn the_reference_names_the_codes_of_servers_errors() {
    let text = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let source = |path: &str| fs::read_to_string(root().join("src").join(path)).unwrap();
    let between = |text: &str, begin: &str| {
        text.split(begin).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    for code in [
        between(&source("repair/error/context_length.rs"), "pub const CODE: &str = \""),
        between(&source("exchange/response/disclosure.rs"), "get_or_insert_with(|| \""),
    ] {
        assert!(text.contains(&format!("| `{code}` | 4")), "docs/reference.md lacks {code}");
    }
}
