//! Who goes first: a terminal that was quiet before one that floods. An echo then waits for a few reads of others at most, however
//! many of them print.
//!
//! Every terminal may read [`QUICK_BYTES`] at once and as much again in [`REFILL`]; beyond that it goes into the slow lane, where
//! all take turns. What is typed into a terminal gives it all of that back, since its answer is what somebody waits for.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::seat::Seat;

/// A screen full of colours, once.
const QUICK_BYTES: usize = 16 * 1024;
/// Longer than any printer's pause, or a flood in pieces would look like somebody who types.
const REFILL: Duration = Duration::from_millis(250);

/// How much a terminal may still read in the quick lane.
pub(super) struct Credit {
    bytes: usize,
    at: Instant,
}

impl Credit {
    pub(super) fn new() -> Self {
        Self { bytes: QUICK_BYTES, at: Instant::now() }
    }

    pub(super) fn restore(&mut self) {
        self.bytes = QUICK_BYTES;
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) fn is_left(&mut self, now: Instant) -> bool {
        if now.duration_since(self.at) >= REFILL {
            (self.bytes, self.at) = (QUICK_BYTES, now);
        }
        self.bytes > 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Quick,
    Slow,
}

/// Terminals that wait for their turn, by key; each is in one lane at most.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) quick: VecDeque<usize>,
    pub(super) slow: VecDeque<usize>,
}

impl Lanes {
    pub(super) fn are_empty(&self) -> bool {
        self.quick.is_empty() && self.slow.is_empty()
    }

    /// Gives it a place, if it has none.
    pub(super) fn line_up(&mut self, seat: &mut Seat) {
        if seat.lane.is_some() {
            return;
        }
        if seat.credit.is_left(Instant::now()) {
            self.hurry(seat);
        } else {
            seat.lane = Some(Lane::Slow);
            self.slow.push_back(seat.key);
        }
    }

    /// Somebody waits for its next turn: from the slow lane it comes into the quick one.
    pub(super) fn call(&mut self, seat: &mut Seat) {
        match seat.lane {
            Some(Lane::Quick) => return,
            Some(Lane::Slow) => self.slow.retain(|key| *key != seat.key),
            None => {}
        }
        self.hurry(seat);
    }

    fn hurry(&mut self, seat: &mut Seat) {
        seat.lane = Some(Lane::Quick);
        self.quick.push_back(seat.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_much_has_to_wait_until_it_has_been_quiet_or_is_typed_into() {
        let mut credit = Credit::new();
        let begin = credit.at;
        credit.spend(QUICK_BYTES - 1);
        assert!(credit.is_left(begin));
        credit.spend(4096);
        assert!(!credit.is_left(begin + REFILL / 2));
        assert!(credit.is_left(begin + REFILL));
        credit.spend(QUICK_BYTES);
        assert!(!credit.is_left(begin + REFILL));
        credit.restore();
        assert!(credit.is_left(begin + REFILL));
    }
}
