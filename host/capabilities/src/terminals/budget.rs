//! The memory that all terminals take together.

use std::{
    sync::{
        Mutex, PoisonError, TryLockError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::terminal::Terminal;

/// After making room in vain, because screens alone take more than there is.
const AGAIN: Duration = Duration::from_secs(1);

/// When it is overdrawn, whoever notices makes all that take more than an even share forget their oldest output and lines.
/// Screens are not forgotten; the number and the size of terminals bound those.
pub(super) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    terminals: Vec<Weak<Terminal>>,
    /// When making room did not help.
    in_vain: Option<Instant>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: AtomicUsize::new(0), members: Mutex::default() }
    }

    pub(super) fn join(&self, terminal: Weak<Terminal>) {
        let terminals = &mut self.members.lock().unwrap_or_else(PoisonError::into_inner).terminals;
        terminals.retain(|terminal| terminal.strong_count() > 0);
        terminals.push(terminal);
    }

    /// A terminal takes `now` where it took `before`. Says whether all take too much.
    pub(super) fn change(&self, before: usize, now: usize) -> bool {
        let used = self.used.fetch_add(now, Ordering::Relaxed).wrapping_add(now);
        self.used.fetch_sub(before, Ordering::Relaxed);
        used.saturating_sub(before) > self.bytes_max
    }

    /// Makes room. Called with no terminal locked; does nothing while another thread does it.
    pub(super) fn make_room(&self) {
        let mut members = match self.members.try_lock() {
            Ok(members) => members,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if members.in_vain.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        let alive: Vec<_> = members.terminals.iter().filter_map(Weak::upgrade).collect();
        let share = self.bytes_max / alive.len().max(1);
        for terminal in alive {
            terminal.keep_bytes(share);
        }
        members.in_vain = (self.used.load(Ordering::Relaxed) > self.bytes_max).then(Instant::now);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}
