//! Names of plugins, and the step from WIT's kebab-case to the snake_case of JSON, topics and the CLI.

use std::{fmt, sync::Arc};

use crate::fault::Fault;

/// The name of a plugin: `[a-z][a-z0-9-]{0,31}`. It owns the methods and topics under this name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName(Arc<str>);

impl PluginName {
    /// Parses a name; the error says what is wrong and is fit to show.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut chars = text.bytes();
        let ok = text.len() <= 32
            && chars.next().is_some_and(|c| c.is_ascii_lowercase())
            && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if ok {
            Ok(Self(text.into()))
        } else {
            Err(Fault::invalid_params(
                "name",
                format!("{text:?} is no plugin name: use a lower-case letter, then up to 31 of a-z, 0-9 and '-'"),
            ))
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment of this plugin's methods and topics (`my-plugin` owns `my_plugin.*`).
    #[must_use]
    pub fn prefix(&self) -> String {
        snake(&self.0)
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for PluginName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// `open-file` → `open_file`. WIT names may carry upper-case words (`get-URL`); JSON names never do.
#[must_use]
pub fn snake(kebab: &str) -> String {
    kebab.replace('-', "_").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_names_are_short_lower_case_words() {
        for good in ["a", "spell", "a-1", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert!(PluginName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "a.b", "ä", "abcdefghijklmnopqrstuvwxyz0123456"] {
            assert!(PluginName::parse(bad).is_err(), "{bad}");
        }
    }
}
