//! The filter's own part, held against the filter's own code.

use std::collections::HashMap;

use openai_gateway_filter::config::{Path, ROOT};
use openai_gateway_filter::policy::Config;

use super::document::{Node, NodeValue};
use super::site::{Environment, FilterSettings, Site};

/// The variables of this process, where they count; `None`: any variable may be set.
pub type OwnEnvironment<'a> = Option<&'a dyn Fn(&str) -> Option<String>>;

/// The settings of a site, compiled as the filter does it.
pub struct Compiled {
    /// What the filter would work with; `None` if it would refuse them.
    pub config: Option<Config>,
    /// Why it would: line, path, reason.
    pub mistakes: Vec<(usize, String, String)>,
    /// Where each value stands, by its path.
    pub places: Lines,
}

/// The lines of every value, by path as the filter writes it.
#[derive(Default)]
pub struct Lines {
    lines: HashMap<String, Vec<usize>>,
    first: usize,
}

impl Lines {
    fn of(tree: Option<&Node>, first: usize) -> Self {
        let mut places = Self { lines: HashMap::new(), first };
        if let Some(tree) = tree {
            places.add(tree, ROOT);
        }
        places
    }

    fn add(&mut self, node: &Node, at: &Path<'_>) {
        match &node.value {
            NodeValue::Map(members) => {
                for member in members {
                    let at = at.field(&member.name);
                    self.lines.entry(at.to_string()).or_default().push(member.line);
                    self.add(&member.node, &at);
                }
            }
            NodeValue::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let at = at.item(index);
                    self.lines.entry(at.to_string()).or_default().push(item.line);
                    self.add(item, &at);
                }
            }
            _ => {}
        }
    }

    /// The line of a value, or of the nearest value around one that is not there.
    pub fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path).and_then(|lines| lines.first()) {
                return *line;
            }
            match path.rfind(['.', '[']).and_then(|end| path.get(..end)) {
                Some(parent) => path = parent,
                None => return self.first,
            }
        }
    }

    /// The line at which a member comes again for the `nth` time (from 0).
    fn repeated(&self, path: &str, nth: usize) -> usize {
        let lines = self.lines.get(path);
        lines
            .and_then(|lines| lines.get(nth.saturating_add(1)).or(lines.last()))
            .copied()
            .unwrap_or_else(|| self.line(path))
    }
}

/// Compiles the settings of a site. `own` is the environment of this process, where it counts.
pub fn compile(site: &Site<'_>, raw: Option<&[u8]>, own: OwnEnvironment<'_>) -> Option<Compiled> {
    let settings = site.settings.as_ref()?;
    let tree = settings.tree();
    let places = Lines::of(tree, settings.line());
    let bytes = match (settings, raw) {
        (_, Some(raw)) => raw.to_vec(),
        (FilterSettings::Text { text, .. }, _) => text.as_bytes().to_vec(),
        (FilterSettings::Tree(tree), _) => tree.json().into_bytes(),
    };
    let env = |name: &str| variable(site.environment.as_ref(), own, name);
    let (config, problems) = match Config::from_plugin_configuration(&bytes, &env) {
        Ok(config) => (Some(config), Vec::new()),
        Err(problems) => {
            let owned = |(path, reason): (&str, &str)| (path.to_owned(), reason.to_owned());
            (None, problems.iter().map(owned).collect())
        }
    };
    let mut repeated: HashMap<String, usize> = HashMap::new();
    let mistakes = problems
        .into_iter()
        .map(|(path, reason)| {
            let line = if reason == "given twice" {
                let times = repeated.entry(path.clone()).or_default();
                let line = places.repeated(&path, *times);
                *times = times.saturating_add(1);
                line
            } else if let Some(line) = line_of_syntax(&reason) {
                places.first.saturating_add(line).saturating_sub(1)
            } else {
                places.line(&path)
            };
            (line, path, reason)
        })
        .collect();
    Some(Compiled { config, mistakes, places })
}

/// What the VM would have in a variable. Without the process's own environment every variable that Envoy
/// is told to pass on has a value of its own, so that no two keys are taken for the same.
fn variable(
    environment: Option<&Environment>,
    own: OwnEnvironment<'_>,
    name: &str,
) -> Option<String> {
    let value = |name: &str| match own {
        Some(own) => own(name),
        None => Some(format!("value-of-{name}")),
    };
    match environment {
        None => value(name),
        Some(environment) => environment.values.get(name).cloned().or_else(|| {
            environment.host.iter().any(|host| host == name).then(|| value(name)).flatten()
        }),
    }
}

/// The line in the text of a syntax error.
fn line_of_syntax(reason: &str) -> Option<usize> {
    let rest = reason.strip_prefix("not valid JSON: ")?;
    let (_, position) = rest.rsplit_once(" at line ")?;
    position.split_whitespace().next()?.parse().ok()
}
