//! Members that a server refuses, taken out of a request's JSON body. The answer is a list of edits;
//! every byte outside of them stays as the client wrote it.

use std::ops::Range;

use crate::error::{Code, GatewayError};
use crate::policy::Provider;
use crate::policy::operation::Operation;
use crate::wire::json::cursor::{self, Value};
use crate::wire::names::{Readings, is_nearly};
use crate::wire::splice::Edit;

/// What is taken out of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// In order, not touching the value of any member that stays.
    pub edits: Vec<Edit>,
    /// What was there and is no more, once each: `seed`, `reasoning.effort`.
    pub names: Vec<String>,
}

/// Whether `provider` may refuse members of an operation's JSON body.
#[must_use]
pub fn applies(provider: &Provider, operation: Operation) -> bool {
    !provider.drop_params.is_empty() || refuses_effort(provider, operation)
}

fn refuses_effort(provider: &Provider, operation: Operation) -> bool {
    !provider.takes.reasoning_effort
        && matches!(operation, Operation::ChatCompletions | Operation::Responses)
}

/// What of `body`, as it goes upstream for `operation`, is not for `provider`: the top-level members
/// that `drop_params` names, and an effort where `reasoning_effort` is false.
///
/// # Errors
/// `invalid_json`.
pub fn edits(
    provider: &Provider,
    operation: Operation,
    body: &[u8],
) -> Result<Drops, GatewayError> {
    let root = cursor::parse(body).map_err(|error| {
        GatewayError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))
    })?;
    let refuses_effort = refuses_effort(provider, operation);
    let mut drops = Drops::default();
    // What a server may take for a refused name is refused, too.
    let listed = |name: &str| {
        let listed = provider.drop_params.iter().map(String::as_str);
        let readings = Readings::of(name.as_bytes());
        listed.into_iter().find(|listed| readings.may_be(listed))
    };
    let effort =
        (refuses_effort && operation == Operation::ChatCompletions).then_some("reasoning_effort");
    let as_dropped =
        |name: &str| listed(name).or(effort.filter(|effort| is_nearly(name.as_bytes(), effort)));
    remove(root, "", as_dropped, &mut drops);
    if refuses_effort && operation == Operation::Responses && listed("reasoning").is_none() {
        for (_, reasoning) in root.members().filter(|(key, _)| key.is("reasoning")) {
            let effort = |name: &str| is_nearly(name.as_bytes(), "effort").then_some("effort");
            remove(reasoning, "reasoning.", effort, &mut drops);
        }
        drops.edits.sort_by_key(|edit| edit.span.start);
    }
    Ok(drops)
}

/// Takes members out of `object`, each with one comma beside it. `as_dropped`: what a member that goes is called. `null` is taken out as well, but says
/// nothing that would be lost.
fn remove<'n>(
    object: Value<'_>,
    prefix: &str,
    as_dropped: impl Fn(&str) -> Option<&'n str>,
    drops: &mut Drops,
) {
    // The end of the last member that stays, and the members behind it that do not.
    let mut kept = None;
    let mut pending: Option<Range<usize>> = None;
    for (key, value) in object.members() {
        let member = key.span().start..value.span().end;
        let name = key.as_str().unwrap_or_default();
        if let Some(name) = as_dropped(&name) {
            let path = format!("{prefix}{name}");
            if !value.is_null() && !drops.names.contains(&path) {
                drops.names.push(path);
            }
            let start = pending.map_or(kept.unwrap_or(member.start), |pending| pending.start);
            pending = Some(start..member.end);
            continue;
        }
        if let Some(gone) = pending.take() {
            // Without a member before them, they go with the comma behind them.
            let end = if kept.is_some() { gone.end } else { member.start };
            drops.edits.push(Edit { span: gone.start..end, with: Vec::new() });
        }
        kept = Some(member.end);
    }
    drops.edits.extend(pending.map(|span| Edit { span, with: Vec::new() }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::test_provider;
    use crate::test;
    use crate::wire::splice;

    fn dropped(names: &[&str], effort: bool, operation: Operation, body: &str) -> (String, String) {
        let mut provider = test_provider();
        provider.drop_params = names.iter().map(|&name| name.to_owned()).collect();
        provider.takes.reasoning_effort = effort;
        let drops = edits(&provider, operation, body.as_bytes()).unwrap();
        let after = splice::apply(body.as_bytes(), &drops.edits).unwrap();
        assert!(cursor::parse(&after).is_ok(), "{body}");
        (String::from_utf8(after).unwrap(), drops.names.join(","))
    }

    #[test]
    fn what_a_server_may_take_for_a_refused_name_goes_too() {
        for name in ["seed", "SEED", "se\\u0065d", "seed\\u0000", " seed", "%73eed"] {
            let body = format!(r#"{{"model":"m","{name}":1}}"#);
            let want = (r#"{"model":"m"}"#.to_owned(), "seed".to_owned());
            assert_eq!(dropped(&["seed"], true, Operation::ChatCompletions, &body), want);
        }
    }

    #[test]
    fn members_go_with_one_comma() {
        for (body, after, names) in [
            (r#"{"model":"m","a":1}"#, r#"{"model":"m"}"#, "a"),
            (r#"{"a":1,"model":"m"}"#, r#"{"model":"m"}"#, "a"),
            (r#"{ "a" : [1, {"b": 2}] , "model" : "m" }"#, r#"{ "model" : "m" }"#, "a"),
            (r#"{"x":1 , "a":1 , "y":2}"#, r#"{"x":1 , "y":2}"#, "a"),
            (r#"{"a":1,"b":2,"x":1}"#, r#"{"x":1}"#, "a,b"),
            (r#"{"x":1,"a":1,"b":2,"y":2}"#, r#"{"x":1,"y":2}"#, "a,b"),
            (r#"{"a":1,"x":1,"b":2}"#, r#"{"x":1}"#, "a,b"),
            (r#"{"a":1,"b":2}"#, "{}", "a,b"),
            (r#"{"a":1,"a":2,"x":3}"#, r#"{"x":3}"#, "a"),
            (r#"{"\u0061":1,"x":3}"#, r#"{"x":3}"#, "a"),
            (r#"{"a":null,"x":3}"#, r#"{"x":3}"#, ""),
            // Only at the top, only by this name.
            (r#"{"x":{"a":1},"c":2,"aa":3}"#, r#"{"x":{"a":1},"c":2,"aa":3}"#, ""),
            (r#"[{"a":1}]"#, r#"[{"a":1}]"#, ""),
        ] {
            let got = dropped(&["a", "b"], true, Operation::Embeddings, body);
            assert_eq!(got, (after.to_owned(), names.to_owned()), "{body}");
        }
    }

    #[test]
    fn an_effort_where_the_api_has_it() {
        let chat = r#"{"reasoning_effort":"low","reasoning":{"effort":"low"},"x":1}"#;
        let native =
            r#"{"x":1,"reasoning":{"summary":"auto","effort":"low"},"reasoning_effort":2}"#;
        for (operation, body, after, names) in [
            (
                Operation::ChatCompletions,
                chat,
                r#"{"reasoning":{"effort":"low"},"x":1}"#,
                "reasoning_effort",
            ),
            (
                Operation::Responses,
                native,
                r#"{"x":1,"reasoning":{"summary":"auto"},"reasoning_effort":2}"#,
                "reasoning.effort",
            ),
            (Operation::Embeddings, chat, chat, ""),
        ] {
            let got = dropped(&[], false, operation, body);
            assert_eq!(got, (after.to_owned(), names.to_owned()), "{body}");
            assert_eq!(dropped(&[], true, operation, body).0, body);
        }
        let both = dropped(&["x", "reasoning"], false, Operation::Responses, native);
        assert_eq!(both, (r#"{"reasoning_effort":2}"#.to_owned(), "x,reasoning".to_owned()));
    }

    #[test]
    fn what_is_no_json() {
        let error = edits(&test_provider(), Operation::ChatCompletions, b"{").unwrap_err();
        assert_eq!(error.code, Code::InvalidJson);
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod laws {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::test_provider;
    use crate::wire::splice;

    proptest! {
        /// What is left is what serde_json leaves.
        #[test]
        fn a_parser_sees_the_same(
            members in proptest::collection::vec(
                ("[a-e]", prop_oneof![Just(json!(null)), Just(json!("a")), Just(json!({"a": [1]}))]), 0..8),
            names in proptest::collection::vec("[a-e]", 0..4),
            gap in "[ \n\t]{0,2}",
        ) {
            let text: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{gap}\"{name}\"{gap}:{value}{gap}"))
                .collect();
            let body = format!("{{{}}}", text.join(","));
            let mut provider = test_provider();
            provider.drop_params = names.clone();
            let drops = edits(&provider, Operation::Embeddings, body.as_bytes()).unwrap();
            let after = splice::apply(body.as_bytes(), &drops.edits).unwrap();
            let got: BTreeMap<String, Value> = serde_json::from_slice(&after).unwrap();
            let mut want: BTreeMap<String, Value> = serde_json::from_str(&body).unwrap();
            want.retain(|name, _| !names.contains(name));
            prop_assert_eq!(got, want);
        }
    }
}
