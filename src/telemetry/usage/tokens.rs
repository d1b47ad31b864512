//! What a usage object says, whatever API it is of.

use super::names;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// More than any answer has; JavaScript can't count further.
const MAX_COUNT: u64 = 1 << 53;

/// The fields of usage objects, as far as they were given. Of several objects the last value of each field counts, so a
/// sum is made only when all have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    /// What the cache gave and got, where `input` leaves it out.
    cache_read: Option<u64>,
    cache_written: Option<u64>,
    /// `input` was given under a name that leaves the cache's tokens out.
    lacks_cache: bool,
    /// What was thought, where `output` leaves it out.
    thoughts: Option<u64>,
    /// `output` was given under a name that leaves the thoughts' tokens out.
    lacks_thoughts: bool,
}

/// Counts as they were told, or follow from what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToldCounts {
    /// Tokens of the request, those from a cache among them.
    pub input: Option<u64>,
    /// Tokens of the answer, thoughts among them.
    pub output: Option<u64>,
    /// All.
    pub total: Option<u64>,
    /// Of the request's tokens those from a cache.
    pub cached: u64,
}

/// A count as it may be written: a number, or one as text. `Err`: it is none.
fn count(value: &Value<'_>) -> Result<Option<u64>, ()> {
    let decoded;
    let text = match value.kind {
        Kind::Null => return Ok(None),
        Kind::Number => std::str::from_utf8(value.raw()).map_err(|_| ())?,
        Kind::String => {
            decoded = value.as_str().ok_or(())?;
            decoded.trim()
        }
        _ => return Err(()),
    };
    // As digits, since a floating-point number can't tell the largest count from what is beyond.
    if let Ok(count) = text.parse::<u64>() {
        return if count <= MAX_COUNT { Ok(Some(count)) } else { Err(()) };
    }
    // Rust reads `inf` and `nan`, too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number: f64 = text.parse().ok().filter(|_| is_number).ok_or(())?;
    let is_count = (0.0..MAX_COUNT as f64).contains(&number) && number.fract() == 0.0;
    is_count.then_some(Some(number as u64)).ok_or(())
}

impl Tokens {
    /// What servers send that do not count.
    pub const ZERO: Self = Self {
        input: Some(0),
        output: Some(0),
        total: Some(0),
        cached: None,
        cache_read: None,
        cache_written: None,
        lacks_cache: false,
        thoughts: None,
        lacks_thoughts: false,
    };

    /// Reads a usage object. `None` where it has none of the three counts, or one of them is no count: then nothing in it
    /// can be trusted.
    #[must_use]
    pub fn read(usage: &Value<'_>) -> Option<Self> {
        let mut this = Self::default();
        let mut ranks = [usize::MAX; 3];
        for (key, value) in usage.members() {
            let Some(name) = key.as_str() else { continue };
            let main = names::MAIN.iter().enumerate().find_map(|(field, known)| {
                Some((field, known.iter().position(|known| *known == name)?))
            });
            if let Some((field, rank)) = main {
                let Some(count) = count(&value).ok()? else { continue };
                let known = ranks.get_mut(field)?;
                // Of a name that comes twice, the last one, as parsers read it.
                if rank <= *known {
                    *known = rank;
                    this.set_main(field, count, &name);
                }
            } else if let Ok(Some(count)) = count(&value) {
                this.set_detail(&name, count);
            } else if names::DETAILS.contains(&&*name)
                && let Some(Ok(Some(cached))) = value.get("cached_tokens").as_ref().map(count)
            {
                this.add_cached(cached);
            }
        }
        ranks.iter().any(|rank| *rank < usize::MAX).then_some(this)
    }

    fn set_main(&mut self, field: usize, count: u64, name: &str) {
        match field {
            0 => {
                self.input = Some(count);
                self.lacks_cache = names::leaves_out_cache(name);
            }
            1 => {
                self.output = Some(count);
                self.lacks_thoughts = names::leaves_out_thoughts(name);
            }
            _ => self.total = Some(count),
        }
    }

    fn set_detail(&mut self, name: &str, count: u64) {
        if names::CACHE_READ.contains(&name) {
            self.cache_read = Some(count);
        } else if names::CACHE_WRITTEN.contains(&name) {
            self.cache_written = Some(count);
        } else if names::THOUGHTS.contains(&name) {
            self.thoughts = Some(count);
        } else if names::CACHED.contains(&name) {
            self.add_cached(count);
        }
    }

    /// The same stands under several names; some servers fill in one of them.
    fn add_cached(&mut self, count: u64) {
        self.cached = self.cached.max(Some(count));
    }

    /// What a later object of the same answer says in its place. A zero says nothing against a count.
    pub fn update(&mut self, later: &Self) {
        let says = |count: Option<u64>, later: Option<u64>| {
            later.is_some_and(|later| later > 0 || count.is_none())
        };
        if says(self.input, later.input) {
            (self.input, self.lacks_cache) = (later.input, later.lacks_cache);
        }
        if says(self.output, later.output) {
            (self.output, self.lacks_thoughts) = (later.output, later.lacks_thoughts);
        }
        if says(self.total, later.total) {
            self.total = later.total;
        }
        self.cached = later.cached.or(self.cached);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_written = later.cache_written.or(self.cache_written);
        self.thoughts = later.thoughts.or(self.thoughts);
    }

    /// Whether the answer's tokens are counted: a total tells them where the request's are known.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.told().output.is_some_and(|output| output > 0)
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        let ToldCounts { input, output, total, .. } = self.told();
        [input, output, total].iter().flatten().all(|count| *count == 0)
    }

    /// The counts as clients understand them.
    #[must_use]
    pub fn told(&self) -> ToldCounts {
        let total = self.total;
        let thoughts = self.thoughts.filter(|_| self.lacks_thoughts).unwrap_or(0);
        let output = self.output.map(|output| output + thoughts);
        let input = self.input.map(|input| {
            let beside = [self.cache_read, self.cache_written];
            let beside: u64 = beside.into_iter().flatten().filter(|_| self.lacks_cache).sum();
            let all = input + beside;
            // A total that is smaller says that they were counted already.
            let fits = total.is_none_or(|total| all + output.unwrap_or(0) <= total);
            if fits { all } else { input }
        });
        // Two of them tell the third.
        let (input, output) = match (input, output, total) {
            (Some(input), None, Some(total)) => (Some(input), Some(total.saturating_sub(input))),
            (None, Some(output), Some(total)) => (Some(total.saturating_sub(output)), Some(output)),
            (input, output, _) => (input, output),
        };
        // They are some of the request's: who takes one from the other gets no less than nothing.
        let cached = self.cached.max(self.cache_read).unwrap_or(0);
        let cached = cached.min(input.unwrap_or(u64::MAX));
        ToldCounts { input, output, total, cached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    /// Input, output, total and cached of usage objects, one after the other.
    fn told(objects: &[&str]) -> Option<[Option<u64>; 4]> {
        let mut tokens: Option<Tokens> = None;
        for object in objects {
            if let Some(later) = Tokens::read(&cursor::parse(object.as_bytes()).unwrap()) {
                tokens.get_or_insert_default().update(&later);
            }
        }
        let ToldCounts { input, output, total, cached } = tokens?.told();
        Some([input, output, total, Some(cached)])
    }

    #[test]
    fn every_dialect() {
        for (usage, want) in [
            (r#"{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}"#, [7, 3, 10, 0]),
            (
                r#"{"prompt_tokens":"7","completion_tokens":" 3 ","total_tokens":10.0}"#,
                [7, 3, 10, 0],
            ),
            (
                r#"{"input_tokens":9,"output_tokens":2,"total_tokens":11,"input_tokens_details":{"cached_tokens":4}}"#,
                [9, 2, 11, 4],
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_cache_hit_tokens":5,"prompt_cache_miss_tokens":4}"#,
                [9, 2, 11, 5],
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":null,"cached_tokens":1}"#,
                [9, 2, 11, 1],
            ),
            // Anthropic's, as a proxy may have made OpenAI's of them.
            (
                r#"{"input_tokens":9,"cache_read_input_tokens":5,"cache_creation_input_tokens":1,"output_tokens":2,"total_tokens":17}"#,
                [15, 2, 17, 5],
            ),
            (
                r#"{"input_tokens":15,"cache_read_input_tokens":5,"cache_creation_input_tokens":1,"output_tokens":2,"total_tokens":17}"#,
                [15, 2, 17, 5],
            ),
            (
                r#"{"prompt_tokens":15,"cache_read_input_tokens":5,"completion_tokens":2,"total_tokens":17}"#,
                [15, 2, 17, 5],
            ),
            (
                r#"{"promptTokenCount":8,"candidatesTokenCount":2,"thoughtsTokenCount":4,"totalTokenCount":14,"cachedContentTokenCount":3}"#,
                [8, 6, 14, 3],
            ),
            (r#"{"prompt_tokens":5,"total_tokens":5}"#, [5, 0, 5, 0]),
            (r#"{"completion_tokens":5,"total_tokens":15}"#, [10, 5, 15, 0]),
            (
                r#"{"prompt_tokens":1e2,"completion_tokens":"+5","total_tokens":"10.5e1"}"#,
                [100, 5, 105, 0],
            ),
            (
                r#"{"prompt_tokens":1,"completion_tokens":9,"completion_tokens":2,"prompt_tokens":7,"total_tokens":9}"#,
                [7, 2, 9, 0],
            ),
            (r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, [0, 0, 0, 0]),
            (r#"{"\u0070rompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#, [1, 1, 2, 0]),
            (
                r#"{"prompt_tokens":9007199254740992,"total_tokens":9007199254740992}"#,
                [1 << 53, 0, 1 << 53, 0],
            ),
        ] {
            assert_eq!(told(&[usage]), Some(want.map(Some)), "{usage}");
        }
        let anthropic = r#"{"input_tokens":9,"cache_creation_input_tokens":1,"cache_read_input_tokens":5,"output_tokens":2}"#;
        assert_eq!(told(&[anthropic]), Some([Some(15), Some(2), None, Some(5)]));
        assert_eq!(told(&[r#"{"total_tokens":4}"#]), Some([None, None, Some(4), Some(0)]));
    }

    #[test]
    fn a_count_that_is_none_spoils_all() {
        for bad in [
            "-1",
            "1.5",
            "true",
            "[]",
            "{}",
            "9007199254740993",
            "9007199254740994",
            "18446744073709551616",
            "9.1e15",
            "1e300",
            "\"\"",
            "\"-1\"",
            "\"x\"",
            "\"inf\"",
            "\"NaN\"",
            "\"1.5\"",
            "\"9007199254740993\"",
            "\"\\ud800\"",
        ] {
            for name in ["prompt_tokens", "output_tokens", "totalTokens"] {
                let usage = format!(r#"{{"input_tokens":3,"completion_tokens":4,"{name}":{bad}}}"#);
                assert_eq!(told(&[&usage]), None, "{usage}");
            }
            let usage = format!(
                r#"{{"input_tokens":3,"output_tokens":4,"cached_tokens":{bad},"prompt_tokens_details":{{"cached_tokens":{bad}}},"service_tier":{bad}}}"#
            );
            assert_eq!(told(&[&usage]), Some([Some(3), Some(4), None, Some(0)]), "{usage}");
        }
        for none in [
            "{}",
            "[]",
            "null",
            "3",
            r#"{"prompt_tokens":null}"#,
            r#"{"type":"duration","seconds":9}"#,
        ] {
            assert_eq!(told(&[none]), None, "{none}");
        }
        let absent =
            r#"{"prompt_tokens":null,"input_tokens":3,"completion_tokens":4,"total_tokens":null}"#;
        assert_eq!(told(&[absent]), Some([Some(3), Some(4), None, Some(0)]));
    }

    #[test]
    fn no_more_comes_from_a_cache_than_was_asked() {
        let usage = r#"{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":100}}"#;
        assert_eq!(told(&[usage]), Some([Some(7), Some(2), None, Some(7)]));
    }

    #[test]
    fn the_last_value_of_each_field_counts() {
        let start = r#"{"input_tokens":25,"cache_read_input_tokens":100,"output_tokens":1}"#;
        for (later, want) in [
            (r#"{"output_tokens":15}"#, [125, 15, 100]),
            (r#"{"input_tokens":26,"output_tokens":15}"#, [126, 15, 100]),
            (
                r#"{"input_tokens":26,"cache_read_input_tokens":10,"output_tokens":15}"#,
                [36, 15, 10],
            ),
            (r#"{"input_tokens":0,"output_tokens":15}"#, [125, 15, 100]),
            (r#"{"input_tokens":null,"output_tokens":15}"#, [125, 15, 100]),
            (r#"{"output_tokens":-1}"#, [125, 1, 100]),
        ] {
            let [input, output, cached] = want.map(Some);
            assert_eq!(told(&[start, later]), Some([input, output, None, cached]), "{later}");
        }
    }
}
