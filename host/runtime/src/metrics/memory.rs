//! Linear memory: the limits of one store, and the account of what all stores of a plugin hold.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, StoreLimits};

use crate::slot::Slot;

/// The limits of one store. What it holds counts for its plugin until it is dropped.
pub struct Limiter {
    limits: StoreLimits,
    slot: Arc<Slot>,
    held_bytes: u64,
}

impl Limiter {
    pub fn new(limits: StoreLimits, slot: Arc<Slot>) -> Self {
        Self { limits, slot, held_bytes: 0 }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = self.limits.memory_growing(current, desired, maximum)?;
        if allowed {
            let by = desired.saturating_sub(current) as u64;
            self.held_bytes += by;
            self.slot.metrics.memory.rise(by);
        }
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limits.memory_grow_failed(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limits.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.slot.metrics.memory.fall(self.held_bytes);
    }
}
