//! What is refused, and with which words.

use super::*;
use crate::test;

/// Each change alone must give one line: this path, and a reason that holds these words.
fn refused(cases: &[(&str, Value, &str, &str)]) {
    for (pointer, value, path, words) in cases {
        let text = with(&[(pointer, value.clone())]).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{pointer} {value}: {text}");
        assert!(text.starts_with(&format!("{path}: ")), "{pointer} {value}: {text}");
        assert!(text.contains(words), "{pointer} {value}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn top_level() {
    refused(&[
        ("/extra", json!(1), "extra", "unknown field"),
        ("/a\nb", json!(1), r#"configuration["a\nb"]"#, "unknown field"),
        ("/providers", json!([]), "providers", "at least one"),
        ("/providers", json!({}), "providers", "expected a list, got an object"),
        ("/providers", json!(null), "providers", "got null"),
        ("/virtual_keys", json!("s3cret"), "virtual_keys", "expected a list, got a string"),
        ("/virtual_keys/-", json!("s3cret"), "virtual_keys[1]", "expected an object"),
        ("/virtual_keys/-", json!([]), "virtual_keys[1]", "expected an object, got a list"),
        ("/cache", json!({"mode": "s3cret"}), "cache.mode", "respect, disable, force"),
        ("/cache", json!({"mod": "force"}), "cache.mod", "unknown field; did you mean `mode`?"),
        ("/cache", json!("force"), "cache", "expected an object"),
        ("/routing", json!({"cluster_header": ":path"}), "routing.cluster_header", "not a valid"),
        ("/routing", json!({"cluster_header": "Host"}), "routing.cluster_header", "frames"),
        (
            "/routing",
            json!({"cluster_header": "X-Api-Key"}),
            "routing.cluster_header",
            "credentials",
        ),
        (
            "/routing",
            json!({"cluster_header": "x-langwatch-cache"}),
            "routing.cluster_header",
            "cache mode",
        ),
        ("/routing", json!({"x": 1}), "routing.x", "unknown field"),
        ("/header_prefix", json!("x y"), "header_prefix", "not the beginning"),
        ("/header_prefix", json!(""), "header_prefix", "not the beginning"),
        ("/header_prefix", json!("Content"), "header_prefix", "longer"),
        ("/path_prefix", json!("v1"), "path_prefix", "begin with /"),
        ("/path_prefix", json!("/v 1"), "path_prefix", "plain URL path"),
        ("/path_prefix", json!("/v1?x"), "path_prefix", "plain URL path"),
        ("/path_prefix", json!("/a//b"), "path_prefix", "plain URL path"),
        ("/limits", json!({"max": 1}), "limits.max", "unknown field"),
        ("/limits", json!({"max_request_bytes": 0}), "limits.max_request_bytes", "1 or more"),
        (
            "/limits",
            json!({"max_request_bytes": -1}),
            "limits.max_request_bytes",
            "not negative, got a negative number",
        ),
        ("/limits", json!({"max_request_bytes": "9"}), "limits.max_request_bytes", "whole"),
        ("/limits", json!({"max_request_bytes": 1.5}), "limits.max_request_bytes", "whole"),
        ("/limits", json!({"max_request_bytes": 1e300}), "limits.max_request_bytes", "whole"),
        (
            "/limits",
            json!({"max_buffered_bytes": 1_073_741_825}),
            "limits.max_buffered_bytes",
            "1073741824 or less",
        ),
        ("/limits", json!({"max_answer_bytes": 0}), "limits.max_answer_bytes", "1 or more"),
        ("/limits", json!({"max_sse_event_bytes": 0}), "limits.max_sse_event_bytes", "1 or more"),
        ("/models_cache_seconds", json!(31_536_001), "models_cache_seconds", "or less"),
        ("/outside", json!("s3cret"), "outside", "pass, refuse"),
        ("/limits", json!({"max_held_bytes": 0}), "limits.max_held_bytes", "1 or more"),
        (
            "/limits",
            json!({"max_held_bytes": 900_000_000}),
            "limits.max_held_bytes",
            "does not fit into a worker's memory",
        ),
        (
            "/limits",
            json!({"max_buffered_bytes": 200_000_000}),
            "limits.max_held_bytes",
            "1006632960 or less",
        ),
        ("/response_model", json!("s3cret"), "response_model", "upstream, requested"),
        ("/answer_headers", json!("model"), "answer_headers", "a list"),
        ("/answer_headers", json!(["s3cret"]), "answer_headers[0]", "provider, model, request_id"),
        ("/seal_key_env", json!("NO_SUCH"), "seal_key_env", "no environment variable"),
        ("/seal_key_env", json!("s3cret/Zm9v=="), "seal_key_env", "must be the name of a variable"),
        ("/seal_key_env", json!(1), "seal_key_env", "a string"),
    ]);
}

#[test]
fn providers() {
    let at = |field: &str| format!("providers[0].{field}");
    let cases = [
        ("extra", json!("s3cret"), "unknown field"),
        ("kind", json!("s3cret"), "openai, vllm"),
        ("base_url", json!("https://u:s3cret@host"), "user information"),
        ("base_url", json!(7), "expected a string, got a number"),
        ("cluster", json!(""), "printable ASCII"),
        ("cluster", json!("a b"), "printable ASCII"),
        ("stream_usage", json!("yes"), "true or false"),
        ("responses_api", json!("both"), "chat, native"),
        ("reasoning_field", json!(""), "a name"),
        ("openai_hints", json!(1), "true or false"),
        ("reasoning_effort", json!("low"), "true or false"),
        ("system_anywhere", json!("no"), "true or false"),
        ("drop_params", json!("seed"), "expected a list"),
        ("models", json!("m"), "expected a list"),
        ("operations", json!("chat_completions"), "expected a list"),
        ("auth", json!("s3cret"), "expected an object, got a string"),
        ("upstream_clusters", json!([]), "leave it out"),
        ("request_headers", json!([]), "expected an object"),
    ];
    for (field, value, words) in cases {
        refused(&[(&format!("/providers/0/{field}"), value, &at(field), words)]);
    }
    refused(&[
        ("/providers/0/models", json!(["a", ""]), "providers[0].models[1]", "must not be empty"),
        ("/providers/0/models", json!(["a\nb"]), "providers[0].models[0]", "control"),
        ("/providers/0/models", json!([1]), "providers[0].models[0]", "expected a string"),
        ("/providers/0/operations", json!(["files"]), "providers[0].operations[0]", "no model"),
        ("/providers/0/operations", json!(["batches"]), "providers[0].operations[0]", "no model"),
        ("/providers/0/drop_params", json!(["a", 1]), "providers[0].drop_params[1]", "a string"),
        ("/providers/0/drop_params", json!(["a", ""]), "providers[0].drop_params[1]", "a name"),
        ("/providers/0/drop_params", json!(["a,b"]), "providers[0].drop_params[0]", "a name"),
        ("/providers/0/drop_params", json!(["model"]), "providers[0].drop_params[0]", "do without"),
        (
            "/providers/0/drop_params",
            json!(["stream"]),
            "providers[0].drop_params[0]",
            "do without",
        ),
        (
            "/providers/0/operations",
            json!(["rerank", "chat"]),
            "providers[0].operations[1]",
            "one of: chat_completions, ",
        ),
        (
            "/providers/0/upstream_clusters",
            json!(["a b"]),
            "providers[0].upstream_clusters[0]",
            "a cluster's name",
        ),
        ("/providers/-", json!({"base_url": "http://x"}), "providers[1].name", "missing"),
        ("/providers/-", json!({"name": "b"}), "providers[1].base_url", "missing"),
        (
            "/providers/-",
            json!({"name": "a/b", "base_url": "http://x"}),
            "providers[1].name",
            "A-Z",
        ),
        (
            "/providers/-",
            json!({"name": "groq", "base_url": "http://x"}),
            "providers[1].name",
            "the same as providers[0].name",
        ),
    ]);
}

#[test]
fn auth() {
    let cases = [
        (json!({"mode": "s3cret"}), "mode", "bearer, api_key, header, none"),
        (json!({"token": "s3cret"}), "token", "unknown field"),
        (json!({"key": ["s3cret"]}), "key", "expected a string, got a list"),
        (json!({"key": 5}), "key", "expected a string"),
        (json!({"key": "s3cret\n"}), "key", "control character"),
        (json!({"key": "s3cret\u{0}x"}), "key", "control character"),
        (json!({"key": " s3cret"}), "key", "space"),
        (json!({"key_env": "LINE"}), "key_env", "control character"),
        (json!({"key_env": "ABSENT"}), "key_env", "vm_config.environment_variables"),
        (json!({"key_env": "gsk_s3cret"}), "key_env", "vm_config.environment_variables"),
        (json!({"key_env": "sk-s3cret"}), "key_env", "must be the name of a variable"),
        (json!({"key_env": ""}), "key_env", "must be the name of a variable"),
        (json!({"header": "x-key", "key": "s3cret"}), "header", "only mode header"),
        (json!({"prefix": "s3cret"}), "prefix", "only mode header"),
        (json!({"mode": "header", "key": "s3cret"}), "header", "missing"),
        (json!({"mode": "header", "header": "a b"}), "header", "not a valid header name"),
        (json!({"mode": "header", "header": ":authority"}), "header", "not a valid header name"),
        (json!({"mode": "header", "header": "Host"}), "header", "frames or routes"),
        (json!({"mode": "header", "header": "Content-Length"}), "header", "frames or routes"),
        (json!({"mode": "header", "header": "transfer-encoding"}), "header", "frames or routes"),
        (json!({"mode": "header", "header": "x-gateway-cluster"}), "header", "gateway's own"),
        (json!({"mode": "header", "header": "x-langwatch-cache"}), "header", "gateway's own"),
        (
            json!({"mode": "header", "header": "x-key", "prefix": "s3cret\r\n", "key": "k"}),
            "prefix",
            "control",
        ),
    ];
    for (auth, field, words) in cases {
        refused(&[("/providers/0/auth", auth, &format!("providers[0].auth.{field}"), words)]);
    }
    refused(&[
        (
            "/providers/0/auth",
            json!({"key": "s3cret", "key_env": "GROQ_API_KEY"}),
            "providers[0].auth",
            "not both",
        ),
        (
            "/providers/0/auth",
            json!({"mode": "none", "key": "s3cret"}),
            "providers[0].auth",
            "mode none",
        ),
    ]);
}

#[test]
fn virtual_keys() {
    let hex = crate::policy::key::digest(b"vk-s3cret").map(|byte| format!("{byte:02X}")).concat();
    let cases = [
        (json!({"id": "b", "key": "x", "extra": 1}), ".extra", "unknown field"),
        (json!({"key": "x"}), ".id", "missing"),
        (json!({"id": "", "key": "x"}), ".id", "1 to 128"),
        (json!({"id": "a b", "key": "x"}), ".id", "without spaces"),
        (json!({"id": "x".repeat(129), "key": "x"}), ".id", "1 to 128"),
        (json!({"id": "team", "key": "x"}), ".id", "the same as virtual_keys[0].id"),
        (json!({"id": "b", "key": "vk-s3cret"}), "", "the same key as virtual_keys[0]"),
        (json!({"id": "b", "key_sha256": hex}), "", "the same key as virtual_keys[0]"),
        (json!({"id": "b", "key_sha256": []}), ".key_sha256", "at least one"),
        (json!({"id": "b", "key_sha256": ["00"]}), ".key_sha256[0]", "64 hexadecimal"),
        (json!({"id": "b", "key_sha256": [hex]}), "", "the same key as virtual_keys[0]"),
        (json!({"id": "b"}), "", "exactly one of"),
        (json!({"id": "b", "key": "s3cret", "key_env": "X"}), "", "exactly one of"),
        (json!({"id": "b", "key": ""}), ".key", "1 to 4096"),
        (json!({"id": "b", "key": "a s3cret"}), ".key", "without spaces"),
        (json!({"id": "b", "key": "a,s3cret"}), ".key", "commas"),
        (json!({"id": "b", "key": "s3cret".repeat(1_000)}), ".key", "1 to 4096"),
        (json!({"id": "b", "key": {"s3cret": 1}}), ".key", "expected a string"),
        (json!({"id": "b", "key_env": "EMPTY"}), ".key_env", "1 to 4096"),
        (json!({"id": "b", "key_env": "LINE"}), ".key_env", "line feed"),
        (json!({"id": "b", "key_env": "vk_s3cret"}), ".key_env", "no environment variable"),
        (json!({"id": "b", "key_env": "A=B"}), ".key_env", "must be the name of a variable"),
        (json!({"id": "b", "key_env": "vk-s3cret"}), ".key_env", "must be the name of a variable"),
        (json!({"id": "b", "key_sha256": "s3cret"}), ".key_sha256", "64 hexadecimal"),
        (json!({"id": "b", "key_sha256": "g".repeat(64)}), ".key_sha256", "64 hexadecimal"),
        (json!({"id": "b", "key_sha256": "a".repeat(65)}), ".key_sha256", "64 hexadecimal"),
        (json!({"id": "b", "key_sha256": "+a".repeat(32)}), ".key_sha256", "64 hexadecimal"),
        (json!({"id": "b", "key": "x", "providers": []}), ".providers", "leave it out"),
        (json!({"id": "b", "key": "x", "providers": ["no"]}), ".providers[0]", "no provider"),
        (json!({"id": "b", "key": "x", "providers": [1]}), ".providers[0]", "a string"),
        (json!({"id": "b", "key": "x", "models_allowed": null}), ".models_allowed", "got null"),
        (json!({"id": "b", "key": "x", "models_allowed": "*"}), ".models_allowed", "a list"),
        (json!({"id": "b", "key": "x", "models_allowed": [""]}), ".models_allowed[0]", "empty"),
        (json!({"id": "b", "key": "x", "models_allowed": [{}]}), ".models_allowed[0]", "string"),
        (
            json!({"id": "b", "key": "x", "models_allowed": ["^gpt-.*$"]}),
            ".models_allowed[0]",
            "no regular expressions",
        ),
        (
            json!({"id": "b", "key": "x", "models_allowed": ["ok", "a|b"]}),
            ".models_allowed[1]",
            "no regular expressions",
        ),
        (
            json!({"id": "b", "key": "x", "models_allowed": ["(a)"]}),
            ".models_allowed[0]",
            "regular",
        ),
        (
            json!({"id": "b", "key": "x", "models_allowed": ["[ab]"]}),
            ".models_allowed[0]",
            "regular",
        ),
        (json!({"id": "b", "key": "x", "revoked": "true"}), ".revoked", "true or false"),
        (json!({"id": "b", "key": "x", "expires_at": "2027-01-01"}), ".expires_at", "RFC 3339"),
        (json!({"id": "b", "key": "x", "expires_at": 1}), ".expires_at", "a string"),
        (json!({"id": "b", "key": "x", "cache": {"mode": "on"}}), ".cache.mode", "respect"),
        (json!({"id": "b", "key": "x", "usage": {"mode": "on"}}), ".usage.mode", "observe"),
        (json!({"id": "b", "key": "x", "usage": {"max": 1}}), ".usage.max", "unknown"),
    ];
    for (key, field, words) in cases {
        refused(&[("/virtual_keys/-", key, &format!("virtual_keys[1]{field}"), words)]);
    }
}

#[test]
fn aliases() {
    let huge = 9_007_199_254_740_992_u64; // 2^53, what a Struct can hold
    let many: Vec<Value> =
        (0..2_049).map(|_| json!({"target": "groq/m", "weight": huge})).collect();
    let cases = [
        (json!("m"), "", "`provider/model`"),
        (json!("groq/"), "", "`provider/model`"),
        (json!("/m"), "", "`provider/model`"),
        (json!("groq/a\nb"), "", "`provider/model`"),
        (json!("nope/m"), "", "no provider of that name"),
        (json!(5), "", "a list of {target, weight}, or {fallback"),
        (json!(null), "", "got null"),
        (json!([]), "", "at least one target"),
        (json!(["groq/m"]), "[0]", "expected an object"),
        (json!([{"target": "groq/m"}]), "[0].weight", "missing"),
        (json!([{"weight": 1}]), "[0].target", "missing"),
        (json!([{"target": "groq/m", "weight": 0}]), "[0].weight", "1 or more"),
        (json!([{"target": "groq/m", "weight": 0.5}]), "[0].weight", "whole number"),
        (json!([{"target": "groq/m", "weight": 0.5}]), "[0].weight", "write 1 and 1 for halves"),
        (json!([{"target": "groq/m", "weight": 1, "w": 2}]), "[0].w", "unknown field"),
        (json!(many), "", "fit 64 bits"),
    ];
    for (value, place, words) in cases {
        let entry = json!({ "a": value });
        refused(&[
            ("/model_aliases", entry.clone(), &format!("model_aliases.a{place}"), words),
            (
                "/virtual_keys/0/model_aliases",
                entry,
                &format!("virtual_keys[0].model_aliases.a{place}"),
                words,
            ),
        ]);
    }
    refused(&[
        ("/model_aliases", json!({"": "groq/m"}), r#"model_aliases[""]"#, "must not be empty"),
        ("/model_aliases", json!([]), "model_aliases", "expected an object"),
    ]);
}

#[test]
fn request_headers() {
    for (headers, place, words) in [
        (json!({"drop": []}), "drop", "unknown field"),
        (json!({"remove": "x"}), "remove", "a list"),
        (json!({"remove": [1]}), "remove[0]", "a string"),
        (json!({"remove": ["a b"]}), "remove[0]", "valid header name"),
        (json!({"remove": ["Content-Length"]}), "remove[0]", "frames or routes"),
        (json!({"remove": ["x-gateway-cluster"]}), "remove[0]", "gateway's own"),
        (json!({"set": {"x": 1}}), "set.x", "a string"),
        (json!({"set": {"x": "s3cret\n"}}), "set.x", "a header's value"),
        (json!({"set": {"Host": "s3cret"}}), "set.Host", "frames or routes"),
        (json!({"set": {"Authorization": "s3cret"}}), "set.Authorization", "`auth`"),
        (json!({"set": {"x-langwatch-x": "s3cret"}}), "set.x-langwatch-x", "gateway's own"),
        (json!({"set": {"x": "s3cret"}, "remove": ["X"]}), "set.x", "named twice"),
        (json!({"set": {"x": "s3cret", "X": "s3cret"}}), "set.x", "named twice"),
    ] {
        let place = format!("providers[0].request_headers.{place}");
        refused(&[("/providers/0/request_headers", headers, &place, words)]);
    }
}

#[test]
fn an_alias_leads_to_a_model_that_there_is() {
    let listed = ("/providers/0/models", json!(["m", "n"]));
    for (at, value, place) in [
        ("/model_aliases", json!({"a": "groq/x"}), "model_aliases.a"),
        (
            "/virtual_keys/0/model_aliases",
            json!({"a": "groq/x"}),
            "virtual_keys[0].model_aliases.a",
        ),
        (
            "/model_aliases",
            json!({"a": [{"target": "groq/m", "weight": 1}, {"target": "groq/M", "weight": 1}]}),
            "model_aliases.a[1].target",
        ),
    ] {
        let text = with(&[listed.clone(), (at, value)]).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{place}: leads to a model")), "{text}");
    }
}

/// Mistakes that have nothing to do with each other are all reported.
#[test]
fn no_mistake_hides_another() {
    let mistakes: &[(&str, Value, &str)] = &[
        ("/zzz", json!(1), "zzz"),
        ("/path_prefix", json!("v1"), "path_prefix"),
        ("/header_prefix", json!("x y"), "header_prefix"),
        ("/outside", json!("no"), "outside"),
        ("/routing", json!({"cluster_header": "host"}), "routing.cluster_header"),
        ("/cache", json!({"mode": "no"}), "cache.mode"),
        (
            "/limits",
            json!({"max_request_bytes": 0, "max_held_bytes": 0}),
            "limits.max_request_bytes",
        ),
        ("/models_cache_seconds", json!(-1), "models_cache_seconds"),
        ("/usage", json!({"default_max_tokens": 4_294_967_296_u64}), "usage.default_max_tokens"),
        ("/response_model", json!("no"), "response_model"),
        ("/answer_headers", json!(["model", "no"]), "answer_headers[1]"),
        ("/model_aliases", json!({"a": "nowhere/x"}), "model_aliases.a"),
        ("/providers/0/name", json!("a/b"), "providers[0].name"),
        ("/providers/0/kind", json!("no"), "providers[0].kind"),
        ("/providers/0/base_url", json!("ftp://x"), "providers[0].base_url"),
        ("/providers/0/cluster", json!(""), "providers[0].cluster"),
        ("/providers/0/upstream_clusters", json!([""]), "providers[0].upstream_clusters[0]"),
        ("/providers/0/auth", json!({"mode": "no"}), "providers[0].auth.mode"),
        ("/providers/0/models", json!([""]), "providers[0].models[0]"),
        ("/providers/0/operations", json!(["no"]), "providers[0].operations[0]"),
        ("/providers/0/responses_api", json!("no"), "providers[0].responses_api"),
        ("/providers/0/stream_usage", json!("no"), "providers[0].stream_usage"),
        ("/providers/0/reasoning_field", json!(""), "providers[0].reasoning_field"),
        (
            "/providers/0/request_headers",
            json!({"remove": [""]}),
            "providers[0].request_headers.remove[0]",
        ),
        ("/virtual_keys/0/id", json!(""), "virtual_keys[0].id"),
        ("/virtual_keys/0/key", json!("a b"), "virtual_keys[0].key"),
        ("/virtual_keys/0/providers", json!(["nowhere"]), "virtual_keys[0].providers[0]"),
        ("/virtual_keys/0/models_allowed", json!([""]), "virtual_keys[0].models_allowed[0]"),
        ("/virtual_keys/0/model_aliases", json!({"b": 1}), "virtual_keys[0].model_aliases.b"),
        ("/virtual_keys/0/cache", json!({"mode": "no"}), "virtual_keys[0].cache.mode"),
        (
            "/virtual_keys/0/usage",
            json!({"default_max_tokens": -1}),
            "virtual_keys[0].usage.default_max_tokens",
        ),
        ("/virtual_keys/0/revoked", json!("no"), "virtual_keys[0].revoked"),
        ("/virtual_keys/0/expires_at", json!("no"), "virtual_keys[0].expires_at"),
    ];
    for (one, (at_one, value_one, place_one)) in mistakes.iter().enumerate() {
        for (at_other, value_other, place_other) in mistakes.iter().skip(one + 1) {
            let changes = [(*at_one, value_one.clone()), (*at_other, value_other.clone())];
            let text = with(&changes).unwrap_err().to_string();
            for place in [place_one, place_other] {
                let told = text.lines().any(|line| line.starts_with(&format!("{place}: ")));
                assert!(told, "{place_one} and {place_other}:\n{text}");
            }
        }
    }
}

#[test]
fn an_alias_of_a_key_stays_within_its_providers() {
    let vllm = ("/providers/-", json!({"name": "vllm", "kind": "vllm"}));
    let bound = ("/virtual_keys/0/providers", json!(["groq"]));
    let own = ("/virtual_keys/0/model_aliases", json!({"a": "vllm/m"}));
    let text = with(&[vllm.clone(), bound.clone(), own]).unwrap_err().to_string();
    assert!(text.starts_with("virtual_keys[0].model_aliases.a: leads to a provider"), "{text}");
    assert!(with(&[vllm, bound, ("/model_aliases", json!({"a": "vllm/m"}))]).is_ok());
}

#[test]
fn all_problems_at_once_and_none_repeated_downstream() {
    let text = with(&[
        ("/providers/-", json!({"name": "second", "base_url": "nope", "auth": {"mode": 1}})),
        ("/providers/-", json!(7)),
        ("/virtual_keys/0/providers", json!(["second", "groq"])),
        ("/virtual_keys/0/models_allowed", json!([1, "ok", false])),
        ("/virtual_keys/-", json!({"id": "b", "key": "k", "model_aliases": {"x.y": "z"}})),
        ("/model_aliases", json!({"a": "second/m"})),
        ("/zzz", json!(0)),
    ])
    .unwrap_err()
    .to_string();
    let places: Vec<&str> =
        text.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(
        places,
        [
            "zzz",
            "providers[1].base_url",
            "providers[1].auth.mode",
            "providers[2]",
            "virtual_keys[0].models_allowed[0]",
            "virtual_keys[0].models_allowed[2]",
            r#"virtual_keys[1].model_aliases["x.y"]"#,
        ],
        "{text}"
    );
}

#[test]
fn members_given_twice() {
    let text = br#"{"providers": [{"name": "a", "base_url": "http://a"}],
        "virtual_keys": [{"id": "x", "key": "s3cret", "key": "s3cret2", "models_allowed": [],
        "models_allowed": ["*"]}]}"#;
    let problems = Config::from_plugin_configuration(text, &env).unwrap_err().to_string();
    assert_eq!(
        problems,
        "virtual_keys[0].key: given twice\nvirtual_keys[0].models_allowed: given twice"
    );
}

#[test]
fn fallbacks() {
    let vllm = ("/providers/-", json!({"name": "vllm", "kind": "vllm"}));
    let both = json!(["groq/a", "vllm/b"]);
    for (entry, place, words) in [
        (json!({"fallback": ["groq/a"]}), ".fallback", "two targets"),
        (json!({"fallback": []}), ".fallback", "two targets"),
        (json!({"fallback": "groq/a"}), ".fallback", "expected a list"),
        (json!({"cluster": "x"}), ".fallback", "missing"),
        (json!({"fallback": ["groq/a", "groq/a"]}), ".fallback[1]", "same provider as fallback[0]"),
        (json!({"fallback": ["groq/a", "groq/b"]}), ".fallback[1]", "same provider as fallback[0]"),
        (json!({"fallback": ["vllm/a", "groq/a", "vllm/a"]}), ".fallback[2]", "fallback[0]"),
        (json!({"fallback": ["groq/a", "none/b"]}), ".fallback[1]", "no provider of that name"),
        (json!({"fallback": ["groq/a", "vllm"]}), ".fallback[1]", "must be `provider/model`"),
        (json!({"fallback": ["groq/a", 1]}), ".fallback[1]", "expected a string"),
        (json!({"fallback": both, "cluster": "a b"}), ".cluster", "printable ASCII"),
        (json!({"fallback": both, "clusters": "a"}), ".clusters", "did you mean `cluster`?"),
        (json!([{"fallback": both, "weight": 1}]), "[0].cluster", "missing"),
        (json!([{"fallback": both, "cluster": "x"}]), "[0].weight", "missing"),
        (
            json!([{"fallback": both, "target": "groq/a", "cluster": "x", "weight": 1}]),
            "[0].target",
            "one of the two",
        ),
        (
            json!([{"target": "groq/a", "cluster": "x", "weight": 1}]),
            "[0].cluster",
            "only a fallback",
        ),
    ] {
        for (pointer, path) in [
            ("/model_aliases", "model_aliases.f"),
            ("/virtual_keys/0/model_aliases", "virtual_keys[0].model_aliases.f"),
        ] {
            let change = (pointer, json!({"f": entry}));
            let text = with(&[vllm.clone(), change]).unwrap_err().to_string();
            assert_eq!(text.lines().count(), 1, "{entry}: {text}");
            assert!(text.starts_with(&format!("{path}{place}: ")), "{entry}: {text}");
            assert!(text.contains(words), "{entry}: {text}");
        }
    }
    // A name that can't be a cluster's needs one beside it.
    for name in ["two words", "claude-*"] {
        let aliases = json!({name: {"fallback": both}});
        let text = with(&[vllm.clone(), ("/model_aliases", aliases)]).unwrap_err().to_string();
        assert!(text.contains("cluster: missing"), "{text}");
    }
}

#[test]
fn an_object_is_a_fallback() {
    let alias = json!({"a": {"target": "groq/m"}});
    let text = with(&[("/model_aliases", alias)]).unwrap_err().to_string();
    assert!(text.contains("model_aliases.a.target: unknown field"), "{text}");
    assert!(text.contains("model_aliases.a.fallback: missing"), "{text}");
}

#[test]
fn a_fallback_that_no_key_can_use() {
    let vllm = ("/providers/-", json!({"name": "vllm", "kind": "vllm"}));
    let bound = ("/virtual_keys/0/providers", json!(["groq"]));
    let fallback = json!({"f": {"fallback": ["groq/a", "vllm/b"]}});
    let global = ("/model_aliases", fallback.clone());
    let text = with(&[vllm.clone(), bound.clone(), global.clone()]).unwrap_err().to_string();
    assert_eq!(
        text,
        "model_aliases.f.fallback[1]: leads to a provider that no virtual key is bound to"
    );
    let other = ("/virtual_keys/-", json!({"id": "b", "key": "k", "providers": ["vllm"]}));
    assert!(with(&[vllm.clone(), bound.clone(), other, global]).is_ok());
    let own = ("/virtual_keys/0/model_aliases", fallback);
    let text = with(&[vllm, bound, own]).unwrap_err().to_string();
    assert!(text.starts_with("virtual_keys[0].model_aliases.f.fallback[1]: leads to a"), "{text}");
}

#[test]
fn routing() {
    refused(&[
        ("/routing", json!({"positions": 3}), "routing.positions", "1 or 2"),
        ("/routing", json!({"positions": 0}), "routing.positions", "1 or 2"),
        ("/routing", json!({"positions": "2"}), "routing.positions", "whole number"),
        ("/routing", json!({"authority": "host"}), "routing.authority", "filter, route, upstream"),
        ("/routing", json!({"authority": "upstream"}), "routing.authority", "positions: 2"),
        (
            "/providers/0/upstream_clusters",
            json!([]),
            "providers[0].upstream_clusters",
            "names no cluster",
        ),
        (
            "/providers/0/upstream_clusters",
            json!(["a", "b c"]),
            "providers[0].upstream_clusters[1]",
            "printable ASCII",
        ),
    ]);
    let vllm = ("/providers/-", json!({"name": "vllm", "kind": "vllm"}));
    let one = ("/routing", json!({"positions": 1}));
    let fallback = ("/model_aliases", json!({"f": {"fallback": ["groq/a", "vllm/b"]}}));
    let text = with(&[vllm, one, fallback]).unwrap_err().to_string();
    assert!(text.starts_with("routing.positions: must be 2"), "{text}");
}
