//! The JSON Schema against the loader: both are made of one table, and say the same of it.

use super::*;

/// Whether a value is what a schema says, as far as ours use JSON Schema.
fn fits(schema: &Value, value: &Value) -> bool {
    let type_fits = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some(other) => panic!("{other}"),
    };
    let list = |name: &str| schema[name].as_array().cloned();
    let number = value.as_f64().unwrap_or_default();
    let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
    let members_fit = value.as_object().is_none_or(|members| {
        members.iter().all(|(name, member)| match schema["properties"].get(name) {
            Some(known) => fits(known, member),
            None if schema["additionalProperties"].is_object() => {
                fits(&schema["additionalProperties"], member)
            }
            None => schema["additionalProperties"] != json!(false),
        })
    });
    let pattern_fits = schema.get("pattern").is_none_or(|pattern| {
        assert_eq!(pattern, "^[A-Za-z_][A-Za-z0-9_]*$", "the only one that this reads");
        value.as_str().is_none_or(super::super::text::is_variable)
    });
    type_fits
        && members_fit
        && pattern_fits
        && list("enum").is_none_or(|names| names.contains(value))
        && schema["minimum"].as_f64().is_none_or(|least| number >= least)
        && schema["maximum"].as_f64().is_none_or(|most| number <= most)
        && value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| fits(&schema["items"], item)))
        && list("required").is_none_or(|names| names.iter().all(has))
        && list("anyOf").is_none_or(|forms| forms.iter().any(|form| fits(form, value)))
        && list("oneOf")
            .is_none_or(|forms| forms.iter().filter(|form| fits(form, value)).count() == 1)
}

/// Every member, with a value that is good.
fn whole() -> Value {
    json!({
        "providers": [
            {"name": "groq", "kind": "openai", "base_url": "https://api.groq.com/openai/v1", "cluster": "c",
             "upstream_clusters": ["c"], "auth": {"mode": "bearer", "key_env": "GROQ_API_KEY"}, "models": ["m", "n"],
             "operations": ["chat_completions", "rerank"], "responses_api": "chat", "messages_api": "native", "cache_control": true,
             "stream_usage": false, "reasoning_field": "r", "openai_hints": true, "drop_params": ["seed"],
             "reasoning_effort": true, "system_anywhere": true,
             "request_headers": {"remove": ["x-a"], "set": {"x-b": "c"}}},
            {"name": "b", "base_url": "http://b"},
        ],
        "virtual_keys": [
            {"id": "one", "key": "vk-0123456789abcdef", "providers": ["groq"], "models_allowed": ["*"], "model_aliases": {"a": "groq/m"},
             "cache": {"mode": "force"}, "usage": {"mode": "off", "default_max_tokens": 9}, "revoked": false,
             "expires_at": "2040-01-01T00:00:00Z"},
            {"id": "two", "key_sha256": ["4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6"]},
        ],
        "model_aliases": {
            "split": [{"target": "groq/m", "weight": 2}, {"fallback": ["groq/n", "b/m"], "cluster": "over", "weight": 1}],
            "back": {"fallback": ["groq/n", "b/m"], "cluster": "over"},
        },
        "cache": {"mode": "respect"},
        "usage": {"mode": "observe", "default_max_tokens": 1},
        "routing": {"cluster_header": "x-c", "positions": 2, "authority": "upstream"},
        "header_prefix": "x-p", "path_prefix": "/v1", "outside": "pass",
        "limits": {"max_request_bytes": 1, "max_buffered_bytes": 1, "max_answer_bytes": 1, "max_sse_event_bytes": 1,
                   "max_held_bytes": 8},
        "models_cache_seconds": 0, "response_model": "upstream", "answer_headers": ["model"], "seal_key_env": "GROQ_API_KEY",
    })
}

/// The pointer of every value.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    for (name, member) in value.as_object().into_iter().flatten() {
        pointers(member, &format!("{at}/{name}"), into);
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        pointers(item, &format!("{at}/{index}"), into);
    }
}

fn loads(config: &Value) -> bool {
    Config::from_plugin_configuration(config.to_string().as_bytes(), &env).is_ok()
}

#[test]
fn what_the_schema_refuses_the_loader_refuses() {
    let schema = crate::config::schema();
    let good = whole();
    assert!(
        fits(&schema, &good) && loads(&good),
        "{:?}",
        Config::from_plugin_configuration(good.to_string().as_bytes(), &env).err()
    );
    let mut all = Vec::new();
    pointers(&good, "", &mut all);
    let mut refused = 0;
    for pointer in all.iter().filter(|pointer| !pointer.is_empty()) {
        for wrong in [
            json!(null),
            json!(-1),
            json!(0),
            json!(3),
            json!(1_u64 << 40),
            json!("9-"),
            json!(true),
            json!([]),
            json!({}),
            json!({"x": 1}),
        ] {
            let mut config = good.clone();
            *config.pointer_mut(pointer).unwrap() = wrong.clone();
            if !fits(&schema, &config) {
                assert!(!loads(&config), "{pointer} {wrong}");
                refused += 1;
            }
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut config = good.clone();
        if let Some(members) = config.pointer_mut(parent).unwrap().as_object_mut() {
            members.remove(name);
            if !fits(&schema, &config) {
                assert!(!loads(&config), "without {pointer}");
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

/// The other way about, of what the table says: ranges, names, what must be there.
#[test]
fn what_the_table_refuses_the_schema_refuses() {
    let schema = crate::config::schema();
    for (pointer, wrong) in [
        ("/limits/max_held_bytes", json!(0)),
        ("/limits/max_answer_bytes", json!((1_u64 << 30) + 1)),
        ("/limits/max_request_bytes", json!(0)),
        ("/models_cache_seconds", json!(31_536_001)),
        ("/usage/default_max_tokens", json!(1_u64 << 32)),
        ("/routing/positions", json!(0)),
        ("/routing/positions", json!(3)),
        ("/model_aliases/split/0/weight", json!(0)),
        ("/providers/0/operations/0", json!("files")),
        ("/providers/0/operations/0", json!("chat")),
        ("/providers/0/auth/key_env", json!("sk-key")),
        ("/seal_key_env", json!("")),
        ("/virtual_keys/0/key_env", json!("A")),
        ("/model_aliases/split/0/fallback", json!(["groq/m", "b/m"])),
    ] {
        let mut config = whole();
        match config.pointer_mut(pointer) {
            Some(value) => *value = wrong.clone(),
            None => set(&mut config, pointer, wrong.clone()),
        }
        assert!(!loads(&config), "{pointer} {wrong}");
        assert!(!fits(&schema, &config), "{pointer} {wrong}");
    }
    for needed in [
        "/providers",
        "/providers/0/name",
        "/virtual_keys/0/id",
        "/virtual_keys/0/key",
        "/model_aliases/split/0/target",
        "/model_aliases/split/0/weight",
        "/model_aliases/back/fallback",
    ] {
        let (parent, name) = needed.rsplit_once('/').unwrap();
        let mut config = whole();
        config.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        assert!(!loads(&config) && !fits(&schema, &config), "{needed}");
    }
}
