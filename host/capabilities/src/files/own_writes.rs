//! What this host itself changed lately, so that the watcher can tell whose change it sees.
//!
//! A write leaves its expected trace here before it becomes visible, and the watcher claims it when it finds exactly that
//! trace. At most `OWN_WRITES_MAX` wait to be claimed; the oldest is forgotten, and its change then comes without origin.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use midplane_model::limits::OWN_WRITES_MAX;

use super::{facts::Facts, path::RelativePath, version::Version};

/// How a path looks after a change. The change time is left out: a rename sets it, and we note the trace before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    File { ino: u64, size: u64, mtime_ns: i64 },
    Directory,
    Gone,
}

impl From<&Facts> for Trace {
    fn from(facts: &Facts) -> Self {
        match facts.is_dir() {
            true => Self::Directory,
            false => Self::File { ino: facts.ino, size: facts.size, mtime_ns: facts.mtime_ns },
        }
    }
}

/// What is known of a change of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnWrite {
    pub trace: Trace,
    pub version: Option<Version>,
    /// The request that asked for it.
    pub origin: Option<Arc<str>>,
}

#[derive(Default)]
pub(crate) struct OwnWrites(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    by_path: HashMap<RelativePath, (u64, OwnWrite)>,
    /// Oldest first. An entry whose number is not the one in the map has been replaced or claimed.
    order: VecDeque<(u64, RelativePath)>,
    next: u64,
}

impl OwnWrites {
    /// Expects the watcher to find this change.
    pub fn note(&self, path: &RelativePath, own: OwnWrite) {
        let mut recent = self.lock();
        let number = recent.next;
        recent.next += 1;
        recent.by_path.insert(path.clone(), (number, own));
        recent.order.push_back((number, path.clone()));
        while recent.order.len() > OWN_WRITES_MAX {
            if let Some((number, path)) = recent.order.pop_front()
                && recent.by_path.get(&path).is_some_and(|(current, _)| *current == number)
            {
                recent.by_path.remove(&path);
            }
        }
    }

    /// Takes back a note whose change did not happen.
    pub fn forget(&self, path: &RelativePath) {
        self.lock().by_path.remove(path);
    }

    /// The own write that left this trace, once.
    pub fn claim(&self, path: &RelativePath, trace: Trace) -> Option<OwnWrite> {
        let mut recent = self.lock();
        match recent.by_path.get(path) {
            Some((_, own)) if own.trace == trace => recent.by_path.remove(path).map(|(_, own)| own),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(origin: &str) -> OwnWrite {
        OwnWrite { trace: Trace::Gone, version: None, origin: Some(origin.into()) }
    }

    #[test]
    fn a_write_is_claimed_once_and_only_by_its_trace() {
        let (own, path) = (OwnWrites::default(), RelativePath::parse("a").expect("path"));
        own.note(&path, gone("r1"));
        assert_eq!(own.claim(&path, Trace::Directory), None);
        assert_eq!(own.claim(&path, Trace::Gone), Some(gone("r1")));
        assert_eq!(own.claim(&path, Trace::Gone), None);
    }

    #[test]
    fn only_the_newest_writes_are_remembered() {
        let own = OwnWrites::default();
        let path = |n: usize| RelativePath::parse(&n.to_string()).expect("path");
        for n in 0..=OWN_WRITES_MAX {
            own.note(&path(n), gone("r"));
        }
        assert_eq!(own.claim(&path(0), Trace::Gone), None);
        assert!(own.claim(&path(1), Trace::Gone).is_some());
        assert!(own.claim(&path(OWN_WRITES_MAX), Trace::Gone).is_some());
    }
}
