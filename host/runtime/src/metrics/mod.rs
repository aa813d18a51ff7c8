//! What is counted about each plugin: `plugin.get` shows it as JSON, `/metrics` as Prometheus text.
//!
//! The figures belong to the slot, so they outlive generations and begin again only with the host. They are independent of
//! each other, so every one is an atomic in relaxed order: nothing is locked or allocated on the way of a call.

mod cpu;
mod histogram;
mod memory;
mod pause;
mod pending;
mod prometheus;
mod show;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use midplane_broker::EventBudget;
use midplane_capabilities::storage::{Gauge, Usage};
use midplane_model::ErrorCode;

pub use cpu::metered;
use histogram::Histogram;
pub use memory::Limiter;
use pause::Pauses;
pub use pending::Pending;
pub use prometheus::render;

/// A figure that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A figure that goes up and down, and how high it has been.
#[derive(Default)]
pub struct Level {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Level {
    pub fn set(&self, now: u64) {
        self.now.store(now, Relaxed);
        self.highest.fetch_max(now, Relaxed);
    }

    pub fn rise(&self, by: u64) {
        let before = self.now.fetch_add(by, Relaxed);
        self.highest.fetch_max(before.saturating_add(by), Relaxed);
    }

    /// Takes back what [`Level::rise`] has added.
    pub fn fall(&self, by: u64) {
        self.now.fetch_sub(by, Relaxed);
    }

    pub fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    pub fn highest(&self) -> u64 {
        self.highest.load(Relaxed)
    }
}

/// The figures of one plugin.
pub struct Metrics {
    /// Calls that found the plugin's address, whatever became of them.
    calls: Counter,
    /// Faults that those calls ended with, by position in [`ErrorCode::ALL`]. The error value of a typed call is an answer.
    errors: [Counter; ErrorCode::ALL.len()],
    /// From a place in the mailbox to the answer; calls that were refused have none.
    latency: Histogram,
    /// Messages in the mailbox. Counted when one is put in: who asks for `now` looks at the mailbox.
    pub queue: Level,
    /// Linear memory of all its instances together, in bytes.
    memory: Level,
    /// Processor time of the plugin's own task: guest code, its host calls, and the conversion of its values.
    cpu_ns: Counter,
    /// Instances that a trap, the memory limit or an overrun deadline has cost.
    pub traps: Counter,
    pub restarts: Counter,
    /// Generations that have taken the place of a running one.
    pub reloads: Counter,
    /// Times of a reload when nobody took from the mailbox.
    pub pauses: Pauses,
    /// Events that the guest has taken.
    pub events: Counter,
    /// What it may publish; known once it had an instance.
    pub event_budget: OnceLock<Arc<EventBudget>>,
    pub log_lines_dropped: Counter,
    /// What it has stored; known once it had an instance.
    pub storage: OnceLock<Arc<Gauge>>,
    /// Writes beyond its quota.
    pub storage_refused: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Counter::default(),
            errors: std::array::from_fn(|_| Counter::default()),
            latency: Histogram::default(),
            queue: Level::default(),
            memory: Level::default(),
            cpu_ns: Counter::default(),
            traps: Counter::default(),
            restarts: Counter::default(),
            reloads: Counter::default(),
            pauses: Pauses::default(),
            events: Counter::default(),
            event_budget: OnceLock::new(),
            log_lines_dropped: Counter::default(),
            storage: OnceLock::new(),
            storage_refused: Counter::default(),
        }
    }
}

impl Metrics {
    /// The codes that have occurred, with their counts.
    fn errors(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counted = ErrorCode::ALL.iter().zip(&self.errors).map(|(code, counter)| (*code, counter.get()));
        counted.filter(|(_, count)| *count > 0)
    }

    /// Events that were beyond its budget.
    fn events_refused(&self) -> u64 {
        self.event_budget.get().map_or(0, |budget| budget.refused())
    }

    fn stored(&self) -> Usage {
        self.storage.get().map(|gauge| gauge.read()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_position_among_all() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
        }
    }

    #[test]
    fn a_level_remembers_its_highest() {
        let level = Level::default();
        level.rise(3);
        level.rise(4);
        level.fall(5);
        assert_eq!((level.now(), level.highest()), (2, 7));
        level.set(1);
        assert_eq!((level.now(), level.highest()), (1, 7));
    }
}
