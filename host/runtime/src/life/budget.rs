//! How often, and after which pause, a plugin that failed starts again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use midplane_model::limits::{RESTART_PAUSE_MAX, RESTART_PAUSE_MIN, RESTART_WINDOW, RESTARTS_MAX};

/// Failures of the last `RESTART_WINDOW`. Older ones are forgotten: a plugin that was healthy so long starts afresh.
#[derive(Debug, Default)]
pub struct Budget {
    failures: VecDeque<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    RestartAfter(Duration),
    /// Too often: nobody but a person should start it again.
    Exhausted {
        failures: usize,
        within: Duration,
    },
}

impl Budget {
    /// One more failure. The pause doubles with each in the window.
    pub fn failed(&mut self, now: Instant) -> Verdict {
        self.failures.retain(|at| now.saturating_duration_since(*at) < RESTART_WINDOW);
        self.failures.push_back(now);
        let failures = self.failures.len();
        if failures > RESTARTS_MAX {
            return Verdict::Exhausted { failures, within: RESTART_WINDOW };
        }
        let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX);
        let pause = 2_u32.checked_pow(doublings).and_then(|factor| RESTART_PAUSE_MIN.checked_mul(factor));
        Verdict::RestartAfter(pause.map_or(RESTART_PAUSE_MAX, |pause| pause.min(RESTART_PAUSE_MAX)))
    }

    pub fn clear(&mut self) {
        self.failures.clear();
    }
}
