//! YAML and JSON texts as trees whose every value knows its line.
//!
//! Plain scalars are read as Envoy reads them (yaml-cpp's rules, not YAML 1.2's: `yes` is a boolean and a
//! digest of digits alone is a number), since that is what the filter will see.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// How deep values may be nested: more than any configuration, less than a stack.
const MAX_DEPTH: usize = 100;
/// How many values a text may hold, those that aliases repeat included.
const MAX_VALUES: usize = 1_000_000;
const TOO_LARGE: &str = "too large: more than 1,000,000 values, or nested deeper than 100";

/// A value and where it begins.
#[derive(Debug, Clone)]
pub struct Node {
    /// Counted from 1, in the file that holds the text.
    pub line: usize,
    /// What it is.
    pub value: NodeValue,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum NodeValue {
    /// `null`, `~`, or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text, with the line of its first character.
    Text(String, usize),
    /// A list.
    List(Vec<Node>),
    /// An object, with members that come twice.
    Map(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub line: usize,
    /// Its value.
    pub node: Node,
}

/// Why a text is no tree.
#[derive(Debug)]
pub struct Unreadable {
    /// Where.
    pub line: usize,
    /// Why.
    pub reason: String,
}

impl Node {
    /// The member of a name; the first of several.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.member(name).map(|member| &member.node)
    }

    /// The same with its line. Names of Envoy's may be written in camelCase as well.
    pub fn member(&self, name: &str) -> Option<&Member> {
        let named = |name: &str| self.members().iter().find(|member| member.name == name);
        named(name).or_else(|| name.contains('_').then(|| named(&camel_case(name))).flatten())
    }

    /// The member at the end of a path of names.
    pub fn at(&self, names: &[&str]) -> Option<&Node> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            NodeValue::Map(members) => members,
            _ => &[],
        }
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            NodeValue::List(items) => items,
            _ => &[],
        }
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text of a member; empty if there is none.
    pub fn text_of(&self, name: &str) -> &str {
        self.get(name).and_then(Node::text).unwrap_or_default()
    }

    /// A number, also one that is written as a text (as protobuf's JSON takes it).
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            NodeValue::Number(number) => Some(*number),
            NodeValue::Text(text, _) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        matches!(self.value, NodeValue::Bool(true))
    }

    /// Every object in it, itself included, from the outside in.
    pub fn maps(&self) -> Vec<&Node> {
        let (mut found, mut left) = (Vec::new(), vec![self]);
        while let Some(node) = left.pop() {
            match &node.value {
                NodeValue::Map(members) => {
                    found.push(node);
                    left.extend(members.iter().rev().map(|member| &member.node));
                }
                NodeValue::List(items) => left.extend(items.iter().rev()),
                _ => {}
            }
        }
        found
    }

    /// How many values it is, itself included.
    fn size(&self) -> usize {
        let (mut size, mut left) = (0_usize, vec![self]);
        while let Some(node) = left.pop() {
            size = size.saturating_add(1);
            left.extend(node.members().iter().map(|member| &member.node));
            left.extend(node.items());
        }
        size
    }

    /// The value as JSON text: members that come twice do so there, too.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        match &self.value {
            NodeValue::Null => out.push_str("null"),
            NodeValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            NodeValue::Number(number) => out.push_str(&whole(*number)),
            NodeValue::Text(value, _) => out.push_str(&text(value)),
            NodeValue::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            NodeValue::Map(members) => {
                out.push('{');
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&text(&member.name));
                    out.push(':');
                    member.node.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// `some_name` as `someName`: protobuf's JSON knows both.
pub fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

/// A number as JSON; whole numbers without a fraction.
fn whole(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
        let whole = number as i64;
        return whole.to_string();
    }
    serde_json::Value::from(number).to_string()
}

/// The documents of a text whose first line is `first_line` of its file.
///
/// # Errors
/// The first place at which it is no YAML.
pub fn read(text: &str, first_line: usize) -> Result<Vec<Node>, Unreadable> {
    let mut builder = TreeBuilder { first_line, ..TreeBuilder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Unreadable {
            line: error.marker().line().saturating_add(first_line).saturating_sub(1),
            reason: format!("not valid YAML: {}", error.info()),
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct TreeBuilder {
    first_line: usize,
    documents: Vec<Node>,
    open: Vec<OpenNode>,
    /// What aliases repeat, and how many values it is.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
}

/// A list or an object that has not ended.
struct OpenNode {
    node: Node,
    anchor: usize,
    /// A member's name that waits for its value.
    name: Option<(String, usize)>,
}

impl TreeBuilder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let line = span.start.line().saturating_add(self.first_line).saturating_sub(1);
        self.values = self.values.saturating_add(1);
        if self.values > MAX_VALUES || self.open.len() > MAX_DEPTH {
            return Err(Unreadable { line, reason: TOO_LARGE.to_owned() });
        }
        match event {
            Event::SequenceStart(anchor, _) => {
                let node = Node { line, value: NodeValue::List(Vec::new()) };
                self.open.push(OpenNode { node, anchor, name: None });
            }
            Event::MappingStart(anchor, _) => {
                let node = Node { line, value: NodeValue::Map(Vec::new()) };
                self.open.push(OpenNode { node, anchor, name: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(done) = self.open.pop() {
                    self.put(done.node, done.anchor);
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let value = match style {
                    ScalarStyle::Plain => plain(&text, line),
                    // Also of a block: its mark is that of its first line, not of its `|`.
                    _ => NodeValue::Text(text.into_owned(), line),
                };
                self.put(Node { line, value }, anchor);
            }
            Event::Alias(anchor) => {
                let (node, size) = match self.anchors.get(&anchor) {
                    Some((node, size)) => (Some(node), *size),
                    None => (None, 0),
                };
                self.values = self.values.saturating_add(size);
                if self.values > MAX_VALUES {
                    return Err(Unreadable { line, reason: TOO_LARGE.to_owned() });
                }
                let node = node.cloned().unwrap_or(Node { line, value: NodeValue::Null });
                self.put(node, 0);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), node.size()));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        match &mut open.node.value {
            NodeValue::List(items) => items.push(node),
            NodeValue::Map(members) => match open.name.take() {
                None => open.name = Some((name(&node), node.line)),
                Some((name, line)) => members.push(Member { name, line, node }),
            },
            _ => {}
        }
    }
}

/// A member's name, as it is written.
fn name(node: &Node) -> String {
    match &node.value {
        NodeValue::Text(text, _) => text.clone(),
        _ => node.json(),
    }
}

/// A scalar without quotes.
fn plain(text: &str, line: usize) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return NodeValue::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return NodeValue::Bool(false);
        }
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(number) if is_number && number.is_finite() => NodeValue::Number(number),
        _ => NodeValue::Text(text.to_owned(), line),
    }
}
