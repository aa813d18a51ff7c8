//! Grants as a set that can be compared, kept and shown, whatever kinds of them the manifest knows.
//!
//! It is made from the serialised form of [`Grants`], so a kind that is added there needs approval without a line here.

use std::fmt;

use midplane_model::Pattern;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::Grants;

/// Kinds whose items are patterns: a wide one covers a narrow one.
const PATTERN_KINDS: &[&str] = &["methods", "publish", "subscribe"];

/// What a plugin asks for or was allowed, by kind: `{"methods": ["files.read"], "terminals": true}`. Kinds of which nothing is
/// asked are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantSet(Map<String, Value>);

impl GrantSet {
    #[must_use]
    pub fn of(grants: &Grants) -> Self {
        let kinds = match serde_json::to_value(grants) {
            Ok(Value::Object(kinds)) => kinds,
            // A struct of lists and flags is always an object; should it ever not be, nothing is asked and all is denied.
            _ => Map::new(),
        };
        Self(kinds.into_iter().filter(|(_, value)| !is_nothing(value)).collect())
    }

    /// What of this set `approved` does not cover.
    #[must_use]
    pub fn beyond(&self, approved: &Self) -> Self {
        let mut beyond = Map::new();
        for (kind, asked) in &self.0 {
            let covered = |item: &Value| items(approved.0.get(kind)).any(|allowed| covers(kind, allowed, item));
            match asked {
                Value::Array(asked) => {
                    let new: Vec<Value> = asked.iter().filter(|item| !covered(item)).cloned().collect();
                    if !new.is_empty() {
                        beyond.insert(kind.clone(), new.into());
                    }
                }
                asked if covered(asked) => {}
                asked => _ = beyond.insert(kind.clone(), asked.clone()),
            }
        }
        Self(beyond)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything of a kind is asked.
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        self.0.contains_key(kind)
    }

    /// The kinds of which something is asked.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One line for a person per grant: `files: docs (write)`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |kind: &String, item: &Value| match item {
            Value::Bool(_) => kind.clone(),
            Value::String(text) => format!("{kind}: {text}"),
            Value::Object(members) => match (members.get("path"), members.get("access")) {
                (Some(Value::String(path)), Some(Value::String(access))) => format!("{kind}: {path} ({access})"),
                _ => format!("{kind}: {item}"),
            },
            _ => format!("{kind}: {item}"),
        };
        self.0.iter().flat_map(|(kind, value)| items(Some(value)).map(move |item| line(kind, item))).collect()
    }
}

impl fmt::Display for GrantSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join(", "))
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// The items of a list, or the one value that is no list.
fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (list, single) = match value {
        Some(Value::Array(items)) => (items.as_slice(), None),
        other => (&[][..], other),
    };
    list.iter().chain(single)
}

/// Whether whoever allowed `allowed` has allowed `asked` with it.
fn covers(kind: &str, allowed: &Value, asked: &Value) -> bool {
    if allowed == asked {
        return true;
    }
    match (allowed, asked) {
        (Value::String(allowed), Value::String(asked)) if PATTERN_KINDS.contains(&kind) => {
            let contains = |(allowed, asked): (Pattern, Pattern)| allowed.contains(&asked);
            Pattern::parse(allowed).ok().zip(Pattern::parse(asked).ok()).is_some_and(contains)
        }
        (Value::Object(allowed), Value::Object(asked)) => {
            allowed.len() == asked.len() && asked.iter().all(|(member, value)| part_covers(member, allowed, value))
        }
        _ => false,
    }
}

/// One member of a structured grant: a folder covers what is below it, `write` covers `read`, all else must be equal.
fn part_covers(member: &str, allowed: &Map<String, Value>, asked: &Value) -> bool {
    let Some(allowed) = allowed.get(member) else { return false };
    match (member, allowed, asked) {
        ("path", Value::String(allowed), Value::String(asked)) => {
            let root = allowed.trim_matches('/');
            let path = asked.trim_matches('/');
            matches!(root, "" | ".")
                || path == root
                || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
        }
        ("access", Value::String(allowed), _) if allowed == "write" => true,
        _ => allowed == asked,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> GrantSet {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_asked_beyond_the_approved_is_named_and_nothing_else() {
        for (approved, asked, beyond) in [
            (json!({}), json!({}), json!({})),
            (json!({"terminals": true}), json!({}), json!({})),
            (json!({}), json!({"terminals": true}), json!({"terminals": true})),
            (json!({"methods": ["files.*"]}), json!({"methods": ["files.read"]}), json!({})),
            (
                json!({"methods": ["files.read"]}),
                json!({"methods": ["files.read", "files.*"]}),
                json!({"methods": ["files.*"]}),
            ),
            (json!({"http": ["a:443"]}), json!({"http": ["a:443", "b:443"]}), json!({"http": ["b:443"]})),
            (
                json!({"files": [{"path": "docs", "access": "write"}]}),
                json!({"files": [{"path": "docs/a", "access": "read"}]}),
                json!({}),
            ),
            (
                json!({"files": [{"path": "docs", "access": "read"}]}),
                json!({"files": [{"path": "docs", "access": "write"}, {"path": "docs2", "access": "read"}]}),
                json!({"files": [{"path": "docs", "access": "write"}, {"path": "docs2", "access": "read"}]}),
            ),
            // A kind that nobody here knows is compared by equality.
            (json!({"moon": [1]}), json!({"moon": [1, 2], "stars": "all"}), json!({"moon": [2], "stars": "all"})),
        ] {
            assert_eq!(set(asked.clone()).beyond(&set(approved.clone())), set(beyond), "{asked} beyond {approved}");
        }
    }

    #[test]
    fn a_manifest_without_grants_asks_for_nothing() {
        assert!(GrantSet::of(&Grants::default()).is_empty());
        let asked = GrantSet::of(&Grants { terminals: true, ..Grants::default() });
        assert_eq!(asked.lines(), ["terminals"]);
    }

    #[test]
    fn each_grant_is_a_line_for_a_person() {
        let asked = set(json!({"files": [{"path": "docs", "access": "write"}], "methods": ["a.b"], "terminals": true}));
        assert_eq!(asked.to_string(), "files: docs (write), methods: a.b, terminals");
    }
}
