//! The members of the configuration: there, absent, or of the wrong type.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{
    BoolDeserializer, F64Deserializer, I64Deserializer, MapAccessDeserializer,
    SeqAccessDeserializer, StrDeserializer, StringDeserializer, U64Deserializer, UnitDeserializer,
};
use serde::de::{self, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::choices::Choice;
use super::problems::{Path, Problems};
#[cfg(not(target_arch = "wasm32"))]
use super::schema::Schema;
use super::spelling;
use crate::policy::Secret;

/// A member: not there, of the wrong type (and how), or a value.
#[derive(Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Wrong(String),
    Given(T),
}

/// An object of the configuration. [`super::raw`] declares them.
pub(super) trait Object {
    /// The names of its members.
    const MEMBERS: &'static [&'static str];
    /// Of these members exactly one must be there; no rule where it is empty.
    const ONE_OF: &'static [&'static str];

    /// How many of them are there.
    fn given_of(&self) -> usize;
}

/// Members that the object `T` does not have.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Unknown<T>(BTreeMap<String, IgnoredAny>, PhantomData<T>);

impl<T> Default for Unknown<T> {
    fn default() -> Self {
        Self(BTreeMap::new(), PhantomData)
    }
}

/// One of a few names, not yet looked up.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct OneOf<T>(String, PhantomData<T>);

/// A whole number, also when it is written as a double (all numbers of a Struct are), from `LEAST` to `MOST`, both included.
pub(super) struct Integer<const LEAST: u64 = 0, const MOST: u64 = { u64::MAX }>(pub u64);

/// A member that must be there.
#[derive(Deserialize)]
#[serde(transparent, bound(deserialize = "T: Deserialize<'de> + Shape"))]
pub(super) struct Needed<T>(pub Field<T>);

impl<T> Default for Needed<T> {
    fn default() -> Self {
        Self(Field::Absent)
    }
}

/// A member of an object.
pub(super) trait ObjectMember: Shape {
    /// Whether the object is wrong without it.
    #[cfg(not(target_arch = "wasm32"))]
    const IS_NEEDED: bool;

    /// Whether it is there, right or wrong.
    fn is_there(&self) -> bool;
}

impl<T: Shape> ObjectMember for Field<T> {
    #[cfg(not(target_arch = "wasm32"))]
    const IS_NEEDED: bool = false;

    fn is_there(&self) -> bool {
        self.is_there()
    }
}

impl<T: Shape> ObjectMember for Needed<T> {
    #[cfg(not(target_arch = "wasm32"))]
    const IS_NEEDED: bool = true;

    fn is_there(&self) -> bool {
        self.0.is_there()
    }
}

impl<T> Needed<T> {
    /// The value. `None` if the member is absent or wrong, which is reported.
    pub(super) fn given(self, at: &Path<'_>, problems: &mut Problems) -> Option<T> {
        self.0.required(at, problems)
    }
}

/// The name of an environment variable.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Variable(pub String);

/// What a type looks like in JSON, for messages.
pub(super) trait Shape {
    const EXPECTED: &'static str;

    /// The same as a JSON Schema.
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema;
}

impl<T> Field<T> {
    /// The value. `None` if the member is absent, or wrong, which is reported.
    pub(super) fn given(self, at: &Path<'_>, problems: &mut Problems) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Given(value) => Some(value),
            Self::Wrong(reason) => {
                problems.add(at, reason);
                None
            }
        }
    }

    /// Like [`given`](Self::given), for a look.
    pub(super) fn get(&self, at: &Path<'_>, problems: &mut Problems) -> Option<&T> {
        match self {
            Self::Absent => None,
            Self::Given(value) => Some(value),
            Self::Wrong(reason) => {
                problems.add(at, reason.as_str());
                None
            }
        }
    }

    /// The value of a member that must be there.
    pub(super) fn required(self, at: &Path<'_>, problems: &mut Problems) -> Option<T> {
        if let Self::Absent = self {
            problems.add(at, "missing");
        }
        self.given(at, problems)
    }

    /// Whether the member is there, right or wrong.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de> + Shape> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(FieldVisitor(PhantomData))
    }
}

/// Hands what it finds on to `T` without a copy, and turns a refusal into [`Field::Wrong`]. The
/// refusal's own text is dropped: it would show the value.
struct FieldVisitor<T>(PhantomData<T>);

impl<T: Shape> FieldVisitor<T> {
    fn field<E>(read: Result<T, E>, got: &str) -> Field<T> {
        read.map_or_else(
            |_| Field::Wrong(format!("expected {}, got {got}", T::EXPECTED)),
            Field::Given,
        )
    }
}

impl<'de, T: Deserialize<'de> + Shape> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Field<T>, E> {
        let input: UnitDeserializer<E> = ().into_deserializer();
        Ok(Self::field(T::deserialize(input), "null (leave the field out instead)"))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Field<T>, E> {
        let input: BoolDeserializer<E> = value.into_deserializer();
        Ok(Self::field(T::deserialize(input), "a boolean"))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Field<T>, E> {
        let input: U64Deserializer<E> = value.into_deserializer();
        Ok(Self::field(T::deserialize(input), "a number"))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Field<T>, E> {
        let input: I64Deserializer<E> = value.into_deserializer();
        Ok(Self::field(T::deserialize(input), describe(value as f64)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Field<T>, E> {
        let input: F64Deserializer<E> = value.into_deserializer();
        Ok(Self::field(T::deserialize(input), describe(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Field<T>, E> {
        let input: StrDeserializer<'_, E> = value.into_deserializer();
        Ok(Self::field(T::deserialize(input), "a string"))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Field<T>, E> {
        let input: StringDeserializer<E> = value.into_deserializer();
        Ok(Self::field(T::deserialize(input), "a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field<T>, A::Error> {
        let read = T::deserialize(SeqAccessDeserializer::new(&mut items));
        // What `T` did not want has to be read over.
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::field(read, "a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Field<T>, A::Error> {
        let read = T::deserialize(MapAccessDeserializer::new(&mut members));
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::field(read, "an object"))
    }
}

fn describe(number: f64) -> &'static str {
    if number < 0.0 {
        "a negative number"
    } else if number.fract() != 0.0 {
        "a fraction"
    } else {
        "a number"
    }
}

impl<T: Object> Unknown<T> {
    /// Reports each, with the member that may have been meant.
    pub(super) fn report(&self, at: &Path<'_>, problems: &mut Problems) {
        for name in self.0.keys() {
            let reason = match spelling::closest(name, T::MEMBERS) {
                Some(meant) => format!("unknown field; did you mean `{meant}`?"),
                None => "unknown field".to_owned(),
            };
            problems.add(&at.field(name), reason);
        }
    }
}

impl<T: Choice> Field<OneOf<T>> {
    /// The value that the name stands for. `None` if the member is absent, or wrong, which is reported.
    pub(super) fn choice(self, at: &Path<'_>, problems: &mut Problems) -> Option<T> {
        let OneOf(given, _) = self.given(at, problems)?;
        let found = T::NAMES.iter().find(|(name, _)| *name == given).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = T::NAMES.iter().map(|(name, _)| *name).collect();
            let rule = format!("must be one of: {}", names.join(", "));
            problems.add(at, T::never(&given).map_or(rule, str::to_owned));
        }
        found
    }
}

impl<const LEAST: u64, const MOST: u64> Integer<LEAST, MOST> {
    /// Why it is none of those that may be written here.
    pub(super) fn problem(&self) -> Option<String> {
        let value = self.0;
        if (LEAST..=MOST).contains(&value) {
            None
        } else if MOST.checked_sub(LEAST) == Some(1) {
            Some(format!("must be {LEAST} or {MOST}"))
        } else if value < LEAST {
            Some(format!("must be {LEAST} or more"))
        } else {
            Some(format!("must be {MOST} or less"))
        }
    }
}

impl<const LEAST: u64, const MOST: u64> Field<Integer<LEAST, MOST>> {
    /// The number, also one that is out of its range, which is reported.
    pub(super) fn number(self, at: &Path<'_>, problems: &mut Problems) -> Option<u64> {
        let number = self.given(at, problems)?;
        if let Some(why) = number.problem() {
            problems.add(at, why);
        }
        Some(number.0)
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Integer<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(IntegerVisitor).map(Self)
    }
}

struct IntegerVisitor;

/// 2^53: up to here a double holds every whole number.
const EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

const WHOLE: &str = "a whole number, not negative";

impl Visitor<'_> for IntegerVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WHOLE)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<u64, E> {
        if value.fract() == 0.0 && (0.0..=EXACT_DOUBLE).contains(&value) {
            Ok(value as u64)
        } else {
            Err(E::custom(WHOLE))
        }
    }
}

macro_rules! shapes {
    ($($name:ty: $expected:literal, $schema:tt;)+) => {
        $(impl Shape for $name {
            const EXPECTED: &'static str = $expected;

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> Schema {
                serde_json::json!($schema)
            }
        })+
    };
}

shapes! {
    String: "a string", {"type": "string"};
    Secret: "a string", {"type": "string"};
    bool: "true or false", {"type": "boolean"};
    Variable: "a string", {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"};
}

impl<const LEAST: u64, const MOST: u64> Shape for Integer<LEAST, MOST> {
    const EXPECTED: &'static str = WHOLE;

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        match MOST {
            u64::MAX => serde_json::json!({"type": "integer", "minimum": LEAST}),
            _ => serde_json::json!({"type": "integer", "minimum": LEAST, "maximum": MOST}),
        }
    }
}

impl<T: Shape> Shape for Needed<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        T::schema()
    }
}

impl<T: Shape> Shape for Field<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        T::schema()
    }
}

impl<T: Shape> Shape for Vec<Field<T>> {
    const EXPECTED: &'static str = "a list";

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        serde_json::json!({"type": "array", "items": T::schema()})
    }
}

impl<T: Shape> Shape for BTreeMap<String, Field<T>> {
    const EXPECTED: &'static str = "an object";

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        serde_json::json!({"type": "object", "additionalProperties": T::schema()})
    }
}

impl<T: Choice> Shape for OneOf<T> {
    const EXPECTED: &'static str = "a string";

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        let names: Vec<&str> = T::NAMES.iter().map(|(name, _)| *name).collect();
        serde_json::json!({"type": "string", "enum": names})
    }
}
