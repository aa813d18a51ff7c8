//! What has to be looked at, and when: hints gather until the tree is quiet, but not for ever. A pure state machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use midplane_model::limits::{WATCH_DEBOUNCE, WATCH_HOLD_MAX, WATCH_PENDING_MAX};

use super::hint::Hint;
use crate::files::RelativePath;

/// Hints since the last batch. At most `WATCH_PENDING_MAX` paths; more become one look at everything below their common
/// directory, which finds the same changes, but that what moved is deleted here and created there.
#[derive(Debug, Default)]
pub(super) struct Pending {
    work: Work,
    /// The times of the first and of the last hint.
    span: Option<(Instant, Instant)>,
}

/// What to look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub dirty: BTreeSet<RelativePath>,
    /// What was made, deleted or moved in between: it may be another one though its inode number is the same, and if it is the same
    /// one, its watches went with the name.
    pub replaced: BTreeSet<RelativePath>,
    /// New name to old name, chains of renames made one.
    pub renames: BTreeMap<RelativePath, RelativePath>,
    /// Look at everything below, since there are no hints that say where.
    pub lost: Option<RelativePath>,
    /// Where the kernel has lost notifications; a part of what is `lost`.
    pub overflow: Option<RelativePath>,
    /// Look at the entries of these directories, since there are no hints.
    pub polled: BTreeSet<RelativePath>,
    /// Enter everything below again, since other rules hold there.
    pub reread: BTreeSet<RelativePath>,
}

impl Pending {
    /// True for the first hint since the last batch, from which on something is due.
    pub fn note(&mut self, hint: Hint, now: Instant) -> bool {
        match hint {
            Hint::Touched(path) => _ = self.work.dirty.insert(path),
            Hint::Replaced(path) => {
                self.work.renames.remove(&path);
                self.work.replaced.insert(path.clone());
                self.work.dirty.insert(path);
            }
            Hint::Unwatched(path) => {
                self.work.replaced.insert(path.clone());
                self.work.dirty.insert(path);
            }
            Hint::Renamed { from, to } => self.rename(from, to),
            Hint::Lost(path) => {
                self.work.overflow = wider(self.work.overflow.take(), &path);
                self.work.lost = wider(self.work.lost.take(), &path);
            }
        }
        if self.work.dirty.len() > WATCH_PENDING_MAX {
            self.collapse();
        }
        let first = self.span.is_none();
        self.span = Some(self.span.map_or((now, now), |(first, _)| (first, now)));
        first
    }

    /// When to look; none while there is nothing to look at.
    pub fn due(&self) -> Option<Instant> {
        self.span.map(|(first, last)| (last + WATCH_DEBOUNCE).min(first + WATCH_HOLD_MAX))
    }

    /// What to look at, if it is time.
    pub fn take_due(&mut self, now: Instant) -> Option<Work> {
        self.due().is_some_and(|due| due <= now).then(|| self.take())
    }

    pub fn take(&mut self) -> Work {
        self.span = None;
        std::mem::take(&mut self.work)
    }

    fn rename(&mut self, from: RelativePath, to: RelativePath) {
        let first = self.work.renames.remove(&from).unwrap_or_else(|| from.clone());
        self.work.dirty.extend([from, to.clone()]);
        self.work.renames.remove(&to);
        // There and back again is no rename.
        if first != to {
            self.work.renames.insert(to, first);
        }
    }

    fn collapse(&mut self) {
        let dirty = std::mem::take(&mut self.work.dirty);
        self.work.renames.clear();
        self.work.replaced.clear();
        if let Some(common) = dirty.into_iter().reduce(|a, b| a.common_ancestor(&b)) {
            self.work.lost = wider(self.work.lost.take(), &common);
        }
    }
}

/// The directory that holds both.
fn wider(known: Option<RelativePath>, path: &RelativePath) -> Option<RelativePath> {
    Some(known.map_or_else(|| path.clone(), |known| known.common_ancestor(path)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).expect("path")
    }

    fn renamed(from: &str, to: &str) -> Hint {
        Hint::Renamed { from: path(from), to: path(to) }
    }

    fn renames_after(hints: impl IntoIterator<Item = Hint>) -> Vec<(String, String)> {
        let mut pending = Pending::default();
        hints.into_iter().for_each(|hint| _ = pending.note(hint, Instant::now()));
        pending.take().renames.iter().map(|(to, from)| (from.to_string(), to.to_string())).collect()
    }

    #[test]
    fn a_batch_is_due_after_quiet_but_never_later_than_the_longest_hold() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        assert_eq!(pending.due(), None);
        assert!(pending.note(Hint::Touched(path("a")), start));
        assert_eq!(pending.due(), Some(start + WATCH_DEBOUNCE));
        for ms in (40..=240).step_by(40) {
            assert!(!pending.note(Hint::Touched(path("a")), start + Duration::from_millis(ms)));
        }
        assert_eq!(pending.due(), Some(start + WATCH_HOLD_MAX));
        assert_eq!(pending.take_due(start), None);
        let work = pending.take_due(start + WATCH_HOLD_MAX).expect("due");
        assert_eq!(work.dirty.len(), 1);
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn chains_of_renames_become_one_and_circles_none() {
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(renames_after([renamed("a", "b"), renamed("b", "c")]), [pair("a", "c")]);
        assert_eq!(renames_after([renamed("a", "b"), renamed("b", "a")]), []);
        assert_eq!(renames_after([renamed("a", "b"), renamed("x", "b")]), [pair("x", "b")]);
    }

    #[test]
    fn what_is_deleted_or_made_anew_was_not_renamed() {
        assert_eq!(renames_after([renamed("a", "b"), Hint::Replaced(path("b"))]), []);
        assert_eq!(renames_after([renamed("a", "b"), Hint::Touched(path("b"))]).len(), 1);
    }

    #[test]
    fn too_many_paths_become_one_look_at_their_common_directory() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for n in 0..=WATCH_PENDING_MAX {
            pending.note(Hint::Touched(path(&format!("a/b/{n}"))), now);
        }
        pending.note(Hint::Touched(path("c")), now);
        let work = pending.take();
        assert_eq!(work.lost, Some(path("a/b")));
        assert_eq!(work.dirty, [path("c")].into());
    }
}
