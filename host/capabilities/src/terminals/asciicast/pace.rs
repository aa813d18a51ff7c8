//! When things are due while a recording is played.

use std::time::Duration;

/// When the events of a recording are due while it is played.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    speed: f64,
    idle_limit: Option<Duration>,
    /// Of the last event, as recorded and as played.
    recorded: Duration,
    played: Duration,
}

impl Pace {
    /// `speed` times as fast, which is above 0, and never waiting longer than `idle_limit` (of the recording's time).
    #[must_use]
    pub fn new(speed: f64, idle_limit: Option<Duration>) -> Self {
        Self { speed, idle_limit, recorded: Duration::ZERO, played: Duration::ZERO }
    }

    /// How long after the beginning an event is due that was recorded at `at`. To be asked for each, in order.
    pub fn due(&mut self, at: Duration) -> Duration {
        let gap = at.saturating_sub(self.recorded);
        let gap = self.idle_limit.map_or(gap, |limit| gap.min(limit));
        self.recorded = self.recorded.max(at);
        // A speed near 0 would make it longer than time can be told: then it is due never, which is what was asked for.
        self.played = Duration::try_from_secs_f64(gap.as_secs_f64() / self.speed)
            .ok()
            .and_then(|gap| self.played.checked_add(gap))
            .unwrap_or(Duration::MAX);
        self.played
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_shortens_pauses_and_divides_by_the_speed() {
        let mut pace = Pace::new(2.0, Some(Duration::from_secs(4)));
        let due: Vec<u64> = [1, 2, 100, 99, 102].map(|at| pace.due(Duration::from_secs(at)).as_millis() as u64).into();
        assert_eq!(due, [500, 1000, 3000, 3000, 4000]);
        assert_eq!(Pace::new(1e-300, None).due(Duration::from_secs(1)), Duration::MAX);
    }
}
