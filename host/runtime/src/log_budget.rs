//! What a guest may log in a second, by whichever way. Belongs to the plugin's name: a reload does not renew it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::limits::PLUGIN_LOG_LINES_PER_SECOND_MAX;

#[derive(Default)]
pub struct LogBudget(Mutex<Option<Second>>);

struct Second {
    began: Instant,
    lines: u32,
    dropped: u32,
}

/// What becomes of one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Admission {
    pub kept: bool,
    /// Lines that were dropped in the second before, if that has just ended.
    pub dropped_before: u32,
}

impl LogBudget {
    /// Counts a line of this moment. Beyond `PLUGIN_LOG_LINES_PER_SECOND_MAX` it is not kept.
    pub fn admit(&self, now: Instant) -> Admission {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |second: &mut Second| now.duration_since(second.began) >= Duration::from_secs(1);
        let dropped_before = second.take_if(is_over).map_or(0, |second| second.dropped);
        let second = second.get_or_insert(Second { began: now, lines: 0, dropped: 0 });
        let kept = second.lines < PLUGIN_LOG_LINES_PER_SECOND_MAX;
        *(if kept { &mut second.lines } else { &mut second.dropped }) += 1;
        Admission { kept, dropped_before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_floods_loses_lines_and_not_their_number() {
        let (budget, now) = (LogBudget::default(), Instant::now());
        let kept = (0..PLUGIN_LOG_LINES_PER_SECOND_MAX + 7).filter(|_| budget.admit(now).kept).count();
        assert_eq!(kept, PLUGIN_LOG_LINES_PER_SECOND_MAX as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!(budget.admit(later), Admission { kept: true, dropped_before: 7 });
        assert_eq!(budget.admit(later), Admission { kept: true, dropped_before: 0 });
    }
}
