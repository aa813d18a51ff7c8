//! Which events a call caused, so that its caller can ask another host's view to be at least as new.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{Position, Positions};

/// Where the events stand that a call has published, and whatever it called in turn: its clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Effects(Arc<Mutex<Positions>>);

impl Effects {
    /// Notes an event. Of several in one stream the newest counts: it includes those before.
    pub fn note(&self, stream: &Arc<str>, position: Position) {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = positions.entry(stream.clone()).or_insert_with(|| position.clone());
        if newest.epoch != position.epoch || newest.seq < position.seq {
            *newest = position;
        }
    }

    /// The newest position per stream; empty when nothing was published.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_all_clones_counts() {
        let effects = Effects::default();
        let at = |seq| Position { epoch: "e".into(), seq };
        effects.note(&"s".into(), at(1));
        effects.clone().note(&"s".into(), at(3));
        effects.note(&"s".into(), at(2));
        assert_eq!(effects.positions(), [("s".into(), at(3))].into());
    }
}
