//! `providers[].request_headers`.

use super::super::field::Field;
use super::super::problems::{Path, Problems};
use super::super::raw::RawRequestHeaders;
use super::super::text::CREDENTIAL_HEADERS;
use super::own_header;
use crate::policy::{HeaderNames, Secret};
use crate::wire::headers::HeaderEdit;

/// What is removed, then what is set.
pub(super) fn compile(
    raw: Field<RawRequestHeaders>,
    own: Option<&HeaderNames>,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Box<[HeaderEdit]> {
    let raw = raw.given(at, problems).unwrap_or_default();
    raw.unknown.report(at, problems);
    let mut edits = Vec::new();
    let at_remove = at.field("remove");
    for (index, item) in
        raw.remove.given(&at_remove, problems).unwrap_or_default().into_iter().enumerate()
    {
        let at = at_remove.item(index);
        let name = item.given(&at, problems).and_then(|name| header(&name, own, &at, problems));
        edits.extend(name.map(HeaderEdit::remove));
    }
    let at_set = at.field("set");
    for (name, value) in raw.set.given(&at_set, problems).unwrap_or_default() {
        let at = at_set.field(&name);
        let name = header(&name, own, &at, problems);
        let value = value.given(&at, problems).filter(|value| is_value(value, &at, problems));
        let Some((name, value)) = name.zip(value) else { continue };
        if edits.iter().any(|edit| edit.name() == name) {
            problems.add(&at, "the same header is named twice here, in remove or in other case");
        }
        edits.push(HeaderEdit::set(name, value.expose()));
    }
    edits.into()
}

/// A header's name in lower case.
fn header(
    name: &str,
    own: Option<&HeaderNames>,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let name = own_header(name, at, problems)?;
    if CREDENTIAL_HEADERS.contains(&name.as_str()) {
        problems.add(at, "this header carries the credential, which `auth` says");
        return None;
    }
    if own.is_some_and(|own| name == *own.cluster || name.starts_with(&*own.prefix)) {
        problems.add(at, "this is one of the gateway's own headers");
        return None;
    }
    Some(name)
}

fn is_value(value: &Secret, at: &Path<'_>, problems: &mut Problems) -> bool {
    let text = value.expose();
    let is_good = text.trim() == &**text && !text.chars().any(char::is_control);
    if !is_good {
        problems.add(
            at,
            "a header's value must not begin or end with a space or hold control characters",
        );
    }
    is_good
}
