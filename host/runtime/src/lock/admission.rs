//! Whether a package may be loaded, given what is remembered. Pure.

use semver::Version;

use super::{Entry, GrantSet, Pin};

/// A package that wants to be loaded.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub version: Version,
    pub sha256: String,
    pub asks: GrantSet,
}

/// Why a package is not loaded.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It asks for more than was approved.
    Unapproved { added: GrantSet },
    /// The host loads nothing but what is locked, and this is not it.
    Differs { locked: Box<Pin> },
    /// The host loads nothing but what is locked, and nothing of this name is.
    NotLocked,
}

/// Kinds of grants that the first use does not bring: who has them decides who else comes in.
const NEVER_BY_FIRST_USE: &[&str] = &["authenticator"];

/// Trust on first use: a name that is seen for the first time is loaded with what it asks for, unless that is among
/// `NEVER_BY_FIRST_USE`. Afterwards only the grants must not grow; with `locked`, nothing may differ.
pub fn admit(entry: Option<&Entry>, candidate: &Candidate, locked: bool) -> Result<(), Refusal> {
    let Some(pin) = entry.and_then(|entry| entry.pin.as_ref()) else {
        return match NEVER_BY_FIRST_USE.iter().any(|kind| candidate.asks.has(kind)) {
            _ if locked => Err(Refusal::NotLocked),
            true => Err(Refusal::Unapproved { added: candidate.asks.clone() }),
            false => Ok(()),
        };
    };
    if locked && (pin.version != candidate.version || pin.sha256 != candidate.sha256) {
        return Err(Refusal::Differs { locked: Box::new(pin.clone()) });
    }
    let added = candidate.asks.beyond(&pin.grants);
    if added.is_empty() { Ok(()) } else { Err(Refusal::Unapproved { added }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: serde_json::Value) -> GrantSet {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn trust_begins_with_the_first_use_and_ends_where_grants_grow_or_the_lock_differs() {
        let pin = |version: &str, sha256: &str| Entry {
            pin: Some(Pin {
                version: version.parse().unwrap(),
                sha256: sha256.into(),
                source: "spell".into(),
                grants: set(json!({"terminals": true})),
            }),
            enabled: true,
        };
        let wants =
            |sha256: &str, asks| Candidate { version: Version::new(1, 0, 0), sha256: sha256.into(), asks: set(asks) };
        let unapproved = |added| Err(Refusal::Unapproved { added: set(added) });
        let differs = |entry: &Entry| Err(Refusal::Differs { locked: Box::new(entry.pin.clone().unwrap()) });
        let (same, older) = (pin("1.0.0", "a"), pin("0.9.0", "a"));
        for (entry, candidate, locked, expected) in [
            (None, wants("a", json!({"terminals": true})), false, Ok(())),
            (None, wants("a", json!({})), true, Err(Refusal::NotLocked)),
            (
                None,
                wants("a", json!({"authenticator": ["bearer"]})),
                false,
                unapproved(json!({"authenticator": ["bearer"]})),
            ),
            (None, wants("a", json!({"authenticator": ["bearer"]})), true, Err(Refusal::NotLocked)),
            (Some(&Entry::default()), wants("a", json!({})), true, Err(Refusal::NotLocked)),
            (Some(&same), wants("b", json!({})), false, Ok(())),
            (Some(&same), wants("b", json!({"methods": ["a.b"]})), false, unapproved(json!({"methods": ["a.b"]}))),
            (Some(&same), wants("a", json!({"terminals": true})), true, Ok(())),
            (Some(&same), wants("b", json!({"terminals": true})), true, differs(&same)),
            (Some(&older), wants("a", json!({"terminals": true})), true, differs(&older)),
        ] {
            assert_eq!(admit(entry, &candidate, locked), expected, "{entry:?} {candidate:?} {locked}");
        }
    }
}
