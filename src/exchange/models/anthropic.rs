//! The model list in Anthropic's shape (API reference, "List Models"): the same models, in pages.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Code, GatewayError};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;
use crate::wire::percent;

/// The most models that a client may ask for in one page.
const MAX_LIMIT: usize = 1_000;

/// Which part of the list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageQuery {
    /// How many models; `None` for all of them.
    limit: Option<usize>,
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum From {
    #[default]
    Start,
    /// Behind this id.
    After(String),
    /// In front of this id.
    Before(String),
}

impl PageQuery {
    /// Reads `limit`, `after_id` and `before_id` of a query.
    ///
    /// # Errors
    /// `unsupported_parameter`, for a limit that is none and for both ids at once.
    pub fn read(query: Option<&str>) -> Result<Self, GatewayError> {
        let mut page = Self::default();
        for (name, value) in
            query.iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='))
        {
            let decoded = percent::decode(value.replace('+', " ").as_bytes());
            let value = String::from_utf8(decoded)
                .map_err(|_| refuse("limit", "The query is not valid UTF-8."))?;
            let from = match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let limit = limit.ok_or_else(|| {
                        refuse(
                            "limit",
                            &format!("\"limit\" must be a number from 1 to {MAX_LIMIT}."),
                        )
                    })?;
                    page.limit = Some(limit);
                    continue;
                }
                "after_id" => From::After(value),
                "before_id" => From::Before(value),
                _ => continue,
            };
            if page.from != From::Start {
                return Err(refuse("before_id", "Give \"after_id\" or \"before_id\", not both."));
            }
            page.from = from;
        }
        Ok(page)
    }

    /// A page of `list`, an OpenAI list of models.
    ///
    /// # Errors
    /// `unsupported_parameter` for an id that is not in the list.
    pub fn of(&self, list: &[u8]) -> Result<Vec<u8>, GatewayError> {
        let root = cursor::parse(list).map_err(|_| internal())?;
        let models: Vec<_> = root.get("data").iter().flat_map(Value::elements).collect();
        let place = |id: &String, name| {
            let is_it = |model: &Value<'_>| {
                model.get("id").and_then(|it| it.as_str()).is_some_and(|it| it == *id)
            };
            let unknown =
                || refuse(name, &format!("\"{name}\" is the id of no model in the list."));
            models.iter().position(is_it).ok_or_else(unknown)
        };
        let limit = self.limit.unwrap_or(models.len());
        let (shown, more) = match &self.from {
            From::Before(id) => {
                let end = place(id, "before_id")?;
                let start = end.saturating_sub(limit);
                (start..end, start > 0)
            }
            from => {
                let start = match from {
                    From::After(id) => place(id, "after_id")?.saturating_add(1),
                    _ => 0,
                };
                let end = start.saturating_add(limit).min(models.len());
                (start..end, end < models.len())
            }
        };
        let shown = models.get(shown).unwrap_or_default();
        let mut out = b"{\"data\":[".to_vec();
        for (index, model) in shown.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b"," } else { b"" });
            write(model, &mut out);
        }
        out.extend_from_slice(if more { b"],\"has_more\":true" } else { b"],\"has_more\":false" });
        for (name, model) in [("first_id", shown.first()), ("last_id", shown.last())] {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            out.extend_from_slice(
                model.and_then(|model| model.get("id")).map_or(b"null", |id| id.raw()),
            );
        }
        out.push(b'}');
        Ok(out)
    }
}

/// An OpenAI model in Anthropic's shape.
pub(super) fn one(model: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Ok(model) = cursor::parse(model) {
        write(&model, &mut out);
    }
    out
}

fn write(model: &Value<'_>, out: &mut Vec<u8>) {
    let text = |name: &str| model.get(name).filter(|text| text.kind == Kind::String);
    let id = text("id").map_or(&b"\"\""[..], |id| id.raw());
    let name = text("display_name").map_or(id, |name| name.raw());
    // Where the server does not say when, it was long ago.
    let created = model.get("created").and_then(|created| created.as_f64()).unwrap_or_default();
    let created = OffsetDateTime::from_unix_timestamp(created as i64).ok();
    let created = created.and_then(|created| created.format(&Rfc3339).ok());
    for (member, value) in [
        (&b"{\"type\":\"model\",\"id\":"[..], id),
        (b",\"display_name\":", name),
        (
            b",\"created_at\":",
            &string::encode(created.as_deref().unwrap_or("1970-01-01T00:00:00Z")),
        ),
    ] {
        out.extend_from_slice(member);
        out.extend_from_slice(value);
    }
    out.push(b'}');
}

fn refuse(param: &'static str, message: &str) -> GatewayError {
    GatewayError::new(Code::UnsupportedParameter, message).with_param(param)
}

fn internal() -> GatewayError {
    GatewayError::new(Code::InternalError, "The list of models could not be read.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    const LIST: &[u8] = br#"{"object":"list","data":[{"id":"a/1","object":"model","created":0,"owned_by":"a"},{"id":"b","created":1700000000,"display_name":"B"},{"id":"c"},{"id":"d"}]}"#;

    fn page(query: &str) -> Result<serde_json::Value, GatewayError> {
        let page = PageQuery::read(Some(query))?.of(LIST)?;
        Ok(serde_json::from_slice(&page).unwrap())
    }

    #[test]
    fn the_whole_list() {
        let got = page("beta=true").unwrap();
        let first = serde_json::json!({"type": "model", "id": "a/1", "display_name": "a/1", "created_at": "1970-01-01T00:00:00Z"});
        let second = serde_json::json!({"type": "model", "id": "b", "display_name": "B", "created_at": "2023-11-14T22:13:20Z"});
        assert_eq!((&got["data"][0], &got["data"][1]), (&first, &second));
        assert_eq!((&got["first_id"], &got["last_id"]), (&"a/1".into(), &"d".into()));
        assert_eq!(got["has_more"], false);
    }

    #[test]
    fn pages() {
        for (query, ids, more) in [
            ("limit=2", &["a/1", "b"][..], true),
            ("limit=2&after_id=b", &["c", "d"], false),
            ("after_id=a%2F1&limit=1", &["b"], true),
            ("before_id=c", &["a/1", "b"], false),
            ("limit=1&before_id=c", &["b"], true),
            ("after_id=d", &[], false),
        ] {
            let got = page(query).unwrap();
            let got_ids: Vec<_> = got["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|model| model["id"].as_str().unwrap())
                .collect();
            assert_eq!(
                (got_ids.as_slice(), got["has_more"].as_bool()),
                (ids, Some(more)),
                "{query}"
            );
            assert_eq!(got["first_id"].as_str(), ids.first().copied(), "{query}");
        }
        for query in
            ["limit=0", "limit=x", "limit=1001", "after_id=zz", "after_id=a%2F1&before_id=b"]
        {
            assert_eq!(page(query).unwrap_err().code, Code::UnsupportedParameter, "{query}");
        }
    }

    #[test]
    fn an_empty_list_has_no_ends() {
        let empty = PageQuery::default().of(br#"{"data":[]}"#).unwrap();
        assert_eq!(empty, br#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
    }
}
