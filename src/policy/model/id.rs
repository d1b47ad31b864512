//! What every model id must be, wherever it is written: in a request, and in a configuration that means one.

use crate::error::{Code, GatewayError};
use crate::wire::model_span::MAX_MODEL_ID_BYTES;
use crate::wire::paths::{is_dots, lenient_segments};
use crate::wire::percent;

/// Refuses an id that no request may name.
///
/// # Errors
/// `invalid_model`.
pub fn check_id(id: &str) -> Result<(), GatewayError> {
    id_problem(id).map_or(Ok(()), |problem| Err(refused(problem)))
}

#[cold]
fn refused(problem: &str) -> GatewayError {
    let message = format!("The model id {problem}. Send a valid one.");
    GatewayError::new(Code::InvalidModel, message).with_param("model")
}

/// Why no request may name `id`, as what follows "the model id"; `None` for a good one.
#[must_use]
pub fn id_problem(id: &str) -> Option<&'static str> {
    if is_usual(id) { None } else { any_id_problem(id) }
}

/// Whether an id is as nearly all are: of letters, digits and signs that no rule below is about, with no segment that begins
/// with a dot. Told in one walk.
#[inline]
fn is_usual(id: &str) -> bool {
    let mut before = b'/';
    let is_good = |byte: u8| {
        let starts_with_dot = byte == b'.' && before == b'/';
        before = byte;
        matches!(byte, b'-'..=b'z') && !matches!(byte, b';' | b'?' | b'\\') && !starts_with_dot
    };
    matches!(id.len(), 1..=MAX_MODEL_ID_BYTES) && id.bytes().all(is_good)
}

/// [`id_problem`] of any id, the usual ones among them.
#[inline(never)]
fn any_id_problem(id: &str) -> Option<&'static str> {
    own_id_problem(id).or_else(|| {
        lists_or_ends(id).then_some(
            "holds one of `,`, `|`, `;`, `?`, `&` and `#`, by which servers read several ids, or a part of it",
        )
    })
}

/// Why no request is to be sent for `id`, whoever names it. A server's own ids, as an operator writes them, may hold signs by
/// which a client could get more than it may: Fireworks has `accounts/a/models/m#accounts/a/deployments/d`.
#[must_use]
pub fn own_id_problem(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("is empty")
    } else if id.len() > MAX_MODEL_ID_BYTES {
        Some("is longer than 1,024 bytes")
    } else if id.chars().any(char::is_control) || hides_control(id) {
        Some("holds a control character")
    } else if climbs(id) {
        Some("has a segment `.` or `..`, as a path")
    } else {
        None
    }
}

/// Why no id that `pattern` matches may be named, `*` standing for any run of characters; `None` where one may be.
///
/// What is wrong with an id stands in what the pattern spells out, or nowhere: a run that is one letter, or nothing, adds
/// no fault to it.
#[must_use]
pub fn pattern_problem(pattern: &str) -> Option<&'static str> {
    let problem = id_problem(&pattern.replace('*', "x"))?;
    let shortest = pattern.replace('*', "");
    // Nothing at all is left of `*` alone, which the letter has passed.
    id_problem(&shortest).map(|_| problem)
}

/// Whether a server that decodes the id finds a control character: a NUL ends it for some.
fn hides_control(id: &str) -> bool {
    id.contains('%')
        && percent::decode_fully(id.as_bytes())
            .is_none_or(|decoded| decoded.iter().any(u8::is_ascii_control))
}

/// Whether a server may read several ids (LiteLLM asks each of `a,b`), or only what stands before a query, fragment or parameter,
/// where the id becomes part of a URL: an allowlist's `family/*` would let the others pass. Of a client's words only: see [`own_id_problem`].
fn lists_or_ends(id: &str) -> bool {
    let is_sign = |byte: u8| matches!(byte, b',' | b'|' | b';' | b'?' | b'&' | b'#');
    id.bytes().any(is_sign)
        || (id.contains('%')
            && percent::decode_fully(id.as_bytes())
                .is_none_or(|decoded| decoded.into_iter().any(is_sign)))
}

/// Whether a server that reads the id as a path could end in another place than where it seems to lead: past what an
/// allowlist's `family/*` means. However the path is written.
fn climbs(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b';' | b'\\');
    if id.bytes().all(is_plain) {
        return id.split('/').any(is_dots);
    }
    lenient_segments(id.as_bytes())
        .is_none_or(|segments| segments.iter().any(|segment| is_dots(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn the_reference_names_the_signs() {
        let page = include_str!("../../../docs/reference.md");
        let row = page.lines().find(|line| line.starts_with("| `invalid_model` |")).unwrap();
        for sign in b'!'..=b'~' {
            let sign = char::from(sign);
            let shown = if sign == '|' { "`\\|`".to_owned() } else { format!("`{sign}`") };
            assert_eq!(row.contains(&shown), lists_or_ends(&sign.to_string()), "{sign}");
        }
    }

    #[test]
    fn patterns() {
        for good in [
            "*",
            "**",
            "a*",
            "*a",
            "a/*/b",
            "a/.*",
            "a/*.",
            "..*",
            "*..",
            "%2*",
            "%*",
            "a%*0",
            " *",
            "\u{fc}*",
            "groq/*:free",
        ] {
            assert_eq!(pattern_problem(good), None, "{good}");
        }
        let long = "a".repeat(MAX_MODEL_ID_BYTES);
        assert_eq!(pattern_problem(&format!("{long}*")), None);
        for (bad, words) in [
            ("a,*", "`,`"),
            ("*|b", "`|`"),
            ("*?", "`?`"),
            ("#*", "`#`"),
            ("*%2c*", "`,`"),
            ("../*", "`..`"),
            ("*/../*", "`..`"),
            ("a\\.\\*", "`..`"),
            ("%2e%2e/*", "`..`"),
            ("*\n", "control"),
            ("*%00", "control"),
            ("", "empty"),
            (&format!("{long}a*"), "1,024"),
        ] {
            let problem = pattern_problem(bad).unwrap_or_else(|| panic!("{bad}"));
            assert!(problem.contains(words), "{bad}: {problem}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod laws {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// What is told in one walk is what all rules together say.
            #[test]
            fn a_usual_id_has_no_problem(
                parts in proptest::collection::vec(prop_oneof![
                    4 => "[ -~]{1,3}", 3 => "[a-zA-Z0-9._:@-]{1,8}", 2 => "[./]{1,3}", 1 => any::<char>().prop_map(String::from),
                    1 => Just("a".repeat(MAX_MODEL_ID_BYTES - 2)),
                ], 0..5),
            ) {
                let id = parts.concat();
                let problem = any_id_problem(&id);
                prop_assert!(!is_usual(&id) || problem.is_none(), "{id:?}: {problem:?}");
            }

            /// No run makes an id good that neither one letter nor nothing makes good.
            #[test]
            fn a_pattern_that_is_refused_matches_no_good_id(
                pattern in "[a.*/%\\\\2eE0;, \u{ff0e}]{0,10}",
                runs in proptest::collection::vec("[a.*/%2eE;0 \u{ff0e}]{0,4}", 10),
            ) {
                let mut runs = runs.iter();
                let id: String = pattern
                    .chars()
                    .map(|sign| match sign {
                        '*' => runs.next().cloned().unwrap_or_default(),
                        sign => sign.to_string(),
                    })
                    .collect();
                if id_problem(&id).is_none() {
                    prop_assert_eq!(pattern_problem(&pattern), None, "{:?}", id);
                }
            }
        }
    }
}
