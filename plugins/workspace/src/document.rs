//! One workspace as it is stored, and what all rules about it share.

use std::collections::BTreeMap;

use midplane_sdk::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{files::OpenFile, panels::Panel};

/// Longest name of a workspace, layout or panel kind, and longest title, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// The document under `workspace/<id>`. Members are only ever added, each with a default, so that documents of older
/// versions can be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// `w1`, `w2`, …; never used again.
    pub id: String,
    pub name: String,
    /// Relative to the served directory; `.` is the directory itself.
    pub root: String,
    /// Raised by every change.
    pub rev: u64,
    pub created_at: String,
    /// In the order in which they were opened.
    #[serde(default)]
    pub open_files: Vec<OpenFile>,
    #[serde(default)]
    pub active_file: Option<String>,
    #[serde(default)]
    pub panels: Vec<Panel>,
    /// Number of the panel made last.
    #[serde(default)]
    pub last_panel: u64,
    #[serde(default)]
    pub active_panel: Option<String>,
    #[serde(default)]
    pub layouts: BTreeMap<String, Value>,
    #[serde(default)]
    pub current_layout: Option<String>,
    #[serde(default)]
    pub preferences: Map<String, Value>,
    /// The latest first.
    #[serde(default)]
    pub recent_files: Vec<String>,
}

/// What a change did: the end of the topic and the members of the payload beside `id` and `rev`.
#[derive(Debug, PartialEq)]
pub struct Happened {
    /// `file_opened` of `workspace.file_opened`.
    pub what: &'static str,
    pub details: Map<String, Value>,
}

impl Happened {
    pub fn new(what: &'static str) -> Self {
        Self { what, details: Map::new() }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

impl Workspace {
    pub fn new(id: String, name: String, root: String, created_at: String) -> Self {
        Self {
            id,
            name,
            root,
            rev: 1,
            created_at,
            open_files: Vec::new(),
            active_file: None,
            panels: Vec::new(),
            last_panel: 0,
            active_panel: None,
            layouts: BTreeMap::new(),
            current_layout: None,
            preferences: Map::new(),
            recent_files: Vec::new(),
        }
    }

    pub fn rename(&mut self, name: String) -> Happened {
        self.name.clone_from(&name);
        Happened::new("updated").with("name", name)
    }
}

/// Something a person reads: not empty, not too long, no control characters.
///
/// # Errors
/// `invalid_params` that names `parameter` (`params.name`).
pub fn label(parameter: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    let problem = if text.is_empty() {
        "must not be empty"
    } else if text.len() > NAME_BYTES_MAX {
        "must have at most 256 bytes"
    } else if text.chars().any(char::is_control) {
        "must not have control characters"
    } else {
        return Ok(text.to_owned());
    };
    Err(Error::invalid_params(parameter, format!("{parameter}: {problem}")))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn workspace() -> Workspace {
        Workspace::new("w1".into(), "main".into(), ".".into(), "2026-11-23T09:36:01.123Z".into())
    }

    #[test]
    fn documents_of_older_versions_can_be_read() {
        let old = r#"{"id":"w1","name":"main","root":".","rev":1,"created_at":"2026-11-23T09:36:01.123Z"}"#;
        assert_eq!(serde_json::from_str::<Workspace>(old).unwrap(), workspace());
    }

    #[test]
    fn labels_are_trimmed_and_bad_ones_name_the_parameter() {
        assert_eq!(label("params.name", " main ").unwrap(), "main");
        for bad in ["", "  ", "a\nb", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(label("params.name", bad).unwrap_err().details_object()["path"], "params.name");
        }
    }
}
