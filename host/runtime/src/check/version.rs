//! How far a version has to rise for a change, by the rules of `wit/README.md`. Pure.

use semver::Version;
use serde::Serialize;

/// What a change of the interfaces is to those who use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Nothing that a user could notice.
    None,
    /// Something new; whoever used the old one is served as before.
    Addition,
    /// Whoever was built against the old one may not link or call any more.
    Breaking,
}

/// The lowest version that may bear a change of `old`: additions raise the patch below 1.0 and the minor from then on, all
/// else raises the minor below 1.0 and the major from then on.
#[must_use]
pub fn lowest(old: &Version, weight: Weight) -> Version {
    match (weight, old.major) {
        (Weight::None, _) => old.clone(),
        (Weight::Addition, 0) => Version::new(0, old.minor, old.patch + 1),
        (Weight::Addition, major) => Version::new(major, old.minor + 1, 0),
        (Weight::Breaking, 0) => Version::new(0, old.minor + 1, 0),
        (Weight::Breaking, major) => Version::new(major + 1, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_contract() {
        for (old, weight, expected) in [
            ("0.1.2", Weight::None, "0.1.2"),
            ("0.1.2", Weight::Addition, "0.1.3"),
            ("0.1.2", Weight::Breaking, "0.2.0"),
            ("1.2.3", Weight::None, "1.2.3"),
            ("1.2.3", Weight::Addition, "1.3.0"),
            ("1.2.3", Weight::Breaking, "2.0.0"),
        ] {
            assert_eq!(lowest(&old.parse().unwrap(), weight).to_string(), expected, "{old} {weight:?}");
        }
    }
}
