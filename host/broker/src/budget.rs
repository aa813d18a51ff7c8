//! What a plugin may publish in a second. Belongs to the name in an event's origin: it counts however the plugin publishes, and a
//! reload does not renew it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use midplane_model::limits::{
    PLUGIN_EVENT_BYTES_BURST_MAX, PLUGIN_EVENT_BYTES_PER_SECOND_MAX, PLUGIN_EVENTS_BURST_MAX,
    PLUGIN_EVENTS_PER_SECOND_MAX,
};

use crate::{error::BrokerError, publish::Publish};

const EVENTS: Rate = Rate { per_second: PLUGIN_EVENTS_PER_SECOND_MAX, burst: PLUGIN_EVENTS_BURST_MAX };
const BYTES: Rate = Rate { per_second: PLUGIN_EVENT_BYTES_PER_SECOND_MAX, burst: PLUGIN_EVENT_BYTES_BURST_MAX };

/// The budgets of all plugins that have published or were asked for: as many as there are names of plugins.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<HashMap<Arc<str>, Arc<EventBudget>>>);

impl Budgets {
    pub fn of(&self, plugin: &Arc<str>) -> Arc<EventBudget> {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(plugin.clone()).or_default().clone()
    }

    /// Clients and the host itself publish as much as they like here.
    pub fn charge(&self, publish: &Publish) -> Result<(), BrokerError> {
        let Some(plugin) = &publish.origin.plugin else { return Ok(()) };
        self.of(plugin).take(Instant::now(), publish.payload.get().len())
    }
}

/// Two buckets of tokens, one for events and one for the bytes of their payloads.
#[derive(Debug, Default)]
pub struct EventBudget {
    buckets: Mutex<Buckets>,
    refused: AtomicU64,
}

/// When each bucket will be full again; none while nothing was ever taken.
#[derive(Debug, Clone, Copy, Default)]
struct Buckets {
    events: Option<Instant>,
    bytes: Option<Instant>,
}

impl EventBudget {
    /// Events that were beyond it.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Takes an event of this moment out of both buckets, or out of none.
    fn take(&self, now: Instant, payload_bytes: usize) -> Result<(), BrokerError> {
        let taken = self.try_take(now, payload_bytes as u64);
        if taken.is_err() {
            self.refused.fetch_add(1, Relaxed);
        }
        taken
    }

    fn try_take(&self, now: Instant, payload_bytes: u64) -> Result<(), BrokerError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let events = EVENTS.take(buckets.events, now, 1).map_err(|wait| over("events", EVENTS, wait))?;
        let bytes = BYTES.take(buckets.bytes, now, payload_bytes).map_err(|wait| over("bytes", BYTES, wait))?;
        *buckets = Buckets { events: Some(events), bytes: Some(bytes) };
        Ok(())
    }
}

fn over(what: &'static str, Rate { per_second, burst }: Rate, wait: Duration) -> BrokerError {
    // A wait of less than a millisecond must not say "at once".
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    BrokerError::OverBudget { what, per_second, burst, wait_ms }
}

/// How fast a bucket fills, and how much is in it when it is full.
#[derive(Clone, Copy)]
struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// When the bucket will be full after `count` were taken now, or how long it is until there are so many.
    fn take(self, full_at: Option<Instant>, now: Instant, count: u64) -> Result<Instant, Duration> {
        let full_at = full_at.map_or(now, |at| at.max(now)) + self.time_of(count);
        let wait = full_at.duration_since(now).saturating_sub(self.time_of(self.burst));
        if wait.is_zero() { Ok(full_at) } else { Err(wait) }
    }

    fn time_of(self, count: u64) -> Duration {
        Duration::from_secs_f64(count as f64 / self.per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use midplane_model::{ErrorCode, Fault, limits::EVENT_BYTES_MAX};

    use super::*;

    fn admitted(budget: &EventBudget, now: Instant, bytes: usize) -> u64 {
        (0..).find(|_| budget.take(now, bytes).is_err()).expect("a bucket ends")
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_what_the_time_brings() {
        let (budget, now) = (EventBudget::default(), Instant::now());
        assert_eq!(admitted(&budget, now, 1), PLUGIN_EVENTS_BURST_MAX);
        let later = now + Duration::from_secs(1);
        // Rates are whole, instants are nanoseconds: one token more or less is rounding.
        assert!(admitted(&budget, later, 1).abs_diff(PLUGIN_EVENTS_PER_SECOND_MAX) <= 1);
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(admitted(&budget, much_later, 1), PLUGIN_EVENTS_BURST_MAX);
    }

    #[test]
    fn a_refusal_says_when_the_event_fits_and_takes_nothing() {
        let (budget, now) = (EventBudget::default(), Instant::now());
        admitted(&budget, now, 1);
        for _ in 0..1000 {
            let fault = Fault::from(budget.take(now, 1).unwrap_err());
            assert_eq!((fault.code, &fault.details["quota"]), (ErrorCode::QuotaExceeded, &"event_events".into()));
        }
        let wait = Fault::from(budget.take(now, 1).unwrap_err()).retry_after_ms.expect("a time");
        assert_eq!(budget.refused(), 1002);
        budget.take(now + Duration::from_millis(wait), 1).expect("fits then");
    }

    #[test]
    fn large_events_are_bounded_by_their_bytes() {
        let (budget, now) = (EventBudget::default(), Instant::now());
        assert_eq!(admitted(&budget, now, EVENT_BYTES_MAX), PLUGIN_EVENT_BYTES_BURST_MAX / EVENT_BYTES_MAX as u64);
        let fault = Fault::from(budget.take(now, EVENT_BYTES_MAX).unwrap_err());
        assert_eq!(fault.details["quota"], "event_bytes");
        budget.take(now, 0).expect("a small one still fits");
    }
}
