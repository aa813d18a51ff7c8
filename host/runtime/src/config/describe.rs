//! A schema in words: for errors, and for whoever asks what can be set.

use serde::Serialize;
use serde_json::{Number, Value};

use super::schema::{Bound, Count, Kind, Schema};

/// One key of the table.
#[derive(Debug, Serialize)]
pub struct Setting {
    pub key: String,
    /// In words: `integer from 1 to 10`.
    pub expects: String,
    pub required: bool,
    pub docs: Option<String>,
    /// What the plugin takes where nothing is set, as its schema says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What is set; null for a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// The keys that the schema names, and those that are set without it.
pub fn settings(schema: Option<&Schema>, values: &Value) -> Vec<Setting> {
    let known = schema.map(|schema| &schema.object.known);
    let named = known.into_iter().flatten().map(|(key, member)| Setting {
        key: key.clone(),
        expects: member.expects(),
        required: schema.is_some_and(|schema| schema.object.required.contains(key)),
        docs: member.description.clone(),
        default: member.default.clone(),
        value: values.get(key).cloned(),
    });
    let others = values.as_object().into_iter().flatten();
    let others = others.filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
    let others = others.map(|(key, value)| Setting {
        key: key.clone(),
        expects: "anything".to_owned(),
        required: false,
        docs: None,
        default: None,
        value: Some(value.clone()),
    });
    named.chain(others).collect()
}

impl Schema {
    /// What fits, in words.
    pub fn expects(&self) -> String {
        if !self.choices.is_empty() {
            return self.choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
        }
        let kinds: Vec<String> = self.kinds.iter().map(|kind| self.expects_of(*kind)).collect();
        let any: Vec<String> = self.any_of.iter().map(Self::expects).collect();
        match (kinds.is_empty(), any.is_empty()) {
            (true, true) => self.bounds(),
            (false, true) => kinds.join(" or "),
            (true, false) => any.join(" or "),
            (false, false) => format!("{} that is {}", kinds.join(" or "), any.join(" or ")),
        }
    }

    /// Where no kind is named.
    fn bounds(&self) -> String {
        let all = [Kind::Number, Kind::String, Kind::Array].map(|kind| (kind, self.expects_of(kind)));
        let bound: Vec<_> =
            all.into_iter().filter(|(kind, text)| kind.as_str() != text).map(|(_, text)| text).collect();
        if bound.is_empty() { "anything".to_owned() } else { format!("if it is one, {}", bound.join(", ")) }
    }

    fn expects_of(&self, kind: Kind) -> String {
        let name = kind.as_str();
        match kind {
            Kind::Integer | Kind::Number => format!("{name}{}", range(&self.number.min, &self.number.max)),
            Kind::String => {
                let length = count(self.text.length, "characters");
                let pattern = self.text.pattern.as_ref().map(|pattern| format!(" matching {pattern}"));
                format!("{name}{length}{}", pattern.unwrap_or_default())
            }
            Kind::Array => {
                let each = self.list.each.as_ref().map(|each| format!(" of {}", each.expects())).unwrap_or_default();
                let distinct = if self.list.unique { ", all different" } else { "" };
                format!("{name}{each}{}{distinct}", count(self.list.count, "items"))
            }
            Kind::Null | Kind::Boolean | Kind::Object => name.to_owned(),
        }
    }
}

fn count(Count { min, max }: Count, what: &str) -> String {
    match (min, max) {
        (None, None) => String::new(),
        (Some(min), None) => format!(" with {min} or more {what}"),
        (None, Some(max)) => format!(" with at most {max} {what}"),
        (Some(min), Some(max)) => format!(" with {min} to {max} {what}"),
    }
}

fn range(min: &Option<Bound>, max: &Option<Bound>) -> String {
    let side = |bound: &Option<Bound>, inclusive: &str, exclusive: &str| {
        let words = |Bound { at, exclusive: strict }: &Bound| (if *strict { exclusive } else { inclusive }, at.clone());
        bound.as_ref().map(words).map(|(words, at): (&str, Number)| format!(" {words} {at}")).unwrap_or_default()
    };
    side(min, "from", "above") + &side(max, "to", "below")
}
