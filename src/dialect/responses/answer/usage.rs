//! Token counts by the Responses API's names.

use crate::dialect::chat::text::number;
use crate::dialect::chat::usage::Usage;

/// Writes the Response's `usage`. `cache_write_tokens` is in the SDKs' types, not everywhere in
/// the API reference.
pub(super) fn write(usage: &Usage, out: &mut Vec<u8>) {
    for (name, count) in [
        (&b"{\"input_tokens\":"[..], usage.input),
        (b",\"input_tokens_details\":{\"cached_tokens\":", usage.cache_read),
        (b",\"cache_write_tokens\":", usage.cache_write),
        (b"},\"output_tokens\":", usage.output),
        (b",\"output_tokens_details\":{\"reasoning_tokens\":", usage.reasoning),
        (b"},\"total_tokens\":", usage.total),
    ] {
        out.extend_from_slice(name);
        number(count, out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    fn converted(usage: &str) -> Option<String> {
        let usage = Usage::read(&cursor::parse(usage.as_bytes()).unwrap())?;
        let mut out = Vec::new();
        write(&usage, &mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn want(input: u64, read: u64, write: u64, output: u64, reasoning: u64, total: u64) -> String {
        format!(
            r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{read},"cache_write_tokens":{write}}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},"total_tokens":{total}}}"#
        )
    }

    #[test]
    fn every_known_name() {
        for (usage, want) in [
            (
                r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#,
                want(3, 0, 0, 2, 0, 5),
            ),
            (r#"{"prompt_tokens":3,"completion_tokens":2}"#, want(3, 0, 0, 2, 0, 5)),
            (
                r#"{"input_tokens":3.0,"output_tokens":2,"total_tokens":null}"#,
                want(3, 0, 0, 2, 0, 5),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":3}}"#,
                want(9, 4, 2, 5, 3, 14),
            ),
            (
                r#"{"prompt_tokens":9,"prompt_tokens_details":null,"prompt_cache_hit_tokens":8}"#,
                want(9, 8, 0, 0, 0, 9),
            ),
            (
                r#"{"prompt_tokens":9,"cached_tokens":8,"reasoning_tokens":1}"#,
                want(9, 8, 0, 1, 1, 10),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"completion_tokens_details":{"reasoning_tokens":90},"prompt_tokens_details":{"cached_tokens":90}}"#,
                want(9, 9, 0, 3, 3, 12),
            ),
            (
                r#"{"input_tokens":9,"cache_read_input_tokens":8,"cache_creation_input_tokens":1}"#,
                want(18, 8, 1, 0, 0, 18),
            ),
        ] {
            assert_eq!(converted(usage).unwrap(), want, "{usage}");
        }
    }

    #[test]
    fn nothing_counted_is_no_usage() {
        for usage in [
            "null",
            "{}",
            "[]",
            r#"{"prompt_tokens":0,"total_tokens":0}"#,
            r#"{"prompt_tokens":1,"completion_tokens":-4,"total_tokens":1e99}"#,
            "7",
        ] {
            assert_eq!(converted(usage), None, "{usage}");
        }
    }
}
