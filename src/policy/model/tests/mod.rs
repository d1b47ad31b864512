#[cfg(not(target_arch = "wasm32"))]
mod laws;

use serde_json::{Value, json};

use super::*;
use crate::error::{Code, GatewayError};
use crate::policy::{Config, Provider};
use crate::test;
use crate::wire::model_span::MAX_MODEL_ID_BYTES;

/// groq has a curated list, vllm and together have none, twin lists what groq lists.
fn config(virtual_key: Value) -> Config {
    let mut key = json!({"id": "k", "key": "vk"});
    key.as_object_mut().unwrap().extend(virtual_key.as_object().unwrap().clone());
    let text = json!({
        "providers": [
            {"name": "vllm", "kind": "vllm"},
            {"name": "groq", "base_url": "http://g", "models": ["llama", "meta/llama", "both"]},
            {"name": "twin", "base_url": "http://t", "models": ["both", "only/twin"]},
            {"name": "together", "base_url": "http://o"},
        ],
        "virtual_keys": [key],
        "model_aliases": {
            "fast": "groq/llama",
            "far": "together/qwen",
            "shadowed": "groq/llama",
            "mixed": [{"target": "together/a", "weight": 9}, {"target": "groq/llama", "weight": 1}],
        },
    });
    Config::from_plugin_configuration(text.to_string().as_bytes(), &|_| None).unwrap()
}

fn try_resolve(config: &Config, id: &str, draw: u64) -> Result<String, GatewayError> {
    let key = config.virtual_keys.authenticate(b"vk", || 0).unwrap();
    let plan = resolve(config, &key, id, |_| Ok(()), || draw)?;
    Ok(shown(config, &plan.first))
}

fn shown(config: &Config, target: &Target) -> String {
    format!("{} {}", config.providers.get(target.provider).unwrap().name, target.model)
}

fn check(config: &Config, cases: &[(&str, Result<&str, Code>)]) {
    for (id, want) in cases {
        let got = try_resolve(config, id, 0).map_err(|error| error.code);
        assert_eq!(got.as_deref().map_err(|code| *code), *want, "{id}");
    }
}

const NOT_FOUND: Result<&str, Code> = Err(Code::ModelNotFound);
const DENIED: Result<&str, Code> = Err(Code::ModelNotAllowed);
const INVALID: Result<&str, Code> = Err(Code::InvalidModel);

#[test]
fn all_providers_bound_the_primary_has_no_list() {
    let config = config(json!({"model_aliases": {"shadowed": "vllm/own", "x/y": "vllm/z"}}));
    check(
        &config,
        &[
            ("fast", Ok("groq llama")),
            ("shadowed", Ok("vllm own")),
            ("x/y", Ok("vllm z")),
            ("far", Ok("together qwen")),
            ("groq/llama", Ok("groq llama")),
            ("groq/meta/llama", Ok("groq meta/llama")),
            ("groq/not-listed", NOT_FOUND),
            ("groq/", NOT_FOUND),
            ("vllm/", NOT_FOUND),
            ("vllm/a/b/c", Ok("vllm a/b/c")),
            ("vllm//a", Ok("vllm /a")),
            ("vllm/fast", Ok("vllm fast")),
            ("llama", Ok("groq llama")),
            ("meta/llama", Ok("groq meta/llama")),
            ("only/twin", Ok("twin only/twin")),
            ("both", Ok("vllm both")),
            ("anything", Ok("vllm anything")),
            ("LLAMA", Ok("vllm LLAMA")),
            ("Groq/llama", Ok("vllm Groq/llama")),
            (" llama", Ok("vllm  llama")),
            ("/", Ok("vllm /")),
            ("groq", Ok("vllm groq")),
            ("", INVALID),
            ("f/..;x/d", INVALID),
            ("f/%252e%252e/d", INVALID),
            ("f/ ../d", INVALID),
            ("d%00f", INVALID),
            ("f/\u{ff0e}./d", INVALID),
            ("a\nb", INVALID),
            ("a\u{7f}", INVALID),
            ("a\u{85}", INVALID),
            ("vllm/family/../denied", INVALID),
            ("vllm/./x", INVALID),
            ("..", INVALID),
            (".", INVALID),
            ("vllm/..", INVALID),
            ("vllm/a\\..\\b", INVALID),
            ("vllm/a\\../b", INVALID),
            ("vllm/a/%2e%2E/b", INVALID),
            ("vllm/a%2F..%2fb", INVALID),
            ("vllm/a/.%2e", INVALID),
            ("vllm/a.b/..c/d../...", Ok("vllm a.b/..c/d../...")),
            ("vllm/100%/x", Ok("vllm 100%/x")),
        ],
    );
    check(&config, &[(&"x".repeat(MAX_MODEL_ID_BYTES + 1), INVALID)]);
    assert!(try_resolve(&config, &"x".repeat(MAX_MODEL_ID_BYTES), 0).is_ok());
}

#[test]
fn unbound_providers_are_out_of_reach() {
    let config = config(json!({"providers": ["groq", "twin"]}));
    check(
        &config,
        &[
            ("far", NOT_FOUND),
            ("together/qwen", NOT_FOUND),
            ("vllm/x", NOT_FOUND),
            ("unknown", NOT_FOUND),
            ("both", Ok("groq both")),
            ("only/twin", Ok("twin only/twin")),
        ],
    );
    for draw in 0..20 {
        assert_eq!(try_resolve(&config, "mixed", draw).unwrap(), "groq llama");
    }
}

#[test]
fn the_primary_without_a_list_takes_what_an_unbound_prefix_names() {
    let config = config(json!({"providers": ["vllm", "groq"]}));
    check(&config, &[("together/qwen", Ok("vllm together/qwen")), ("far", NOT_FOUND)]);
}

#[test]
fn several_listings_and_a_primary_that_does_not_list() {
    let config = config(json!({"providers": ["twin", "groq"]}));
    check(&config, &[("both", Ok("twin both")), ("llama", Ok("groq llama"))]);
}

#[test]
fn allowlist_matches_any_of_three_spellings() {
    for (entries, id, want) in [
        (json!(["groq/llama"]), "llama", Ok("groq llama")),
        (json!(["groq/llama"]), "fast", Ok("groq llama")),
        (json!(["llama"]), "groq/llama", Ok("groq llama")),
        (json!(["llama"]), "fast", Ok("groq llama")),
        (json!(["fast"]), "fast", Ok("groq llama")),
        (json!(["fast"]), "groq/llama", DENIED),
        (json!(["groq/*"]), "meta/llama", Ok("groq meta/llama")),
        (json!(["*"]), "anything", Ok("vllm anything")),
        (json!(["vllm/*"]), "anything", Ok("vllm anything")),
        (json!(["LLAMA"]), "llama", DENIED),
        (json!([]), "llama", DENIED),
        (json!([]), "fast", DENIED),
    ] {
        check(&config(json!({"models_allowed": entries})), &[(id, want)]);
    }
}

#[test]
fn a_denial_does_not_tell_which_models_exist() {
    // Nothing but groq's llama may be used: whether another id exists makes no difference.
    let restricted =
        json!({"providers": ["groq", "twin"], "models_allowed": ["groq/llama", "ghost"]});
    let config = config(restricted);
    check(
        &config,
        &[
            ("llama", Ok("groq llama")),
            ("meta/llama", DENIED),
            ("meta/unknown", DENIED),
            ("only/twin", DENIED),
            ("only/unknown", DENIED),
            ("twin/only/twin", DENIED),
            ("twin/unknown", DENIED),
            ("groq/", DENIED),
            ("far", DENIED),
            ("together/qwen", DENIED),
            ("no-such-alias", DENIED),
            // Spelled in the allowlist, so its absence may be told.
            ("ghost", NOT_FOUND),
            ("groq/ghost", NOT_FOUND),
        ],
    );
    let message = |id: &str| try_resolve(&config, id, 0).unwrap_err().message;
    assert_eq!(
        message("only/twin").replace("only/twin", "X"),
        message("nope").replace("nope", "X")
    );
    for id in ["only/twin", "ghost", "far"] {
        let error = try_resolve(&config, id, 0).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("model"));
        assert!(error.message.contains(&format!("`{id}`")), "{}", error.message);
        assert!(error.message.contains("GET /v1/models"), "{}", error.message);
        for hidden in ["groq", "together", "llama"] {
            assert!(!error.message.contains(hidden), "{}", error.message);
        }
    }
}

#[test]
fn an_unlisted_id_does_not_match_by_the_primary() {
    // Were a bare id held against `groq/*` through the primary, "only/twin" (403) would differ from
    // an id that nobody lists (404).
    let config = config(json!({"providers": ["groq", "twin"], "models_allowed": ["groq/*"]}));
    check(
        &config,
        &[
            ("only/twin", DENIED),
            ("only/unknown", DENIED),
            ("llama", Ok("groq llama")),
            ("groq/unknown", NOT_FOUND),
            ("far", DENIED),
        ],
    );
}

#[test]
fn splits_follow_their_weights() {
    let config = config(json!({}));
    let together = (0..100)
        .filter(|draw| try_resolve(&config, "mixed", *draw).unwrap().starts_with("together"));
    assert_eq!(together.count(), 90);
}

/// A configuration with a fallback over four providers: vllm, groq (with a list), twin (with a list),
/// together.
fn fallback(targets: &[&str], key: Value) -> Config {
    let mut config = json!({
        "providers": [
            {"name": "vllm", "kind": "vllm"},
            {"name": "groq", "base_url": "http://g", "models": ["llama"]},
            {"name": "together", "base_url": "http://o"},
        ],
        "virtual_keys": [{"id": "k", "key": "vk"}, {"id": "all", "key": "other"}],
        "model_aliases": {"fast": {"fallback": targets, "cluster": "over"}},
    });
    config["virtual_keys"][0].as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
    Config::from_plugin_configuration(config.to_string().as_bytes(), &|_| None).unwrap()
}

#[test]
fn what_is_left_of_a_fallback() {
    use crate::policy::operation::Operation::{ChatCompletions as Chat, Speech};
    let all = ["vllm/a", "groq/llama", "together/b"];
    let over = |retries: Option<usize>| Some(retries);
    let own = None;
    for (targets, key, operation, want, way) in [
        (all, json!({}), Chat, Ok("vllm a, groq llama, together b"), over(None)),
        // An entry that matches the name allows all targets.
        (
            all,
            json!({"models_allowed": ["fast"]}),
            Chat,
            Ok("vllm a, groq llama, together b"),
            over(None),
        ),
        // Cut at the first target that is not allowed.
        (
            all,
            json!({"models_allowed": ["vllm/*", "groq/*"]}),
            Chat,
            Ok("vllm a, groq llama"),
            over(Some(1)),
        ),
        (
            all,
            json!({"models_allowed": ["vllm/*", "together/*"]}),
            Chat,
            Ok("vllm a"),
            over(Some(0)),
        ),
        (all, json!({"models_allowed": ["groq/*"]}), Chat, Err(Code::ModelNotAllowed), own),
        (all, json!({"models_allowed": []}), Chat, Err(Code::ModelNotAllowed), own),
        // What is left out at the end changes how many may be tried.
        (
            all,
            json!({"providers": ["groq", "vllm"]}),
            Chat,
            Ok("vllm a, groq llama"),
            over(Some(1)),
        ),
        (all, json!({"providers": ["groq", "together"]}), Chat, Ok("groq llama"), own),
        (all, json!({}), Speech, Ok("groq llama"), own),
        (all, json!({"providers": ["vllm"]}), Speech, Err(Code::UnsupportedOperation), own),
        (
            all,
            json!({"providers": ["vllm"], "models_allowed": ["x"]}),
            Speech,
            Err(Code::ModelNotAllowed),
            own,
        ),
    ] {
        let config = fallback(&targets, key.clone());
        let key_of = config.virtual_keys.authenticate(b"vk", || 0).unwrap();
        let offers = |provider: &Provider| {
            let error = || GatewayError::new(Code::UnsupportedOperation, "");
            provider.operations.contains(operation).then_some(()).ok_or_else(error)
        };
        let plan = resolve(&config, &key_of, "fast", offers, || 0);
        let got = plan.as_ref().map_err(|error| error.code).map(|plan| {
            let left = std::iter::once(&plan.first).chain(&plan.rest);
            left.map(|target| shown(&config, target)).collect::<Vec<_>>().join(", ")
        });
        assert_eq!(got.as_deref().map_err(|code| *code), want, "{targets:?} {key} {operation:?}");
        // What is shown is what a request is let through for.
        let shown = is_usable(&config, &key_of, "fast", config.aliases.get("fast").unwrap());
        assert_eq!(shown, resolve(&config, &key_of, "fast", |_| Ok(()), || 0).is_ok(), "{key}");
        if let Ok(plan) = plan {
            let got = match plan.way {
                Way::Own => None,
                Way::Fallback { cluster, retries } => {
                    assert_eq!(&*cluster, "over");
                    Some(retries)
                }
            };
            assert_eq!(got, way, "{targets:?} {key} {operation:?}");
        }
    }
}
