//! What is put together of a stream's pieces.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Values by their keys, in the order in which the keys came first. A server decides how many there are, so finding one costs
/// the same however many there are.
#[derive(Debug)]
pub(super) struct InOrder<K, V>(HashMap<K, (usize, V)>);

impl<K, V> Default for InOrder<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Default> InOrder<K, V> {
    /// The value of `key`, which is a new one where there was none.
    pub(super) fn at(&mut self, key: K) -> &mut V {
        let next = self.0.len();
        &mut self.0.entry(key).or_insert_with(|| (next, V::default())).1
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key).map(|(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(_, (at, _))| *at);
        all.into_iter().map(|(key, (_, value))| (key, value))
    }
}

/// Members of an object, by their names in quotes: JSON values, or what stands between a text's quotes.
pub(super) type Members = InOrder<Vec<u8>, Vec<u8>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorAnswer;
    use crate::repair::chat::{Api, RequestFacts, collect};
    use crate::test;

    #[test]
    fn keys_stay_where_they_came_first() {
        let mut all: InOrder<u64, Vec<u8>> = InOrder::default();
        assert!(all.is_empty());
        for (key, byte) in [(7, b'a'), (1, b'b'), (7, b'c'), (0, b'd')] {
            all.at(key).push(byte);
        }
        let got: Vec<_> = all.iter().map(|(key, value)| (*key, value.as_slice())).collect();
        assert_eq!(got, [(7, &b"ac"[..]), (1, b"b"), (0, b"d")]);
        assert_eq!((all.get(&1), all.get(&2)), (Some(&b"b".to_vec()), None));
    }

    /// A walk over all that came before, for each name and choice, would take minutes.
    #[test]
    fn a_stream_of_very_many_names_is_put_together() -> Result<(), Box<ErrorAnswer>> {
        const MANY: usize = 20_000;
        let mut stream = String::new();
        for index in 0..MANY {
            stream.push_str(&format!(
                "data: {{\"id\":\"c\",\"x{index}\":1,\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\",\"y{index}\":\"b\"}},\
                 \"finish_reason\":\"stop\"}}]}}\n\n"
            ));
        }
        stream.push_str("data: [DONE]\n\n");
        let facts = RequestFacts::default();
        let answer = collect::chunks(Api::Chat, stream.as_bytes(), facts, 1 << 20)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(answer["choices"].as_array().is_some_and(|choices| !choices.is_empty()));
        Ok(())
    }
}
