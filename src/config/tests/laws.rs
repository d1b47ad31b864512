//! Properties of any configuration.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

const SECRET: &str = "s3cr3t";

/// The names of all members, so that random objects look like configurations.
const NAMES: [&str; 49] = [
    "providers",
    "virtual_keys",
    "model_aliases",
    "cache",
    "routing",
    "header_prefix",
    "path_prefix",
    "limits",
    "models_cache_seconds",
    "response_model",
    "answer_headers",
    "name",
    "kind",
    "base_url",
    "cluster",
    "auth",
    "models",
    "operations",
    "responses_api",
    "stream_usage",
    "reasoning_field",
    "openai_hints",
    "seal_key_env",
    "drop_params",
    "reasoning_effort",
    "system_anywhere",
    "mode",
    "header",
    "prefix",
    "key",
    "key_env",
    "id",
    "key_sha256",
    "models_allowed",
    "revoked",
    "expires_at",
    "cluster_header",
    "max_request_bytes",
    "max_buffered_bytes",
    "target",
    "weight",
    "outside",
    "upstream_clusters",
    "request_headers",
    "remove",
    "set",
    "max_held_bytes",
    "max_answer_bytes",
    "other",
];

/// Any JSON of these names, in which every string holds [`SECRET`].
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,4}".prop_map(|text| Value::from(format!("{text}{SECRET}"))),
        Just(json!("http://u:s3cr3t@h/v1?k=s3cr3t")),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(&NAMES[..]), inner), 0..8)
                .prop_map(|members| {
                    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                    Value::Object(members.collect::<Map<_, _>>())
                }),
        ]
    })
}

/// A good configuration with keys wherever keys may be.
fn good(keys: &[String]) -> Value {
    json!({
        "providers": [
            {"name": "a", "base_url": "http://a", "auth": {"key": keys[0]}},
            {"name": "b", "base_url": "http://b", "auth": {"mode": "api_key", "key_env": "B"}},
            {"name": "c", "base_url": "http://c",
             "auth": {"mode": "header", "header": "x-c", "prefix": keys[1], "key": keys[2]}},
        ],
        "virtual_keys": [
            {"id": "x", "key": keys[3]},
            {"id": "y", "key_env": "Y"},
        ],
    })
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for start in [&b""[..], b"{", b"\n", b"\n\x12"] {
            let bytes = [start, &bytes].concat();
            prop_assert!(Config::from_plugin_configuration(&bytes, &env).is_err());
        }
    }

    #[test]
    fn a_damaged_struct_never_panics(at in 0_usize..200, byte: u8) {
        let mut bytes = super::super::structpb::tests::encode(&base());
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Err(problems) = Config::from_plugin_configuration(&bytes, &env) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn problems_repeat_no_value(config in any_json(), pointer in 0_usize..6) {
        let places =
            ["/providers", "/virtual_keys", "/providers/0/auth", "/providers/-", "/virtual_keys/-",
             "/model_aliases"];
        let mut changed = base();
        set(&mut changed, places[pointer], config.clone());
        for config in [config, changed] {
            for bytes in [
                config.to_string().into_bytes(),
                // Cut in the middle: a syntax error, next to a secret.
                config.to_string().into_bytes()[..config.to_string().len() / 2].to_vec(),
            ] {
                if let Err(problems) = Config::from_plugin_configuration(&bytes, &|_| None) {
                    prop_assert!(!problems.is_empty());
                    prop_assert!(!problems.to_string().contains(SECRET), "{}", problems);
                    let debug = format!("{problems:?}");
                    prop_assert!(!debug.contains(SECRET));
                }
            }
        }
    }

    #[test]
    fn a_configuration_prints_no_key(
        keys in proptest::collection::hash_set("KEY[a-zA-Z0-9._-]{12}", 6)
    ) {
        let keys: Vec<String> = keys.into_iter().collect();
        let env = |name: &str| match name {
            "B" => Some(keys[4].clone()),
            "Y" => Some(keys[5].clone()),
            _ => None,
        };
        let config = Config::from_plugin_configuration(good(&keys).to_string().as_bytes(), &env);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let printed = format!("{config:?} {config:#?} {} {:?}", config.summary(), config.warnings());
        for key in &keys {
            prop_assert!(!printed.contains(key), "{}", printed);
        }
        prop_assert!(!printed.contains("KEY"));
        prop_assert!(config.virtual_keys.authenticate(keys[3].as_bytes(), || 0).is_ok());
        prop_assert!(config.virtual_keys.authenticate(keys[5].as_bytes(), || 0).is_ok());

        // The same keys in a configuration that is wrong.
        let mut wrong = good(&keys);
        wrong["virtual_keys"][1]["key"] = json!(keys[3]);
        wrong["providers"][0]["auth"]["header"] = json!(keys[0]);
        let problems = Config::from_plugin_configuration(wrong.to_string().as_bytes(), &env);
        let printed = format!("{0} {0:?}", problems.unwrap_err());
        prop_assert!(!printed.contains("KEY"), "{}", printed);
    }
}
