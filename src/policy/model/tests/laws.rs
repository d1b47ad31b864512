//! Properties of resolution for any id.

use proptest::prelude::*;

use super::super::*;
use crate::policy::Config;

fn config() -> Config {
    let text = br#"{
        "providers": [
            {"name": "a", "base_url": "http://a", "models": ["m", "a/m", "b/m"]},
            {"name": "b", "base_url": "http://b"},
            {"name": "c", "base_url": "http://c"}
        ],
        "virtual_keys": [
            {"id": "all", "key": "all"},
            {"id": "ab", "key": "ab", "providers": ["a", "b"], "models_allowed": ["a/*", "m"]},
            {"id": "none", "key": "none", "models_allowed": []}
        ],
        "model_aliases": {"x": "c/m", "b/x": "a/m", "m/x": [{"target": "b/m", "weight": 1}]}
    }"#;
    Config::from_plugin_configuration(text, &|_| None).unwrap()
}

proptest! {
    #[test]
    fn a_route_is_bound_allowed_and_served(id in "[abcmx/]{0,6}|\\PC{0,12}", draw: u64) {
        let config = config();
        for name in ["all", "ab", "none"] {
            let key = config.virtual_keys.authenticate(name.as_bytes(), || 0).unwrap();
            let resolved = resolve(&config, &key, &id, |_| Ok(()), || draw);
            prop_assert_eq!(&resolved, &resolve(&config, &key, &id, |_| Ok(()), || draw));
            let Ok(route) = resolved else { continue };
            prop_assert!(key.bound.contains(route.first.provider));
            let provider = config.providers.get(route.first.provider).unwrap();
            prop_assert!(key.allowed.allows(Some(&id), &provider.name, &route.first.model));
            prop_assert!(provider.models.as_ref().is_none_or(|list| list.contains(&route.first.model)));
            // Nothing about the id is changed, unless an alias says so.
            if config.aliases.get(&id).is_none() {
                let qualified = format!("{}/{}", provider.name, route.first.model);
                prop_assert!(*route.first.model == *id || qualified == id);
            }
        }
    }
}
