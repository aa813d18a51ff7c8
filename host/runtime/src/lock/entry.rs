//! What is remembered about one plugin.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::GrantSet;

/// One plugin in `plugins.lock`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The package that was trusted last; none for a built-in plugin, which the program vouches for.
    pub pin: Option<Pin>,
    /// Whether the operator wants it to run.
    pub enabled: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Self { pin: None, enabled: true }
    }
}

/// A package that was trusted: exactly this one, with these grants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub version: Version,
    /// Of manifest and component, 64 hexadecimal digits.
    pub sha256: String,
    /// Where it came from: a folder of the plugin folder, or what `plugin.install` was given.
    pub source: String,
    /// What the operator has approved.
    #[serde(default, skip_serializing_if = "GrantSet::is_empty")]
    pub grants: GrantSet,
}
