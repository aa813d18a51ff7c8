//! The files that are known, as they were at one moment, for those who look for names.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{disk::WatchedDisk, tree::Tree};
use crate::{
    files::RelativePath,
    ignores::{Rules, Verdict},
};

/// Files in the order of their paths. Costs about 40 bytes a file: the paths are those of the watcher.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub files: Vec<Indexed>,
}

#[derive(Debug)]
pub(crate) struct Indexed {
    pub path: RelativePath,
    /// Since 1970.
    pub modified_ns: i64,
    /// Of the directory that it is in.
    rules: Rules,
}

impl Indexed {
    /// Asked for the few that matter, so that a change of the rules costs nothing before.
    pub fn is_ignored(&self) -> bool {
        self.rules.verdict(&self.path, false) == Verdict::Ignored
    }
}

impl Index {
    pub(super) fn of(tree: &Tree, disk: &WatchedDisk) -> Self {
        let mut inside: Option<(RelativePath, Rules)> = None;
        let mut indexed = |path: &RelativePath, modified_ns| {
            let parent = path.parent().unwrap_or_else(RelativePath::root);
            let rules = match &inside {
                Some((directory, rules)) if *directory == parent => rules.clone(),
                _ => inside.insert((parent.clone(), disk.rules(&parent))).1.clone(),
            };
            Indexed { path: path.clone(), modified_ns, rules }
        };
        Self { files: tree.files().map(|(path, modified_ns)| indexed(path, modified_ns)).collect() }
    }
}

/// Those who wait for an index.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Vec<oneshot::Sender<std::sync::Arc<Index>>>>);

impl Requests {
    pub fn add(&self) -> oneshot::Receiver<std::sync::Arc<Index>> {
        let (request, answer) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        answer
    }

    pub fn take(&self) -> Vec<oneshot::Sender<std::sync::Arc<Index>>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
