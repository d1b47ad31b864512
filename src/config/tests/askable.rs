//! Whatever a configuration accepts as the name of a model can be asked for.

use super::*;
use crate::test;

/// What requests may not name, with a word of the reason. Each is one for a reason of its own kind.
const BAD: [(&str, &str); 18] = [
    ("a,b", "`,`"),
    ("a|b", "`|`"),
    ("a?b=c", "`?`"),
    ("a#b", "`#`"),
    ("a%2Cb", "`,`"),
    ("a%257cb", "`|`"),
    ("..", "`..`"),
    ("a/../b", "`..`"),
    ("a/./b", "`..`"),
    ("a\\..\\b", "`..`"),
    ("a/%2e%2E/b", "`..`"),
    ("a/..;x/b", "`..`"),
    ("a;b", "`;`"),
    ("a&b=c", "`&`"),
    ("a/ .. /b", "`..`"),
    ("a/\u{ff0e}\u{ff0e}/b", "`..`"),
    ("a%00b", "control"),
    ("a%0d%0ab", "control"),
];

/// What somebody may well call a model.
const GOOD: [&str; 14] = [
    "gpt-4o",
    "meta-llama/Llama-3.2-1B-Instruct",
    "@cf/meta/llama-3.1-8b-instruct",
    "llama3:8b-instruct-q4_K_M",
    "accounts/fireworks/models/x",
    "openai/gpt-oss-20b:free",
    "arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0",
    "model with spaces",
    " leading and trailing ",
    "m\u{f6}del \u{4e2d}\u{6587}",
    "a..b/...",
    "100%",
    "~x/y=z+w",
    "ft:gpt-4o:org::id",
];

/// Everywhere that a configuration names models: pointer, the value for a name, the path in the message, and the words
/// that begin the reason. `*` is added to names by some.
fn places(name: &str) -> Vec<(&'static str, Value, String, &'static str)> {
    let target = format!("groq/{name}");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let member = |name: &str| match name.chars().all(plain) {
        true => format!(".{name}"),
        false => format!("[{name:?}]"),
    };
    let alias = "no request can ask for this alias: its name ";
    let sent = "no request is sent for this target: its model id ";
    let listed = "no request can ask for this model: its id ";
    let allowed = "no request can ask for what this entry allows: such a model id ";
    let split = json!({"s": [{"target": "groq/m", "weight": 1}, {"target": target, "weight": 1}]});
    let own = "virtual_keys[0].model_aliases";
    vec![
        (
            "/model_aliases",
            json!({name: "groq/m"}),
            format!("model_aliases{}", member(name)),
            alias,
        ),
        (
            "/virtual_keys/0/model_aliases",
            json!({name: "groq/m"}),
            format!("{own}{}", member(name)),
            alias,
        ),
        ("/model_aliases", json!({"s": target}), "model_aliases.s".to_owned(), sent),
        ("/virtual_keys/0/model_aliases", json!({"s": target}), format!("{own}.s"), sent),
        ("/model_aliases", split, "model_aliases.s[1].target".to_owned(), sent),
        ("/providers/0/models", json!(["m", name]), "providers[0].models[1]".to_owned(), listed),
        (
            "/virtual_keys/0/models_allowed",
            json!(["m", name]),
            "virtual_keys[0].models_allowed[1]".to_owned(),
            allowed,
        ),
    ]
}

/// Whether what is wrong is a sign that only a client must not send: a server's own id may hold it.
fn may_be_own(words: &str) -> bool {
    !matches!(words, "`..`" | "control")
}

#[test]
fn what_no_request_can_name_is_an_error() {
    for (name, words) in BAD {
        for (pointer, value, path, reason) in places(name) {
            let is_own = reason.starts_with("no request is sent") || pointer.ends_with("/models");
            if is_own && may_be_own(words) {
                assert!(with(&[(pointer, value)]).is_ok(), "{pointer} {name}");
                continue;
            }
            let text = with(&[(pointer, value)]).unwrap_err().to_string();
            assert_eq!(text.lines().count(), 1, "{name}: {text}");
            // A regular expression is told first where `|` stands in an allowlist.
            let is_regex = name.contains('|') && reason.contains("entry");
            let begins = if is_regex { format!("{path}: ") } else { format!("{path}: {reason}") };
            assert!(text.starts_with(&begins) && text.contains(words), "{pointer} {name}: {text}");
        }
    }
    for (pointer, value, path, _) in places(&"a".repeat(1_025)) {
        let text = with(&[(pointer, value)]).unwrap_err().to_string();
        assert!(text.starts_with(&path) && text.contains("1,024"), "{text}");
    }
    // With its provider's name, by which any key may ask for it.
    let long = with(&[("/providers/0/models", json!(["a".repeat(1_020)]))]).unwrap_err();
    assert!(long.to_string().contains("1,024"), "{long}");
}

#[test]
fn what_a_request_can_name_is_none() {
    for name in GOOD {
        for (pointer, value, ..) in places(name) {
            assert!(with(&[(pointer, value)]).is_ok(), "{pointer} {name}");
        }
    }
}

#[test]
fn in_fallbacks() {
    let second = ("/providers/-", json!({"name": "b", "base_url": "http://b"}));
    for (name, words) in BAD {
        for at in ["/model_aliases", "/virtual_keys/0/model_aliases"] {
            let alias = json!({"f": {"fallback": ["groq/m", format!("b/{name}")]}});
            if may_be_own(words) {
                assert!(with(&[second.clone(), (at, alias)]).is_ok(), "{name}");
                continue;
            }
            let text = with(&[second.clone(), (at, alias)]).unwrap_err().to_string();
            assert!(text.contains(".f.fallback[1]: no request is sent"), "{text}");
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn beginnings_of_names() {
    for (name, words) in BAD {
        if matches!(name, "..") {
            continue; // `..*` is asked for as `..x`.
        }
        let text = with(&[("/model_aliases", json!({format!("{name}*"): "groq/m"}))]).unwrap_err();
        assert!(text.to_string().contains(words), "{text}");
    }
    for good in ["*", "..*", "a/.*", "a%*", "a%2*"] {
        assert!(with(&[("/model_aliases", json!({good: "groq/m"}))]).is_ok(), "{good}");
    }
}

#[test]
fn providers() {
    for (name, is_good) in
        [("..", false), (".", false), ("...", true), (".a", true), ("a..b", true)]
    {
        let read = with(&[("/providers/-", json!({"name": name, "base_url": "http://b"}))]);
        match read {
            Ok(_) => assert!(is_good, "{name}"),
            Err(problems) => {
                let text = problems.to_string();
                assert!(
                    !is_good && text.starts_with("providers[1].name: no request can"),
                    "{text}"
                );
            }
        }
    }
    let long = json!({"name": "a".repeat(1_024), "base_url": "http://b"});
    assert!(with(&[("/providers/-", long)]).unwrap_err().to_string().contains("1,024"));
}

#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use crate::policy::model::{Plan, resolve};
    use proptest::prelude::*;

    fn ask(config: &Config, id: &str) -> Result<Plan, crate::error::GatewayError> {
        let (_, key) = config.virtual_keys.iter().enumerate().next().unwrap();
        resolve(config, key, id, |_| Ok(()), || 0)
    }

    /// Names of the signs that mean something to somebody.
    fn name() -> impl Strategy<Value = String> {
        "[ab./%\\\\2eEcC0;,&|?# \u{ff0e}\u{200b}\n]{1,8}"
    }

    proptest! {
        #[test]
        fn an_alias_that_is_accepted_can_be_asked_for(name in name(), own: bool, rest in "[ab]{0,2}") {
            let at = if own { "/virtual_keys/0/model_aliases" } else { "/model_aliases" };
            if let Ok(config) = with(&[(at, json!({&*name: "groq/m"}))]) {
                prop_assert_eq!(&*ask(&config, &name).unwrap().first.model, "m");
            }
            if let Ok(config) = with(&[(at, json!({format!("{name}*"): "groq/m"}))]) {
                let asked = [format!("{name}{rest}"), format!("{name}x"), name.clone()];
                let found = asked.iter().any(|id| ask(&config, id).is_ok_and(|plan| &*plan.first.model == "m"));
                prop_assert!(found);
            }
        }

        #[test]
        fn a_model_that_is_listed_or_allowed_can_be_asked_for(name in name()) {
            if let Ok(config) = with(&[("/providers/0/models", json!([name]))]) {
                let id = format!("groq/{name}");
                match crate::policy::model::id_problem(&id) {
                    None => prop_assert_eq!(&*ask(&config, &id).unwrap().first.model, &*name),
                    Some(_) => prop_assert!(ask(&config, &id).is_err()),
                }
                let alias = ("/model_aliases", json!({"s": id}));
                let config = with(&[("/providers/0/models", json!([name])), alias]).unwrap();
                prop_assert_eq!(&*ask(&config, "s").unwrap().first.model, &*name);
            }
            if let Ok(config) = with(&[("/virtual_keys/0/models_allowed", json!([name]))]) {
                let plan = ask(&config, &name);
                prop_assert!(plan.is_ok() || name.starts_with("groq/"), "{:?}", plan);
            }
        }

        /// What a client may not send goes upstream in the operator's own words alone, and as they are.
        #[test]
        fn a_target_that_is_accepted_is_asked_for(name in name()) {
            if let Ok(config) = with(&[("/model_aliases", json!({"s": format!("groq/{name}")}))]) {
                prop_assert_eq!(&*ask(&config, "s").unwrap().first.model, &*name);
                let own = ask(&config, &format!("groq/{name}"));
                prop_assert_eq!(own.is_ok(), crate::policy::model::check_id(&name).is_ok());
            }
        }
    }
}
