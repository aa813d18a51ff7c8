//! Changes of a tree, as they happen: few, true and in batches.
//!
//! The kernel's notifications are hints that a path may have changed ([`hint`]). They gather until the tree is quiet
//! ([`pending`]); then what is on the disk is compared with what was known ([`tree`]), and the difference is the batch. So
//! a lost, doubled or reordered notification costs at most a look, and a file that comes and goes is no change at all. Where
//! the kernel has lost some, everything is looked at, which finds all that they would have told, and readers hear that it was
//! so; they have to look for themselves only where they have fallen behind ([`subscribers`]).
//! Directories are watched one by one, and those that [`Exclusions`] or the rules of the tree name are not even entered; on
//! systems other than Linux the kernel watches the whole tree and the same rule filters. What the kernel cannot watch, or
//! the [`Budget`] does not allow, is looked at every now and then ([`polling`]), and [`Degraded`] says so.
//!
//! One thread per watcher does it all ([`engine`]). Knows nothing of topics or plugins; who changed a file it knows only
//! for changes made through the same [`Root`].

mod budget;
mod degraded;
mod disk;
mod engine;
mod exclusions;
mod hint;
mod index;
mod pending;
mod polling;
mod scope;
mod subscribers;
mod tree;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    thread::JoinHandle,
    time::Duration,
};

pub use budget::Budget;
pub use degraded::{Degraded, Reason};
pub use exclusions::Exclusions;
pub(crate) use index::Index;
use midplane_model::{Fault, limits::WATCH_START_MAX};
use pending::Pending;
pub use scope::Scope;
use subscribers::Subscribers;
use tokio::sync::{mpsc, oneshot};

use crate::files::{RelativePath, Root, Version};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    Created,
    /// Another content or other attributes. Of files only: a directory changes by its entries.
    Modified,
    /// Stands for everything that was below.
    Deleted,
    /// Has a `from`; stands for everything below, too.
    Moved,
}

/// One change. `path` is the real one, free of links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: RelativePath,
    /// The old path of what was moved.
    pub from: Option<RelativePath>,
    pub dir: bool,
    /// Of a regular file that was cheap to hash or that we wrote; none otherwise.
    pub version: Option<Version>,
    /// The request that changed it through the same [`Root`].
    pub origin: Option<Arc<str>>,
}

/// Changes that came together; at most `WATCH_CHANGES_MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    pub changes: Vec<Change>,
    pub rescan: Option<Rescan>,
    /// From now on this is watched less well.
    pub degraded: Option<Degraded>,
}

/// News at or below this path got lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescan {
    pub path: RelativePath,
    /// Everything was looked at: this batch and those after it have all that had changed. Else changes may be missing, and whoever
    /// keeps account of the tree has to read it again.
    pub repaired: bool,
}

impl Rescan {
    fn unrepaired(path: RelativePath) -> Self {
        Self { path, repaired: false }
    }
}

/// Why a tree cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("cannot ask the kernel to watch the workspace")]
    Watch {
        #[source]
        source: notify::Error,
    },
    #[error("cannot start the watcher")]
    Start {
        #[source]
        source: io::Error,
    },
    #[error("the watcher stopped while it was starting")]
    Stopped,
}

impl From<WatchError> for Fault {
    /// The one place where a cause goes to the log; a client can do nothing about any of them.
    fn from(error: WatchError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "watching failed");
        Fault::internal()
    }
}

/// A watched tree. Dropping it joins the thread, which blocks for one comparison at most; [`Watcher::close`] does the same
/// without blocking the runtime. One watcher per [`Root`]: the origin of a change is told once.
pub struct Watcher {
    subscribers: Arc<Subscribers>,
    status: Arc<Status>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Wakes the thread. The thread ends only when all senders are gone, which is how it joins the kernel's side.
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// What the threads and the handle tell each other.
#[derive(Default)]
struct Status {
    stop: AtomicBool,
    /// Noted on the kernel's side while the thread compares, so that a hint never waits and none is dropped.
    pending: Mutex<Pending>,
    /// Nobody waited until the tree was known: whoever has looked at it meanwhile has to look again.
    late: AtomicBool,
    watched: AtomicUsize,
    unwatched: AtomicUsize,
    degraded: Mutex<Option<Degraded>>,
    requests: index::Requests,
}

impl Status {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn degraded(&self) -> MutexGuard<'_, Option<Degraded>> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Figures of a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchStats {
    /// Directories that the kernel watches.
    pub watched: usize,
    /// Directories that are polled instead.
    pub polled: usize,
    pub subscribers: usize,
}

impl Watcher {
    /// Watches the tree of `root`. When this resolves the tree is known, and every later change will be told. A tree that is
    /// not known within `WATCH_START_MAX` is learned in the background, and then a `rescan` of everything is told.
    ///
    /// # Errors
    /// [`WatchError::Watch`] when the root itself cannot be watched for another reason than a limit. What the kernel's limits for the
    /// user do not allow is polled, and told as [`Degraded`].
    pub async fn start(root: &Root, exclusions: Exclusions) -> Result<Self, WatchError> {
        Self::within(root, exclusions, Budget::of_system()).await
    }

    /// As [`Watcher::start`], with another budget.
    ///
    /// # Errors
    /// As [`Watcher::start`].
    pub async fn within(root: &Root, exclusions: Exclusions, budget: Budget) -> Result<Self, WatchError> {
        Self::begin(root, exclusions, budget, Arc::default(), WATCH_START_MAX).await
    }

    /// Waits for so long until the tree is known.
    async fn begin(
        root: &Root,
        exclusions: Exclusions,
        budget: Budget,
        status: Arc<Status>,
        patience: Duration,
    ) -> Result<Self, WatchError> {
        let subscribers = Arc::new(Subscribers::default());
        // One signal is as good as many: who finds one there need not send another.
        let (wake, signals) = std::sync::mpsc::sync_channel(1);
        let (ready, started) = oneshot::channel();
        let setup = engine::Setup {
            root: root.clone(),
            exclusions: Arc::new(exclusions),
            budget,
            subscribers: subscribers.clone(),
            status: status.clone(),
            wake: wake.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("watcher".into())
            .spawn(move || engine::run(setup, &signals, ready))
            .map_err(|source| WatchError::Start { source })?;
        let watcher = Self { subscribers, status, running: Mutex::new(Some(Running { wake, thread })) };
        match tokio::time::timeout(patience, started).await {
            Ok(started) => started.unwrap_or(Err(WatchError::Stopped))?,
            Err(_) => watcher.status.late.store(true, Ordering::Release),
        }
        Ok(watcher)
    }

    /// Every batch from now on, as far as it lies within the scope. The channel holds `WATCH_BATCHES_MAX`; batches that find it full are merged into one
    /// that says what to `rescan`, sent as soon as there is room. It ends when the watcher is closed.
    #[must_use]
    pub fn subscribe(&self, scope: Scope) -> mpsc::Receiver<Batch> {
        let degraded = self.status.degraded().clone();
        self.subscribers.add(scope, degraded)
    }

    #[must_use]
    pub fn stats(&self) -> WatchStats {
        let (watched, polled) = (&self.status.watched, &self.status.unwatched);
        WatchStats {
            watched: watched.load(Ordering::Relaxed),
            polled: polled.load(Ordering::Relaxed),
            subscribers: self.subscribers.count(),
        }
    }

    /// The files that are known now; none when the watcher is closed.
    pub(crate) async fn index(&self) -> Option<Arc<Index>> {
        let answer = self.status.requests.add();
        let wake = self.running.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.wake.clone();
        // If there is no room, the thread is awake anyway.
        _ = wake.try_send(());
        drop(wake);
        answer.await.ok()
    }

    /// Stops watching and joins the threads. Dropping the future leaves them to finish on their own.
    pub async fn close(&self) {
        if let Some(thread) = self.stop() {
            // A join error is a panic, which has been printed; there is nothing left to stop.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        let Running { wake, thread } = self.running.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.status.stop.store(true, Ordering::Release);
        // If there is no room, the thread is awake anyway.
        _ = wake.try_send(());
        Some(thread)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(thread) = self.stop() {
            _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
