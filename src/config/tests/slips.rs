//! What is accepted, and should be thought about.

use super::*;
use crate::policy::key::digest;
use crate::test;

fn hex(text: &str) -> String {
    digest(text.as_bytes()).map(|byte| format!("{byte:02x}")).concat()
}

#[test]
fn placeholders_of_digests_are_warned_of() {
    let warnings = |digests: Value| {
        let key = json!({"id": "a", "key_sha256": digests});
        with(&[("/virtual_keys", json!([key, {"id": "b", "key_sha256": hex("vk-b")}]))])
            .unwrap()
            .warnings()
    };
    for placeholder in [
        "0".repeat(64),
        "f".repeat(64),
        "A".repeat(64),
        "ab".repeat(32),
        "deadbeef".repeat(8),
        "0123456789abcdef".repeat(4),
        format!("{}{}", "123".repeat(21), "1"),
        format!("{:064x}", 0x1234),
        hex(""),
        hex("\n"),
        hex("null"),
        hex("null\n").to_uppercase(),
        hex("changeme"),
        hex("$VK\n"),
    ] {
        for digests in [json!(placeholder), json!([hex("vk-1"), placeholder])] {
            let found = warnings(digests);
            assert_eq!(found.len(), 1, "{placeholder}");
            assert_eq!((found[0].path, found[0].key.as_deref()), ("key_sha256", Some("a")));
            assert!(found[0].message.contains("1 virtual key is a placeholder"), "{}", found[0]);
        }
    }
    // Ours are e3b0c442… and 01ba4719….
    assert!(hex("").starts_with("e3b0c442") && hex("\n").starts_with("01ba4719"));
    for good in ["vk-1", "vk-2", "vk-3"] {
        assert!(warnings(json!(hex(good))).is_empty(), "{good}");
    }
}

#[test]
fn a_key_is_not_its_own_name() {
    let key = "vk-0123456789abcdefghij";
    for given in
        [json!({"id": key, "key": key}), json!({"id": key, "key_sha256": [hex("vk-1"), hex(key)]})]
    {
        let found = with(&[("/virtual_keys/-", given)]).unwrap().warnings();
        let found: Vec<String> = found.iter().map(|warning| format!("{warning:?}")).collect();
        let told = found.iter().filter(|it| it.contains("1 virtual key is its own id"));
        assert_eq!(told.filter(|told| !told.contains(key)).count(), 1, "{found:?}");
    }
    let other = json!({"id": "vk-0123456789abcdefghi", "key": key});
    let found = with(&[("/virtual_keys/-", other)]).unwrap().warnings();
    assert!(found.iter().all(|warning| !warning.message.contains("its own id")));
}

#[test]
fn shares_that_are_below_what_one_request_may_hold_are_warned_of() {
    let warnings = |limits: Value, keys: usize, providers: usize| {
        let mut changes = vec![("/limits", limits)];
        for at in 1..keys {
            changes.push((
                "/virtual_keys/-",
                json!({"id": at.to_string(), "key_sha256": hex(&at.to_string())}),
            ));
        }
        for at in 1..providers {
            changes.push(("/providers/-", json!({"name": at.to_string(), "base_url": "http://a"})));
        }
        let all = with(&changes).unwrap().warnings();
        all.into_iter()
            .filter(|it| it.path == "limits.max_held_bytes")
            .map(|it| it.message)
            .collect::<Vec<_>>()
    };
    let held = |bytes: u64| json!({"max_held_bytes": bytes, "max_buffered_bytes": 1000, "max_answer_bytes": 900, "max_sse_event_bytes": 10});
    for (bytes, keys, providers, want) in [
        (4_000, 2, 1, None),
        (
            3_999,
            2,
            1,
            Some(
                "one virtual key may hold 999 bytes, a quarter of max_held_bytes (3999), and max_buffered_bytes is 1000",
            ),
        ),
        (3_996, 1, 2, Some("one provider may hold 999 bytes, a quarter")),
        (1_336, 1, 1, None),
        (1_332, 1, 1, Some("three quarters of max_held_bytes (1332)")),
        (3_999, 2, 1, Some("max_held_bytes to 4000 or more")),
        (1_332, 1, 1, Some("max_held_bytes to 1336 or more")),
    ] {
        let found = warnings(held(bytes), keys, providers);
        assert_eq!(found.len(), usize::from(want.is_some()), "{bytes} {found:?}");
        assert!(want.is_none_or(|want| found[0].contains(want)), "{found:?}");
    }
    // Where max_held_bytes is what is left beside a large body, it is a share of that.
    let left = json!({"max_buffered_bytes": 130_000_000});
    assert!(warnings(left.clone(), 2, 1)[0].contains("and max_buffered_bytes is 130000000"));
    assert!(warnings(left, 1, 1).is_empty());
    assert!(warnings(json!({}), 5, 5).is_empty());
}
