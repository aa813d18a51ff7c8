//! The real disk below a root: looks go through the jail, watches to the kernel, as far as it takes them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::fs::OFlags;

use super::{
    Status,
    budget::{Budget, is_remote},
    degraded::{Degraded, Reason},
    exclusions::Exclusions,
    tree::{Disk, Look},
};
use crate::{
    files::{self, Facts, RelativePath, Root, Trace},
    ignores::{Rules, Verdict},
};

/// Whether the kernel watches single directories cheaply, so that excluded ones need not be watched at all. The others
/// watch whole trees.
const PER_DIRECTORY: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(super) struct WatchedDisk {
    root: Root,
    exclusions: Arc<Exclusions>,
    /// None where the user has no more of them.
    kernel: Option<RecommendedWatcher>,
    status: Arc<Status>,
    budget: Budget,
    watched: HashSet<RelativePath>,
    /// Directories that the kernel does not watch, so that they have to be looked at from time to time.
    polled: BTreeSet<RelativePath>,
    /// Inside of every directory that was entered.
    rules: HashMap<RelativePath, Rules>,
    degraded: Option<Degraded>,
}

impl WatchedDisk {
    /// Watches the root, or has it polled where the kernel's limits are reached.
    pub fn new(
        root: Root,
        exclusions: Arc<Exclusions>,
        kernel: notify::Result<RecommendedWatcher>,
        status: Arc<Status>,
        budget: Budget,
    ) -> notify::Result<Self> {
        let mode = if PER_DIRECTORY { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
        let (kernel, reason) = match kernel {
            Ok(mut kernel) => match kernel.watch(root.location(), mode) {
                Ok(()) => (Some(kernel), None),
                Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                    (Some(kernel), Some(Reason::KernelLimit))
                }
                Err(error) => return Err(error),
            },
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the kernel gives no watcher");
                (None, Some(Reason::NoWatcher))
            }
        };
        let (watched, polled, rules) = (HashSet::new(), BTreeSet::new(), HashMap::new());
        let mut disk = Self { root, exclusions, kernel, status, budget, watched, polled, rules, degraded: None };
        match reason {
            Some(reason) => disk.poll(&RelativePath::root(), reason),
            None => _ = disk.watched.insert(RelativePath::root()),
        }
        disk.count();
        Ok(disk)
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn polled(&self) -> &BTreeSet<RelativePath> {
        &self.polled
    }

    /// The rules inside of a directory.
    pub fn rules(&self, directory: &RelativePath) -> Rules {
        self.rules.get(directory).cloned().unwrap_or_default()
    }

    /// The rules at or below a directory may have changed; they are read when it is entered again.
    pub fn forget_rules(&mut self, directory: &RelativePath) {
        self.rules.retain(|entered, _| !entered.is_within(directory));
    }

    /// What has become worse since it was last asked.
    pub fn degraded(&mut self) -> Option<Degraded> {
        self.degraded.take()
    }

    /// Directories that are ignored by rules are seen but not entered. One that is watched already stays so.
    fn is_ignored(&mut self, directory: &RelativePath) -> bool {
        let Some(parent) = directory.parent() else { return false };
        if self.watched.contains(directory) || !self.exclusions.honour_rules() {
            return false;
        }
        let jail = self.root.jail();
        let rules = self.rules.entry(parent).or_insert_with(|| Rules::above(jail, directory));
        rules.verdict(directory, true) == Verdict::Ignored
    }

    /// A directory that cannot be watched is still looked at, every now and then. One that is watched is watched again, since
    /// it may be another one under the same name.
    fn watch(&mut self, directory: &RelativePath, remote: bool) {
        if !PER_DIRECTORY || directory.is_root() && !remote {
            return;
        }
        let reason = if remote {
            Reason::RemoteFiles
        } else if self.kernel.is_none() {
            Reason::NoWatcher
        } else if self.watched.len() >= self.budget.directories && !self.watched.contains(directory) {
            Reason::Budget { directories: self.budget.directories }
        } else {
            // By path, because the kernel's interface wants one. If a link has come in between, we get hints about another
            // place, and every look that follows from them stays in the jail.
            let path = self.root.location().join(files::on_disk(directory.as_str()));
            match self.kernel.as_mut().map_or(Ok(()), |kernel| kernel.watch(&path, RecursiveMode::NonRecursive)) {
                Ok(()) => {
                    self.watched.insert(directory.clone());
                    self.polled.remove(directory);
                    return self.count();
                }
                // A directory that has gone again is no directory that we fail to watch.
                Err(_) if !self.look(directory).is_some_and(|look| look.dir) => return,
                Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => Reason::KernelLimit,
                Err(_) => Reason::Refused,
            }
        };
        self.poll(directory, reason);
    }

    fn poll(&mut self, directory: &RelativePath, reason: Reason) {
        if self.polled.insert(directory.clone()) {
            self.note(directory, reason);
        }
        self.count();
    }

    /// Tells the first of its kind, and again where the place that is affected has grown.
    fn note(&mut self, directory: &RelativePath, reason: Reason) {
        let mut known = self.status.degraded();
        let path = match &*known {
            Some(known) => known.path.common_ancestor(directory),
            None => directory.clone(),
        };
        if known.as_ref().is_none_or(|known| known.path != path) {
            let degraded = Degraded { path, reason };
            tracing::warn!(path = %degraded.path, "{}", degraded.reason);
            *known = Some(degraded.clone());
            self.degraded = Some(degraded);
        }
    }

    fn count(&self) {
        self.status.watched.store(self.watched.len(), Ordering::Relaxed);
        self.status.unwatched.store(self.polled.len(), Ordering::Relaxed);
    }
}

impl Disk for WatchedDisk {
    fn look(&self, path: &RelativePath) -> Option<Look> {
        self.root.jail().entry_facts(path).ok().map(Look::from)
    }

    fn enter(&mut self, directory: &RelativePath) -> Vec<String> {
        // A stopping watcher does not walk through a large tree first.
        if self.exclusions.is_closed(directory)
            || self.status.stop.load(Ordering::Acquire)
            || self.is_ignored(directory)
        {
            return Vec::new();
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Ok(opened) = self.root.jail().open_real(directory, flags) else { return Vec::new() };
        // Watched before it is read: what comes in between is told twice rather than never.
        self.watch(directory, is_remote(&opened));
        let Ok(names) = files::names(&opened) else { return Vec::new() };
        let above = directory.parent().map_or_else(Rules::default, |parent| self.rules(&parent));
        let has = |name: &str| names.binary_search_by(|entry| (**entry).cmp(name)).is_ok();
        self.rules.insert(directory.clone(), above.enter(directory, &opened, has));
        names
    }

    fn leave(&mut self, directory: &RelativePath) {
        self.rules.remove(directory);
        self.polled.remove(directory);
        if self.watched.remove(directory)
            && let Some(kernel) = &mut self.kernel
        {
            // The kernel may have dropped it with the directory.
            _ = kernel.unwatch(&self.root.location().join(files::on_disk(directory.as_str())));
        }
        self.count();
    }

    fn has_room(&mut self, entries: usize, directory: &RelativePath) -> bool {
        let room = entries < self.budget.entries;
        if !room {
            self.note(directory, Reason::TooManyEntries { entries: self.budget.entries });
        }
        room
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
