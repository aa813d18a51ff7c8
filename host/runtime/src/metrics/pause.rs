//! The pause of a reload: from the moment when the old generation stops taking from the mailbox until one takes again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Level;

/// A mutex, because it is touched at a reload and never by a call.
#[derive(Default)]
pub struct Pauses {
    since: Mutex<Option<Instant>>,
    /// `now` is the last pause.
    ns: Level,
}

impl Pauses {
    /// A generation was asked for the mailbox and takes nothing any more.
    pub fn begin(&self) {
        self.swap(Some(Instant::now()));
    }

    /// A generation takes from the mailbox: the new one, or the old one after all.
    pub fn end(&self) {
        if let Some(since) = self.swap(None) {
            self.ns.set(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// It was no reload: the plugin stopped, or waits for its restart.
    pub fn forget(&self) {
        self.swap(None);
    }

    pub fn last(&self) -> Duration {
        Duration::from_nanos(self.ns.now())
    }

    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.ns.highest())
    }

    fn swap(&self, to: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut *self.since.lock().unwrap_or_else(PoisonError::into_inner), to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pause_that_ends_counts() {
        let pauses = Pauses::default();
        pauses.end();
        pauses.begin();
        pauses.forget();
        pauses.end();
        assert_eq!((pauses.last(), pauses.longest()), (Duration::ZERO, Duration::ZERO));
        pauses.begin();
        pauses.end();
        assert!(pauses.last() > Duration::ZERO);
        assert_eq!(pauses.last(), pauses.longest());
    }
}
