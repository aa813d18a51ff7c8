//! The watcher's thread: takes hints, waits for quiet, compares, tells.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Instant,
};

use midplane_model::limits::{WATCH_BATCH_BYTES_MAX, WATCH_CHANGES_MAX, WATCH_DEBOUNCE, WATCH_HASH_BYTES_MAX};
use notify::{Config, RecommendedWatcher, Watcher as _};
use tokio::sync::oneshot;

use super::{
    Batch, Budget, Change, ChangeKind, Index, Rescan, Status, WatchError,
    disk::WatchedDisk,
    exclusions::Exclusions,
    hint::Tap,
    pending::Work,
    polling::Polling,
    subscribers::Subscribers,
    tree::{Found, Tree},
};
use crate::{
    files::{RelativePath, Root, Trace, Version},
    ignores::RULE_FILES,
};

/// What a watcher's thread is given.
pub(super) struct Setup {
    pub root: Root,
    pub exclusions: Arc<Exclusions>,
    pub budget: Budget,
    pub subscribers: Arc<Subscribers>,
    pub status: Arc<Status>,
    pub wake: SyncSender<()>,
}

/// Runs until the status says stop, and ends only after the kernel's side has ended.
pub(super) fn run(setup: Setup, signals: &Receiver<()>, ready: oneshot::Sender<Result<(), WatchError>>) {
    let subscribers = setup.subscribers.clone();
    match Engine::start(setup) {
        Ok(mut engine) => {
            // If nobody waits any more, the handle is gone and the status says stop.
            _ = ready.send(Ok(()));
            engine.serve(signals);
        }
        Err(source) => _ = ready.send(Err(WatchError::Watch { source })),
    }
    subscribers.close();
    // The engine is gone, and with it the kernel's watches. `notify` does not join its thread, but that thread holds a
    // sender until it ends.
    while signals.recv().is_ok() {}
}

struct Engine {
    disk: WatchedDisk,
    tree: Tree,
    polling: Polling,
    /// Of the tree at a revision.
    index: Option<(u64, Arc<Index>)>,
    subscribers: Arc<Subscribers>,
    status: Arc<Status>,
    /// Somebody has a rescan to be told of, and may have room by now.
    owing: bool,
}

impl Engine {
    fn start(setup: Setup) -> notify::Result<Self> {
        let Setup { root, exclusions, budget, subscribers, status, wake } = setup;
        let tap =
            Tap { location: root.location().to_owned(), exclusions: exclusions.clone(), status: status.clone(), wake };
        let kernel = RecommendedWatcher::new(tap, Config::default().with_follow_symlinks(false));
        let mut disk = WatchedDisk::new(root, exclusions, kernel, status.clone(), budget)?;
        let mut tree = Tree::default();
        tree.learn(&mut disk);
        // Whoever subscribes is told of it from the status.
        drop(disk.degraded());
        Ok(Self { disk, tree, polling: Polling::default(), index: None, subscribers, status, owing: false })
    }

    fn serve(&mut self, signals: &Receiver<()>) {
        if self.status.late.load(Ordering::Acquire) {
            let rescan = Some(Rescan::unrepaired(RelativePath::root()));
            self.subscribers.send(&Batch { rescan, ..Batch::default() });
        }
        loop {
            let ended = self.next(signals) == Err(RecvTimeoutError::Disconnected);
            if ended || self.status.stop.load(Ordering::Acquire) {
                return;
            }
            let work = self.status.pending().take_due(Instant::now());
            if let Some(work) = work {
                self.flush(work);
            }
            if !self.disk.polled().is_empty() && self.polling.due() <= Instant::now() {
                self.poll();
            }
            if self.owing {
                self.owing = self.subscribers.settle();
            }
            for request in self.status.requests.take() {
                // Whoever asked may be gone.
                _ = request.send(self.index());
            }
        }
    }

    fn poll(&mut self) {
        let begun = Instant::now();
        self.flush(Work { polled: self.disk.polled().clone(), ..Work::default() });
        self.polling.looked(Instant::now(), begun.elapsed());
    }

    fn index(&mut self) -> Arc<Index> {
        let revision = self.tree.revision();
        match &self.index {
            Some((known, index)) if *known == revision => index.clone(),
            _ => {
                let index = Arc::new(Index::of(&self.tree, &self.disk));
                self.index = Some((revision, index.clone()));
                index
            }
        }
    }

    /// A signal, or a timeout when it is time to look or to try a slow subscriber again.
    fn next(&self, signals: &Receiver<()>) -> Result<(), RecvTimeoutError> {
        let retry = self.owing.then(|| Instant::now() + WATCH_DEBOUNCE);
        let poll = (!self.disk.polled().is_empty()).then(|| self.polling.due());
        let due = self.status.pending().due();
        match due.into_iter().chain(retry).chain(poll).min() {
            Some(at) => signals.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => signals.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn flush(&mut self, mut work: Work) {
        for path in work.dirty.iter().filter(|path| RULE_FILES.contains(&path.name())) {
            let directory = path.parent().unwrap_or_else(RelativePath::root);
            self.disk.forget_rules(&directory);
            work.reread.insert(directory);
        }
        let found = self.tree.compare(&work, &mut self.disk);
        let mut budget_bytes = WATCH_HASH_BYTES_MAX;
        let mut degraded = self.disk.degraded();
        let mut rescan = work.overflow.take().map(|path| Rescan { path, repaired: true });
        let mut rest = found.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(batch_of(rest));
            rest = after;
            let changes = part.iter().map(|found| self.describe(found, &mut budget_bytes)).collect();
            self.subscribers.send(&Batch { changes, rescan: rescan.take(), degraded: degraded.take() });
        }
        if rescan.is_some() || degraded.is_some() {
            self.subscribers.send(&Batch { rescan, degraded, ..Batch::default() });
        }
        // A deletion of ours that cancelled out with a creation must not be taken for somebody's later one.
        for path in &work.dirty {
            self.disk.root().claim(path, Trace::Gone);
        }
        self.owing = self.subscribers.settle();
    }

    fn describe(&self, found: &Found, budget_bytes: &mut u64) -> Change {
        let root = self.disk.root();
        let own = root.claim(&found.path, found.look.map_or(Trace::Gone, Trace::from));
        let (version, origin) = own.map_or((None, None), |own| (own.version, own.origin));
        Change {
            kind: found.kind,
            path: found.path.clone(),
            from: found.from.clone(),
            dir: found.dir,
            version: version.or_else(|| self.version(found, budget_bytes)),
            origin,
        }
    }

    /// The version of a file, as long as the batch has bytes to spend on it.
    fn version(&self, found: &Found, budget_bytes: &mut u64) -> Option<Version> {
        let look = found.look.filter(|look| look.file && found.kind != ChangeKind::Deleted)?;
        *budget_bytes = budget_bytes.checked_sub(look.size)?;
        let (file, facts) = self.disk.root().jail().open_file(&found.path).ok()?;
        Version::of_file(&file, &facts).ok().map(|(version, _)| version)
    }
}

/// How many of the changes go into one batch: at most `WATCH_CHANGES_MAX`, with paths of `WATCH_BATCH_BYTES_MAX` together.
fn batch_of(found: &[Found]) -> usize {
    let mut bytes = 0;
    let fits = |found: &&Found| {
        bytes += found.path.as_str().len() + found.from.as_ref().map_or(0, |from| from.as_str().len());
        bytes <= WATCH_BATCH_BYTES_MAX
    };
    found.iter().take(WATCH_CHANGES_MAX).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_where_its_changes_or_the_bytes_of_their_paths_are_enough() {
        let found = |name: &str| Found {
            kind: ChangeKind::Created,
            path: RelativePath::parse(name).expect("path"),
            from: None,
            dir: false,
            look: None,
        };
        let (short, long) = (found("a"), found(&["x"; 2000].join("/")));
        let fitting = WATCH_BATCH_BYTES_MAX / long.path.as_str().len();
        assert!(fitting < WATCH_CHANGES_MAX);
        assert_eq!(batch_of(&vec![long; WATCH_CHANGES_MAX]), fitting);
        assert_eq!(batch_of(&vec![short; WATCH_CHANGES_MAX + 1]), WATCH_CHANGES_MAX);
    }
}
