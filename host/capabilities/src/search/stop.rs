//! When to stop: nobody waits, the time is over, or there is enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::Limit;

/// Asked by every thread of a search, often.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cancel: CancellationToken,
    deadline: Instant,
    /// Set by the search itself, so that asking needs no lock once it is known.
    set: AtomicBool,
    /// Some work was left undone because of it.
    felt: AtomicBool,
}

impl Stop {
    pub fn new(cancel: CancellationToken, time_max: Duration) -> Self {
        let deadline = Instant::now() + time_max;
        Self(Arc::new(Inner { cancel, deadline, set: AtomicBool::default(), felt: AtomicBool::default() }))
    }

    /// Whether to leave the rest undone; then the search has not seen everything.
    pub fn is_set(&self) -> bool {
        let inner = &*self.0;
        let set = inner.set.load(Relaxed) || inner.cancel.is_cancelled() || Instant::now() >= inner.deadline;
        if set {
            inner.set.store(true, Relaxed);
            inner.felt.store(true, Relaxed);
        }
        set
    }

    /// The search has found what it may tell.
    pub fn enough(&self) {
        self.0.set.store(true, Relaxed);
    }

    /// Nobody waits for the search any more.
    pub fn cancel(&self) {
        self.0.set.store(true, Relaxed);
        self.0.cancel.cancel();
    }

    pub async fn cancelled(&self) {
        self.0.cancel.cancelled().await;
    }

    pub async fn late(&self) {
        tokio::time::sleep_until(self.0.deadline.into()).await;
    }

    /// Why something was left undone, if it was and not by the search's own choice.
    pub fn limit(&self) -> Option<Limit> {
        let limit = if self.0.cancel.is_cancelled() { Limit::Cancelled } else { Limit::Time };
        self.0.felt.load(Relaxed).then_some(limit)
    }
}
