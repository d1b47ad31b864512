//! What a configuration means.

use super::{base, env, with};
use crate::policy::model::AliasChoice;
use crate::policy::operation::Operation;
use crate::policy::pattern::Pattern;
use crate::policy::*;
use crate::test;
use crate::wire::headers::HeaderEdit;
use serde_json::{Value, json};

/// The only provider of the base configuration, with members added.
fn provider(members: serde_json::Value) -> Provider {
    let changes: Vec<_> = members
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (format!("/providers/0/{name}"), value.clone()))
        .collect();
    let changes: Vec<_> = changes.iter().map(|(at, value)| (at.as_str(), value.clone())).collect();
    let config = with(&changes).unwrap_or_else(|problems| panic!("{problems}"));
    config.providers.into_iter().next().unwrap()
}

#[test]
fn defaults() {
    let config = with(&[]).unwrap();
    assert_eq!(config.cache, CacheMode::Respect);
    assert_eq!(config.headers, HeaderNames::new("x-langwatch", "x-gateway-cluster"));
    assert_eq!(config.path_prefix, "/v1");
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.models_cache_seconds, 60);
    assert_eq!(config.response_model, ResponseModel::Upstream);
    assert!(config.seal_secret.is_none());
    assert!(config.aliases.is_empty() && config.warnings().len() == 1);

    let (id, provider) = config.providers.iter().next().unwrap();
    assert_eq!((&*provider.name, &*provider.cluster), ("groq", "groq"));
    assert_eq!(provider.kind, ProviderKind::Openai);
    assert_eq!(&*provider.authority, "api.groq.com");
    assert_eq!(provider.base_path, "/openai/v1");
    assert!(provider.credential.is_none() && provider.auth_header.is_none());
    assert!(provider.models.is_none() && provider.reasoning_field.is_none());
    assert_eq!(provider.responses_api, ResponsesApi::Chat);
    assert!(provider.stream_usage);
    assert_eq!(provider.takes, Takes::DEFAULT);
    assert!(provider.drop_params.is_empty());

    let key = config.virtual_keys.authenticate(b"vk-s3cret", || u64::MAX).unwrap();
    assert_eq!(&*key.id, "team");
    assert_eq!(key.bound.iter().collect::<Vec<_>>(), [id]);
    assert!(key.allowed.allows(None, "groq", "m"));
    assert!(key.cache.is_none() && key.expires_at.is_none() && !key.revoked);
}

#[test]
fn threads_share_the_virtual_keys() {
    fn crosses_threads<T: Send + Sync>(_: &T) {}
    let text = base().to_string();
    let (config, shared) = Config::for_threads(text.as_bytes(), &env).unwrap();
    crosses_threads(&shared);
    let own = shared.of_thread(&env).unwrap();
    assert!(std::sync::Arc::ptr_eq(&own.virtual_keys, &config.virtual_keys));
    assert_eq!(own.summary(), config.summary());
    assert!(Config::for_threads(b"{}", &env).is_err());

    let mut config = base();
    config["seal_key_env"] = json!("GROQ_API_KEY");
    let (_, shared) = Config::for_threads(config.to_string().as_bytes(), &env).unwrap();
    let told = shared.of_thread(&|_| None).unwrap_err().to_string();
    assert!(told.starts_with("seal_key_env: "), "{told}");
}

#[test]
fn everything_set() {
    let config = with(&[
        ("/providers/-", json!({"name": "vllm", "kind": "vllm"})),
        ("/virtual_keys/0/providers", json!(["vllm", "groq", "vllm"])),
        ("/virtual_keys/0/models_allowed", json!(["vllm/*"])),
        ("/virtual_keys/0/model_aliases", json!({"a": "groq/m/n"})),
        ("/virtual_keys/0/cache", json!({"mode": "force"})),
        ("/virtual_keys/0/revoked", json!(false)),
        ("/virtual_keys/0/expires_at", json!("1970-01-02T00:00:00+01:00")),
        ("/virtual_keys/-", json!({"id": "b", "key_env": "GROQ_API_KEY", "cache": {}})),
        ("/cache", json!({"mode": "disable"})),
        ("/routing", json!({"cluster_header": "X-Route-To"})),
        ("/header_prefix", json!("X-Acme")),
        ("/path_prefix", json!("/llm/v1//")),
        ("/limits", json!({"max_request_bytes": 100, "max_buffered_bytes": 50})),
        ("/models_cache_seconds", json!(0)),
        ("/response_model", json!("requested")),
        ("/answer_headers", json!(["cache", "model", "cache"])),
        ("/seal_key_env", json!("GROQ_API_KEY")),
    ])
    .unwrap();
    assert_eq!(config.cache, CacheMode::Disable);
    let answers = [AnswerHeader::Model, AnswerHeader::Cache].into_iter().collect();
    assert_eq!(config.headers, HeaderNames { answers, ..HeaderNames::new("x-acme", "x-route-to") });
    let has = |header| config.headers.answers.has(header);
    assert!(has(AnswerHeader::Model) && has(AnswerHeader::Cache) && !has(AnswerHeader::Provider));
    assert_eq!(config.path_prefix, "/llm/v1");
    let limits = Limits { max_request_bytes: 100, max_buffered_bytes: 50, ..Limits::default() };
    assert_eq!(config.limits, limits);
    assert_eq!(config.models_cache_seconds, 0);
    assert_eq!(config.response_model, ResponseModel::Requested);
    assert_eq!(config.seal_secret.as_ref().unwrap().expose(), &env("GROQ_API_KEY").unwrap().into());

    let id = |name| config.providers.by_name(name).unwrap();
    let vllm = config.providers.get(id("vllm")).unwrap();
    assert_eq!((&*vllm.authority, vllm.base_path.as_str()), ("localhost:8000", "/v1"));
    let key = config.virtual_keys.authenticate(b"vk-s3cret", || 82_799).unwrap();
    assert_eq!(key.expires_at, Some(82_800));
    assert_eq!(key.bound.iter().collect::<Vec<_>>(), [id("vllm"), id("groq")]);
    assert_eq!(key.cache, Some(CacheMode::Force));
    let target = &key.aliases.get("a").and_then(|targets| targets.pick(0)).unwrap().targets()[0];
    assert_eq!((target.provider, target.model.as_str()), (id("groq"), "m/n"));
    assert!(!key.allowed.allows(None, "groq", "m"));
    let other = config.virtual_keys.authenticate(b"gsk-s3cret", || 0).unwrap();
    assert_eq!(other.bound.iter().collect::<Vec<_>>(), [id("groq"), id("vllm")]);
    assert_eq!(other.cache, None);
}

#[test]
fn path_prefix_may_be_everything() {
    for prefix in ["", "/", "//"] {
        assert_eq!(with(&[("/path_prefix", json!(prefix))]).unwrap().path_prefix, "");
    }
}

#[test]
fn credentials() {
    for (auth, want) in [
        (json!({"key": "K"}), Some(("authorization", "Bearer K"))),
        (json!({"mode": "bearer", "key": "K"}), Some(("authorization", "Bearer K"))),
        (json!({"key_env": "GROQ_API_KEY"}), Some(("authorization", "Bearer gsk-s3cret"))),
        (json!({"mode": "api_key", "key": "K"}), Some(("api-key", "K"))),
        (json!({"mode": "header", "header": "X-Key", "key": "K"}), Some(("x-key", "K"))),
        (
            json!({"mode": "header", "header": "authorization", "prefix": "Key ", "key": "K"}),
            Some(("authorization", "Key K")),
        ),
        (json!({}), None),
        (json!({"key": ""}), None),
        (json!({"key_env": "EMPTY"}), None),
        (json!({"mode": "api_key"}), None),
        (json!({"mode": "header", "header": "x-key", "prefix": "Key ", "key": ""}), None),
        (json!({"mode": "none"}), None),
    ] {
        let provider = provider(json!({ "auth": auth }));
        let got = provider.credential.as_ref().map(|c| (&*c.header, &**c.value.expose()));
        assert_eq!(got, want, "{auth}");
        let header = auth.get("header").map(|name| name.as_str().unwrap().to_ascii_lowercase());
        assert_eq!(provider.auth_header.as_deref(), header.as_deref(), "{auth}");
    }
}

#[test]
fn operations_by_kind() {
    use Operation as Op;
    let beyond_vllm = [Op::Speech, Op::ImageGeneration, Op::ImageEdit, Op::Moderations];
    for operation in Op::ALL {
        let unroutable = matches!(operation, Op::Files | Op::Batches);
        let openai = provider(json!({})).operations.contains(operation);
        let vllm = provider(json!({"kind": "vllm"})).operations.contains(operation);
        assert_eq!(openai, !unroutable, "{operation:?}");
        assert_eq!(vllm, !unroutable && !beyond_vllm.contains(&operation), "{operation:?}");
    }
    let own = provider(json!({"kind": "vllm", "operations": ["speech", "rerank"]})).operations;
    assert_eq!(own, [Op::Rerank, Op::Speech].into_iter().collect());
}

#[test]
fn curated_lists() {
    let listed = provider(json!({"models": ["b", "a", "b"]})).models.unwrap();
    assert_eq!(listed.iter().collect::<Vec<_>>(), ["b", "a"]);
    assert!(listed.contains("a") && !listed.contains("c"));
    assert_eq!(provider(json!({"models": []})).models.unwrap().iter().count(), 0);
}

#[test]
fn other_members_of_a_provider() {
    let provider = provider(json!({
        "cluster": "outbound|443||api.groq.com", "responses_api": "native",
        "stream_usage": false, "reasoning_field": "reasoning_content",
    }));
    assert_eq!(&*provider.cluster, "outbound|443||api.groq.com");
    assert_eq!(provider.responses_api, ResponsesApi::Native);
    assert!(!provider.stream_usage);
    assert_eq!(provider.reasoning_field.as_deref(), Some("reasoning_content"));
}

#[test]
fn what_a_server_takes() {
    let provider = provider(json!({
        "openai_hints": true, "drop_params": ["seed", "user", "seed"], "reasoning_effort": false,
        "system_anywhere": true,
    }));
    assert_eq!(provider.drop_params, ["seed", "user"]);
    let all = Takes { openai_hints: true, reasoning_effort: false, system_anywhere: true };
    assert_eq!(provider.takes, all);
}

#[test]
fn expiry_before_the_epoch_is_long_ago() {
    let config = with(&[("/virtual_keys/0/expires_at", json!("1960-01-01T00:00:00Z"))]).unwrap();
    assert!(config.virtual_keys.authenticate(b"vk-s3cret", || 0).is_err());
}

#[test]
fn numbers_of_a_struct_are_doubles() {
    let mut config = base();
    config["limits"] = json!({"max_request_bytes": 33_554_432.0, "max_answer_bytes": 1e3});
    let config = Config::from_plugin_configuration(config.to_string().as_bytes(), &env).unwrap();
    assert_eq!(config.limits.max_request_bytes, 33_554_432);
    assert_eq!(config.limits.max_answer_bytes, 1_000);
}

#[test]
fn summary_and_warnings() {
    let config = with(&[
        ("/providers/0/auth", json!({"key": "s3cret"})),
        ("/virtual_keys/0/revoked", json!(true)),
        ("/virtual_keys/0/model_aliases", json!({"a": "groq/m"})),
        ("/model_aliases", json!({"b": "groq/m", "c": "groq/m"})),
    ])
    .unwrap();
    assert_eq!(
        config.summary(),
        "1 provider: groq (openai, cluster groq); 1 virtual key (1 revoked); \
         2 model aliases (and 1 of single keys); cache respect; path prefix /v1"
    );
    for keys in [json!([]), json!(null)] {
        let mut config = base();
        if keys.is_null() {
            config.as_object_mut().unwrap().remove("virtual_keys");
        } else {
            config["virtual_keys"] = keys;
        }
        let config =
            Config::from_plugin_configuration(config.to_string().as_bytes(), &env).unwrap();
        assert_eq!(config.warnings().len(), 1);
        assert!(config.warnings()[0].message.contains("virtual_keys is empty"));
    }
}

#[test]
fn short_keys_are_warned_of() {
    let warnings = |keys: serde_json::Value| -> Vec<String> {
        let config = with(&[("/virtual_keys", keys)]).unwrap();
        config.warnings().iter().map(ToString::to_string).collect()
    };
    let fifteen = warnings(
        json!([{"id": "a", "key": "vk-456789012345"}, {"id": "b", "key_env": "GROQ_API_KEY"}]),
    );
    assert_eq!(fifteen.len(), 1);
    assert!(fifteen[0].starts_with("2 virtual keys are shorter than 16 characters"), "{fifteen:?}");
    assert!(fifteen[0].contains(": a, b;") && !fifteen[0].contains("456789"));
    assert!(warnings(json!([{"id": "a", "key": "vk-4567890123456"}])).is_empty());
    let digest = "4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6";
    assert!(warnings(json!([{"id": "a", "key_sha256": digest}])).is_empty());
}

#[test]
fn an_alias_may_lead_to_any_model_of_a_provider_without_a_list() {
    let listed = ("/providers/0/models", json!(["m"]));
    assert!(with(&[listed.clone(), ("/model_aliases", json!({"a": "groq/m"}))]).is_ok());
    assert!(with(&[("/model_aliases", json!({"a": "groq/whatever"}))]).is_ok());
}

#[test]
fn request_headers_and_clusters() {
    let plain = provider(json!({"cluster": "c"}));
    assert!(plain.request_headers.is_empty());
    assert_eq!(&*plain.upstream_clusters, [Pattern::new("c")]);
    let provider = provider(json!({
        "request_headers": {"remove": ["X-Internal"], "set": {"OpenAI-Organization": "org-1", "x-empty": ""}},
        "upstream_clusters": ["outbound|443|*|api.groq.com", "b"],
    }));
    let want = [
        HeaderEdit::remove("x-internal"),
        HeaderEdit::set("openai-organization", "org-1"),
        HeaderEdit::set("x-empty", ""),
    ];
    assert_eq!(&*provider.request_headers, want);
    assert_eq!(provider.upstream_clusters.len(), 2);
    assert!(!format!("{provider:?}").contains("org-1"));
}

#[test]
fn a_key_is_rotated_under_one_name() {
    let digest = |key: &[u8]| {
        let bytes = crate::policy::key::digest(key);
        bytes.map(|byte| format!("{byte:02x}")).concat()
    };
    let list = json!([digest(b"vk-old"), digest(b"vk-new"), digest(b"vk-new")]);
    let key = json!({"id": "rotating", "key_sha256": list});
    let config = with(&[("/virtual_keys", json!([key]))]).unwrap();
    for presented in [&b"vk-old"[..], b"vk-new"] {
        let key = config.virtual_keys.authenticate(presented, || 0).unwrap();
        assert_eq!(&*key.id, "rotating");
    }
    assert_eq!(config.virtual_keys.len(), 1);
}

fn two_providers() -> (&'static str, Value) {
    ("/providers/-", json!({"name": "vllm", "kind": "vllm", "upstream_clusters": ["v*", "gpu"]}))
}

#[test]
fn fallbacks() {
    let both = json!(["groq/a", "vllm/b/c"]);
    let config = with(&[
        two_providers(),
        (
            "/model_aliases",
            json!({
                "fast": {"fallback": both},
                "x y": {"fallback": both, "cluster": "xy"},
                "mixed": [{"target": "groq/a", "weight": 9},
                          {"fallback": both, "cluster": "both", "weight": 1}],
            }),
        ),
    ])
    .unwrap();
    let clusters = |name: &str| {
        let targets = config.aliases.get(name).unwrap();
        let choices = targets.choices().map(|(weight, choice)| match choice {
            AliasChoice::One(_) => (weight, None, 1),
            AliasChoice::Fallback(fallback) => {
                (weight, Some(fallback.cluster().to_string()), fallback.targets().len())
            }
        });
        choices.collect::<Vec<_>>()
    };
    assert_eq!(clusters("fast"), [(1, Some("fast".to_owned()), 2)]);
    assert_eq!(clusters("x y"), [(1, Some("xy".to_owned()), 2)]);
    assert_eq!(clusters("mixed"), [(9, None, 1), (1, Some("both".to_owned()), 2)]);
    let vllm = config.providers.by_name("vllm").and_then(|id| config.providers.get(id)).unwrap();
    assert!(vllm.is_in(b"vllm-2") && vllm.is_in(b"gpu") && !vllm.is_in(b"groq"));
}

#[test]
fn positions_follow_the_aliases() {
    let two = Routing { positions: Positions::Two, authority: Authority::Upstream };
    let one = Routing { positions: Positions::One, authority: Authority::Filter };
    let fallback = json!({"fast": {"fallback": ["groq/a", "vllm/b"]}});
    assert_eq!(with(&[]).unwrap().routing, one);
    assert_eq!(
        with(&[two_providers(), ("/model_aliases", fallback.clone())]).unwrap().routing,
        two
    );
    let prefix = json!({"claude-*": {"fallback": ["groq/a", "vllm/b"], "cluster": "over"}});
    assert_eq!(with(&[two_providers(), ("/model_aliases", prefix)]).unwrap().routing, two);
    let own = ("/virtual_keys/0/model_aliases", fallback);
    assert_eq!(with(&[two_providers(), own]).unwrap().routing, two);
    for (routing, want) in [
        (json!({"positions": 1}), one),
        (json!({"positions": 2}), two),
        (
            json!({"positions": 2, "authority": "route"}),
            Routing { authority: Authority::Route, ..two },
        ),
        (
            json!({"positions": 2, "authority": "filter"}),
            Routing { authority: Authority::Filter, ..two },
        ),
        (json!({"authority": "route"}), Routing { authority: Authority::Route, ..one }),
    ] {
        assert_eq!(with(&[("/routing", routing)]).unwrap().routing, want);
    }
}

#[test]
fn a_key_takes_what_it_leaves_out_of_usage_from_all() {
    let usage = |mode, default_max_tokens| UsageSettings { mode, default_max_tokens };
    for (all, own, want) in [
        (json!({}), json!({}), usage(UsageMode::Off, 1024)),
        (json!({"mode": "observe"}), json!({}), usage(UsageMode::Observe, 1024)),
        (
            json!({"mode": "require", "default_max_tokens": 0}),
            json!({"mode": "off"}),
            usage(UsageMode::Off, 0),
        ),
        (
            json!({"mode": "observe"}),
            json!({"default_max_tokens": 4_294_967_295_u32}),
            usage(UsageMode::Observe, u32::MAX),
        ),
    ] {
        let config = with(&[("/usage", all), ("/virtual_keys/0/usage", own)]).unwrap();
        let keys: Vec<_> = config.virtual_keys.iter().map(|key| key.usage).collect();
        assert_eq!(keys.first(), Some(&want));
    }
}
