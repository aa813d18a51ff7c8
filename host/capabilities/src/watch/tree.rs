//! What is known of the tree, and how it differs from what is there. Pure: the disk is a trait.
//!
//! The rules of coalescing need no code of their own here: whatever happened in between, two states are compared. Created
//! and deleted is nothing, deleted and created is modified, created and modified is created. Only a rename has to be told,
//! because inode numbers are used again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included, Unbounded},
};

use super::{ChangeKind, pending::Work};
use crate::files::RelativePath;

/// How an entry looks. Two looks that are equal mean that nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub dir: bool,
    /// A regular file.
    pub file: bool,
    pub ino: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

/// What the tree asks of the disk.
pub(super) trait Disk {
    /// How the entry looks, links not followed; none when it is not there.
    fn look(&self, path: &RelativePath) -> Option<Look>;
    /// Begins to watch a directory, and then reads its names. Nothing for directories that are not entered.
    fn enter(&mut self, directory: &RelativePath) -> Vec<String>;
    /// What was entered is not there any more, or not under this name.
    fn leave(&mut self, directory: &RelativePath);
    /// Whether a directory may be entered when so many entries are known.
    fn has_room(&mut self, entries: usize, directory: &RelativePath) -> bool;
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub kind: ChangeKind,
    pub path: RelativePath,
    pub from: Option<RelativePath>,
    pub dir: bool,
    /// How it looks now; none for what is gone.
    pub look: Option<Look>,
}

/// Everything known to be there. Ordered so that a directory and all below it are one range.
#[derive(Debug, Default)]
pub(super) struct Tree {
    known: BTreeMap<RelativePath, Look>,
    /// Counts the comparisons that have found something.
    revision: u64,
}

impl Tree {
    /// Learns the whole tree, as it is in the beginning.
    pub fn learn(&mut self, disk: &mut dyn Disk) {
        Comparison::new(self, disk).everything_below(&RelativePath::root());
        self.revision += 1;
    }

    /// Looks where the work says and takes over what is there; the differences, parents before children.
    pub fn compare(&mut self, work: &Work, disk: &mut dyn Disk) -> Vec<Found> {
        let mut comparison = Comparison::new(self, disk);
        comparison.replaced = Some(&work.replaced);
        for (to, from) in &work.renames {
            comparison.rename(from, to);
        }
        for path in &work.dirty {
            comparison.entry(path);
        }
        for path in &work.polled {
            comparison.directory(path);
        }
        for path in work.reread.iter().chain(&work.lost) {
            comparison.everything_below(path);
        }
        let found = comparison.found;
        self.revision += u64::from(!found.is_empty());
        found
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Files with the times of their last change, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&RelativePath, i64)> {
        self.known.iter().filter(|(_, look)| look.file).map(|(path, look)| (path, look.mtime_ns))
    }

    fn below(&self, path: &RelativePath) -> Vec<RelativePath> {
        let range = self.known.range((Excluded(path), Unbounded)).map(|(path, _)| path);
        range.take_while(|entry| entry.is_within(path)).cloned().collect()
    }

    /// Takes out an entry with all that is below.
    fn remove(&mut self, path: &RelativePath) -> Vec<(RelativePath, Look)> {
        let mut removed = Vec::new();
        while let Some((entry, _)) = self.known.range((Included(path), Unbounded)).next() {
            if !entry.is_within(path) {
                break;
            }
            removed.extend(self.known.remove_entry(&entry.clone()));
        }
        removed
    }
}

struct Comparison<'a> {
    tree: &'a mut Tree,
    disk: &'a mut dyn Disk,
    replaced: Option<&'a BTreeSet<RelativePath>>,
    found: Vec<Found>,
}

impl<'a> Comparison<'a> {
    fn new(tree: &'a mut Tree, disk: &'a mut dyn Disk) -> Self {
        Self { tree, disk, replaced: None, found: Vec::new() }
    }

    /// Compares one entry, and what is below it where that is new.
    fn entry(&mut self, path: &RelativePath) {
        if path.is_root() {
            return;
        }
        let (before, now) = (self.tree.known.get(path).copied(), self.disk.look(path));
        match (before, now) {
            (Some(before), Some(now)) if before.dir == now.dir => self.still_there(path, before, now),
            (before, now) => {
                if let Some(before) = before {
                    self.remove(path);
                    self.report(ChangeKind::Deleted, path, before.dir, None);
                }
                if let Some(now) = now {
                    self.tree.known.insert(path.clone(), now);
                    self.report(ChangeKind::Created, path, now.dir, Some(now));
                    if now.dir {
                        self.content(path);
                    }
                }
            }
        }
    }

    fn still_there(&mut self, path: &RelativePath, before: Look, now: Look) {
        self.tree.known.insert(path.clone(), now);
        if !now.dir && before != now {
            self.report(ChangeKind::Modified, path, false, Some(now));
        }
        // Another directory under the same name is one that nobody watches yet.
        if now.dir && (before.ino != now.ino || self.is_replaced(path)) {
            self.disk.leave(path);
            self.everything_below(path);
        }
    }

    fn is_replaced(&self, path: &RelativePath) -> bool {
        self.replaced.is_some_and(|replaced| replaced.contains(path))
    }

    /// Compares a directory's own entries, and what is below those that are new.
    fn directory(&mut self, path: &RelativePath) {
        if !path.is_root() && !self.disk.look(path).is_some_and(|look| look.dir) {
            return self.entry(path);
        }
        for entry in self.tree.below(path) {
            if entry.parent().as_ref() == Some(path) && self.tree.known.contains_key(&entry) {
                self.entry(&entry);
            }
        }
        for name in self.disk.enter(path) {
            let entry = path.join(&name);
            if !self.tree.known.contains_key(&entry) {
                self.entry(&entry);
            }
        }
    }

    fn remove(&mut self, path: &RelativePath) -> Vec<(RelativePath, Look)> {
        let removed = self.tree.remove(path);
        for (directory, _) in removed.iter().filter(|(_, look)| look.dir) {
            self.disk.leave(directory);
        }
        removed
    }

    /// A rename, if the disk bears it out. What is at the old name now is looked at like any other path.
    fn rename(&mut self, from: &RelativePath, to: &RelativePath) {
        let (Some(before), Some(now)) = (self.tree.known.get(from).copied(), self.disk.look(to)) else { return };
        if (before.dir, before.ino) != (now.dir, now.ino) || to.is_within(from) {
            return;
        }
        self.remove(to);
        for (path, look) in self.remove(from) {
            if let Some(path) = path.rebase(from, to) {
                self.tree.known.insert(path, look);
            }
        }
        self.tree.known.insert(to.clone(), now);
        self.found.push(Found {
            kind: ChangeKind::Moved,
            path: to.clone(),
            from: Some(from.clone()),
            dir: now.dir,
            look: Some(now),
        });
        if now.dir {
            // Its watches went with the old name, so changes since then were not told. If the look at `to` itself is still to come, it
            // does this.
            if !self.is_replaced(to) {
                self.everything_below(to);
            }
        } else if (before.size, before.mtime_ns) != (now.size, now.mtime_ns) {
            self.report(ChangeKind::Modified, to, false, Some(now));
        }
    }

    /// Compares all that was known below a directory, and finds what is new there.
    fn everything_below(&mut self, path: &RelativePath) {
        let is_dir = |look: Option<Look>| look.is_some_and(|look| look.dir);
        let stays_dir = is_dir(self.tree.known.get(path).copied()) && is_dir(self.disk.look(path));
        if !path.is_root() && !stays_dir {
            return self.entry(path);
        }
        for entry in self.tree.below(path) {
            // It may have gone with a directory above it.
            if self.tree.known.contains_key(&entry) {
                self.entry(&entry);
            }
        }
        self.content(path);
    }

    /// Enters a directory and those below it. Not by recursion, since a tree may be deeper than a stack.
    fn content(&mut self, path: &RelativePath) {
        let mut ahead = vec![path.clone()];
        while let Some(directory) = ahead.pop() {
            if !self.disk.has_room(self.tree.known.len(), &directory) {
                continue;
            }
            for name in self.disk.enter(&directory) {
                let path = directory.join(&name);
                let is_dir = match (self.tree.known.get(&path), self.disk.look(&path)) {
                    (_, None) => continue,
                    (Some(known), Some(_)) => known.dir,
                    (None, Some(now)) => {
                        self.tree.known.insert(path.clone(), now);
                        self.report(ChangeKind::Created, &path, now.dir, Some(now));
                        now.dir
                    }
                };
                if is_dir {
                    ahead.push(path);
                }
            }
        }
    }

    fn report(&mut self, kind: ChangeKind, path: &RelativePath, dir: bool, look: Option<Look>) {
        self.found.push(Found { kind, path: path.clone(), from: None, dir, look });
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
