//! The memory that all terminals take together.

use std::sync::{
    Mutex, PoisonError, TryLockError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use super::terminal::Terminal;

/// When it is overdrawn, whoever notices makes all that take more than an even share forget their oldest output and lines.
/// Screens are not forgotten; the number and the size of terminals bound those.
pub(super) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
    terminals: Mutex<Vec<Weak<Terminal>>>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: AtomicUsize::new(0), terminals: Mutex::default() }
    }

    pub(super) fn join(&self, terminal: Weak<Terminal>) {
        let mut terminals = self.terminals.lock().unwrap_or_else(PoisonError::into_inner);
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
        let terminals = match self.terminals.try_lock() {
            Ok(terminals) => terminals,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let alive: Vec<_> = terminals.iter().filter_map(Weak::upgrade).collect();
        let share = self.bytes_max / alive.len().max(1);
        for terminal in alive {
            terminal.keep_bytes(share);
        }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}
