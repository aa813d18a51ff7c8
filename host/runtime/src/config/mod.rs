//! The manifest's table `[config]`: JSON for the plugin, checked against the schema beside it before anything runs.
//!
//! The schema is JSON Schema (2020-12) as far as [`Schema`] knows its keywords: those that describe settings. One that it does
//! not know is refused by name, because a rule that nobody enforces is worse than none. There is no `$ref`, so a schema is as
//! deep as it is written; patterns are linear in time. So a stranger's schema costs no more than its size.

mod describe;
mod fit;
mod json;
mod schema;

use serde_json::Value;

pub use describe::Setting;
use schema::Schema;

/// A checked table.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// As the plugin reads it: JSON text.
    pub text: String,
    values: Value,
    /// As it is written, and as it is understood.
    schema: Option<(Value, Schema)>,
}

/// What is wrong with the table: the key, as in `config.words[2]`, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub key: String,
    pub reason: String,
}

impl Wrong {
    fn new(key: &str, reason: impl Into<String>) -> Self {
        Self { key: key.to_owned(), reason: reason.into() }
    }
}

/// The key of the table that is the schema of the others.
const SCHEMA: &str = "schema";

impl Config {
    /// # Errors
    /// The first value that does not fit, in the order of the schema, or the first part of the schema that is none.
    pub fn parse(mut table: toml::Table) -> Result<Self, Wrong> {
        let schema = table.remove(SCHEMA).map(|written| {
            let written = json::of(written, "config.schema")?;
            Schema::parse(&written, "config.schema").map(|schema| (written, schema))
        });
        let schema = schema.transpose()?;
        let values = Value::Object(json::of_table(table, "config")?);
        if let Some((_, schema)) = &schema {
            schema.check(&values, "config")?;
        }
        Ok(Self { text: values.to_string(), values, schema })
    }

    /// The values for people: those that the schema calls `writeOnly` are null.
    pub fn shown(&self) -> Value {
        let mut shown = self.values.clone();
        if let Some((_, schema)) = &self.schema {
            schema.conceal(&mut shown);
        }
        shown
    }

    /// The schema as it is written.
    pub fn schema(&self) -> Option<&Value> {
        self.schema.as_ref().map(|(written, _)| written)
    }

    /// What can be set, and what is, key by key.
    pub fn settings(&self) -> Vec<Setting> {
        let schema = self.schema.as_ref().map(|(_, schema)| schema);
        describe::settings(schema, &self.shown())
    }
}

#[cfg(test)]
mod tests;
