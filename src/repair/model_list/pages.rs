//! Where a list goes on: what a page says of the next one.
//!
//! | who | says | is asked |
//! | --- | --- | --- |
//! | Anthropic | `has_more`, `last_id` | `after_id`, `limit=1000` |
//! | OpenAI, for its other lists | `object: list`, `has_more`, `last_id` | `after`, `limit=1000` |
//! | Cohere | `next_page_token` | `page_token`, `page_size=1000` |
//! | Google, Fireworks | `nextPageToken` | `pageToken`, `pageSize=1000` |
//! | AWS, and others with a cursor | `nextToken`, `next_cursor` | `nextToken`, `cursor` |
//! | Replicate, watsonx, Azure | `next`, `next.href`, `nextLink`: an address | its query |
//! | Cloudflare, DashScope, Laravel | `page` and how many pages or models there are | the page behind |
//!
//! A page says which query is next, never another path or host: those are the configuration's.

use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;
use crate::wire::percent;

/// What follows a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NextPage {
    /// Nothing: it is the last one.
    #[default]
    None,
    /// The page with this query: printable ASCII, not empty.
    Query(String),
    /// Another page, and nothing tells how to ask for it.
    Untold,
}

/// Longest query, and longest token in one, in bytes.
const MAX_QUERY: usize = 2_048;
/// How many members of an object are looked at: what says something of pages stands beside the list.
const MAX_MEMBERS: usize = 64;

/// Members around a list that may hold what is said of pages.
const HOLDERS: [&str; 10] = [
    "result_info",
    "meta",
    "pagination",
    "paging",
    "page_info",
    "output",
    "result",
    "data",
    "links",
    "_links",
];

/// Tokens of the next page: the member, the parameter that takes it, and one more that is safe to send with it.
const TOKENS: [(&str, &str, &str); 6] = [
    ("next_page_token", "page_token", "&page_size=1000"),
    ("nextPageToken", "pageToken", "&pageSize=1000"),
    ("next_cursor", "cursor", ""),
    ("nextCursor", "cursor", ""),
    ("next_token", "next_token", ""),
    ("nextToken", "nextToken", ""),
];

/// Addresses of the next page.
const LINKS: [&str; 6] =
    ["next", "nextLink", "next_link", "next_url", "next_page_url", "next_page"];

/// The number of a page, and the parameter that asks for one.
const NUMBERS: [(&str, &str); 7] = [
    ("page", "page"),
    ("page_no", "page_no"),
    ("page_number", "page_number"),
    ("page_num", "page_num"),
    ("pageNo", "pageNo"),
    ("pageNumber", "pageNumber"),
    ("current_page", "page"),
];
const COUNTS_OF_PAGES: [&str; 4] = ["total_pages", "totalPages", "last_page", "pages"];
const SIZES: [&str; 4] = ["per_page", "page_size", "pageSize", "limit"];
const TOTALS: [&str; 4] = ["total", "total_count", "totalCount", "count_total"];

/// What stands behind `root`, an answer whose list has `count` elements, the last of them `last`. What a server says itself
/// counts before what can be reckoned.
pub(super) fn next(root: &Value<'_>, count: usize, last: Option<&str>) -> NextPage {
    let holders = root.members().take(MAX_MEMBERS).filter(|(key, value)| {
        value.kind == Kind::BeginObject && HOLDERS.iter().any(|name| key.is(name))
    });
    let places: Vec<Said<'_>> = std::iter::once(*root)
        .chain(holders.map(|(_, holder)| holder))
        .map(|object| Said::of(&object))
        .collect();
    let has_more: Vec<bool> = places.iter().filter_map(Said::has_more).collect();
    if has_more.contains(&false) {
        return NextPage::None;
    }
    let told = places.iter().find_map(|said| said.token().or_else(|| said.link()));
    let query = told.or_else(|| {
        places.iter().find_map(|said| match said.has_more() {
            Some(_) => said.after(last),
            None => said.numbered(count),
        })
    });
    match query.filter(|query| is_query(query)) {
        Some(query) => NextPage::Query(query),
        None if has_more.is_empty() => NextPage::None,
        None => NextPage::Untold,
    }
}

/// The members of one object that say something of pages.
struct Said<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Said<'a> {
    fn of(object: &Value<'a>) -> Self {
        let names = || {
            let tokens = TOKENS.iter().map(|(name, ..)| *name);
            let numbers = NUMBERS.iter().map(|(name, _)| *name);
            let others = ["has_more", "hasMore", "last_id", "object", "offset", "limit"];
            tokens
                .chain(numbers)
                .chain(others)
                .chain(LINKS)
                .chain(COUNTS_OF_PAGES)
                .chain(SIZES)
                .chain(TOTALS)
        };
        let members = object.members().take(MAX_MEMBERS);
        Self(
            members
                .filter_map(|(key, value)| Some((names().find(|name| key.is(name))?, value)))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = self.get(name)?.as_str()?.into_owned();
        (!text.is_empty() && text.len() <= MAX_QUERY).then_some(text)
    }

    fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        match value.kind {
            Kind::String => value.as_str()?.parse().ok(),
            _ => std::str::from_utf8(value.raw()).ok()?.parse().ok(),
        }
    }

    fn first(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| self.number(name))
    }

    fn has_more(&self) -> Option<bool> {
        let mut names = ["has_more", "hasMore"].iter();
        names.find_map(|name| self.get(name).and_then(|more| more.as_bool()))
    }

    fn token(&self) -> Option<String> {
        TOKENS.iter().find_map(|(member, parameter, more)| {
            let token = self.text(member)?;
            Some(format!("{parameter}={}{more}", value(&token)))
        })
    }

    /// The query of an address, or the number of a page.
    fn link(&self) -> Option<String> {
        LINKS.iter().find_map(|name| {
            let link = self.get(name)?;
            let link = match link.kind {
                Kind::BeginObject => ["href", "url"].iter().find_map(|name| link.get(name))?,
                _ => link,
            };
            if let Kind::Number = link.kind {
                let number: u64 = std::str::from_utf8(link.raw()).ok()?.parse().ok()?;
                return Some(format!("page={number}"));
            }
            let link = link.as_str()?;
            let (_, query) = link.split_once('?')?;
            Some(query.split('#').next().unwrap_or_default().to_owned())
        })
    }

    /// Behind the last model: as Anthropic asks, or as OpenAI's own lists are asked.
    fn after(&self, last: Option<&str>) -> Option<String> {
        let last = self.text("last_id").or_else(|| last.map(str::to_owned))?;
        let is_openais = self.text("object").is_some_and(|object| object == "list");
        let parameter = if is_openais { "after" } else { "after_id" };
        Some(format!("{parameter}={}&limit=1000", value(&last)))
    }

    /// By number: the page or the place behind, where all pages together have more than this one.
    fn numbered(&self, count: usize) -> Option<String> {
        let count = u64::try_from(count).ok()?;
        let total = self.first(&TOTALS);
        if total.is_some_and(|total| total <= count) {
            return None; // all of it is here, whatever it says of pages
        }
        let page = NUMBERS.iter().find_map(|(name, asks)| Some((self.number(name)?, asks)));
        if let Some((page, parameter)) = page {
            let by_pages = self.first(&COUNTS_OF_PAGES).map(|pages| page < pages);
            let by_total = || {
                let size = self.first(&SIZES).unwrap_or(count);
                total.map(|total| page.saturating_mul(size) < total)
            };
            let is_more = by_pages.or_else(by_total).unwrap_or(false);
            return is_more.then(|| format!("{parameter}={}", page.saturating_add(1)));
        }
        let (offset, limit) = (self.number("offset")?, self.number("limit")?);
        let behind = offset.saturating_add(count);
        total.is_some_and(|total| behind < total).then(|| format!("offset={behind}&limit={limit}"))
    }
}

/// As the value of a parameter: `+` would be a space.
fn value(text: &str) -> String {
    percent::segment(text).replace('+', "%2B")
}

fn is_query(query: &str) -> bool {
    // Escaped, a token may be three times as long.
    !query.is_empty()
        && query.len() <= 4 * MAX_QUERY
        && query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}
