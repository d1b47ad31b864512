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
    /// Of the input.
    cached: Option<u64>,
    /// What the cache gave and got, where `input` may leave it out.
    cache_read: Option<u64>,
    cache_written: Option<u64>,
    /// What the cache got, of the input.
    written: Option<u64>,
    /// `input` was given under a name that leaves the cache's tokens out.
    lacks_cache: bool,
    /// What was thought.
    thoughts: Option<u64>,
    /// `output` was given under a name that leaves the thoughts' tokens out.
    lacks_thoughts: bool,
}

/// Counts as they were told, or follow from what was. A part is never more than its whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToldCounts {
    /// Tokens of the request, those from a cache among them.
    pub input: Option<u64>,
    /// Tokens of the answer, thoughts among them.
    pub output: Option<u64>,
    /// All, as told: it may be less than both together.
    pub total: Option<u64>,
    /// Of the request's tokens those from a cache.
    pub cached: u64,
    /// Of the request's tokens those that went into a cache.
    pub written: u64,
    /// Of the answer's tokens those that were thought. Where `output` is not told it has these at least.
    pub thoughts: u64,
    /// A part is more than its whole, or the total less than its parts: not all of it can be true.
    pub contradicts: bool,
}

/// One of the three counts is no count, so that nothing beside it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCount;

/// A count as it may be written: a number, or one as text. `Err`: it is none.
fn count(value: &Value<'_>) -> Result<Option<u64>, NoCount> {
    let decoded;
    let text = match value.kind {
        Kind::Null => return Ok(None),
        Kind::Number => std::str::from_utf8(value.raw()).map_err(|_| NoCount)?,
        Kind::String => {
            decoded = value.as_str().ok_or(NoCount)?;
            decoded.trim()
        }
        _ => return Err(NoCount),
    };
    // As digits, since a floating-point number can't tell the largest count from what is beyond.
    if let Ok(count) = text.parse::<u64>() {
        return if count <= MAX_COUNT { Ok(Some(count)) } else { Err(NoCount) };
    }
    // Rust reads `inf` and `nan`, too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number: f64 = text.parse().ok().filter(|_| is_number).ok_or(NoCount)?;
    let is_count = (0.0..MAX_COUNT as f64).contains(&number) && number.fract() == 0.0;
    is_count.then_some(Some(number as u64)).ok_or(NoCount)
}

impl Tokens {
    const NONE: Self = Self {
        input: None,
        output: None,
        total: None,
        cached: None,
        cache_read: None,
        cache_written: None,
        written: None,
        lacks_cache: false,
        thoughts: None,
        lacks_thoughts: false,
    };

    /// What servers send that do not count.
    pub const ZERO: Self = Self { input: Some(0), output: Some(0), total: Some(0), ..Self::NONE };

    /// Reads a usage object. `None` where it has none of the three counts, or what it has can't be trusted.
    #[must_use]
    pub fn read(usage: &Value<'_>) -> Option<Self> {
        Self::look(usage).ok().flatten()
    }

    /// Reads a usage object, or one that holds it. `None` where it has none of the three counts.
    ///
    /// # Errors
    /// Where one of them is no count.
    pub fn look(usage: &Value<'_>) -> Result<Option<Self>, NoCount> {
        let own = Self::flat(usage)?;
        let nested = || names::NESTED.iter().filter_map(|name| usage.get(name));
        match own {
            Some(own) => Ok(Some(own)),
            None => nested().find_map(|inner| Self::flat(&inner).transpose()).transpose(),
        }
    }

    /// Counts that stand in an answer itself: among its members (Ollama), or its details (TGI).
    #[must_use]
    pub fn beside(answer: &Value<'_>) -> Option<Self> {
        let details = || Self::flat(&answer.get("details")?).ok().flatten();
        Self::flat(answer).ok().flatten().or_else(details)
    }

    fn flat(usage: &Value<'_>) -> Result<Option<Self>, NoCount> {
        let mut this = Self::NONE;
        // By which name each of the three is known, and what that says.
        let mut known: [Option<(usize, u64)>; 3] = [None; 3];
        for (key, value) in usage.members() {
            let Some(name) = key.as_str() else { continue };
            let main = names::MAIN.iter().enumerate().find_map(|(field, known)| {
                Some((field, known.iter().position(|known| *known == name)?))
            });
            if let Some((field, rank)) = main {
                let Some(count) = count(&value)? else { continue };
                let Some(known) = known.get_mut(field) else { continue };
                // Of a name that comes twice, the last one, as parsers read it.
                let is_better = known.is_none_or(|(before, told)| {
                    rank == before || (count > 0, before) > (told > 0, rank)
                });
                if is_better {
                    *known = Some((rank, count));
                    this.set_main(field, count, &name);
                }
            } else if names::DETAILS.contains(&&*name) {
                this.cached = this.cached.max(inner(&value, "cached_tokens"));
                this.written = inner(&value, "cache_write_tokens").or(this.written);
            } else if names::OUTPUT_DETAILS.contains(&&*name) {
                this.thoughts = this.thoughts.max(inner(&value, "reasoning_tokens"));
            } else if let Ok(Some(count)) = count(&value) {
                this.set_detail(&name, count);
            }
        }
        let has_any = known.iter().any(Option::is_some) || this.thoughts > Some(0);
        Ok(has_any.then_some(this))
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

    /// The same may stand under several names; some servers fill in one of them.
    fn set_detail(&mut self, name: &str, count: u64) {
        if names::CACHE_READ.contains(&name) {
            self.cache_read = Some(count);
        } else if names::CACHE_WRITTEN.contains(&name) {
            self.cache_written = Some(count);
        } else if names::THOUGHTS.contains(&name) {
            self.thoughts = self.thoughts.max(Some(count));
        } else if names::CACHED.contains(&name) {
            self.cached = self.cached.max(Some(count));
        }
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
        self.written = later.written.or(self.written);
        self.thoughts = later.thoughts.or(self.thoughts);
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        let ToldCounts { input, output, total, thoughts, .. } = self.told();
        [input, output, total, Some(thoughts)].iter().flatten().all(|count| *count == 0)
    }

    /// The counts as clients understand them.
    ///
    /// Parts (what came from a cache or went there, what was thought) are among the tokens of their whole, unless its name
    /// leaves them out, or it can't hold them, or the total is all of them together. Then they stand beside it; but where
    /// the total has no room for that, they were counted already.
    #[must_use]
    pub fn told(&self) -> ToldCounts {
        let total = self.total;
        let has_room = |all: u64| total.is_none_or(|total| all <= total);
        let thoughts = self.thoughts.unwrap_or(0);
        let both = self.input.unwrap_or(0) + self.output.unwrap_or(0);
        let output = self.output.map(|output| {
            let is_beside =
                self.lacks_thoughts || thoughts > output || total == Some(both + thoughts);
            if is_beside && has_room(both + thoughts) { output + thoughts } else { output }
        });
        let cached = self.cached.max(self.cache_read).unwrap_or(0);
        let input = self.input.map(|input| {
            let beside = match self.cached {
                _ if self.lacks_cache => {
                    [self.cache_read, self.cache_written].into_iter().flatten().sum()
                }
                Some(cached) if cached > input && total.is_some() => cached,
                _ => 0,
            };
            let all = input + beside;
            if has_room(all + output.unwrap_or(0)) { all } else { input }
        });
        // Two of them tell the third.
        let (input, output) = match (input, output, total) {
            (Some(input), None, Some(total)) => (Some(input), Some(total.saturating_sub(input))),
            (None, Some(output), Some(total)) => (Some(total.saturating_sub(output)), Some(output)),
            (input, output, _) => (input, output),
        };
        // Who takes a part from its whole gets no less than nothing.
        let most = |part: u64, whole: Option<u64>| part.min(whole.unwrap_or(u64::MAX));
        let contradicts = total
            .is_some_and(|total| total < input.unwrap_or(0) + output.unwrap_or(0))
            || most(cached, input) < cached
            || most(thoughts, output) < thoughts;
        let written = self.written.or(self.cache_written).unwrap_or(0);
        ToldCounts {
            input,
            output,
            total,
            cached: most(cached, input),
            written: most(written, input),
            thoughts: most(thoughts, output),
            contradicts,
        }
    }
}

/// A count among the details of another.
fn inner(details: &Value<'_>, name: &str) -> Option<u64> {
    details.get(name).as_ref().and_then(|value| count(value).ok().flatten())
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
        let ToldCounts { input, output, total, cached, .. } = tokens?.told();
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
            // The same as OpenAI's names had them once.
            (
                r#"{"promptTokenCount":8,"candidatesTokenCount":6,"thoughtsTokenCount":4,"totalTokenCount":14}"#,
                [8, 6, 14, 0],
            ),
            (
                r#"{"candidatesTokenCount":0,"completion_tokens":0,"input_tokens":3,"prompt_tokens":0,"total_tokens":3}"#,
                [3, 0, 3, 0],
            ),
            (r#"{"prompt_eval_count":8,"eval_count":2,"total_tokens":10}"#, [8, 2, 10, 0]),
            (
                r#"{"billed_units":{"input_tokens":1,"output_tokens":1},"tokens":{"input_tokens":8,"output_tokens":2,"total_tokens":10}}"#,
                [8, 2, 10, 0],
            ),
            (r#"{"id":"r","usage":{"prompt_tokens":8,"total_tokens":10}}"#, [8, 2, 10, 0]),
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
    fn a_part_is_never_more_than_its_whole() {
        // Prompt, completion, total, cached, thoughts, where they are told; what comes of it, and whether it may be true.
        type Counts = [Option<u64>; 5];
        type Case = (Counts, [Option<u64>; 3], [u64; 2], bool);
        let cases: [Case; 15] = [
            (
                [Some(7), Some(9), Some(16), None, Some(4)],
                [Some(7), Some(9), Some(16)],
                [0, 4],
                true,
            ),
            ([Some(7), Some(9), None, None, Some(9)], [Some(7), Some(9), None], [0, 9], true),
            // xAI counts them beside.
            (
                [Some(7), Some(9), Some(20), None, Some(4)],
                [Some(7), Some(13), Some(20)],
                [0, 4],
                true,
            ),
            (
                [Some(7), Some(2), Some(99), None, Some(90)],
                [Some(7), Some(92), Some(99)],
                [0, 90],
                true,
            ),
            ([Some(7), Some(2), None, None, Some(90)], [Some(7), Some(92), None], [0, 90], true),
            (
                [Some(7), Some(0), Some(97), None, Some(90)],
                [Some(7), Some(90), Some(97)],
                [0, 90],
                true,
            ),
            // No room: the total knows better.
            (
                [Some(7), Some(2), Some(9), None, Some(90)],
                [Some(7), Some(2), Some(9)],
                [0, 2],
                false,
            ),
            (
                [Some(7), Some(2), Some(50), None, Some(90)],
                [Some(7), Some(2), Some(50)],
                [0, 2],
                false,
            ),
            // Without their whole.
            ([Some(7), None, Some(20), None, Some(4)], [Some(7), Some(13), Some(20)], [0, 4], true),
            ([Some(7), None, None, None, Some(4)], [Some(7), None, None], [0, 4], true),
            // The cache's.
            (
                [Some(7), Some(2), Some(9), Some(8), None],
                [Some(7), Some(2), Some(9)],
                [7, 0],
                false,
            ),
            (
                [Some(7), Some(2), Some(17), Some(8), None],
                [Some(15), Some(2), Some(17)],
                [8, 0],
                true,
            ),
            (
                [Some(7), Some(2), Some(19), Some(7), None],
                [Some(7), Some(2), Some(19)],
                [7, 0],
                true,
            ),
            // Totals that are no sum.
            ([Some(7), Some(2), Some(5), None, None], [Some(7), Some(2), Some(5)], [0, 0], false),
            ([Some(7), Some(2), Some(50), None, None], [Some(7), Some(2), Some(50)], [0, 0], true),
        ];
        for (given, want, parts, is_true) in cases {
            let [input, output, total, cached, thoughts] = given
                .map(|count| count.map_or_else(|| "null".to_owned(), |count| count.to_string()));
            for [prompt, completion] in
                [["prompt_tokens", "completion_tokens"], ["promptTokens", "output_tokens"]]
            {
                let usage = format!(
                    r#"{{"{prompt}":{input},"{completion}":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached}}},"completion_tokens_details":{{"reasoning_tokens":{thoughts}}}}}"#
                );
                let told = Tokens::read(&cursor::parse(usage.as_bytes()).unwrap()).unwrap().told();
                assert_eq!([told.input, told.output, told.total], want, "{usage}");
                assert_eq!([told.cached, told.thoughts], parts, "{usage}");
                assert_eq!(told.contradicts, !is_true, "{usage}");
            }
        }
    }

    #[test]
    fn counts_beside_the_choices() {
        for (answer, want) in [
            (r#"{"choices":[],"prompt_eval_count":5,"eval_count":2}"#, Some((Some(5), Some(2)))),
            (
                r#"{"details":{"finish_reason":"stop","generated_tokens":2,"prefill":[]}}"#,
                Some((None, Some(2))),
            ),
            (r#"{"details":{"generated_tokens":"many"},"usage":{"prompt_tokens":1}}"#, None),
        ] {
            let told = Tokens::beside(&cursor::parse(answer.as_bytes()).unwrap());
            assert_eq!(told.map(|told| (told.told().input, told.told().output)), want, "{answer}");
        }
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
