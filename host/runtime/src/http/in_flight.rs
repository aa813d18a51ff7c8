//! The visits that are inside a plugin now. They are counted by the plugin, not by its generations.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Shared by everybody who has the plugin's address.
#[derive(Default)]
pub struct InFlight(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    count: usize,
    /// Cancelled when the plugin stops; then a new one takes its place.
    stop: CancellationToken,
}

/// One visit; it leaves when this is dropped.
pub struct Entered {
    inside: Arc<Mutex<Inside>>,
    /// The plugin stops, and every visit with it.
    pub stop: CancellationToken,
}

impl InFlight {
    /// None while `limit` visits are inside.
    pub fn enter(&self, limit: usize) -> Option<Entered> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.count >= limit {
            return None;
        }
        inside.count += 1;
        Some(Entered { inside: self.0.clone(), stop: inside.stop.clone() })
    }

    /// Ends every visit that is inside now; those that come later are not concerned.
    pub fn end_all(&self) {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inside.stop).cancel();
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_visit_has_left() {
        let visits = InFlight::default();
        let (first, second) = (visits.enter(2), visits.enter(2));
        assert!(first.is_some() && second.is_some() && visits.enter(2).is_none());
        drop(first);
        assert!(visits.enter(2).is_some());
    }

    #[test]
    fn ending_all_visits_does_not_concern_those_that_come_later() {
        let visits = InFlight::default();
        let before = visits.enter(9).unwrap();
        visits.end_all();
        let after = visits.enter(9).unwrap();
        assert!(before.stop.is_cancelled() && !after.stop.is_cancelled());
    }
}
