//! The real disk below a root: looks go through the jail, watches to the kernel.

use std::sync::{Arc, atomic::Ordering};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::fs::OFlags;

use super::{
    Status,
    exclusions::Exclusions,
    tree::{Disk, Look},
};
use crate::files::{self, Facts, RelativePath, Root, Trace};

/// Whether the kernel watches single directories cheaply, so that excluded ones need not be watched at all. The others
/// watch whole trees.
const PER_DIRECTORY: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(super) struct WatchedDisk {
    pub root: Root,
    pub exclusions: Arc<Exclusions>,
    pub kernel: RecommendedWatcher,
    pub status: Arc<Status>,
}

impl WatchedDisk {
    /// Watches the root, without which nothing can be watched.
    pub fn watch_root(&mut self) -> notify::Result<()> {
        let mode = if PER_DIRECTORY { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
        self.kernel.watch(self.root.location(), mode)
    }

    /// A directory that cannot be watched is still looked at: its changes are missed, its content is known.
    fn watch(&mut self, directory: &RelativePath) {
        if !PER_DIRECTORY || directory.is_root() {
            return;
        }
        // By path, because the kernel's interface wants one. If a link has come in between, we get hints about another
        // place, and every look that follows from them stays in the jail.
        let path = self.root.location().join(directory.as_str());
        let Err(error) = self.kernel.watch(&path, RecursiveMode::NonRecursive) else { return };
        // A directory that has gone again is no directory that we fail to watch.
        if self.look(directory).is_some_and(|look| look.dir)
            && self.status.unwatched.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "some directories cannot be watched");
        }
    }
}

impl Disk for WatchedDisk {
    fn look(&self, path: &RelativePath) -> Option<Look> {
        self.root.jail().entry_facts(path).ok().map(Look::from)
    }

    fn enter(&mut self, directory: &RelativePath) -> Vec<String> {
        // A stopping watcher does not walk through a large tree first.
        if self.exclusions.is_closed(directory) || self.status.stop.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.watch(directory);
        let opened = self.root.jail().open_existing(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW);
        opened.and_then(|directory| files::names(&directory)).map(|(names, _)| names).unwrap_or_default()
    }
}

impl From<Facts> for Look {
    fn from(facts: Facts) -> Self {
        Self {
            dir: facts.is_dir(),
            file: facts.is_file(),
            ino: facts.ino,
            size: facts.size,
            mtime_ns: facts.mtime_ns,
            ctime_ns: facts.ctime_ns,
        }
    }
}

impl From<Look> for Trace {
    fn from(look: Look) -> Self {
        match look.dir {
            true => Self::Directory,
            false => Self::File { ino: look.ino, size: look.size, mtime_ns: look.mtime_ns },
        }
    }
}
