//! Whether a head repeats the virtual key that it presents.

use crate::policy::repeats_key;
use crate::wire::grams::Grams;
use crate::wire::headers::Headers;

/// Whether another name or value of the head holds the key: it stands in one of them anyway. Hardly any head repeats it.
/// `reads_names`: whether one of the names may.
pub(super) fn is_repeated(headers: &Headers<'_>, presented: &[u8], reads_names: bool) -> bool {
    let grams = Grams::<16>::of([presented]);
    let holds = |text: &[u8]| {
        // What presents it ends with it.
        grams.may_stand_in(text, presented.len())
            && (text.ends_with(presented) || repeats_key(text, presented))
    };
    let mut count = 0;
    for (name, value) in headers.iter() {
        count += usize::from(holds(value)) + usize::from(reads_names && holds(name));
    }
    count > 1
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A second one is found wherever it stands.
        #[test]
        fn none_is_overlooked(
            key in "[ab]{1,12}",
            texts in proptest::collection::vec(("[abc]{0,40}", any::<bool>()), 0..5),
        ) {
            let texts = texts.iter().map(|(text, with)| match with {
                true => text.replacen('c', &key, 1),
                false => text.clone(),
            });
            let texts: Vec<_> = texts.chain([key.clone()]).collect();
            let count = texts.iter().filter(|text| text.contains(&key)).count();
            let values: Vec<_> = texts.iter().map(|text| ("", text.as_bytes())).collect();
            let names: Vec<_> = texts.iter().map(|text| (&**text, &b""[..])).collect();
            let key = key.as_bytes();
            prop_assert_eq!(is_repeated(&Headers::from_pairs(&values), key, false), count > 1);
            prop_assert_eq!(is_repeated(&Headers::from_pairs(&names), key, true), count > 1);
        }
    }
}
