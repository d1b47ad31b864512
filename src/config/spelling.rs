//! Which name was meant.

/// The longest name that is compared: the work grows with the square of it.
const MAX_NAME_BYTES: usize = 64;

/// The known name that `given` is most likely a misspelling of: one that differs in case, `-` and `_`
/// alone, else the nearest by edit distance, within a third of its length. `None` where none is near.
///
/// ```
/// use openai_gateway_filter::config::closest;
///
/// assert_eq!(closest("baseUrl", &["name", "base_url"]), Some("base_url"));
/// assert_eq!(closest("colour", &["name", "base_url"]), None);
/// ```
#[must_use]
pub fn closest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    if given.len() > MAX_NAME_BYTES {
        return None;
    }
    let given = plain(given);
    let nearest = known.iter().map(|name| (distance(&given, &plain(name)), *name)).min()?;
    let (edits, name) = nearest;
    (edits <= name.len().div_ceil(3).min(3)).then_some(name)
}

/// In lower case, without what separates words.
fn plain(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Characters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, &from) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i.saturating_add(1));
        let mut last_b = None;
        for (j, &to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&row, j).saturating_add(usize::from(from != to));
            let inserted = at(&next, j).saturating_add(1);
            let removed = at(&row, j.saturating_add(1)).saturating_add(1);
            let swapped = match j.checked_sub(1) {
                Some(two_before) if last_a == Some(to) && last_b == Some(from) => {
                    at(&before, two_before).saturating_add(1)
                }
                _ => usize::MAX,
            };
            next.push(replaced.min(inserted).min(removed).min(swapped));
            last_b = Some(to);
        }
        before = std::mem::replace(&mut row, next);
        last_a = Some(from);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    const KNOWN: [&str; 6] = ["name", "kind", "base_url", "cluster", "models", "key_env"];

    #[test]
    fn near_names() {
        for (given, meant) in [
            ("base-url", Some("base_url")),
            ("baseUrl", Some("base_url")),
            ("base_ulr", Some("base_url")),
            ("url_base", None),
            ("nmae", Some("name")),
            ("model", Some("models")),
            ("clusters", Some("cluster")),
            ("keyenv", Some("key_env")),
            ("timeout", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(given, &KNOWN), meant, "{given}");
        }
        assert_eq!(closest("name", &[]), None);
        assert_eq!(closest(&"name".repeat(100_000), &KNOWN), None);
    }

    #[test]
    fn distances() {
        let of = |a: &str, b: &str| distance(&plain(a), &plain(b));
        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("abc", ""), 3);
        assert_eq!(of("abc", "abc"), 0);
        assert_eq!(of("abc", "acb"), 1);
        assert_eq!(of("kitten", "sitting"), 3);
    }
}
