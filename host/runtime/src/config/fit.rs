//! Whether a value fits a schema, and the first place where it does not.

use std::{cmp::Ordering, collections::HashSet};

use serde_json::{Number, Value};

use super::{
    Wrong,
    schema::{Bound, Count, Items, Kind, Members, Others, Range, Schema},
};

/// Characters of a wrong value that an error shows.
const SHOWN_CHARS_MAX: usize = 60;

impl Schema {
    /// `key` is where the value stands.
    pub fn check(&self, value: &Value, key: &str) -> Result<(), Wrong> {
        if !self.fits_by_itself(value) {
            return Err(Wrong::new(key, format!("{} does not fit; expected {}", self.show(value), self.expects())));
        }
        match value {
            Value::Object(members) => self.object.check(members, key),
            Value::Array(items) => self.list.check(items, key),
            _ => Ok(()),
        }
    }

    /// Everything but what is inside of it.
    fn fits_by_itself(&self, value: &Value) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.holds(value));
        let choice = self.choices.is_empty() || self.choices.iter().any(|choice| same(choice, value));
        let any = self.any_of.is_empty() || self.any_of.iter().any(|schema| schema.check(value, "").is_ok());
        let inside = match value {
            Value::String(text) => {
                self.text.length.holds(text.chars().count())
                    && self.text.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
            }
            Value::Number(number) => self.number.holds(number),
            Value::Array(items) => {
                let distinct = || items.iter().map(Value::to_string).collect::<HashSet<_>>().len();
                self.list.count.holds(items.len()) && (!self.list.unique || distinct() == items.len())
            }
            _ => true,
        };
        kind && choice && any && inside
    }

    fn show(&self, value: &Value) -> String {
        match value {
            Value::Object(_) => "a table".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            _ if self.secret => "what is there".to_owned(),
            value => {
                let text = value.to_string();
                let cut = text.char_indices().nth(SHOWN_CHARS_MAX).map(|(index, _)| index);
                cut.map_or(text.clone(), |cut| format!("{}…", &text[..cut]))
            }
        }
    }

    /// Makes null of what is secret.
    pub fn conceal(&self, value: &mut Value) {
        if self.secret {
            *value = Value::Null;
        }
        self.any_of.iter().for_each(|schema| schema.conceal(value));
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, member)| {
                let other = match &self.object.others {
                    Others::Fitting(schema) => Some(&**schema),
                    _ => None,
                };
                if let Some(schema) = self.object.known.get(name).or(other) {
                    schema.conceal(member);
                }
            }),
            Value::Array(items) => {
                self.list.each.iter().for_each(|schema| items.iter_mut().for_each(|item| schema.conceal(item)));
            }
            _ => {}
        }
    }
}

impl Members {
    fn check(&self, members: &serde_json::Map<String, Value>, key: &str) -> Result<(), Wrong> {
        let below = |name: &str| format!("{key}.{name}");
        if let Some(missing) = self.required.iter().find(|name| !members.contains_key(*name)) {
            let expected = self.known.get(missing).map(|schema| format!("; expected {}", schema.expects()));
            return Err(Wrong::new(&below(missing), format!("is missing{}", expected.unwrap_or_default())));
        }
        for (name, member) in members {
            match (self.known.get(name), &self.others) {
                (Some(schema), _) => schema.check(member, &below(name))?,
                (None, Others::Fitting(schema)) => schema.check(member, &below(name))?,
                (None, Others::Any) => {}
                (None, Others::None) => {
                    let known = self.known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    return Err(Wrong::new(&below(name), format!("is not known; known are {known}")));
                }
            }
        }
        Ok(())
    }
}

impl Items {
    fn check(&self, items: &[Value], key: &str) -> Result<(), Wrong> {
        let Some(schema) = &self.each else { return Ok(()) };
        items.iter().enumerate().try_for_each(|(index, item)| schema.check(item, &format!("{key}[{index}]")))
    }
}

impl Kind {
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => match value {
                Value::Number(number) => {
                    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
                }
                _ => false,
            },
            Self::Number => value.is_number(),
            Self::String => value.is_string(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

impl Count {
    fn holds(self, count: usize) -> bool {
        let count = count as u64;
        self.min.is_none_or(|min| count >= min) && self.max.is_none_or(|max| count <= max)
    }
}

impl Range {
    fn holds(&self, number: &Number) -> bool {
        let beyond = |bound: &Bound, outside: Ordering| {
            let order = compare(number, &bound.at);
            order == Some(outside) || (bound.exclusive && order == Some(Ordering::Equal))
        };
        self.min.as_ref().is_none_or(|bound| !beyond(bound, Ordering::Less))
            && self.max.as_ref().is_none_or(|bound| !beyond(bound, Ordering::Greater))
    }
}

/// Whole numbers exactly, others as floats.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// JSON Schema knows one kind of numbers: 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}
