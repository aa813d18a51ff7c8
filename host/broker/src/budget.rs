//! What a guest may publish in a second. Belongs to the plugin's name: a reload does not renew it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::{
    ErrorCode, Fault,
    limits::{
        PLUGIN_EVENT_BYTES_BURST_MAX, PLUGIN_EVENT_BYTES_PER_SECOND_MAX, PLUGIN_EVENTS_BURST_MAX,
        PLUGIN_EVENTS_PER_SECOND_MAX,
    },
};

const EVENTS: Rate = Rate { per_second: PLUGIN_EVENTS_PER_SECOND_MAX, burst: PLUGIN_EVENTS_BURST_MAX };
const BYTES: Rate = Rate { per_second: PLUGIN_EVENT_BYTES_PER_SECOND_MAX, burst: PLUGIN_EVENT_BYTES_BURST_MAX };

/// Two buckets of tokens, one for events and one for the bytes of their payloads.
#[derive(Default)]
pub struct EventBudget(Mutex<Buckets>);

/// When each bucket will be full again; none while nothing was ever taken.
#[derive(Clone, Copy, Default)]
struct Buckets {
    events: Option<Instant>,
    bytes: Option<Instant>,
}

impl EventBudget {
    /// Takes an event of this moment out of both buckets, or out of none.
    ///
    /// # Errors
    /// `quota_exceeded` with the time after which it fits.
    pub fn take(&self, now: Instant, payload_bytes: usize) -> Result<(), Fault> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let events = EVENTS.take(buckets.events, now, 1).map_err(|wait| refused("events", EVENTS, wait))?;
        let bytes =
            BYTES.take(buckets.bytes, now, payload_bytes as u64).map_err(|wait| refused("bytes", BYTES, wait))?;
        *buckets = Buckets { events: Some(events), bytes: Some(bytes) };
        Ok(())
    }
}

fn refused(what: &str, rate: Rate, wait: Duration) -> Fault {
    let Rate { per_second, burst } = rate;
    let message =
        format!("this plugin publishes more than {per_second} {what} a second, {burst} at once; publish less");
    let fault = Fault::new(ErrorCode::QuotaExceeded, message).with("quota", format!("event_{what}"));
    // A wait of less than a millisecond must not say "at once".
    fault.with("per_second", per_second).with("burst", burst).retry_after_ms(wait.as_millis() as u64 + 1)
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
    use midplane_model::limits::EVENT_BYTES_MAX;

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
            let fault = budget.take(now, 1).unwrap_err();
            assert_eq!((fault.code, &fault.details["quota"]), (ErrorCode::QuotaExceeded, &"event_events".into()));
        }
        let wait = budget.take(now, 1).unwrap_err().retry_after_ms.expect("a time");
        budget.take(now + Duration::from_millis(wait), 1).expect("fits then");
    }

    #[test]
    fn large_events_are_bounded_by_their_bytes() {
        let (budget, now) = (EventBudget::default(), Instant::now());
        assert_eq!(admitted(&budget, now, EVENT_BYTES_MAX), PLUGIN_EVENT_BYTES_BURST_MAX / EVENT_BYTES_MAX as u64);
        let fault = budget.take(now, EVENT_BYTES_MAX).unwrap_err();
        assert_eq!(fault.details["quota"], "event_bytes");
        budget.take(now, 0).expect("a small one still fits");
    }
}
