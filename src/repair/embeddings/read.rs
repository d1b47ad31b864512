//! Finds the vectors in a body of any shape.

use super::invalid;
use super::vector::VectorError;
use crate::error::GatewayError;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;

/// Names under which servers put the vectors, outermost first.
const CONTAINERS: [&str; 18] = [
    "data",
    "embeddings",
    "embedding",
    "output",
    "outputs",
    "result",
    "results",
    "predictions",
    "vectors",
    "vector",
    "values",
    "float",
    "base64",
    "response",
    "body",
    "dense_vecs",
    "dense",
    "embeddingsByType",
];

/// Names of the vector inside an item of a list, the most specific first.
const ITEM_VECTORS: [&str; 11] = [
    "embedding",
    "embeddings",
    "vector",
    "values",
    "float",
    "data",
    "dense",
    "dense_vecs",
    "embedding_b64",
    "embedding_base64",
    "base64",
];

/// How deep containers may hold containers.
const MAX_CONTAINERS: u32 = 4;

/// How many arrays may stand around a vector for nothing.
const MAX_NESTED: u32 = 3;

/// The most members of an answer's object; OpenAI's has four.
const MAX_MEMBERS: usize = 1_024;

/// The most vectors, where the number of inputs is not known. OpenAI takes 2,048 inputs.
const MAX_VECTORS: usize = 16_384;

/// One vector, where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum VectorValue<'a> {
    /// An array of numbers or numeric strings.
    Numbers(Value<'a>),
    /// A part of one: the elements from the first index up to the second.
    Part(Value<'a>, usize, usize),
    /// A string: base64, or an array of numbers printed into a string.
    Text(Value<'a>),
}

/// One answer's vector and what stands beside it.
#[derive(Debug)]
pub(super) struct VectorItem<'a> {
    pub(super) vector: VectorValue<'a>,
    /// The object that held it.
    pub(super) object: Option<Value<'a>>,
    /// The member of `object` that held it.
    pub(super) name: &'static str,
    pub(super) index: Option<u64>,
    /// Spelled as OpenAI spells it, if vector and index are right.
    pub(super) tidy: bool,
    /// `object` has members that OpenAI's item has not.
    pub(super) more: bool,
}

impl<'a> VectorItem<'a> {
    fn bare(vector: VectorValue<'a>) -> Self {
        Self { vector, object: None, name: "", index: None, tidy: false, more: false }
    }
}

/// An object's members, read once: those of a body are few, but one of them is long.
pub(super) struct AnswerObject<'a>(pub(super) Vec<(Key<'a>, Value<'a>)>);

impl<'a> AnswerObject<'a> {
    pub(super) fn read(value: &Value<'a>) -> Result<Self, GatewayError> {
        let members: Vec<_> = value.members().take(MAX_MEMBERS + 1).collect();
        if members.len() > MAX_MEMBERS {
            return Err(invalid(format!("it has more than {MAX_MEMBERS} members")));
        }
        Ok(Self(members))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// The member that holds the vectors: the first that holds anything, else the first there is.
    fn container(&self) -> Result<(&'static str, Value<'a>), GatewayError> {
        let mut present =
            CONTAINERS.iter().filter_map(|name| self.get(name).map(|value| (*name, *value)));
        let first = present.next().ok_or_else(|| invalid("there is no vector in it"))?;
        let holds = |(_, value): &(&str, Value<'_>)| match value.kind {
            Kind::BeginArray => value.elements().next().is_some(),
            Kind::BeginObject => value.members().next().is_some(),
            Kind::String => value.raw().len() > 2,
            _ => false,
        };
        if holds(&first) {
            return Ok(first);
        }
        Ok(present.find(holds).unwrap_or(first))
    }
}

/// What a body holds.
pub(super) struct FoundVectors<'a> {
    /// In the order of the inputs.
    pub(super) items: Vec<VectorItem<'a>>,
    /// The top-level member that held them; empty for a bare array.
    pub(super) container: &'static str,
    /// They came in the order of the inputs, in an array, as in OpenAI's shape.
    pub(super) in_place: bool,
}

/// What a value holds.
enum VectorShape<'a> {
    Nothing,
    One(VectorValue<'a>),
    Items(Vec<VectorItem<'a>>),
    /// Several vectors in the place of one.
    Several(Vec<VectorItem<'a>>),
}

/// The vectors of `top`, one for each input.
pub(super) fn find<'a>(
    top: &Value<'a>,
    members: &AnswerObject<'a>,
    inputs: Option<usize>,
) -> Result<FoundVectors<'a>, GatewayError> {
    let (container, value) = match top.kind {
        Kind::BeginObject => members.container()?,
        _ => ("", *top),
    };
    let reader = VectorReader { inputs };
    let tensor = tensor(&value, inputs);
    let (value, inputs) = match &tensor {
        // Its numbers are divided among the inputs, whose number it says itself.
        Some((numbers, rows)) => (*numbers, inputs.or(Some(*rows))),
        None => (value, inputs),
    };
    let mut items = match (reader.shape(&value, MAX_CONTAINERS)?, inputs) {
        (VectorShape::Nothing, _) => Vec::new(),
        (VectorShape::One(vector), _) => {
            group(vector, inputs)?.into_iter().map(VectorItem::bare).collect()
        }
        (VectorShape::Items(items), _) | (VectorShape::Several(items), Some(_)) => items,
        (VectorShape::Several(_), None) => return Err(too_many_an_input()),
    };
    let sorted = sort(&mut items);
    if items.is_empty() && inputs != Some(0) {
        return Err(invalid("there is no vector in it"));
    }
    if let Some(inputs) = inputs.filter(|inputs| items.len() != *inputs) {
        let vectors = items.len();
        return Err(invalid(format!("it holds {vectors} vectors for {inputs} inputs")));
    }
    Ok(FoundVectors { items, container, in_place: !sorted && value.kind == Kind::BeginArray })
}

/// The flat numbers of the only tensor of KServe's and Triton's outputs that has a vector for each input
/// (`{"shape":[2,384],"data":[…]}`), and for how many.
fn tensor<'a>(outputs: &Value<'a>, inputs: Option<usize>) -> Option<(Value<'a>, usize)> {
    let read = |output: Value<'a>| {
        let (shape, data) = (output.get("shape")?, output.get("data")?);
        let sizes: Option<Vec<usize>> = shape
            .elements()
            .take(3)
            .map(|size| integer(&size).and_then(|size| usize::try_from(size).ok()))
            .collect();
        let [rows, size] = *sizes?.as_slice() else { return None };
        let is_flat = data.elements().next()?.kind == Kind::Number;
        let is_whole = is_flat && rows.checked_mul(size)? == data.elements().count();
        (is_whole && rows > 0 && rows <= MAX_VECTORS && inputs.is_none_or(|inputs| inputs == rows))
            .then_some((data, rows))
    };
    let mut found = outputs.elements().take(MAX_MEMBERS).filter_map(read);
    found.next().filter(|_| found.next().is_none())
}

/// Whether an object's names are the positions of what it holds.
fn is_map(value: &Value<'_>) -> bool {
    let is_position =
        |(key, _): (Key<'_>, Value<'_>)| key.as_str().is_some_and(|key| key.parse::<u32>().is_ok());
    value.members().next().is_some() && value.members().take(MAX_VECTORS).all(is_position)
}

fn too_many_an_input() -> GatewayError {
    invalid("an input has several vectors, such as one for each token")
}

struct VectorReader {
    inputs: Option<usize>,
}

impl VectorReader {
    fn shape<'a>(&self, value: &Value<'a>, depth: u32) -> Result<VectorShape<'a>, GatewayError> {
        match value.kind {
            Kind::Null => Ok(VectorShape::Nothing),
            Kind::String => Ok(VectorShape::One(VectorValue::Text(*value))),
            Kind::BeginObject if depth > 0 && is_map(value) => self.map(value),
            Kind::BeginObject if depth > 0 => {
                let (_, inner) = AnswerObject::read(value)?.container()?;
                self.shape(&inner, depth - 1)
            }
            Kind::BeginArray => self.array(value),
            _ => Err(invalid("there is no vector in it")),
        }
    }

    /// Vectors by their positions.
    fn map<'a>(&self, value: &Value<'a>) -> Result<VectorShape<'a>, GatewayError> {
        let most = self.inputs.unwrap_or(MAX_VECTORS);
        let mut items = Vec::new();
        for (key, inner) in value.members() {
            if items.len() == most {
                return Err(invalid(format!("it holds more than {most} vectors")));
            }
            let parts = ItemParts::of(&inner)?;
            let index = key.as_str().and_then(|key| key.parse().ok());
            let (vector, _) = single(&parts.vector, MAX_NESTED)?;
            items.push(VectorItem { index, ..VectorItem::bare(vector) });
        }
        Ok(VectorShape::Items(items))
    }

    fn array<'a>(&self, value: &Value<'a>) -> Result<VectorShape<'a>, GatewayError> {
        let Some(first) = value.elements().next() else { return Ok(VectorShape::Nothing) };
        match first.kind {
            Kind::Number => Ok(VectorShape::One(VectorValue::Numbers(*value))),
            Kind::String if numeric(&first).is_some() => {
                Ok(VectorShape::One(VectorValue::Numbers(*value)))
            }
            Kind::String | Kind::BeginArray | Kind::BeginObject => self.items(value),
            Kind::Null => Err(invalid(VectorError::NotFinite)),
            _ => Err(invalid(VectorError::NotNumbers)),
        }
    }

    /// A list of vectors, or of objects that hold one each.
    fn items<'a>(&self, value: &Value<'a>) -> Result<VectorShape<'a>, GatewayError> {
        let mut elements = value.elements();
        if let (Some(only), None) = (elements.next(), elements.next()) {
            // One element may hold the vectors of all inputs.
            let inner = ItemParts::of(&only)?.vector;
            if is_list_of_lists(&inner) {
                let bare = |vector| Ok(VectorItem::bare(single(&vector, MAX_NESTED)?.0));
                return self.each(&inner, bare).map(VectorShape::Several);
            }
        }
        self.each(value, |element| {
            let parts = ItemParts::of(&element)?;
            let (vector, nested) = single(&parts.vector, MAX_NESTED)?;
            Ok(VectorItem {
                vector,
                object: Some(element).filter(|element| element.kind == Kind::BeginObject),
                name: parts.name,
                index: parts.index,
                tidy: parts.tidy && !nested,
                more: parts.more,
            })
        })
        .map(VectorShape::Items)
    }

    fn each<'a>(
        &self,
        value: &Value<'a>,
        read: impl Fn(Value<'a>) -> Result<VectorItem<'a>, GatewayError>,
    ) -> Result<Vec<VectorItem<'a>>, GatewayError> {
        let most = self.inputs.unwrap_or(MAX_VECTORS);
        let mut items = Vec::new();
        for element in value.elements() {
            if items.len() == most {
                return Err(if most == 1 {
                    too_many_an_input()
                } else {
                    invalid(format!("it holds more than {most} vectors, one for each input"))
                });
            }
            items.push(read(element)?);
        }
        Ok(items)
    }
}

/// What an item's members say. A vector without an object is its own item.
struct ItemParts<'a> {
    vector: Value<'a>,
    name: &'static str,
    index: Option<u64>,
    tidy: bool,
    more: bool,
}

impl<'a> ItemParts<'a> {
    fn of(item: &Value<'a>) -> Result<Self, GatewayError> {
        if item.kind != Kind::BeginObject {
            return Ok(Self { vector: *item, name: "", index: None, tidy: false, more: false });
        }
        let mut vector: Option<(usize, Value<'a>)> = None;
        let (mut index, mut plain_index, mut labelled, mut sparse) = (None, false, false, false);
        let mut more = false;
        for (key, value) in item.members() {
            let name = key.as_str().unwrap_or_default();
            match &*name {
                "index" => {
                    index = integer(&value);
                    plain_index = value.kind == Kind::Number && index.is_some();
                }
                "text_index" => {
                    index = index.or_else(|| integer(&value));
                    more = true;
                }
                "object" => labelled = value.raw() == b"\"embedding\"",
                "value" | "indices" => sparse = true,
                name => {
                    let rank = ITEM_VECTORS.iter().position(|known| *known == name);
                    more |= name != "embedding";
                    if let Some(rank) =
                        rank.filter(|rank| vector.is_none_or(|(best, _)| *rank < best))
                    {
                        vector = Some((rank, value));
                    }
                }
            }
        }
        let found = vector.and_then(|(rank, value)| Some((*ITEM_VECTORS.get(rank)?, value)));
        match found {
            _ if sparse => Err(invalid("the vectors are sparse")),
            // {"embedding":{"values":[…]}}
            Some((name, value)) if value.kind == Kind::BeginObject => {
                let (_, vector) = AnswerObject::read(&value)?.container()?;
                Ok(Self { vector, name, index, tidy: false, more: true })
            }
            Some((name, vector)) => {
                let tidy = labelled && plain_index && name == "embedding";
                Ok(Self { vector, name, index, tidy, more })
            }
            None => Err(invalid("an item has no vector")),
        }
    }
}

fn integer(value: &Value<'_>) -> Option<u64> {
    std::str::from_utf8(value.raw()).ok()?.trim_matches('"').parse().ok()
}

/// The vector of one item, and whether it was taken out of an array of its own.
fn single<'a>(value: &Value<'a>, depth: u32) -> Result<(VectorValue<'a>, bool), GatewayError> {
    match value.kind {
        Kind::String => Ok((VectorValue::Text(*value), false)),
        Kind::BeginArray => {
            let mut elements = value.elements();
            let Some(first) = elements.next() else {
                return Ok((VectorValue::Numbers(*value), false));
            };
            match first.kind {
                Kind::BeginArray if elements.next().is_some() => Err(too_many_an_input()),
                Kind::BeginArray if depth == 0 => Err(invalid(VectorError::NotNumbers)),
                Kind::BeginArray => single(&first, depth - 1).map(|(vector, _)| (vector, true)),
                Kind::BeginObject => Err(invalid("the vectors are sparse")),
                Kind::String if numeric(&first).is_none() && elements.next().is_none() => {
                    Ok((VectorValue::Text(first), true))
                }
                _ => Ok((VectorValue::Numbers(*value), false)),
            }
        }
        Kind::Null => Err(invalid("an item has no vector")),
        _ => Err(invalid(VectorError::NotNumbers)),
    }
}

/// Whether `value` is a list of at least two lists.
fn is_list_of_lists(value: &Value<'_>) -> bool {
    let mut elements = value.elements();
    match (elements.next(), elements.next()) {
        (Some(first), Some(_)) => first.kind == Kind::BeginArray,
        _ => false,
    }
}

/// A flat array holds the vectors of all inputs, one after the other.
fn group(
    vector: VectorValue<'_>,
    inputs: Option<usize>,
) -> Result<Vec<VectorValue<'_>>, GatewayError> {
    let (VectorValue::Numbers(value), Some(inputs)) = (vector, inputs.filter(|inputs| *inputs > 1))
    else {
        return Ok(vec![vector]);
    };
    let length = value.elements().count();
    if length % inputs != 0 {
        let what = format!("its {length} numbers can't be divided among {inputs} inputs");
        return Err(invalid(what));
    }
    let size = length / inputs;
    Ok((0..inputs).map(|i| VectorValue::Part(value, i * size, (i + 1) * size)).collect())
}

/// Sorts by index, if every item has one of its own; else positions count. Whether anything moved.
fn sort(items: &mut [VectorItem<'_>]) -> bool {
    let mut indices: Vec<u64> = items.iter().filter_map(|item| item.index).collect();
    let given = indices.len();
    if indices.is_sorted() {
        return false;
    }
    indices.sort_unstable();
    indices.dedup();
    if given != items.len() || indices.len() != given {
        return false;
    }
    items.sort_by_key(|item| item.index);
    true
}

/// The number in a numeric string, as JSON where it is finite.
pub(super) fn numeric(value: &Value<'_>) -> Option<String> {
    let text = value.as_str()?;
    let text = text.trim();
    let number: f64 = text.parse().ok()?;
    if cursor::parse(text.as_bytes()).is_ok_and(|value| value.kind == Kind::Number) {
        return Some(text.to_owned());
    }
    // ".5", "+1", "NaN": Rust reads what JSON does not.
    Some(number.to_string())
}
