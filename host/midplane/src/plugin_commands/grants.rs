//! Grants as lines.

use serde_json::Value;

use super::text_of;

/// `files: docs (write)`, one a grant, from the form that manifests have.
pub fn lines(grants: &Value) -> Vec<String> {
    let one = |kind: &str, item: &Value| match item {
        Value::Bool(true) => kind.to_owned(),
        Value::Object(members) if members.contains_key("path") => {
            format!("{kind}: {} ({})", text_of(&item["path"]), text_of(&item["access"]))
        }
        item => format!("{kind}: {}", text_of(item)),
    };
    let of_kind = |(kind, value): (&String, &Value)| -> Vec<String> {
        match value {
            Value::Array(items) => items.iter().map(|item| one(kind, item)).collect(),
            Value::Bool(false) | Value::Null => Vec::new(),
            value => vec![one(kind, value)],
        }
    };
    grants.as_object().into_iter().flatten().flat_map(of_kind).collect()
}
