//! How much one principal may ask for, over all its connections and whatever transport: so many calls a second, and so many at
//! the same time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use midplane_model::{ErrorCode, Fault, Principal};

use crate::{config::GatewayLimits, owner::Owner};

/// Milliseconds after which a call that found no place may be tried again.
const BUSY_RETRY_AFTER_MS: u64 = 100;

/// What each principal uses now. An entry goes when its principal is idle.
pub(crate) struct Admission {
    used: Mutex<HashMap<Owner, Used>>,
    limits: GatewayLimits,
}

struct Used {
    /// Calls that may begin at once. Filled up with time, to the size of a burst.
    left: f64,
    at: Instant,
    running: usize,
}

/// A call that is running; it counts until this is dropped.
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    owner: Owner,
}

impl Admission {
    pub(crate) fn new(limits: GatewayLimits) -> Arc<Self> {
        Arc::new(Self { used: Mutex::default(), limits })
    }

    /// # Errors
    /// `rate_limited` with `retry_after_ms`; `unavailable` when too many of the principal's calls are running.
    pub(crate) fn admit(self: &Arc<Self>, principal: &Arc<Principal>, now: Instant) -> Result<Admitted, Fault> {
        let GatewayLimits { calls_per_second: rate, calls_burst: burst, calls_in_flight_per_principal, .. } =
            self.limits;
        let owner = Owner(principal.clone());
        let mut all = self.lock();
        if !all.contains_key(&owner) {
            all.retain(|_, used| used.running > 0 || used.filled(rate, burst, now) < f64::from(burst));
        }
        let used = all.entry(owner.clone()).or_insert_with(|| Used { left: f64::from(burst), at: now, running: 0 });
        used.left = used.filled(rate, burst, now);
        used.at = now;
        if used.left < 1.0 {
            let wait_ms = ((1.0 - used.left) / f64::from(rate) * 1000.0).ceil();
            let message = format!("more than {rate} calls a second; wait before the next one");
            return Err(Fault::new(ErrorCode::RateLimited, message).retry_after_ms((wait_ms as u64).max(1)));
        }
        if used.running >= calls_in_flight_per_principal {
            let message = format!("{calls_in_flight_per_principal} calls of yours are running; wait for answers");
            return Err(Fault::new(ErrorCode::Unavailable, message)
                .with("busy", true)
                .retry_after_ms(BUSY_RETRY_AFTER_MS));
        }
        used.left -= 1.0;
        used.running += 1;
        Ok(Admitted { admission: self.clone(), owner })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn filled(&self, rate: u32, burst: u32, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        passed.mul_add(f64::from(rate), self.left).min(f64::from(burst))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(used) = self.admission.lock().get_mut(&self.owner) {
            used.running -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission() -> Arc<Admission> {
        let limits = GatewayLimits::default();
        Admission::new(GatewayLimits {
            calls_per_second: 10,
            calls_burst: 3,
            calls_in_flight_per_principal: 2,
            ..limits
        })
    }

    fn code(admitted: Result<Admitted, Fault>) -> Result<(), (ErrorCode, Option<u64>)> {
        admitted.map(drop).map_err(|fault| (fault.code, fault.retry_after_ms))
    }

    #[test]
    fn a_burst_is_allowed_then_the_rate_and_others_are_not_touched() {
        let (admission, now) = (admission(), Instant::now());
        let (one, other) = (Arc::new(Principal::owner()), Arc::new(Principal::owner()));
        for _ in 0..3 {
            assert_eq!(code(admission.admit(&one, now)), Ok(()));
        }
        assert_eq!(code(admission.admit(&one, now)), Err((ErrorCode::RateLimited, Some(100))));
        assert_eq!(code(admission.admit(&other, now)), Ok(()));
        let later = now + Duration::from_millis(101);
        assert_eq!(code(admission.admit(&one, later)), Ok(()));
        assert_eq!(code(admission.admit(&one, later)), Err((ErrorCode::RateLimited, Some(99))));
    }

    #[test]
    fn too_many_at_the_same_time_are_refused_until_one_ends() {
        let (admission, now) = (admission(), Instant::now());
        let one = Arc::new(Principal::owner());
        let running = [admission.admit(&one, now).ok().unwrap(), admission.admit(&one, now).ok().unwrap()];
        assert_eq!(code(admission.admit(&one, now)), Err((ErrorCode::Unavailable, Some(100))));
        drop(running);
        assert_eq!(code(admission.admit(&one, now)), Ok(()));
    }

    #[test]
    fn idle_principals_are_forgotten() {
        let (admission, now) = (admission(), Instant::now());
        for _ in 0..100 {
            drop(admission.admit(&Arc::new(Principal::owner()), now).ok().unwrap());
        }
        drop(admission.admit(&Arc::new(Principal::owner()), now + Duration::from_secs(1)).ok().unwrap());
        assert_eq!(admission.lock().len(), 1);
    }
}
