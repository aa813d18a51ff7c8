//! What a call has caused: whether it began at all, which events it published, and whether it made something that ends with its
//! connection.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use crate::event::{Position, Positions};

/// What a call has caused, and whatever it called in turn: its clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Effects(Arc<Caused>);

#[derive(Debug, Default)]
struct Caused {
    positions: Mutex<Positions>,
    work: AtomicU8,
    tied: AtomicBool,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Effects {
    /// Notes an event. Of several in one stream the newest counts: it includes those before.
    pub fn note(&self, stream: &Arc<str>, position: Position) {
        let mut positions = self.0.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = positions.entry(stream.clone()).or_insert_with(|| position.clone());
        if newest.epoch != position.epoch || newest.seq < position.seq {
            *newest = position;
        }
    }

    /// The newest position per stream; empty when nothing was published.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.0.positions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever is about to do the work says so first, and leaves it when this is false: it was given up, and its caller was told
    /// that nothing happened.
    #[must_use]
    pub fn begin(&self) -> bool {
        self.decide(BEGUN)
    }

    /// Keeps work that has not begun from beginning. False when it has: then nobody knows how far it came.
    pub fn give_up(&self) -> bool {
        self.decide(GIVEN_UP)
    }

    fn decide(&self, to: u8) -> bool {
        let before = self.0.work.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire);
        before.is_ok() || before == Err(to)
    }

    /// The call made something on its connection, which ends with it.
    pub fn tie(&self) {
        self.0.tied.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_tied(&self) -> bool {
        self.0.tied.load(Ordering::Acquire)
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

    #[test]
    fn work_begins_or_is_given_up_and_never_both() {
        let (begun, given_up) = (Effects::default(), Effects::default());
        assert!(begun.begin() && !begun.give_up() && begun.clone().begin());
        assert!(given_up.give_up() && !given_up.begin() && given_up.give_up());
    }
}
