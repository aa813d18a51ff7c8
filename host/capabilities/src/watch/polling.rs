//! When to look at what the kernel does not watch: seldom enough that looking costs little.

use std::time::{Duration, Instant};

use midplane_model::limits::{WATCH_POLL_MAX, WATCH_POLL_MIN};

/// How much longer than a look the pause after it is.
const REST: u32 = 20;

/// The next look.
#[derive(Debug)]
pub(super) struct Polling {
    due: Instant,
}

impl Default for Polling {
    fn default() -> Self {
        Self { due: Instant::now() + WATCH_POLL_MIN }
    }
}

impl Polling {
    pub fn due(&self) -> Instant {
        self.due
    }

    /// A look was taken that lasted so long.
    pub fn looked(&mut self, now: Instant, took: Duration) {
        self.due = now + (took * REST).clamp(WATCH_POLL_MIN, WATCH_POLL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_last_long_are_rare_but_never_too_rare() {
        let (mut polling, now) = (Polling::default(), Instant::now());
        for (took_ms, pause) in [(1, WATCH_POLL_MIN), (200, Duration::from_secs(4)), (60_000, WATCH_POLL_MAX)] {
            polling.looked(now, Duration::from_millis(took_ms));
            assert_eq!(polling.due(), now + pause);
        }
    }
}
