//! The configuration as an operator writes it: a mirror of the JSON, without rules.
//!
//! Every member is a [`Field`], which keeps a value of the wrong type as a problem instead of ending
//! the reading: all problems are reported at once. Members that are not named here are collected,
//! and refused. `null` is a value of the wrong type: `models_allowed:` with all its lines commented
//! out must not come to mean "everything".

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, Visitor};
use serde_json::Value;

use super::problems::{Path, Problems};
use super::secret::Secret;

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
pub(super) enum Field<T> {
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

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self::Absent
    }
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

impl<T: for<'de> Deserialize<'de> + Shape> Field<T> {
    pub(super) fn from_value(value: Value) -> Self {
        let got = describe(&value);
        // Serde's own text would show the value.
        T::deserialize(value).map_or_else(
            |_| Self::Wrong(format!("expected {}, got {got}", T::EXPECTED)),
            Self::Given,
        )
    }
}

impl<'de, T: for<'any> Deserialize<'any> + Shape> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Value::deserialize(input).map(Self::from_value)
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null (leave the field out instead)",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.as_f64().is_some_and(|n| n < 0.0) => "a negative number",
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() != 0.0) => "a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
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
        match Value::deserialize(input)? {
            Value::String(target) => Ok(Self::One(target)),
            Value::Array(items) => {
                Ok(Self::Split(items.into_iter().map(Field::from_value).collect()))
            }
            _ => Err(de::Error::custom(Self::EXPECTED)),
        }
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
