//! TOML as JSON: times become their text, and numbers that JSON does not have are refused.

use serde_json::{Map, Number, Value};

use super::Wrong;

pub fn of(value: toml::Value, key: &str) -> Result<Value, Wrong> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => Value::Number(
            Number::from_f64(number).ok_or_else(|| Wrong::new(key, format!("{number} is no number of JSON")))?,
        ),
        toml::Value::Boolean(yes) => yes.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => {
            let items = items.into_iter().enumerate().map(|(index, item)| of(item, &format!("{key}[{index}]")));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(of_table(table, key)?),
    })
}

pub fn of_table(table: toml::Table, key: &str) -> Result<Map<String, Value>, Wrong> {
    table
        .into_iter()
        .map(|(name, value)| {
            let value = of(value, &format!("{key}.{name}"))?;
            Ok((name, value))
        })
        .collect()
}
