//! The configuration as an operator writes it: a mirror of the JSON, without rules.
//!
//! Every member is a [`Field`], which keeps a value of the wrong type as a problem instead of ending
//! the reading: all problems are reported at once. Members that are not named here are collected,
//! and refused. `null` is a value of the wrong type: `models_allowed:` with all its lines commented
//! out must not come to mean "everything".

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{
    BoolDeserializer, F64Deserializer, I64Deserializer, MapAccessDeserializer,
    SeqAccessDeserializer, StrDeserializer, StringDeserializer, U64Deserializer, UnitDeserializer,
};
use serde::de::{self, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::problems::{Path, Problems};
use crate::policy::Secret;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawConfig {
    pub providers: Field<Vec<Field<RawProvider>>>,
    pub virtual_keys: Field<Vec<Field<RawVirtualKey>>>,
    pub model_aliases: Field<RawAliases>,
    pub cache: Field<RawCache>,
    pub routing: Field<RawRouting>,
    pub header_prefix: Field<String>,
    pub path_prefix: Field<String>,
    pub limits: Field<RawLimits>,
    pub models_cache_seconds: Field<Integer>,
    pub response_model: Field<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawProvider {
    pub name: Field<String>,
    pub kind: Field<String>,
    pub base_url: Field<String>,
    pub cluster: Field<String>,
    pub auth: Field<RawAuth>,
    pub models: Field<Vec<Field<String>>>,
    pub operations: Field<Vec<Field<String>>>,
    pub responses_api: Field<String>,
    pub stream_usage: Field<bool>,
    pub reasoning_field: Field<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawAuth {
    pub mode: Field<String>,
    pub header: Field<String>,
    pub prefix: Field<Secret>,
    pub key: Field<Secret>,
    pub key_env: Field<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawVirtualKey {
    pub id: Field<String>,
    pub key: Field<Secret>,
    pub key_sha256: Field<Secret>,
    pub key_env: Field<String>,
    pub providers: Field<Vec<Field<String>>>,
    pub models_allowed: Field<Vec<Field<String>>>,
    pub model_aliases: Field<RawAliases>,
    pub cache: Field<RawCache>,
    pub revoked: Field<bool>,
    pub expires_at: Field<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawCache {
    pub mode: Field<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawRouting {
    pub cluster_header: Field<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawLimits {
    pub max_request_bytes: Field<Integer>,
    pub max_buffered_bytes: Field<Integer>,
    pub max_answer_bytes: Field<Integer>,
    pub max_sse_event_bytes: Field<Integer>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

pub(super) type RawAliases = BTreeMap<String, Field<RawTargets>>;

/// Where an alias leads.
pub(super) enum RawTargets {
    /// `provider/model`
    One(String),
    /// `[{target, weight}]`
    Split(Vec<Field<RawChoice>>),
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawChoice {
    pub target: Field<String>,
    pub weight: Field<Integer>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A member: not there, of the wrong type (and how), or a value.
#[derive(Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Wrong(String),
    Given(T),
}

/// Members that the configuration does not have.
#[derive(Deserialize, Default)]
#[serde(transparent)]
pub(super) struct Unknown(BTreeMap<String, IgnoredAny>);

/// A whole number, also when it is written as a double (all numbers of a Struct are).
pub(super) struct Integer(pub u64);

/// What a type looks like in JSON, for messages.
pub(super) trait Shape {
    const EXPECTED: &'static str;
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

impl Unknown {
    /// Reports each.
    pub(super) fn report(&self, at: &Path<'_>, problems: &mut Problems) {
        for name in self.0.keys() {
            problems.add(&at.field(name), "unknown field");
        }
    }
}

impl<'de> Deserialize<'de> for RawTargets {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TargetsVisitor)
    }
}

struct TargetsVisitor;

impl<'de> Visitor<'de> for TargetsVisitor {
    type Value = RawTargets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RawTargets::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, target: &str) -> Result<RawTargets, E> {
        Ok(RawTargets::One(target.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<RawTargets, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(RawTargets::Split)
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(IntegerVisitor)
    }
}

struct IntegerVisitor;

/// 2^53: up to here a double holds every whole number.
const EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

impl Visitor<'_> for IntegerVisitor {
    type Value = Integer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Integer::EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Integer, E> {
        Ok(Integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Integer, E> {
        if value.fract() == 0.0 && (0.0..=EXACT_DOUBLE).contains(&value) {
            Ok(Integer(value as u64))
        } else {
            Err(E::custom(Integer::EXPECTED))
        }
    }
}

macro_rules! shapes {
    ($expected:literal: $($name:ty),+) => {
        $(impl Shape for $name { const EXPECTED: &'static str = $expected; })+
    };
}

shapes!("a string": String, Secret);
shapes!("true or false": bool);
shapes!("a whole number, not negative": Integer);
shapes!("a `provider/model` string or a list of {target, weight}": RawTargets);
shapes!("an object": RawConfig, RawProvider, RawAuth, RawVirtualKey, RawCache, RawRouting);
shapes!("an object": RawLimits, RawAliases, RawChoice);

impl<T> Shape for Vec<Field<T>> {
    const EXPECTED: &'static str = "a list";
}
