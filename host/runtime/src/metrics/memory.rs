//! What one store may hold, and the account of the linear memory that all stores of a plugin hold.
//!
//! Bounds are for everything in a store together: a component may have many memories and tables, and a bound for each of them
//! would be as many times larger as its author likes.

use std::sync::Arc;

use midplane_model::limits::{CORE_INSTANCES_MAX, CORE_MEMORIES_MAX, CORE_TABLES_MAX, TABLE_ELEMENTS_MAX};
use wasmtime::ResourceLimiter;

use crate::slot::Slot;

/// The limits of one store. What it holds counts for its plugin until it is dropped.
pub struct Limiter {
    slot: Arc<Slot>,
    memory_bytes: Held,
    table_elements: Held,
}

/// How much there is, and may be.
struct Held {
    now: usize,
    max: usize,
}

impl Held {
    fn new(max: usize) -> Self {
        Self { now: 0, max }
    }

    /// Whether there is room for so much more; then it is taken.
    fn grow(&mut self, by: usize) -> bool {
        let room = self.max - self.now >= by;
        if room {
            self.now += by;
        }
        room
    }
}

impl Limiter {
    /// `memory_bytes` is for all linear memories together.
    pub fn new(memory_bytes: usize, slot: Arc<Slot>) -> Self {
        Self { slot, memory_bytes: Held::new(memory_bytes), table_elements: Held::new(TABLE_ELEMENTS_MAX) }
    }
}

impl ResourceLimiter for Limiter {
    /// The maximum that a memory declares is the guest's own affair: growing beyond it fails all the same.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let by = desired.saturating_sub(current);
        let grows = self.memory_bytes.grow(by);
        if grows {
            self.slot.metrics.memory.rise(by as u64);
        }
        Ok(grows)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.table_elements.grow(desired.saturating_sub(current)))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        CORE_TABLES_MAX
    }

    fn memories(&self) -> usize {
        CORE_MEMORIES_MAX
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.slot.metrics.memory.fall(self.memory_bytes.now as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_together_is_bounded_together_and_what_is_refused_takes_nothing() {
        let mut held = Held::new(10);
        assert!(held.grow(6) && !held.grow(5) && held.grow(4) && !held.grow(1) && held.grow(0));
        assert_eq!(held.now, 10);
        assert!(!Held::new(10).grow(usize::MAX));
    }
}
