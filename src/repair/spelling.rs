//! Names as programs write them: `TOKEN_LIMIT_REACHED`, `tokenLimitReached` and `token-limit.reached` are the same words.

/// The longest name that is read, in characters: what is longer is no name.
const MAX_CHARS: usize = 128;

/// The words of a name, in lower case: they end at anything but ASCII letters and digits, and before a capital behind a
/// small letter. What stands behind the first 128 characters is not read.
pub(in crate::repair) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars().take(MAX_CHARS) {
        let is_first = !before.is_ascii_alphanumeric()
            || (c.is_ascii_uppercase() && before.is_ascii_lowercase());
        if c.is_ascii_alphanumeric() {
            if is_first {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn the_words_of_a_name() {
        for (name, want) in [
            ("", ""),
            ("TOKEN_LIMIT_REACHED", "token limit reached"),
            ("tokenLimitReached", "token limit reached"),
            ("<FinishReason.STOP: 'STOP'>", "finish reason stop stop"),
            ("Throttling.RateQuota", "throttling rate quota"),
            ("ModelTPMLimit", "model tpmlimit"),
            ("ä-b", "b"),
        ] {
            assert_eq!(words(name).join(" "), want);
        }
        assert_eq!(words(&"a".repeat(1_000)).concat().len(), MAX_CHARS);
    }
}
