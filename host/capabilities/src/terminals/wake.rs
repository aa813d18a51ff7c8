//! Wakes the thread that plays a recording.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::Wake,
    time::Duration,
};

/// Any number of rings before its holder looks are one.
#[derive(Default)]
pub(super) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Alarm {
    /// Sleeps until it rings, or for so long; `None` is for ever.
    pub(super) fn wait(&self, longest: Option<Duration>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        // Waking too early only means to look again.
        let mut rung = match longest {
            _ if *rung => rung,
            Some(longest) => self.bell.wait_timeout(rung, longest).unwrap_or_else(PoisonError::into_inner).0,
            None => self.bell.wait(rung).unwrap_or_else(PoisonError::into_inner),
        };
        *rung = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }
}
