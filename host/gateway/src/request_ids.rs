//! Request ids: unique within the host, not to be guessed from one another at a glance, and without a system call each.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::error::GatewayError;

/// Makes `r-0123456789abcdef`.
pub(crate) struct RequestIds {
    next: AtomicU64,
}

impl RequestIds {
    /// # Errors
    /// `DrawRandom`.
    pub(crate) fn new() -> Result<Self, GatewayError> {
        let seed = getrandom::u64().map_err(|source| GatewayError::DrawRandom { purpose: "request ids", source })?;
        Ok(Self { next: AtomicU64::new(seed) })
    }

    pub(crate) fn next(&self) -> Arc<str> {
        // SplitMix64 (Steele, Lea, Flood 2014) is a bijection, so ids repeat only after 2^64 of them.
        let mut z = self.next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("r-{:016x}", z ^ (z >> 31)).into()
    }
}
