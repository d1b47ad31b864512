//! Documents by relevance, in the shape of Cohere and Jina: `{"results": [{"index": 1, "relevance_score": 0.9}]}`.
//!
//! Servers have the list under other names, in envelopes, bare, or as scores alone; the score and the index under
//! other names, or as texts. What says which document has which score is given in that shape, in the order in which it
//! came; nothing is sorted, left out or guessed.

use super::error::no_answer;
use super::{loose, proxied};
use crate::error::ErrorAnswer;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;

/// Members that hold the list or another container of it, the most telling first.
const CONTAINERS: [&str; 15] = [
    "results",
    "data",
    "rankings",
    "output",
    "result",
    "ranked_documents",
    "documents",
    "records",
    "reranked",
    "items",
    "scores",
    "response",
    "body",
    "predictions",
    "outputs",
];

/// How many objects may stand around the list.
const MAX_LEVELS: u8 = 4;

/// Names of the document's place in the request, OpenAI's friends' first.
const INDICES: [&str; 8] = [
    "index",
    "corpus_id",
    "document_index",
    "doc_index",
    "documentIndex",
    "original_index",
    "idx",
    "position",
];

/// Names of the score.
const SCORES: [&str; 9] = [
    "relevance_score",
    "relevanceScore",
    "score",
    "rerank_score",
    "logit",
    "similarity",
    "similarity_score",
    "relevance",
    "probability",
];

/// What is to stand in the place of the answer; `None` where it is right, or can't be said in that shape. `json`: one
/// JSON value that is no error.
///
/// # Errors
/// 502 where there is no list of results in it, with whatever words are in it.
pub fn repaired(json: &[u8]) -> Result<Option<Vec<u8>>, Box<ErrorAnswer>> {
    let inside =
        proxied::good(json).or_else(|| loose::lines(json).filter(|_| cursor::parse(json).is_err()));
    let given = inside.as_deref().unwrap_or(json);
    let Ok(root) = cursor::parse(given) else { return Ok(None) };
    if root.get("results").is_some_and(|results| is_right(&results)) {
        return Ok(inside);
    }
    let Some(list) = find(&root, MAX_LEVELS) else {
        return Err(Box::new(no_answer(given, "no results")));
    };
    Ok(results(&list).map(|results| write(&root, &list, &results)).or(inside))
}

/// Whether a list of results is as it should be.
fn is_right(results: &Value<'_>) -> bool {
    results.kind == Kind::BeginArray
        && results.elements().all(|result| {
            let has = |name: &str| result.get(name).is_some_and(|value| value.kind == Kind::Number);
            let document = result.get("document");
            has("index")
                && has("relevance_score")
                && document.is_none_or(|document| document.kind != Kind::String)
        })
}

/// The list of what has scores.
fn find<'a>(value: &Value<'a>, levels: u8) -> Option<Value<'a>> {
    if value.kind == Kind::BeginArray {
        // One answer in a list of its own is no score.
        let mut elements = value.elements();
        return match (elements.next(), elements.next(), levels.checked_sub(1)) {
            (Some(one), None, Some(levels)) if score(&one).is_none() => {
                find(&one, levels).or(Some(*value))
            }
            _ => Some(*value),
        };
    }
    let levels = levels.checked_sub(1).filter(|_| value.kind == Kind::BeginObject)?;
    if is_map(value) {
        return Some(*value);
    }
    CONTAINERS.iter().filter_map(|name| value.get(name)).find_map(|held| find(&held, levels))
}

/// Whether a map stands for the list: its keys are the places of the documents.
fn is_map(value: &Value<'_>) -> bool {
    value.members().next().is_some()
        && value.members().all(|(key, result)| {
            place(&key).is_some() && (score(&result).is_some() || result.kind == Kind::BeginArray)
        })
}

fn place(key: &Key<'_>) -> Option<usize> {
    key.as_str()?.parse().ok()
}

/// What says something of one document each, with its place where nothing else says that.
fn entries<'a>(list: &Value<'a>) -> Vec<(usize, Value<'a>)> {
    match list.kind {
        Kind::BeginObject => {
            list.members().filter_map(|(key, result)| Some((place(&key)?, result))).collect()
        }
        _ => list.elements().enumerate().collect(),
    }
}

/// Place and score of a result that is a list itself: `[1, 0.9]`, or `[0.9]`.
fn pair(result: &Value<'_>, position: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    if result.kind != Kind::BeginArray {
        return None;
    }
    let mut numbers = result.elements().map(|element| number(&element));
    match (numbers.next()??, numbers.next(), numbers.next()) {
        (score, None, None) => Some((position.to_string().into_bytes(), score)),
        (index, Some(Some(score)), None) if index.iter().all(u8::is_ascii_digit) => {
            Some((index, score))
        }
        _ => None,
    }
}

/// A number, also one that was made a text, as JSON.
fn number(value: &Value<'_>) -> Option<Vec<u8>> {
    match value.kind {
        Kind::Number => Some(value.raw().to_vec()),
        Kind::String => {
            let text = value.inner().trim_ascii();
            let kind = cursor::parse(text).ok()?.kind;
            (kind == Kind::Number).then(|| text.to_vec())
        }
        _ => None,
    }
}

fn named<'a>(object: &Value<'a>, names: &[&str]) -> Option<(Key<'a>, Value<'a>)> {
    // The most telling name counts, wherever it stands.
    names.iter().find_map(|name| object.members().find(|(key, _)| key.is(name)))
}

fn score(value: &Value<'_>) -> Option<Vec<u8>> {
    number(value).or_else(|| number(&named(value, &SCORES)?.1))
}

/// The results as a JSON list; `None` where not every one says which document has which score.
fn results(list: &Value<'_>) -> Option<Vec<u8>> {
    let mut out = vec![b'['];
    for (position, result) in entries(list) {
        if out.len() > 1 {
            out.push(b',');
        }
        // Scores alone are in the order of the documents.
        if let Some(score) = number(&result) {
            out.extend_from_slice(
                format!("{{\"index\":{position},\"relevance_score\":").as_bytes(),
            );
            out.extend(score);
            out.push(b'}');
            continue;
        }
        if let Some((index, score)) = pair(&result, position) {
            out.extend_from_slice(b"{\"index\":");
            out.extend(index);
            out.extend_from_slice(b",\"relevance_score\":");
            out.extend(score);
            out.push(b'}');
            continue;
        }
        let index = named(&result, &INDICES);
        // Of a list only its order would tell, which may be that of the scores.
        if index.is_none() && list.kind != Kind::BeginObject {
            return None;
        }
        let (score_key, score) = named(&result, &SCORES)?;
        out.extend_from_slice(b"{\"index\":");
        out.extend(match &index {
            Some((_, index)) => number(index)?,
            None => position.to_string().into_bytes(),
        });
        out.extend_from_slice(b",\"relevance_score\":");
        out.extend(number(&score)?);
        for (key, value) in result.members() {
            let index_key = index.as_ref().map(|(key, _)| key.span());
            let is_told = index_key == Some(key.span()) || score_key.span() == key.span();
            if is_told || key.is("index") || key.is("relevance_score") {
                continue;
            }
            let is_text = key.is("document") && value.kind == Kind::String;
            let name = key.as_str()?;
            out.push(b',');
            out.extend(crate::wire::json::string::encode(&name));
            out.extend_from_slice(if is_text { b":{\"text\":" } else { b":" });
            out.extend_from_slice(value.raw());
            out.extend_from_slice(if is_text { b"}" } else { b"" });
        }
        out.push(b'}');
    }
    out.push(b']');
    Some(out)
}

/// The results, and what stood beside the list or its containers.
fn write(root: &Value<'_>, list: &Value<'_>, results: &[u8]) -> Vec<u8> {
    let mut out = b"{\"results\":".to_vec();
    out.extend_from_slice(results);
    let holds = |value: &Value<'_>| {
        value.span().start <= list.span().start && list.span().end <= value.span().end
    };
    for (key, value) in root.members() {
        let Some(name) = key.as_str().filter(|name| !holds(&value) && *name != "results") else {
            continue;
        };
        out.push(b',');
        out.extend(crate::wire::json::string::encode(&name));
        out.push(b':');
        out.extend_from_slice(value.raw());
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn answer(json: &str) -> Option<String> {
        let answer = repaired(json.as_bytes()).ok()?;
        Some(answer.map_or_else(|| json.to_owned(), |answer| String::from_utf8(answer).unwrap()))
    }

    #[test]
    fn what_is_right_stays() {
        for json in [
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.9},{"relevance_score":-1e-3,"index":0}],"meta":{}}"#,
            r#"{"results":[{"index":1,"relevance_score":0.9,"document":{"text":"b"}}]}"#,
            r#"{"results":[{"index":1,"relevance_score":0.9,"document":null}]}"#,
            r#"{"results":[]}"#,
            // Not said which.
            r#"{"results":[[0.1,0.9],[0.2,0.8]]}"#,
            r#"{"results":[{"text":"b","score":0.9},{"text":"a","score":0.1}]}"#,
            r#"{"results":[{"index":1,"relevance_score":null}]}"#,
        ] {
            assert_eq!(answer(json).as_deref(), Some(json));
        }
    }

    #[test]
    fn other_shapes() {
        let one =
            r#"{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}]}"#;
        for json in [
            r#"[{"index":1,"score":0.9},{"index":0,"score":0.1}]"#,
            r#"{"results":[{"index":1,"score":0.9},{"index":0,"score":0.1}]}"#,
            r#"{"data":[{"relevance_score":0.9,"index":1},{"relevance_score":0.1,"index":0}]}"#,
            r#"{"output":{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}]}}"#,
            r#"{"data":{"results":[{"index":"1","relevance_score":"0.9"},{"index":"0","relevance_score":" 0.1"}]}}"#,
            r#"{"rankings":[{"index":1,"logit":0.9},{"index":0,"logit":0.1}]}"#,
            r#"[{"corpus_id":1,"score":0.9},{"corpus_id":0,"score":0.1}]"#,
            r#"[[{"index":1,"score":0.9},{"index":0,"score":0.1}]]"#,
            r#"{"statusCode":200,"body":"[{\"index\":1,\"score\":0.9},{\"index\":0,\"score\":0.1}]"}"#,
        ] {
            assert_eq!(answer(json).as_deref(), Some(one), "{json}");
        }
        for (json, want) in [
            (
                "[0.9,0.1]",
                r#"{"results":[{"index":0,"relevance_score":0.9},{"index":1,"relevance_score":0.1}]}"#,
            ),
            (
                r#"{"scores":[0.9],"model":"m"}"#,
                r#"{"results":[{"index":0,"relevance_score":0.9}],"model":"m"}"#,
            ),
            (
                "[[1,0.9],[0,0.1]]",
                r#"{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}]}"#,
            ),
            (
                r#"{"scores":[[0.1],[0.9]]}"#,
                r#"{"results":[{"index":0,"relevance_score":0.1},{"index":1,"relevance_score":0.9}]}"#,
            ),
            (
                r#"{"scores":{"1":0.9,"0":"0.1"},"model":"m"}"#,
                r#"{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"model":"m"}"#,
            ),
            (
                r#"{"results":{"0":{"score":0.1,"text":"a"}}}"#,
                r#"{"results":[{"index":0,"relevance_score":0.1,"text":"a"}]}"#,
            ),
            (
                r#"{"output":{"results":[{"index":1,"relevance_score":0.9,"document":"b"}]},"usage":{"total_tokens":4}}"#,
                r#"{"results":[{"index":1,"relevance_score":0.9,"document":{"text":"b"}}],"usage":{"total_tokens":4}}"#,
            ),
            (r#"{"results":null,"data":[]}"#, r#"{"results":[]}"#),
        ] {
            assert_eq!(answer(json).as_deref(), Some(want), "{json}");
        }
        for json in ["{}", r#"{"results":null}"#, r#"{"status":"queued"}"#] {
            assert_eq!(answer(json), None, "{json}");
        }
    }
}
