//! The threads of a terminal: begun together, joined by whoever closes it.

use std::{
    io,
    sync::{Arc, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    super::{options::TerminalEvent, pump, wake::Alarm},
    Terminal,
};
use crate::child::Exit;

impl Terminal {
    /// Starts the threads: one moves bytes until the output is complete, one waits for the program's end.
    ///
    /// # Errors
    /// When the machine has no thread left; the program is then killed. Blocks until it is.
    pub(in super::super) fn start(self: &Arc<Self>, alarm: Alarm) -> io::Result<()> {
        let (pump, reaper) = (Arc::clone(self), Arc::clone(self));
        // Locked until both are there, so that who joins them joins both.
        let mut threads = self.threads();
        let started = self.thread("bytes").spawn(move || pump.pump(&alarm)).and_then(|pump| {
            threads.push(pump);
            threads.push(self.thread("exit").spawn(move || reaper.reap())?);
            Ok(())
        });
        drop(threads);
        if started.is_err() {
            self.abort();
        }
        started
    }

    /// Starts what plays a recording.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub(in super::super) fn start_playing(
        self: &Arc<Self>,
        play: impl FnOnce(&Self) -> Exit + Send + 'static,
    ) -> io::Result<()> {
        let this = Arc::clone(self);
        let player = self.thread("bytes").spawn(move || {
            let exit = play(&this);
            this.complete(exit);
        })?;
        self.threads().push(player);
        Ok(())
    }

    fn thread(&self, work: &str) -> thread::Builder {
        thread::Builder::new().name(format!("{} {work}", self.id))
    }

    /// Ends a terminal that could not be made. Blocks until its program and its threads are gone.
    pub(in super::super) fn abort(&self) {
        if let Err(error) = self.kill() {
            tracing::warn!(terminal = %self.id, error = &error as &dyn std::error::Error, "killing the program");
        }
        self.reap();
        self.join_threads();
    }

    fn pump(&self, alarm: &Alarm) {
        let Some(pty) = self.pty() else { return };
        pump::run(self, &pty, alarm);
        let exit = self.lock().exit.unwrap_or(Exit { code: -1, signal: None });
        self.complete(exit);
    }

    /// No more output comes.
    pub(in super::super) fn complete(&self, exit: Exit) {
        self.lock().finish(exit);
        self.changed.send_replace(());
        self.emit(TerminalEvent::Exited { id: Arc::clone(&self.id), exit });
    }

    fn reap(&self) {
        let Some(process) = &self.process else { return };
        // Who exits leaves background jobs alone; who closes the terminal means all of it.
        let exit = process.wait(|| self.lock().closing);
        self.lock().exit = Some(exit);
        self.waker.wake();
    }

    /// Blocks until the threads have ended, which they do once the program has.
    pub(in super::super) fn join_threads(&self) {
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(terminal = %self.id, "a thread of the terminal panicked");
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
