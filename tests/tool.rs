//! The command-line tool, as an operator meets it: planted mistakes, each to be found at its line.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "tool/common.rs"]
#[macro_use]
mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Planted, TOOL, check, check_all, file, filled, find_all, root, run};
use serde_json::Value;

const PLANTED: &[Planted] = planted! {
    // The filter's own part, in Envoy's configuration.
    "envoy.yaml": "base_url: http://127" => "base-url: http://127", at "base-url":
        "error" "providers[0].base-url" "did you mean `base_url`";
    "envoy.yaml": "kind: vllm" => "kind: vlm", at "kind: vlm": "error" "providers[0].kind" "openai, vllm";
    "envoy.yaml": "name: azure" => "name: groq", at "name: groq\n                      base_url: https://example":
        "error" "providers[2].name" "the same as providers[1].name";
    "envoy.yaml": "base_url: https://api" => "base_url: api", at "base_url: api.groq":
        "error" "providers[1].base_url" "must begin with http";
    "envoy.yaml": "base_url: https://api.groq.com/openai/v1" => "cluster: groq",
        at "- name: groq\n                      cluster": "error" "providers[1].base_url" "missing";
    "envoy.yaml": "key_env: GROQ_API_KEY" => "key_env: GROQ_KEY", at "GROQ_KEY":
        "error" "providers[1].auth.key_env" "no environment variable of this name";
    "envoy.yaml": "header: x-key, " => "", at "mode: header": "error" "providers[2].auth.header" "missing";
    "envoy.yaml": "models: [llama" => "models: [7, llama", at "models: [7":
        "error" "providers[1].models[0]" "expected a string, got a number";
    "envoy.yaml": "key_sha256: 4e" => "key_sha256: xe", at "key_sha256: xe":
        "error" "virtual_keys[0].key_sha256" "64 hexadecimal digits";
    "envoy.yaml": "id: batch" => "id: search-team", at "id: search-team\n                      key_env":
        "error" "virtual_keys[1].id" "the same as virtual_keys[0].id";
    "envoy.yaml": "key_env: TEAM_KEY\n" => "revoked: false\n", at "- id: batch":
        "error" "virtual_keys[1]" "exactly one of";
    "envoy.yaml": "providers: [vllm]" => "providers: [vlm]", at "providers: [vlm]":
        "error" "virtual_keys[1].providers[0]" "no provider of this name";
    "envoy.yaml": "2040-01-01T00:00:00Z" => "tomorrow", at "tomorrow":
        "error" "virtual_keys[1].expires_at" "RFC 3339";
    "envoy.yaml": "models_allowed:" => "models_alowed:", at "models_alowed":
        "error" "virtual_keys[0].models_alowed" "did you mean `models_allowed`";
    "envoy.yaml": "gpt-4o: groq/" => "gpt-4o: grok/", at "grok/":
        "error" "virtual_keys[0].model_aliases.gpt-4o" "no provider of that name";
    "envoy.yaml": "weight: 10" => "weight: 0", at "weight: 0":
        "error" "model_aliases.fast[1].weight" "must be 1 or more";
    "envoy.yaml": "weight: 90" => "wieght: 90", at "wieght":
        "error" "model_aliases.fast[0].wieght" "did you mean `weight`";
    "envoy.yaml": "cache: {mode: respect}" => "cache: {mode: off}", at "mode: off":
        "error" "cache.mode" "expected a string, got a boolean";
    "envoy.yaml": "cache: {mode: respect}" => "cache:", at "cache:\n": "error" "cache" "got null";
    "envoy.yaml": "max_request_bytes: 33554432" => "max_request_bytes: 0", at "max_request_bytes: 0":
        "error" "limits.max_request_bytes" "must be 1 or more";
    "envoy.yaml": "routing: {cluster_header: x-g" => "routing: {cluster_header: host} #", at "routing: {":
        "error" "routing.cluster_header" "frames or routes the request";
    "envoy.yaml": "id: batch\n" => "id: batch\n                      id: other\n", at "id: other":
        "error" "virtual_keys[1].id" "given twice";
    // Envoy's own part.
    "envoy.yaml": "allow_on_headers_stop" => "allow_on_header_stop", at "allow_on_header_stop":
        "error" "allow_on_header_stop_iteration" "did you mean `allow_on_headers_stop_iteration`";
    "envoy.yaml": "                allow_on_headers_stop_iteration: true\n" => "", at "config:\n                name":
        "warning" "allow_on_headers_stop_iteration" "waits for ever";
    "envoy.yaml": "allow_on_headers_stop_iteration: true" => "allow_on_headers_stop_iteration: false", at "iteration: false":
        "warning" "allow_on_headers_stop_iteration" "waits for ever";
    "envoy.yaml": "FAIL_RELOAD" => "FAIL_OPEN", at "FAIL_OPEN": "warning" "failure_policy" "pass unchecked";
    "envoy.yaml": "failure_policy: FAIL_RELOAD" => "fail_open: true", at "fail_open: true":
        "warning" "fail_open" "failure_policy: FAIL_RELOAD";
    "envoy.yaml": "runtime.v8" => "runtime.wasmtime", at "runtime.wasmtime": "error" "runtime" "envoy.wasm.runtime.v8";
    "envoy.yaml": "google.protobuf.Struct" => "google.protobuf.Value", at "google.protobuf.Value":
        "error" "configuration[\"@type\"]" "google.protobuf.Struct";
    "envoy.yaml": "                  \"@type\": type.googleapis.com/google.protobuf.Struct\n" => "", at "configuration:\n":
        "error" "configuration" "\"@type\" is missing";
    "envoy.yaml": "host_env_keys" => "host_env_key", at "host_env_key:":
        "error" "environment_variables.host_env_key" "did you mean `host_env_keys`";
    "envoy.yaml": ", timeout: 0s" => "", at "route: {cluster_header": "warning" "route.timeout" "timeout: 0s";
    "envoy.yaml": "timeout: 0s" => "timeout: 30s", at "timeout: 30s": "warning" "route.timeout" "still streaming";
    "envoy.yaml": "cluster_header: x-gateway-cluster, timeout" => "cluster: groq, timeout", at "route: {cluster: groq":
        "warning" "routes[0].route" "set cluster_header: x-gateway-cluster";
    "envoy.yaml": "cluster_header: x-gateway-cluster, timeout" => "cluster_header: x-cluster, timeout", at "x-cluster":
        "warning" "routes[0].route" "routing.cluster_header: x-cluster";
    "envoy.yaml": "match: {prefix: /}" => "match: {prefix: /v1}", at "routes:":
        "warning" "virtual_hosts[0].routes" "path /openai/v1/chat/completions";
    "envoy.yaml": "domains: [\"*\"]" => "domains: [llm.example.com]", at "virtual_hosts:":
        "warning" "route_config.virtual_hosts" "domains: [\"*\"]";
    "envoy.yaml": "              request_body_buffer_limit: 34603008\n" => "", at "- name: gateway\n              domains":
        "warning" "request_body_buffer_limit" "34603008";
    "envoy.yaml": "request_body_buffer_limit: 34603008" => "request_body_buffer_limit: 1048576", at "limit: 1048576":
        "warning" "request_body_buffer_limit" "set request_body_buffer_limit: 34603008";
    "envoy.yaml": "clusters:\n  - name: vllm" => "clusters:\n  - name: vlm", at "- name: vllm\n":
        "warning" "providers[0].name" "no cluster vllm";
    "envoy.yaml": "cluster: groq\n" => "cluster: azure\n", at "cluster: azure": "warning" "providers[2].cluster" "no cluster azure";
    "envoy.yaml": "    transport_socket:" => "    metadata:", at "- name: groq\n    type":
        "warning" "transport_socket" "speaks plain text";
    "envoy.yaml": "stream_idle_timeout: 600s" => "stream_idle_timeout: 15s", at "idle_timeout: 15s":
        "warning" "stream_idle_timeout" "600s";
    "envoy.yaml": "key_env: GROQ_API_KEY}" => "key: hush-hush-hush}", at "hush-hush":
        "warning" "providers[1].auth.key" "use key_env";
    "envoy.yaml": "key_sha256: 4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6" => "key: hush-hush-hush",
        at "hush-hush": "warning" "virtual_keys[0].key" "use key_sha256";
    "envoy.yaml": "BAAI/bge-m3\", fast" => "BAAI/bge-m3\"", at "models_allowed":
        "warning" "virtual_keys[0].models_allowed" "only some targets are allowed";
    "envoy.yaml": "2040-01-01" => "2020-01-01", at "2020-01-01": "warning" "virtual_keys[1].expires_at" "has passed";
    "envoy.yaml": "base_url: https://example" => "base_url: http://example", at "base_url: http://example":
        "warning" "providers[2].base_url" "in the clear";
    "envoy.yaml": "key_env: AZURE_KEY}\n                    virtual_keys:\n" =>
        "key_env: AZURE_KEY}\n                      stream_usage: false\n                    usage: {mode: require}\n                    virtual_keys:\n",
        at "stream_usage: false": "warning" "providers[2].stream_usage" "their tokens are estimated";
    "envoy.yaml": "[\"groq/*\"" => "[\"groq/llama-2\"", at "groq/llama-2":
        "warning" "virtual_keys[0].models_allowed[0]" "allows nothing";
    "envoy.yaml": "providers: [vllm]\n" => "providers: [vllm]\n                      models_allowed: [small, \"groq/*\"]\n", at "models_allowed: [small":
        "warning" "virtual_keys[1].models_allowed[1]" "allows nothing: the key is not bound to provider groq";
    "settings.yaml": "  providers: [vllm]\n" => "  providers: [groq]\n  models_allowed: [fast, llama-2]\n", at "models_allowed: [fast":
        "warning" "virtual_keys[1].models_allowed[1]" "it is no alias, and no provider of the key lists it";
    // What no request can ask for.
    "envoy.yaml": "gpt-4o: groq/" => "\"gpt-4o,x\": groq/", at "gpt-4o,x":
        "error" "virtual_keys[0].model_aliases[\"gpt-4o,x\"]" "no request can ask for this alias";
    "envoy.yaml": "                      fast:\n" => "                      \"fast?x*\": vllm/m\n                      fast:\n", at "fast?x":
        "error" "model_aliases[\"fast?x*\"]" "no request can ask for this alias";
    "envoy.yaml": "target: vllm/small" => "target: vllm/../small", at "vllm/../small":
        "error" "model_aliases.fast[0].target" "a segment `.` or `..`";
    "envoy.yaml": "models: [llama" => "models: [\"a|b\", llama", at "models: [\"a|b":
        "warning" "providers[1].models[0]" "only an alias can lead to this model";
    "envoy.yaml": "models: [llama" => "models: [\"a/../b\", llama", at "models: [\"a/":
        "error" "providers[1].models[0]" "no request can ask for this model";
    "envoy.yaml": "\"BAAI/bge-m3\", fast" => "\"BAAI/%2e%2e/*\", fast", at "models_allowed":
        "error" "virtual_keys[0].models_allowed[1]" "no request can ask for what this entry allows";
    "envoy.yaml": "name: azure" => "name: ..", at "name: ..": "error" "providers[2].name" "no request can ask for a model of it";
    "fallback.yaml": "fallback: [groq/llama" => "fallback: [groq/%2e%2e/llama", at "groq/%2e": "error" "fallback[0]" "no request is sent for this target";
    "envoy.yaml": "                route: {clus" => "                typed_per_filter_config: {openai-gateway-filter: {}}\n                route: {clus",
        at "typed_per_filter_config": "warning" "typed_per_filter_config.openai-gateway-filter" "pass unchecked";
    "envoy.yaml": "          - name: openai-gateway-filter\n" => "          - name: openai-gateway-filter\n            disabled: true\n",
        at "disabled: true": "warning" "disabled" "unchecked";
    "envoy.yaml": "cluster_header: x-gateway-cluster, " => "cluster_header: x-gateway-cluster, request_mirror_policies: [{cluster: vllm}], ",
        at "request_mirror": "warning" "request_mirror_policies" "credential";
    // Other forms.
    "settings.yaml": "virtual_keys:" => "virtual_key:", at "virtual_key:": "error" "virtual_key" "did you mean `virtual_keys`";
    "settings.yaml": "kind: vllm" => "kind: 7", at "kind: 7": "error" "providers[0].kind" "expected a string";
    "settings.json": "\"id\": \"search-team\"," => "\"id\": \"search team\",", at "search team":
        "error" "virtual_keys[0].id" "without spaces";
    "string.yaml": "\"kind\": \"vllm\"" => "\"kind\": \"vlm\"", at "\"vlm\"": "error" "providers[0].kind" "openai, vllm";
    "string.yaml": "\"virtual_keys\"" => "\"virtual_key\"", at "\"virtual_key\"": "error" "virtual_key" "`virtual_keys`";
    "string.yaml": "vllm:8000\"}" => "vllm:8000\"},", at "],\n            \"virtual": "error" "configuration" "not valid JSON";
    "istio.yaml": "retries: {attempts: 0}" => "timeout: 0s", at "timeout: 0s": "error" "timeout" "Istio refuses 0s";
    "istio.yaml": "hosts: [llm.example.com, api.groq.com]\n  gateways" => "hosts: [llm.example.com]\n  gateways",
        at "hosts: [llm.example.com]\n  gateways": "warning" "spec.hosts" "api.groq.com";
    "istio.yaml": "key_env: GROQ_API_KEY" => "key_evn: GROQ_API_KEY", at "key_evn": "error" "providers[0].auth.key_evn" "`key_env`";
    "envoy-gateway.yaml": "        upstream_clusters: [httproute/default/llm/rule/0]\n" => "", at "- name: vllm":
        "warning" "providers[0].upstream_clusters" "refused as misrouted";
    "envoy-gateway.yaml": "address: 10.0.0.7" => "address: 127.0.0.2", at "ip: {address": "warning" "ip.address" "refuses loopback";
    "envoy-gateway.yaml": "kind: Gateway, name: llm}]\n  wasm" => "kind: HTTPRoute, name: llm}]\n  wasm", at "kind: HTTPRoute": "warning" "kind" "target the Gateway";
    "envoy-gateway.yaml": "allow_on_headers_stop_iteration" => "allow", at "- name: openai": "warning" "wasm[0]" "waits for ever";
    "envoy-gateway.yaml": "request_body_buffer_limit" => "buffers", at "- name: openai": "warning" "wasm[0]" "32 KiB";
    // Filters beside ours.
    "envoy.yaml": "          http_filters:\n" => "          http_filters:\n          - name: envoy.filters.http.jwt_authn\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, providers: {login: {issuer: i,\n              forward: true}}}\n",
        at "forward: true": "warning" "login.forward" "set forward: false";
    "envoy.yaml": "          - name: envoy.filters.http.router" => "          - name: unpack\n            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor}\n          - name: envoy.filters.http.router",
        at "name: unpack": "warning" "http_filters[1].name" "compressed answers never end";
    "envoy.yaml": "          - name: envoy.filters.http.router" => "          - name: envoy.filters.http.cors\n          - name: envoy.filters.http.router",
        at "name: envoy.filters.http.cors": "warning" "http_filters[1].name" "preflights";
    // What a file does not tell.
    "envoy.yaml": "match: {prefix: /}" => "match: {safe_regex: {regex: \"/.*\"}}", at "routes:":
        "warning" "virtual_hosts[0].routes" "does not understand safe_regex in the match of routes[0]";
    "envoy.yaml": "match: {prefix: /}" => "match: {prefix: /, headers: [{name: x-tenant, string_match: {exact: a}}]}", at "routes:":
        "warning" "virtual_hosts[0].routes" "the header x-tenant in the match";
    "envoy.yaml": "match: {prefix: /}" => "match: {prefix: /, headers: [{name: \":method\", string_match: {exact: GET}}]}", at "routes:":
        "warning" "virtual_hosts[0].routes" "no route matches";
    "envoy.yaml": "match: {prefix: /}" => "match: {prefix: /, runtime_fraction: {default_value: {numerator: 5}}}", at "routes:":
        "warning" "virtual_hosts[0].routes" "runtime_fraction";
    "envoy.yaml": "          route_config:\n" => "          rds: {route_config_name: r}\n          x:\n", at "rds:": "warning" "rds" "come by RDS and are not checked";
    "envoy.yaml": "static_resources:\n" => "dynamic_resources: {cds_config: {ads: {}}}\nstatic_resources:\n", at "dynamic_resources": "warning" "cds_config" "come by CDS and are not checked";
    "fallback.yaml": "  - name: groq\n    type: LOGICAL_DNS\n" => "  - name: groq\n    type: EDS\n    eds_cluster_config: {eds_config: {ads: {}}}\n", at "eds_cluster_config":
        "warning" "eds_cluster_config" "come by EDS and are not checked";
    // Two positions.
    "fallback.yaml": "                  cluster: over\n                  timeout" => "                  cluster: vllm\n                  timeout", at "route:\n                  cluster: vllm":
        "warning" "routes[0].route" "requests of alias claude-*";
    "fallback.yaml": "match: {prefix: /v1}" => "match: {prefix: /openai/v1}", at "routes:":
        "warning" "routes" "path /v1/chat/completions";
    "fallback.yaml": "            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n              upstream_http_filters:" =>
        "            x:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n              upstream:",
        at "claude-*": "warning" "model_aliases[\"claude-*\"]" "upstream_http_filters";
    "fallback.yaml": "routing: {cluster_header: x-gateway-cluster}" => "routing: {positions: 1}", at "routing: {":
        "error" "routing.positions" "must be 2";
    // Whose a fallback's hosts are.
    "fallback.yaml": "          metadata: {filter_metadata: {openai-gateway: {provider: vllm}}}\n" => "", at "- endpoint: {address: {socket_address: {address: 127":
        "warning" "metadata" "set metadata: {filter_metadata: {openai-gateway: {provider: vllm}}}";
    "fallback.yaml": "{openai-gateway: {provider: groq}}" => "{openai-gateway: {provider: grok}}", at "provider: grok":
        "warning" "metadata" "grok is no provider of the fallback";
    "fallback.yaml": "{openai-gateway: {provider: groq}}" => "{openai-gateway: {provider: azure}}", at "provider: azure":
        "warning" "metadata" "every attempt at it ends in 500";
    "fallback.yaml": "{openai-gateway: {provider: groq}}" => "{openai-gateway: {provider: 7}}", at "provider: 7":
        "warning" "metadata" "must be a text";
    "fallback.yaml": "{openai-gateway: {provider: groq}}" => "{openai_gateway: {provider: groq}}", at "{openai_gateway":
        "warning" "metadata" "does not say whose it is";
    "fallback.yaml": "{name: groq}, {name: vllm}" => "{name: groq}, {name: vlm}", at "{name: vlm}":
        "warning" "clusters[1].name" "no cluster vlm";
    // A cluster's own filters take the place of the router's.
    "fallback.yaml": "  - name: groq\n    type: LOGICAL_DNS\n" => "  - name: groq\n    type: LOGICAL_DNS\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        http_filters: [{name: envoy.filters.http.upstream_codec}]\n",
        at "http_filters: [": "warning" "http_filters" "requests to cluster groq go without any credential";
    "fallback.yaml": "    lb_policy: CLUSTER_PROVIDED\n" => "    lb_policy: CLUSTER_PROVIDED\n    typed_extension_protocol_options: {o: {\"@type\": x/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, http_filters: [{name: other}, {name: envoy.filters.http.upstream_codec}]}}\n",
        at "http_filters: [": "warning" "http_filters" "put what they do into the router's upstream_http_filters";
    "fallback.yaml": "              upstream_http_filters:\n" => "              upstream:\n", at "claude-*":
        "warning" "model_aliases[\"claude-*\"]" "upstream_http_filters";
    // Whether the next provider is asked.
    "fallback.yaml": "                  retry_policy:\n" => "                  x:\n", at "route:\n                  cluster: over":
        "warning" "route.retry_policy" "claude-* never falls back here: set retry_policy: {retry_on";
    "fallback.yaml": "                  retry_policy:\n" => "                  hedge_policy: {hedge_on_per_try_timeout: true}\n                  retry_policy:\n", at "hedge_policy":
        "warning" "route.hedge_policy" "before any head, or crashes";
    "fallback.yaml": "composite.v3.ClusterConfig\n        clusters: [{name: groq}, {name: vllm}]" => "aggregate.v3.ClusterConfig\n        clusters: [groq, vllm]",
        at "retry_policy:": "warning" "retry_policy.retry_priority" "over is an aggregate cluster, and each attempt of alias claude-* goes to its first provider";
    "fallback.yaml": "    cluster_type:\n      name: envoy.clusters.composite" => "    load_assignment: {endpoints: [{priority: 0}, {priority: 1}]}\n    x:\n      name: envoy.clusters.composite",
        at "retry_policy:": "warning" "retry_policy.retry_priority" "previous_priorities";
    "fallback.yaml": "                    num_retries: 1\n" => "                    num_retries: 0\n", at "num_retries: 0":
        "warning" "retry_policy.num_retries" "set num_retries: 1: alias claude-* has 2 targets";
    "fallback.yaml": "fallback: [groq/llama-3.3-70b-versatile, vllm/small]\n" => "fallback: [groq/llama-3.3-70b-versatile, vllm/small, azure/m]\n", at "num_retries: 1":
        "warning" "retry_policy.num_retries" "set num_retries: 2: alias claude-* has 3 targets, and Envoy asks another one 1 times";
    "fallback.yaml": "{fallback: [groq/llama-3.3-70b-versatile, vllm/small], " => "{fallback: [groq/llama-3.3-70b-versatile, vllm/small, azure/m], ", at "num_retries: 1":
        "warning" "retry_policy.num_retries" "alias mixed has 3 targets";
    "fallback.yaml": "                    num_retries: 1\n" => "                    num_retries: 2\n", at "num_retries: 2":
        "warning" "retry_policy.num_retries" "set num_retries: 1: alias claude-* has 2 targets, and where all fail";
    "fallback.yaml": "                    per_try_idle_timeout: 300s\n" => "", at "retry_policy:":
        "warning" "retry_policy.per_try_idle_timeout" "where a provider is silent";
    "fallback.yaml": "  - name: groq\n    type: LOGICAL_DNS\n    transport_socket:" => "  - name: groq\n    type: LOGICAL_DNS\n    metadata:", at "- name: groq\n    type":
        "warning" "transport_socket" "speaks plain text: set transport_socket (envoy.transport_sockets.tls) on cluster groq";
    "fallback.yaml": "fallback: [groq/llama-3.3-70b-versatile, vllm/small]\n                        cluster: over\n                      mixed" => "fallback: [groq/llama-3.3-70b-versatile, vllm/small, azure/m]\n                        cluster: over\n                      mixed", at "clusters: [{name: groq}":
        "warning" "typed_config.clusters" "over has 2 clusters, and alias claude-* has 3 targets";
    "fallback.yaml": "retry_on: 5xx,reset,connect-failure,refused-stream,retriable-status-codes" => "retry_on: reset,connect-failure,refused-stream,retriable-status-codes", at "retry_on":
        "warning" "retry_policy.retry_on" "does not fall back at a server's error";
    "fallback.yaml": "retry_on: 5xx,reset,connect-failure,refused-stream,retriable-status-codes" => "retry_on: \"gateway-error, reset\"", at "retry_on":
        "warning" "retry_policy.retry_on" "a quota that is spent";
    "fallback.yaml": "408, 424, 429, 499]" => "408, 429]", at "retriable_status_codes":
        "warning" "retry_policy.retriable_status_codes" "add [424, 499] to retriable_status_codes: alias claude-*";
    "fallback.yaml": "                    retriable_status_codes: [401, 402, 403, 404, 408, 424, 429, 499]\n" => "", at "retry_policy:":
        "warning" "retry_policy.retriable_status_codes" "add [401, 402, 403, 404, 408, 424, 429, 499]";
    "fallback.yaml": "    circuit_breakers: {thresholds: [{max_retries: 1024}]}\n" => "", at "- name: over":
        "warning" "circuit_breakers" "three retries at a time";
    "fallback.yaml": "[{max_retries: 1024}]" => "[{max_requests: 1024}, {priority: HIGH, max_retries: 1024}]", at "circuit_breakers":
        "warning" "circuit_breakers" "three retries at a time";
    // Whether attempt n is target n's.
    "fallback.yaml": "{name: groq}, {name: vllm}" => "{name: vllm}, {name: groq}", at "clusters: [{name: vllm}":
        "warning" "typed_config.clusters" "attempt 1 of alias claude-* goes to vllm, and not to its target 1";
    "fallback.yaml": "{name: groq}, {name: vllm}" => "{name: groq}, {name: azure}, {name: vllm}", at "clusters: [{name: groq}":
        "warning" "typed_config.clusters" "attempt 2 of alias claude-* goes to azure";
    "fallback.yaml": "{name: groq}, {name: vllm}" => "{name: groq}", at "clusters: [{name: groq}":
        "warning" "typed_config.clusters" "over has 1 clusters, and alias mixed has 2 targets";
    "fallback.yaml": "composite.v3.ClusterConfig\n        clusters: [{name: groq}, {name: vllm}]" => "aggregate.v3.ClusterConfig\n        clusters: [vllm, groq]",
        at "clusters: [vllm": "warning" "typed_config.clusters" "put the clusters of over into the fallback's order (groq, vllm)";
    "fallback.yaml": "    cluster_type:\n      name: envoy.clusters.composite" => "    load_assignment: {endpoints: [{priority: 1, lb_endpoints: [{metadata: {filter_metadata: {openai-gateway: {provider: groq}}}}]}, {lb_endpoints: [{metadata: {filter_metadata: {openai-gateway: {provider: vllm}}}}]}]}\n    x:\n      name: envoy.clusters.composite",
        at "load_assignment: {endpoints: [{priority: 1": "warning" "load_assignment" "attempt 1 of alias claude-* goes to vllm";
    "fallback.yaml": "    cluster_type:\n      name: envoy.clusters.composite" => "    load_assignment: {endpoints: [{lb_endpoints: [{metadata: {filter_metadata: {openai-gateway: {provider: groq}}}}, {metadata: {filter_metadata: {openai-gateway: {provider: vllm}}}}]}]}\n    x:\n      name: envoy.clusters.composite",
        at "load_assignment: {endpoints: [{lb": "warning" "load_assignment" "over has 1 priorities";
    // Whose key a host gets.
    "fallback.yaml": "{openai-gateway: {provider: groq}}" => "{openai-gateway: {provider: vllm}}", at "{provider: vllm}}}\n  - name: azure":
        "warning" "metadata" "cluster groq is groq's, and this host says that it is vllm's: in a fallback of both it gets vllm's key";
    "fallback.yaml": "{openai-gateway: {provider: vllm}}" => "{openai-gateway: {provider: groq}}", at "metadata: {filter_metadata: {openai-gateway: {provider: groq}}}":
        "warning" "metadata" "cluster vllm is vllm's";
    "fallback.yaml": "address: example.openai.azure.com, port_value: 443}}}}" => "address: example.openai.azure.com, port_value: 443}}}, metadata: {filter_metadata: {openai-gateway: {provider: groq}}}}", at "endpoints: [{lb_endpoints":
        "warning" "metadata" "cluster azure is azure's";
    "fallback.yaml": "cluster: azure\n" => "cluster: groq\n", at "metadata: {filter_metadata: {openai-gateway: {provider: groq}}}":
        "warning" "metadata" "requests of provider azure come to this host of cluster groq as well";
    // Whether a credential is sent to the one whose it is.
    "fallback.yaml": "  - name: groq\n    type: LOGICAL_DNS\n" => "  - name: groq\n    type: LOGICAL_DNS\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        upstream_http_protocol_options: {auto_sni: true, auto_san_validation: true}\n", at "upstream_http_protocol_options":
        "warning" "upstream_http_protocol_options.auto_sni" "for what comes by cluster over Envoy does not read it here, or (before 1.40) takes the client's Host: leave it out of cluster groq, and set sni: api.groq.com";
    "fallback.yaml": "  - name: groq\n    type: LOGICAL_DNS\n" => "  - name: groq\n    type: LOGICAL_DNS\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        upstream_http_protocol_options: {auto_san_validation: true}\n", at "upstream_http_protocol_options":
        "warning" "upstream_http_protocol_options.auto_san_validation" "matcher: {exact: api.groq.com}";
    "fallback.yaml": "    lb_policy: CLUSTER_PROVIDED\n" => "    lb_policy: CLUSTER_PROVIDED\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        upstream_http_protocol_options: {auto_sni: true}\n", at "upstream_http_protocol_options":
        "warning" "upstream_http_protocol_options.auto_sni" "one name for all providers of over";
    "fallback.yaml": "  - name: azure\n    type: LOGICAL_DNS\n" => "  - name: azure\n    type: LOGICAL_DNS\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        upstream_http_protocol_options: {auto_sni: true}\n", at "upstream_http_protocol_options":
        "warning" "upstream_http_protocol_options.auto_sni" "from the client's Host: leave it out of cluster azure, and set sni: example.openai.azure.com";
    "fallback.yaml": "        auto_sni_san_validation: true\n" => "", at "common_tls_context: {validation_context: {system":
        "warning" "validation_context.match_typed_subject_alt_names" "cluster azure takes a certificate of any name";
    "envoy.yaml": "\n            match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: api.groq.com}}]" => "", at "validation_context:":
        "warning" "validation_context.match_typed_subject_alt_names" "whoever has one can read the credential";
    "envoy.yaml": "            trusted_ca: {filename: /etc/ssl/certs/ca-certificates.crt}\n" => "", at "validation_context:":
        "warning" "common_tls_context.validation_context" "cluster groq checks no certificate";
    "envoy.yaml": "            trusted_ca: {filename" => "            trust_chain_verification: ACCEPT_UNTRUSTED\n            trusted_ca: {filename", at "validation_context:":
        "warning" "common_tls_context.validation_context" "checks no certificate";
    "envoy.yaml": "        common_tls_context:\n" => "        x:\n", at "typed_config:\n        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets":
        "warning" "common_tls_context" "checks no certificate";
    "envoy.yaml": "          validation_context:\n" => "          validation_context_sds_secret_config: {name: ca}\n          x:\n", at "validation_context_sds":
        "warning" "common_tls_context.validation_context_sds_secret_config" "comes by SDS and is not checked here";
    // Limits that count what nobody tells.
    "fallback.yaml": "usage: {mode: require}" => "usage: {mode: off}", at "mode: off": "error" "usage.mode" "expected a string";
    "fallback.yaml": "usage: {mode: require}" => "usage: {mode: observe}", at "hits_addend":
        "warning" "hits_addend.format" "comes in pieces";
    "fallback.yaml": "usage: {mode: require}" => "usage: {mode: 'off'}", at "hits_addend":
        "warning" "hits_addend.format" "reads gateway_estimate";
    "fallback.yaml": "                    usage: {mode: require}\n" => "", at "text: \"filter_state":
        "warning" "typed_config.text" "Set usage: {mode: require}";
    "fallback.yaml": "                    usage: {mode: require}\n                    limits" => "                    limits", at "hits_addend":
        "warning" "hits_addend.format" "virtual key search-team";
    "envoy.yaml": "              routes:\n" => "              rate_limits: [{actions: [{request_headers: {header_name: x, descriptor_key: y}}], hits_addend: {format: \"%FILTER_STATE(wasm.gateway_total_tokens:PLAIN)%\"}}]\n              routes:\n",
        at "rate_limits: [": "warning" "hits_addend.format" "reads gateway_total_tokens";
    // The native module.
    "native.yaml": "distroless-v1.39.3" => "v1.38.3", at "typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.dynamic":
        "error" "typed_config" "take Envoy 1.39 or later, or the wasm module";
    "native.yaml": "distroless-v1.39.3" => "distroless-v1.37-latest", at "typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.dynamic":
        "error" "typed_config" "does not load the native module";
    "native.yaml": "kind: vllm}" => "kind: vlm}", at "kind: vlm}": "error" "providers[0].kind" "openai, vllm";
    "native.yaml": "dynamic_module_config: {name" => "dynamic_module_config: {nam", at "dynamic_module_config":
        "error" "dynamic_module_config" "libopenai_gateway_filter.so";
    "native.yaml": "filter_config:\n" => "configuration:\n", at "typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.dynamic":
        "error" "filter_config" "missing";
    "native.yaml": "positions: 2" => "positions: 1", at "positions: 1": "warning" "routing.positions" "set routing.positions: 2";
    "native.yaml": "              - *gateway\n" => "", at "positions: 2": "warning" "routing.positions" "upstream_http_filters";
    "istio.yaml": "request_body_buffer_limit: 34603008" => "include_request_attempt_count: false", at "configPatches":
        "warning" "spec.configPatches" "request_body_buffer_limit";
};

#[test]
fn good_files_have_no_finding() {
    for name in [
        "envoy.yaml",
        "fallback.yaml",
        "native.yaml",
        "settings.yaml",
        "settings.json",
        "string.yaml",
        "istio.yaml",
        "envoy-gateway.yaml",
    ] {
        let (status, findings) = check(&root().join("tests/tool").join(name));
        assert_eq!((status, findings), (0, Vec::new()), "{name}");
    }
}

#[test]
fn every_planted_mistake_is_found_at_its_line() {
    assert!(PLANTED.len() >= 40);
    find_all("planted", PLANTED);
}

/// Metrics and spans by a header that no answer has would be silent.
#[test]
fn headers_that_no_answer_has_are_not_read() {
    let good = fs::read_to_string(root().join("observability/envoy.yaml")).unwrap();
    assert_clean(&root().join("observability/envoy.yaml"));
    let (provider, model) = ("reads x-langwatch-provider: ", "reads x-langwatch-model: ");
    for (number, (settings, told, silent)) in [
        ("answer_headers: [model]", Some("wasm.gateway_provider"), model),
        ("answer_headers: [provider]", Some("wasm.gateway_model"), provider),
        ("answer_headers: [provider, model]", None, "reads x-langwatch"),
        ("header_prefix: x-acme", Some("it is called x-acme-provider"), "answer_headers"),
    ]
    .into_iter()
    .enumerate()
    {
        let with = format!(
            "                    {settings}\n                    usage: {{mode: require}}\n"
        );
        let text = good.replacen("                    usage: {mode: require}\n", &with, 1);
        assert_ne!(text, good);
        let (status, findings) = check(&file(&format!("loggers-{number}.yaml"), &text));
        let all: Vec<&str> =
            findings.iter().map(|finding| finding["message"].as_str().unwrap()).collect();
        assert_eq!(status, 0, "{all:?}");
        assert_eq!(
            all.iter().any(|why| told.is_some_and(|told| why.contains(told))),
            told.is_some(),
            "{all:?}"
        );
        assert!(!all.iter().any(|why| why.contains(silent)), "{all:?}");
        // Each place by its line: the label of the metrics, and the span's.
        let places = findings.iter().filter(|finding| finding["severity"] == "warning");
        assert!(told.is_none() || places.count() >= 2, "{findings:?}");
    }
}

/// Istio's clusters, routes and rules are held against the same.
#[test]
fn mistakes_of_a_mesh_are_found() {
    let good = filled("envoy/istio/two-positions.yaml");
    for (old, new, at, message) in [
        (
            "            sni: api.groq.com\n            common",
            "            auto_host_sni: true\n            common",
            "",
            "",
        ),
        (
            "                match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: api.groq.com}}]\n",
            "",
            "validation_context:",
            "cluster llm-groq takes a certificate of any name",
        ),
        (
            "      sni: api.groq.com\n",
            "",
            "tls:\n      mode",
            "set sni: api.groq.com: without it Istio lets Envoy take the name",
        ),
        (
            "      subjectAltNames: [api.groq.com]\n",
            "",
            "tls:\n      mode",
            "set subjectAltNames: [api.groq.com]",
        ),
        (
            "{provider: groq}",
            "{provider: vllm}",
            "clusters: [{name: llm-groq}",
            "attempt 1 of alias fast goes to vllm",
        ),
        (
            "{provider: groq}",
            "{provider: grok}",
            "metadata: {filter_metadata: {openai-gateway: {provider: grok",
            "grok is no provider of the fallback",
        ),
        (
            "[{name: llm-groq}, {name: llm-vllm}]",
            "[{name: llm-vllm}, {name: llm-groq}]",
            "clusters: [{name: llm-vllm}",
            "put the clusters of llm-fast into the fallback's order",
        ),
        (
            "[{name: llm-groq}, {name: llm-vllm}]",
            "[{name: llm-groq}, {name: llm-vlm}]",
            "{name: llm-vlm}",
            "no cluster llm-vlm",
        ),
        (
            "circuit_breakers: {thresholds: [{max_retries: 1024}]}",
            "alt_stat_name: over",
            "value:\n        name: llm-fast",
            "three retries at a time",
        ),
        (
            "attempts: 1  # providers",
            "attempts: 0  # providers",
            "attempts: 0  # providers",
            "set attempts: 1: alias fast has 2 targets",
        ),
        (
            "attempts: 1  # providers",
            "attempts: 2  # providers",
            "attempts: 2  # providers",
            "set attempts: 1: alias fast has 2 targets, and where all fail",
        ),
        ("retryOn: 5xx,", "retryOn: ", "retryOn: reset", "does not fall back at a server's error"),
        (
            "404,408,424,429",
            "404,408,429",
            "retryOn: 5xx",
            "add [424] to retryOn, or by an EnvoyFilter",
        ),
        (
            "retriable_status_codes: [499]",
            "num_retries: 1",
            "retryOn: 5xx",
            "add [499] to retryOn, or by",
        ),
        (
            "per_try_idle_timeout: 300s, ",
            "",
            "retries:\n      attempts",
            "where a provider is silent",
        ),
        (
            "value:\n        name: llm-fast\n",
            "value:\n        name: llm-first\n",
            "spec:\n  workloadSelector",
            "no EnvoyFilter adds the cluster llm-fast",
        ),
    ] {
        assert!(good.contains(old), "{old} is not in the manifest");
        let text = good.replacen(old, new, 1);
        let (status, findings) = check(&file("mesh.yaml", &text));
        let told = |it: &Value| it["message"].as_str().unwrap().contains(message);
        if message.is_empty() {
            assert_eq!((status, findings), (0, Vec::new()), "{new}");
            continue;
        }
        let found = findings.iter().find(|it| told(it));
        let found = found.unwrap_or_else(|| panic!("{old} => {new}: {findings:#?}"));
        let line = text[..text.find(at).unwrap()].matches('\n').count() as u64 + 1;
        assert_eq!(found["line"], line, "{new}: {found}");
    }
}

/// Other ways to hold a provider's certificate against its name, and to say whose a host is.
#[test]
fn what_is_as_good_has_no_finding() {
    const GROQ: &str = "  - name: groq\n    type: LOGICAL_DNS\n";
    const AUTO: &str = "    typed_extension_protocol_options: {o: {\"@type\": \
        type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
        upstream_http_protocol_options: {auto_sni: true, auto_san_validation: true}}}\n";
    const SAN: &str = "\n            match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: api.groq.com}}]";
    let auto = format!("{GROQ}{AUTO}");
    let cases: [(&str, &[(&str, &str)]); 7] = [
        // In one position the filter has set the provider's host when Envoy reads it.
        ("envoy.yaml", &[(GROQ, &auto), (SAN, ""), ("        sni: api.groq.com\n", "")]),
        (
            "fallback.yaml",
            &[
                ("  - name: azure\n    type: LOGICAL_DNS\n", &auto.replace("groq", "azure")),
                ("        auto_sni_san_validation: true\n", ""),
                ("routing: {cluster", "routing: {authority: filter, cluster"),
            ],
        ),
        (
            "envoy.yaml",
            &[(
                SAN,
                "\n            verify_certificate_spki: [NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=]",
            )],
        ),
        (
            "envoy.yaml",
            &[
                (
                    "          validation_context:\n",
                    "          validation_context_sds_secret_config: {name: ca}\n          x:\n",
                ),
                (
                    "static_resources:\n",
                    "static_resources:\n  secrets: [{name: ca, validation_context: {system_root_certs: {}, \
                     match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: api.groq.com}}]}}]\n",
                ),
            ],
        ),
        (
            "fallback.yaml",
            &[("[{max_retries: 1024}]", "[{retry_budget: {budget_percent: {value: 50}}}]")],
        ),
        (
            "fallback.yaml",
            &[
                ("retry_on: 5xx,", "retry_on: \"gateway-error, 5xx,"),
                ("retriable-status-codes\n", "retriable-status-codes\"\n"),
            ],
        ),
        // One provider's cluster needs no metadata where no fallback leads there.
        (
            "fallback.yaml",
            &[(
                "port_value: 443}}}}]}]\n",
                "port_value: 443}}}, metadata: {filter_metadata: {openai-gateway: {provider: azure}}}}]}]\n",
            )],
        ),
    ];
    for (number, (name, changes)) in cases.into_iter().enumerate() {
        let mut text = fs::read_to_string(root().join("tests/tool").join(name)).unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "{old} is not in {name}");
            text = text.replacen(old, new, 1);
        }
        assert_eq!(
            check(&file(&format!("good-{number}.yaml"), &text)),
            (0, Vec::new()),
            "{number}"
        );
    }
}

/// A provider may name the cluster of its rule itself.
#[test]
fn envoy_gateways_cluster_needs_no_second_name() {
    let good = fs::read_to_string(root().join("tests/tool/envoy-gateway.yaml")).unwrap();
    let text = good.replace(
        "upstream_clusters: [httproute/default/llm/rule/0]",
        "cluster: httproute/default/llm/rule/0",
    );
    assert_ne!(text, good);
    assert_eq!(check(&file("own-cluster.yaml", &text)), (0, Vec::new()));
}

/// The same files are good for one Envoy and not for another, where it is said which one it is.
#[test]
fn the_version_of_envoy_may_be_given() {
    for (name, version, status, said) in [
        ("fallback.yaml", "1.36.4", 1, Some("has no composite clusters: take Envoy 1.37 or later")),
        ("fallback.yaml", "v1.37", 0, None),
        ("native.yaml", "1.38", 1, Some("refused in two positions by Envoy 1.38")),
        ("native.yaml", "1.40.0", 0, None),
        ("envoy.yaml", "1.36", 0, None),
        ("envoy.yaml", "forty", 2, None),
    ] {
        let path = root().join("tests/tool").join(name).display().to_string();
        let output = run(&["check", "--envoy", version, &path]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(status), "{name} {version}: {text}");
        assert!(said.is_none_or(|said| text.contains(said)), "{name} {version}: {text}");
    }
}

/// No mistake, and no warning but of what the demos show on purpose: keys that everybody knows, and a key that may not use
/// all of an alias.
fn assert_clean(file: &Path) {
    const ON_PURPOSE: [&str; 3] = ["could be guessed", "the key itself", "only some targets"];
    // What it discovers stands beside it.
    let beside = file.with_file_name("filter.yaml");
    let (status, mut findings) =
        if beside.exists() { check_all(&[file, &beside]) } else { check(file) };
    let demos = ["envoy", "ollama-dev", "fallback", "budgets", "budgets-local", "observability"];
    if demos.iter().any(|demo| file.parent().unwrap().ends_with(demo)) {
        findings.retain(|finding| {
            let message = finding["message"].as_str().unwrap();
            !ON_PURPOSE.iter().any(|shown| message.contains(shown))
        });
    }
    // What its operator has to fill in is told.
    let is_empty = |finding: &Value| finding["message"].as_str().unwrap().contains("a placeholder");
    let text = fs::read_to_string(file).unwrap();
    let told = findings.iter().filter(|finding| is_empty(finding)).count();
    let left = text.lines().filter(|line| line.contains("sha256: \"0000"));
    assert_eq!(told, left.count(), "{}: {findings:#?}", file.display());
    findings.retain(|finding| !is_empty(finding));
    assert_eq!((status, findings.len()), (0, 0), "{}: {findings:#?}", file.display());
}

#[test]
fn what_is_shipped_has_no_mistake() {
    for name in [
        "envoy/envoy.yaml",
        "envoy/istio/gateway.yaml",
        "envoy/istio/sidecar.yaml",
        "envoy/istio/two-positions.yaml",
        "envoy/kubernetes/gateway.yaml",
        "envoy/envoy-gateway/gateway.yaml",
        "observability/envoy.yaml",
    ] {
        assert_clean(&root().join(name));
    }
    let mut examples = 0;
    for folder in fs::read_dir(root().join("examples")).unwrap() {
        let file = folder.unwrap().path().join("envoy.yaml");
        if file.exists() {
            assert_clean(&file);
            examples += 1;
        }
    }
    assert!(examples >= 9);
    // In a ConfigMap, the line is that of the manifest.
    let text = filled("envoy/kubernetes/gateway.yaml");
    let text = text.replacen("kind: vllm,", "kind: vlm,", 1);
    let line = text[..text.find("kind: vlm,").unwrap()].matches('\n').count() as u64 + 1;
    let (status, findings) = check(&file("kubernetes.yaml", &text));
    assert_eq!((status, findings.len()), (1, 1));
    assert_eq!(findings[0]["line"], line);
}

#[test]
fn what_is_unreadable_is_said_with_its_line() {
    for (name, text, line, message) in [
        ("cut.yaml", "providers:\n- {name: a\n", 3, "not valid YAML"),
        ("cut.json", "{\n\"providers\": []\n\"virtual_keys\": []}", 3, "not valid"),
        (
            "other.yaml",
            "kind: Service\nmetadata: {name: x}\n",
            1,
            "no configuration of openai-gateway-filter",
        ),
        ("empty.yaml", "", 1, "no configuration of openai-gateway-filter"),
        ("anchor.yaml", "a: *b\n", 1, "not valid YAML"),
    ] {
        let (status, findings) = check(&file(name, text));
        assert_eq!(status, 2, "{name}: {findings:?}");
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert_eq!(findings[0]["line"], line, "{name}: {findings:?}");
        assert!(findings[0]["message"].as_str().unwrap().contains(message), "{name}: {findings:?}");
    }
    let (status, findings) = check(Path::new("no/such/file.yaml"));
    assert_eq!((status, findings.len()), (2, 1));
    let deep = format!("providers: {}", "[".repeat(100_000));
    assert_eq!(check(&file("deep.yaml", &deep)).0, 2);
    let repeated: String = (0..40).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        format!("{text}a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)
    });
    assert_eq!(check(&file("bomb.yaml", &repeated)).0, 2);
}

#[test]
fn variables_are_required_when_asked_for() {
    let path = root().join("tests/tool/envoy.yaml");
    let run = |team: Option<&str>| {
        let mut command = Command::new(TOOL);
        command
            .args(["check", "--env"])
            .arg(&path)
            .env("GROQ_API_KEY", "hush-1")
            .env_remove("TEAM_KEY");
        command.envs(team.map(|team| ("TEAM_KEY", team)));
        command.output().unwrap()
    };
    let missing = run(None);
    let text = String::from_utf8(missing.stdout).unwrap();
    assert_eq!(missing.status.code(), Some(1), "{text}");
    assert!(text.contains("virtual_keys[1].key_env: the VM has no environment variable"), "{text}");
    let bad = run(Some("with a space"));
    assert_eq!(bad.status.code(), Some(1));
    assert!(!String::from_utf8(bad.stdout).unwrap().contains("with a space"));
    assert_eq!(run(Some("vk-good")).status.code(), Some(0));
}

#[test]
fn a_filter_may_be_discovered_from_another_file() {
    let examples = root().join("examples/hot-reload");
    let [envoy, filter] =
        ["envoy.yaml", "filter.yaml"].map(|name| examples.join(name).display().to_string());
    let output = run(&["check", &envoy, &filter]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(run(&["check", &envoy]).status.code(), Some(0));
}

/// A mesh's budgets stand beside the gateway's manifest, in a file of their own.
#[test]
fn budgets_may_stand_in_another_file() {
    for (mesh, off, on) in [
        (
            "envoy/istio",
            "routing: {cluster_header: x-gateway-cluster}",
            "routing: {cluster_header: x-gateway-cluster}\n                usage: {mode: MODE}",
        ),
        (
            "envoy/envoy-gateway",
            "      virtual_keys:\n",
            "      usage: {mode: MODE}\n      virtual_keys:\n",
        ),
    ] {
        let gateway = fs::read_to_string(root().join(mesh).join("gateway.yaml")).unwrap();
        for (budgets, mode) in [("budgets.yaml", "observe"), ("budgets-fleet.yaml", "require")] {
            let limits = root().join(mesh).join(budgets).display().to_string();
            let name = format!("{}-{budgets}", mesh.replace('/', "-"));
            let counted = gateway.replacen(off, &on.replace("MODE", mode), 1);
            assert_ne!(counted, gateway, "{mesh}");
            for (text, is_counted) in [(&gateway, false), (&counted, true)] {
                let path = file(&name, text).display().to_string();
                let output = run(&["check", &path, &limits]);
                let told = String::from_utf8_lossy(&output.stdout);
                assert_eq!(output.status.code(), Some(0), "{told}");
                assert_eq!(
                    told.contains("is not there while usage.mode is off"),
                    !is_counted,
                    "{told}"
                );
            }
            assert_eq!(run(&["check", &limits]).status.code(), Some(2), "alone it tells nothing");
        }
    }
}

#[test]
fn a_new_key_is_good() {
    let output = run(&["vk", "new", "--id", "search\"team\""]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let key = text.lines().next().unwrap().strip_prefix("key     ").unwrap().to_owned();
    assert!(key.starts_with("vk-") && key.len() == 46, "{key}");
    let yaml = &text[text.find("virtual_keys:").unwrap()..];
    assert!(!yaml.contains(&key));
    let settings = format!(
        "providers: [{{name: a, base_url: \"http://a\"}}]\n{}",
        yaml.replace("search\\\"team\\\"", "team")
    );
    assert_eq!(check(&file("vk.yaml", &settings)), (0, Vec::new()));
    assert_ne!(text, String::from_utf8(run(&["vk", "new", "--id", "x"]).stdout).unwrap());
}

#[test]
fn the_schema_is_that_of_the_types() {
    let printed = run(&["schema"]).stdout;
    let committed = fs::read(root().join("docs/schema.json")).unwrap_or_default();
    let say = "docs/schema.json is out of date: make schema";
    assert!(committed == printed, "{say}");
}

/// The members of an object and of the objects in it, as the reference writes them.
fn members(schema: &Value, prefix: &str, into: &mut Vec<String>) {
    for (name, member) in schema["properties"].as_object().unwrap() {
        let name = format!("{prefix}{name}");
        if member["properties"].is_object() {
            members(member, &format!("{name}."), into);
        } else {
            into.push(name);
        }
    }
}

#[test]
fn the_reference_names_every_field_and_no_other() {
    let schema: Value = serde_json::from_slice(&run(&["schema"]).stdout).unwrap();
    let text = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let items = |name: &str| schema["properties"][name]["items"].clone();
    let sections = [
        ("### Top level", schema.clone()),
        ("### `providers[]`", items("providers")),
        ("### `virtual_keys[]`", items("virtual_keys")),
    ];
    for (title, schema) in sections {
        let section = text.split(title).nth(1).unwrap().split("\n#").next().unwrap();
        let mut documented: Vec<String> = section
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        let mut known = Vec::new();
        members(&schema, "", &mut known);
        documented.sort();
        known.sort();
        assert_eq!(documented, known, "{title}");
    }
}

#[test]
fn the_reference_names_every_code_with_its_status() {
    let source = fs::read_to_string(root().join("src/error.rs")).unwrap();
    let text = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let codes = source.lines().filter_map(|line| {
        line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.strip_suffix("\",")
    });
    let mut seen = 0;
    for code in codes {
        assert!(text.contains(&format!("| `{code}` | ")), "docs/reference.md lacks {code}");
        seen += 1;
    }
    assert!(seen > 15);
}

/// Each model that an example's page asks for is one that its configuration routes, for one of its keys; or the page says
/// with which status it is refused.
#[test]
fn the_examples_pages_ask_for_models_that_are_there() {
    let mut asked = 0;
    for folder in fs::read_dir(root().join("examples")).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(page) = fs::read_to_string(folder.join("README.md")) else { continue };
        let discovered = folder.join("filter.yaml");
        let holder = if discovered.exists() { discovered } else { folder.join("envoy.yaml") };
        let envoy = holder.display().to_string();
        let Ok(text) = fs::read_to_string(&envoy) else { continue };
        let ids = text.lines().filter_map(|line| line.trim().strip_prefix("- id: "));
        let ids: Vec<&str> = ids.filter_map(|id| id.split_whitespace().next()).collect();
        for command in page.split("curl ").skip(1) {
            let command = command.split("\n```").next().unwrap();
            let Some(model) = command.split("\"model\":\"").nth(1) else { continue };
            let model = model.split('"').next().unwrap();
            let is_routed = ids.iter().any(|id| {
                let answer = run(&["explain", &envoy, "--key", id, "--model", model, "--json"]);
                String::from_utf8_lossy(&answer.stdout).contains("\"decision\": \"route\"")
            });
            assert!(is_routed, "{}: no key of {ids:?} may ask for {model}", folder.display());
            asked += 1;
        }
    }
    assert!(asked >= 5, "{asked}");
}

#[test]
fn explains_what_the_filter_would_do() {
    let path = root().join("tests/tool/envoy.yaml").display().to_string();
    let two = root().join("tests/tool/fallback.yaml").display().to_string();
    let explain_in = |path: &str, key: &str, model: &str, operation: &str| -> Value {
        let output = run(&[
            "explain",
            path,
            "--key",
            key,
            "--model",
            model,
            "--operation",
            operation,
            "--json",
        ]);
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let explain =
        |key: &str, model: &str, operation: &str| explain_in(&path, key, model, operation);
    let groq = serde_json::json!({
        "provider": "groq",
        "model": "llama-3.3-70b-versatile",
        "cluster": "groq",
        "authority": "api.groq.com",
        "path": "/openai/v1/chat/completions",
        "credential": {"header": "authorization", "from": "key_env GROQ_API_KEY"},
    });
    let answer = explain("search-team", "gpt-4o", "chat_completions");
    assert_eq!(
        answer,
        serde_json::json!({
            "decision": "route", "code": null, "alias": "gpt-4o", "allowed_by": "groq/*", "targets": [groq],
            "refused": [], "fallbacks": [], "usage": {"mode": "off", "default_max_tokens": 1024},
        })
    );
    // Converted: the path is that of chat.
    assert_eq!(explain("search-team", "gpt-4o", "responses")["targets"][0], groq);
    let split = explain("search-team", "fast", "embeddings");
    assert_eq!(split["allowed_by"], "fast");
    let weights: Vec<&Value> =
        split["targets"].as_array().unwrap().iter().map(|t| &t["weight"]).collect();
    assert_eq!(weights, [90, 10]);
    assert_eq!(split["targets"][0]["path"], "/v1/embeddings");
    assert_eq!(
        split["targets"][0]["credential"],
        serde_json::json!({"header": null, "from": null})
    );
    // The other key is bound to one of the two.
    let bound = explain("batch", "fast", "chat_completions");
    assert_eq!(bound["targets"].as_array().unwrap().len(), 1, "{bound}");
    assert_eq!(bound["allowed_by"], Value::Null);
    for (key, model, operation, code) in [
        ("nobody", "gpt-4o", "chat_completions", "invalid_api_key"),
        ("search-team", "vllm/x", "chat_completions", "model_not_allowed"),
        ("search-team", "groq/other", "chat_completions", "model_not_found"),
        ("batch", "vllm/x", "speech", "unsupported_operation"),
        ("search-team", "gpt-4o", "count_tokens", "unsupported_operation"),
    ] {
        let answer = explain(key, model, operation);
        assert_eq!(
            (&answer["decision"], &answer["code"]),
            (&"refuse".into(), &code.into()),
            "{key} {model}"
        );
    }
    // A fallback, by a name with a `*`: what is left of it for this key.
    let left = explain_in(&two, "batch", "claude-sonnet", "chat_completions");
    assert_eq!((&left["alias"], &left["decision"]), (&"claude-*".into(), &"route".into()));
    assert_eq!(left["targets"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left["targets"][0]["model"], "small");
    assert_eq!(
        left["fallbacks"],
        serde_json::json!([{
            "cluster": "vllm", "order": ["vllm/small"], "retries": 0,
            "left_out": ["groq/llama-3.3-70b-versatile"],
        }])
    );
    assert_eq!(left["usage"]["mode"], "require");
    let first = explain_in(&two, "search-team", "claude-sonnet", "chat_completions");
    let plan = &first["fallbacks"][0];
    // The key's allowlist ends the list before the second one.
    assert_eq!(
        (&plan["order"], &plan["retries"]),
        (&serde_json::json!(["groq/llama-3.3-70b-versatile"]), &0.into())
    );
    assert_eq!(
        (&plan["cluster"], &plan["left_out"]),
        (&"over".into(), &serde_json::json!(["vllm/small"]))
    );
    let good = fs::read_to_string(root().join("tests/tool/fallback.yaml")).unwrap();
    let all = good.replacen(
        "\"BAAI/bge-m3\", fast]",
        "claude-*, mixed]\n                      usage: {mode: require}",
        1,
    );
    let all = file("explain.yaml", &all).display().to_string();
    let whole = explain_in(&all, "search-team", "claude-sonnet", "chat_completions");
    assert_eq!(
        whole["fallbacks"],
        serde_json::json!([{
            "cluster": "over", "order": ["groq/llama-3.3-70b-versatile", "vllm/small"], "retries": 1, "left_out": [],
        }])
    );
    assert_eq!(whole["usage"]["mode"], "require");
    let mixed = explain_in(&all, "search-team", "mixed", "chat_completions");
    assert_eq!(mixed["fallbacks"].as_array().unwrap().len(), 1, "{mixed}");
    // Weights are shares of what the key is bound to, a fallback by any of its targets, however large they are.
    let split = "mixed:
                      - {target: vllm/a, weight: 3}
                      - {fallback: [groq/llama-3.3-70b-versatile, azure/m], cluster: over, weight: 1000}
                      - {fallback: [azure/m, vllm/b], cluster: over, weight: 4000000}
                      - {target: groq/llama-3.3-70b-versatile, weight: 50}
                      - {target: vllm/c, weight: 2}
                      unused:";
    let split = good.replacen("mixed:", split, 1);
    let split = file("split.yaml", &split).display().to_string();
    let shares = |key: &str| -> Vec<(String, u64)> {
        let answer = explain_in(&split, key, "mixed", "chat_completions");
        let targets = answer["targets"].as_array().unwrap().iter();
        targets
            .map(|it| {
                (
                    format!("{}/{}", it["provider"], it["model"]).replace('"', ""),
                    it["weight"].as_u64().unwrap(),
                )
            })
            .collect()
    };
    let expected = [("vllm/a", 3), ("vllm/b", 4_000_000), ("vllm/c", 2)];
    assert_eq!(shares("batch"), expected.map(|(name, weight)| (name.to_owned(), weight)));
    let text = run(&["explain", &all, "--key", "search-team", "--model", "claude-x"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains(
            "fallback    in cluster over: groq/llama-3.3-70b-versatile, vllm/small; another"
        ),
        "{text}"
    );
    assert!(text.contains("usage       require: "), "{text}");
    let text = run(&["explain", &path, "--key", "search-team", "--model", "gpt-4o"]).stdout;
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("credential: authorization from key_env GROQ_API_KEY")
    );
    let bad = file("bad.yaml", "providers: []\n").display().to_string();
    assert_eq!(
        run(&["explain", &bad, "--key", "a", "--model", "b", "--json"]).status.code(),
        Some(1)
    );
    assert_eq!(
        run(&["explain", &path, "--key", "a", "--model", "b", "--operation", "x"]).status.code(),
        Some(2)
    );
}
