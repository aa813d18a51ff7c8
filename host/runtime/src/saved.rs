//! The last saved state of a plugin: what the instance that takes a failed one's place starts from.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::limits::{CHECKPOINT_BYTES_MAX, CHECKPOINT_COST_DIVISOR, CHECKPOINT_INTERVAL_MIN};

use crate::bindings::Snapshot;

/// Belongs to one generation: its actor saves, the supervisor gives it to whatever instance comes next. A generation that is
/// parked keeps its own, so a newer one that fails does not spoil it.
#[derive(Default)]
pub struct Saved(Mutex<Option<Snapshot>>);

impl Saved {
    pub fn of(snapshot: Option<Snapshot>) -> Self {
        Self(Mutex::new(snapshot.filter(|snapshot| snapshot.data.len() <= CHECKPOINT_BYTES_MAX)))
    }

    /// Replaces the former state. One that is too large is not kept, and neither is the former: a fresh start is better than
    /// a state from long ago. Gives whether it was kept.
    pub fn keep(&self, snapshot: Snapshot) -> bool {
        let kept = Self::of(Some(snapshot)).get();
        let fits = kept.is_some();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        fits
    }

    pub fn get(&self) -> Option<Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// When the next checkpoint is due: only after work, at least `CHECKPOINT_INTERVAL_MIN` after the last, and so that saving
/// takes no more than one part in `CHECKPOINT_COST_DIVISOR` of the time.
pub struct Pace {
    worked: bool,
    not_before: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { worked: false, not_before: now }
    }

    pub fn worked(&mut self) {
        self.worked = true;
    }

    pub fn due(&self) -> Option<Instant> {
        self.worked.then_some(self.not_before)
    }

    /// A save that began then and ended now, well or not.
    pub fn saved(&mut self, began: Instant, now: Instant) {
        let cost: Duration = now.saturating_duration_since(began);
        self.worked = false;
        self.not_before = now + CHECKPOINT_INTERVAL_MIN.max(cost * CHECKPOINT_COST_DIVISOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_only_after_work_and_never_more_often_than_its_share() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(), None);
        pace.worked();
        assert_eq!(pace.due(), Some(start));
        pace.saved(start, start);
        assert_eq!(pace.due(), None);
        pace.worked();
        assert_eq!(pace.due(), Some(start + CHECKPOINT_INTERVAL_MIN));
        let (began, ended) = (start, start + Duration::from_secs(1));
        pace.saved(began, ended);
        pace.worked();
        assert_eq!(pace.due(), Some(ended + Duration::from_secs(1) * CHECKPOINT_COST_DIVISOR));
    }

    #[test]
    fn a_state_that_is_too_large_is_not_kept_and_forgets_the_former() {
        let snapshot = |bytes| Snapshot { version: 1, data: vec![0; bytes] };
        let saved = Saved::default();
        assert!(saved.keep(snapshot(8)));
        assert_eq!(saved.get().map(|snapshot| snapshot.data.len()), Some(8));
        assert!(!saved.keep(snapshot(CHECKPOINT_BYTES_MAX + 1)));
        assert!(saved.get().is_none());
    }
}
