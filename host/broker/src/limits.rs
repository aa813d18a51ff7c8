//! The bounds of one broker in one value, so that tests can make them small.

use midplane_model::limits;

/// Every bound beside retention. The defaults are those of `midplane_model::limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Matched events waiting per subscription and stream. When full: `OnOverflow` decides.
    pub pending_events: usize,
    /// Events of an `ephemeral` stream waiting per subscription. When full: the oldest is dropped and reported.
    pub ephemeral_events: usize,
    /// Payload bytes of the same queue; one larger event still fits.
    pub ephemeral_bytes: usize,
    /// Events read from a store in one step.
    pub page_events: usize,
    /// Payload bytes read from a store in one step; one larger event still fits.
    pub page_bytes: usize,
    /// Topics whose last lost event is known. When full: the oldest joins a floor that answers for all topics.
    pub evicted_topics: usize,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            pending_events: limits::PENDING_EVENTS_MAX,
            ephemeral_events: limits::EPHEMERAL_EVENTS_MAX,
            ephemeral_bytes: limits::EPHEMERAL_BYTES_MAX,
            page_events: limits::PAGE_EVENTS_MAX,
            page_bytes: limits::PAGE_BYTES_MAX,
            evicted_topics: limits::EVICTED_TOPICS_MAX,
        }
    }
}
