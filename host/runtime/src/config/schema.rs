//! A schema, read from JSON once.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value};

use super::Wrong;

/// Memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// What says something to people and nothing to the check.
const ANNOTATIONS: &[&str] = &["title", "default", "examples", "deprecated", "$schema", "$id", "$comment"];
/// What is checked, and `writeOnly`, which conceals.
const KEYWORDS: &[&str] = &[
    "type",
    "enum",
    "const",
    "anyOf",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "description",
    "writeOnly",
];

/// What a value must be. Each part is for values of its own kind, and says nothing about others, as JSON Schema has it.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub description: Option<String>,
    pub default: Option<Value>,
    /// Never shown.
    pub secret: bool,
    /// Any where empty.
    pub kinds: Vec<Kind>,
    /// One of these, where there are any: `enum`, or the one of `const`.
    pub choices: Vec<Value>,
    /// Fits one of these, where there are any.
    pub any_of: Vec<Schema>,
    pub object: Members,
    pub list: Items,
    pub text: Text,
    pub number: Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Default)]
pub struct Members {
    pub known: BTreeMap<String, Schema>,
    pub required: Vec<String>,
    pub others: Others,
}

/// Members that `properties` does not name.
#[derive(Debug, Clone, Default)]
pub enum Others {
    #[default]
    Any,
    None,
    Fitting(Box<Schema>),
}

#[derive(Debug, Clone, Default)]
pub struct Items {
    pub each: Option<Box<Schema>>,
    pub count: Count,
    pub unique: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Text {
    /// Of characters.
    pub length: Count,
    pub pattern: Option<Regex>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub min: Option<u64>,
    pub max: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Range {
    pub min: Option<Bound>,
    pub max: Option<Bound>,
}

#[derive(Debug, Clone)]
pub struct Bound {
    pub at: Number,
    /// `at` itself does not fit.
    pub exclusive: bool,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Null, Self::Boolean, Self::Integer, Self::Number, Self::String, Self::Array, Self::Object];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    fn parse(value: &Value, key: &str) -> Result<Self, Wrong> {
        let known = || {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Wrong::new(key, format!("{value} is no type; there are {names}"))
        };
        Self::ALL.into_iter().find(|kind| value == kind.as_str()).ok_or_else(known)
    }
}

impl Schema {
    /// `key` is where the schema stands.
    pub fn parse(written: &Value, key: &str) -> Result<Self, Wrong> {
        let Value::Object(written) = written else { return Err(Wrong::new(key, "must be a table with a JSON Schema")) };
        for keyword in written.keys().map(String::as_str) {
            if !KEYWORDS.contains(&keyword) && !ANNOTATIONS.contains(&keyword) {
                let reason = format!("this host does not check this keyword; it knows {}", KEYWORDS.join(", "));
                return Err(Wrong::new(&format!("{key}.{keyword}"), reason));
            }
        }
        let at = At { written, key };
        let choices = match at.optional("const", |value, _| Ok(vec![value.clone()]))? {
            Some(one) => one,
            None => at.optional("enum", list)?.unwrap_or_default().to_vec(),
        };
        let bound = |inclusive: &str, exclusive: &str| -> Result<Option<Bound>, Wrong> {
            let bound = |exclusive| move |at: Number| Bound { at, exclusive };
            let strict = at.optional(exclusive, number)?.map(bound(true));
            Ok(strict.or(at.optional(inclusive, number)?.map(bound(false))))
        };
        Ok(Self {
            description: at.optional("description", string)?,
            default: written.get("default").cloned(),
            secret: at.optional("writeOnly", boolean)?.unwrap_or_default(),
            kinds: at.optional("type", kinds)?.unwrap_or_default(),
            choices,
            any_of: at.optional("anyOf", schemas)?.unwrap_or_default(),
            object: Members {
                known: at.optional("properties", properties)?.unwrap_or_default(),
                required: at.optional("required", strings)?.unwrap_or_default(),
                others: at.optional("additionalProperties", others)?.unwrap_or_default(),
            },
            list: Items {
                each: at.optional("items", Schema::parse)?.map(Box::new),
                count: at.count("minItems", "maxItems")?,
                unique: at.optional("uniqueItems", boolean)?.unwrap_or_default(),
            },
            text: Text { length: at.count("minLength", "maxLength")?, pattern: at.optional("pattern", pattern)? },
            number: Range { min: bound("minimum", "exclusiveMinimum")?, max: bound("maximum", "exclusiveMaximum")? },
        })
    }
}

/// One table of a schema.
#[derive(Clone, Copy)]
struct At<'a> {
    written: &'a Map<String, Value>,
    key: &'a str,
}

impl<'a> At<'a> {
    fn optional<T>(
        self,
        keyword: &str,
        read: impl FnOnce(&'a Value, &str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        self.written.get(keyword).map(|value| read(value, &format!("{}.{keyword}", self.key))).transpose()
    }

    fn count(self, min: &str, max: &str) -> Result<Count, Wrong> {
        Ok(Count { min: self.optional(min, count)?, max: self.optional(max, count)? })
    }
}

fn wrong<T>(key: &str, reason: &str) -> Result<T, Wrong> {
    Err(Wrong::new(key, reason))
}

fn string(value: &Value, key: &str) -> Result<String, Wrong> {
    value.as_str().map_or_else(|| wrong(key, "must be a string"), |text| Ok(text.to_owned()))
}

fn boolean(value: &Value, key: &str) -> Result<bool, Wrong> {
    value.as_bool().map_or_else(|| wrong(key, "must be true or false"), Ok)
}

fn count(value: &Value, key: &str) -> Result<u64, Wrong> {
    value.as_u64().map_or_else(|| wrong(key, "must be a whole number, 0 or more"), Ok)
}

fn number(value: &Value, key: &str) -> Result<Number, Wrong> {
    value.as_number().cloned().map_or_else(|| wrong(key, "must be a number"), Ok)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], Wrong> {
    match value.as_array() {
        Some(items) if !items.is_empty() => Ok(items),
        _ => wrong(key, "must be a list with something in it"),
    }
}

fn each<T>(items: &[Value], key: &str, read: impl Fn(&Value, &str) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    items.iter().enumerate().map(|(index, item)| read(item, &format!("{key}[{index}]"))).collect()
}

fn strings(value: &Value, key: &str) -> Result<Vec<String>, Wrong> {
    value.as_array().map_or_else(|| wrong(key, "must be a list of strings"), |items| each(items, key, string))
}

fn kinds(value: &Value, key: &str) -> Result<Vec<Kind>, Wrong> {
    if value.is_array() { each(list(value, key)?, key, Kind::parse) } else { Ok(vec![Kind::parse(value, key)?]) }
}

fn schemas(value: &Value, key: &str) -> Result<Vec<Schema>, Wrong> {
    each(list(value, key)?, key, Schema::parse)
}

fn properties(value: &Value, key: &str) -> Result<BTreeMap<String, Schema>, Wrong> {
    let Value::Object(members) = value else { return wrong(key, "must be a table of schemas") };
    members.iter().map(|(name, schema)| Ok((name.clone(), Schema::parse(schema, &format!("{key}.{name}"))?))).collect()
}

fn others(value: &Value, key: &str) -> Result<Others, Wrong> {
    match value {
        Value::Bool(true) => Ok(Others::Any),
        Value::Bool(false) => Ok(Others::None),
        schema => Ok(Others::Fitting(Box::new(Schema::parse(schema, key)?))),
    }
}

fn pattern(value: &Value, key: &str) -> Result<Regex, Wrong> {
    let text = string(value, key)?;
    RegexBuilder::new(&text)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| Wrong::new(key, format!("{text:?} is no pattern: {error}")))
}
