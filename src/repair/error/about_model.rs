//! Whether a 404 is about a model, or about a path that the server does not have.

use crate::error::ErrorAnswer;

/// Whether an error says of the model `id` that there is none. Servers that don't know a path say so in many ways, and
/// repeat it (`Cannot GET /v1/models/my-model`): a word that is a path tells nothing.
#[must_use]
pub fn is_about_model(answer: &ErrorAnswer, id: &str) -> bool {
    let error = &answer.error;
    let is_model = |text: &Option<String>| {
        text.as_ref().is_some_and(|text| text.to_ascii_lowercase().contains("model"))
    };
    if is_model(&error.param) || is_model(&error.code) {
        return true;
    }
    error.message.split_ascii_whitespace().filter(|word| !is_path(word, id)).any(|word| {
        let word = word.to_ascii_lowercase();
        word.contains("model") || word.contains(&id.to_ascii_lowercase())
    })
}

/// A word that holds a slash, and not only as the id does.
fn is_path(word: &str, id: &str) -> bool {
    word.contains("/models") || word.replace(id, "").contains('/')
}

#[cfg(test)]
mod tests {
    use super::super::read_http;
    use super::*;
    use crate::test;

    #[test]
    fn whose_404_it_is() {
        for (id, body, want) in [
            ("tiny", r#"{"error":{"message":"model 'tiny' not found","type":"api_error"}}"#, true),
            (
                "gpt-9",
                r#"{"error":{"message":"The model `gpt-9` does not exist","code":"model_not_found"}}"#,
                true,
            ),
            ("a/b", r#"{"error":{"message":"a/b is not here","code":"NotFound"}}"#, true),
            ("x", r#"{"error":{"message":"No such entity","param":"model"}}"#, true),
            ("x", r#"{"object":"error","message":"The Model x is gone","code":404}"#, true),
            ("tiny", r#"{"detail":"Not Found"}"#, false),
            (
                "tiny",
                r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
                false,
            ),
            ("my-model", "<pre>Cannot GET /v1/models/my-model</pre>", false),
            (
                "tiny",
                r#"{"error":{"message":"Unknown request URL: GET /v1/models/tiny. Please check the URL for typos."}}"#,
                false,
            ),
            ("a/b", r#"{"error":"Unexpected endpoint or method. (GET /v1/models/a%2Fb)"}"#, false),
            ("tiny", "404 page not found", false),
            ("tiny", "", false),
        ] {
            let (answer, _) = read_http(404, None, body.as_bytes());
            assert_eq!(is_about_model(&answer, id), want, "{body}");
        }
    }
}
