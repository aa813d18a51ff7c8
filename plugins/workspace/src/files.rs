//! Open files, the active one, and the recent ones.

use midplane_sdk::Error;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::document::{Happened, Workspace};

/// Files that may be open in one workspace; one more is `quota_exceeded`.
pub const OPEN_FILES_MAX: usize = 1000;
/// Recent files that are kept; the oldest is forgotten.
pub const RECENT_FILES_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenFile {
    pub path: String,
    pub opened_at: String,
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// First visible line.
    #[serde(default)]
    pub scroll: u32,
    /// It has changes that are not on the disk.
    #[serde(default)]
    pub dirty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    pub line: u32,
    pub column: u32,
}

/// What a client reports about an open file; none leaves a member as it is.
#[derive(Debug, Default)]
pub struct FileUpdate {
    pub cursor: Option<Cursor>,
    pub scroll: Option<u32>,
    pub dirty: Option<bool>,
}

impl Workspace {
    /// Opens a file and makes it the active one; one that is open already keeps its state.
    ///
    /// # Errors
    /// `quota_exceeded` beyond [`OPEN_FILES_MAX`].
    pub fn open_file(&mut self, path: String, now: String) -> Result<Happened, Error> {
        if !self.is_open(&path) {
            if self.open_files.len() >= OPEN_FILES_MAX {
                return Err(Error::quota_exceeded(format!(
                    "{OPEN_FILES_MAX} files are open in {}; close some",
                    self.id
                )));
            }
            let file = OpenFile { path: path.clone(), opened_at: now, cursor: None, scroll: 0, dirty: false };
            self.open_files.push(file);
        }
        self.remember(&path);
        self.active_file = Some(path.clone());
        Ok(Happened::new("file_opened").with("path", path))
    }

    /// Closes a file. If it was the active one, the open file that was used last takes its place.
    ///
    /// # Errors
    /// `not_found` when it is not open.
    pub fn close_file(&mut self, path: &str) -> Result<Happened, Error> {
        let index = self.position(path)?;
        self.open_files.remove(index);
        if self.active_file.as_deref() == Some(path) {
            let recent = self.recent_files.iter().find(|recent| self.is_open(recent));
            self.active_file = recent.cloned().or_else(|| self.open_files.last().map(|file| file.path.clone()));
        }
        Ok(Happened::new("file_closed").with("path", path).with("active_file", self.active_file.clone()))
    }

    /// # Errors
    /// `not_found` when it is not open.
    pub fn set_active_file(&mut self, path: String) -> Result<Happened, Error> {
        self.position(&path)?;
        self.remember(&path);
        self.active_file = Some(path.clone());
        Ok(Happened::new("active_file_changed").with("path", path))
    }

    /// # Errors
    /// `not_found` when it is not open.
    pub fn update_file_state(&mut self, path: &str, update: &FileUpdate) -> Result<Happened, Error> {
        let index = self.position(path)?;
        let file = &mut self.open_files[index];
        file.cursor = update.cursor.or(file.cursor);
        file.scroll = update.scroll.unwrap_or(file.scroll);
        file.dirty = update.dirty.unwrap_or(file.dirty);
        Ok(Happened::new("file_state_changed")
            .with("path", path)
            .with("cursor", json!(file.cursor))
            .with("scroll", file.scroll)
            .with("dirty", file.dirty))
    }

    fn is_open(&self, path: &str) -> bool {
        self.open_files.iter().any(|file| file.path == path)
    }

    fn position(&self, path: &str) -> Result<usize, Error> {
        self.open_files
            .iter()
            .position(|file| file.path == path)
            .ok_or_else(|| Error::not_found(format!("{path} is not open in {}", self.id)).with("path", path))
    }

    fn remember(&mut self, path: &str) {
        self.recent_files.retain(|recent| recent != path);
        self.recent_files.insert(0, path.to_owned());
        self.recent_files.truncate(RECENT_FILES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::workspace;

    fn with(paths: &[&str]) -> Workspace {
        let mut workspace = workspace();
        for path in paths {
            workspace.open_file((*path).into(), "now".into()).unwrap();
        }
        workspace
    }

    #[test]
    fn opening_again_keeps_the_state_and_activates() {
        let mut workspace = with(&["a", "b"]);
        workspace.update_file_state("a", &FileUpdate { dirty: Some(true), ..FileUpdate::default() }).unwrap();
        workspace.open_file("a".into(), "later".into()).unwrap();
        assert_eq!(workspace.open_files.len(), 2);
        assert_eq!((workspace.open_files[0].dirty, workspace.open_files[0].opened_at.as_str()), (true, "now"));
        assert_eq!(workspace.active_file.as_deref(), Some("a"));
    }

    #[test]
    fn the_file_used_last_takes_the_place_of_a_closed_one() {
        let mut workspace = with(&["a", "b", "c"]);
        workspace.set_active_file("a".into()).unwrap();
        let happened = workspace.close_file("a").unwrap();
        assert_eq!(workspace.active_file.as_deref(), Some("c"));
        assert_eq!(happened.details["active_file"], "c");
        workspace.close_file("b").unwrap();
        workspace.close_file("c").unwrap();
        assert_eq!(workspace.active_file, None);
    }

    #[test]
    fn what_is_not_open_is_named() {
        let mut workspace = with(&["a"]);
        for error in [
            workspace.close_file("x").unwrap_err(),
            workspace.set_active_file("x".into()).unwrap_err(),
            workspace.update_file_state("x", &FileUpdate::default()).unwrap_err(),
        ] {
            assert_eq!((error.code.as_str(), error.message.as_str()), ("not_found", "x is not open in w1"));
        }
        assert_eq!(workspace, with(&["a"]));
    }

    #[test]
    fn an_update_leaves_alone_what_it_does_not_name() {
        let mut workspace = with(&["a"]);
        let cursor = Cursor { line: 3, column: 4 };
        workspace.update_file_state("a", &FileUpdate { cursor: Some(cursor), ..FileUpdate::default() }).unwrap();
        workspace.update_file_state("a", &FileUpdate { scroll: Some(7), ..FileUpdate::default() }).unwrap();
        assert_eq!((workspace.open_files[0].cursor, workspace.open_files[0].scroll), (Some(cursor), 7));
    }

    #[test]
    fn twenty_recent_files_are_kept_latest_first_and_once() {
        let mut workspace = workspace();
        for number in 0..30 {
            workspace.open_file(format!("f{number}"), "now".into()).unwrap();
        }
        workspace.open_file("f15".into(), "now".into()).unwrap();
        assert_eq!(workspace.recent_files.len(), RECENT_FILES_MAX);
        assert_eq!(workspace.recent_files[..2], ["f15", "f29"]);
        assert_eq!(workspace.recent_files.iter().filter(|path| *path == "f15").count(), 1);
    }

    #[test]
    fn one_file_too_many_is_refused() {
        let mut workspace = workspace();
        for number in 0..OPEN_FILES_MAX {
            workspace.open_file(format!("f{number}"), "now".into()).unwrap();
        }
        assert_eq!(workspace.open_file("more".into(), "now".into()).unwrap_err().code, "quota_exceeded");
        assert!(workspace.open_file("f1".into(), "now".into()).is_ok());
    }
}
