//! Patterns in which `*` stands for any run of characters, none and `/` included.

/// One pattern, case-sensitive. Every character but `*` stands for itself.
///
/// ```
/// use openai_gateway_filter::policy::pattern::Pattern;
///
/// let pattern = Pattern::new("groq/llama-*");
/// assert!(pattern.matches("groq/llama-3.3-70b".bytes()));
/// assert!(!pattern.matches("vllm/llama-3.3-70b".bytes()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// A pattern; runs of `*` become one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let mut text = String::with_capacity(pattern.len());
        for c in pattern.chars() {
            if c != '*' || !text.ends_with('*') {
                text.push(c);
            }
        }
        Self(text.into_boxed_str())
    }

    /// Whether the whole of `subject` matches. The subject is an iterator, so that pieces need not be
    /// joined first.
    ///
    /// Only the last `*` is ever tried again (an earlier one could not do better), so the time is at
    /// most the product of the two lengths, and linear for patterns with a final `*` only. Working
    /// on bytes is right for UTF-8: no character's bytes begin inside another's.
    #[inline]
    pub fn matches(&self, mut subject: impl Iterator<Item = u8> + Clone) -> bool {
        let mut pattern = self.0.as_bytes();
        // Most subjects differ before the first `*`, where nothing can be tried again.
        while let Some((&want, rest)) = pattern.split_first() {
            if want == b'*' {
                return rest.is_empty() || Self::matches_from_star(pattern, subject);
            }
            if subject.next() != Some(want) {
                return false;
            }
            pattern = rest;
        }
        subject.next().is_none()
    }

    fn matches_from_star(
        mut pattern: &[u8],
        mut subject: impl Iterator<Item = u8> + Clone,
    ) -> bool {
        let mut retry = None;
        loop {
            if let Some((b'*', rest)) = pattern.split_first() {
                if rest.is_empty() {
                    return true;
                }
                pattern = rest;
                retry = Some((rest, subject.clone()));
                continue;
            }
            match (pattern.split_first(), subject.next()) {
                (None, None) => return true,
                (Some(_), None) => return false,
                (Some((want, rest)), Some(byte)) if *want == byte => pattern = rest,
                (_, Some(_)) => match &mut retry {
                    None => return false,
                    Some((rest, from)) => {
                        // The last `*` takes one byte more.
                        from.next();
                        pattern = rest;
                        subject = from.clone();
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn matches(pattern: &str, subject: &str) -> bool {
        Pattern::new(pattern).matches(subject.bytes())
    }

    #[test]
    fn table() {
        for (pattern, subject, want) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("**", "a", true),
            ("a", "a", true),
            ("a", "A", false),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bca", true),
            ("*a", "ab", false),
            ("*a*", "bab", true),
            ("*a*", "bb", false),
            ("a*b", "ab", true),
            ("a*b", "a/x/b", true),
            ("a*b", "abc", false),
            ("a*b", "a", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
            ("a*b*c", "a1b2bc", true),
            ("*aab", "aaaab", true),
            ("groq/llama-3*", "groq/llama-3.3-70b", true),
            ("groq/llama-3*", "groq/llama-2", false),
            ("*.gguf", "x.GGUF", false),
            ("ü*", "über", true),
            ("*é", "caf\u{65}\u{301}", false),
            ("a?c", "abc", false),
            ("[ab]", "a", false),
        ] {
            assert_eq!(matches(pattern, subject), want, "{pattern:?} {subject:?}");
        }
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(2_000)));
        assert!(matches(&pattern, &("a".repeat(2_000) + "b")));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod laws {
        use super::*;
        use proptest::prelude::*;

        /// The definition, with no thought of time.
        fn obviously(pattern: &[u8], subject: &[u8]) -> bool {
            match pattern.split_first() {
                None => subject.is_empty(),
                Some((b'*', rest)) => {
                    (0..=subject.len()).any(|at| obviously(rest, subject.split_at(at).1))
                }
                Some((c, rest)) => {
                    subject.first() == Some(c) && obviously(rest, subject.split_at(1).1)
                }
            }
        }

        proptest! {
            #[test]
            fn agrees_with_the_definition(pattern in "[ab*]{0,8}", subject in "[ab]{0,10}") {
                prop_assert_eq!(
                    Pattern::new(&pattern).matches(subject.bytes()),
                    obviously(pattern.as_bytes(), subject.as_bytes())
                );
            }

            #[test]
            fn pieces_are_as_good_as_the_whole(pattern in "[ab*]{0,8}", pieces in proptest::array::uniform3("[ab]{0,4}")) {
                let joined = Pattern::new(&pattern).matches(pieces.iter().flat_map(|piece| piece.bytes()));
                prop_assert_eq!(joined, obviously(pattern.as_bytes(), pieces.concat().as_bytes()));
            }
        }
    }
}
