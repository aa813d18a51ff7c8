//! The threads of a terminal: begun together, joined by whoever closes it.

use std::{
    io,
    sync::{Arc, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    super::{options::TerminalEvent, pump::Call},
    Terminal,
};
use crate::child::Exit;

impl Terminal {
    /// Has its bytes moved until the output is complete, by the thread that `call` calls, and starts one that waits for the program's
    /// end.
    ///
    /// # Errors
    /// When the machine has no thread or watch left; the program is then killed. Blocks until it is.
    pub(in super::super) fn start(self: &Arc<Self>, call: &Arc<Call>) -> io::Result<()> {
        let reaper = Arc::clone(self);
        let started = match self.pty() {
            Some(pty) => call.serve(self, pty),
            None => Ok(()),
        };
        let started = started.and_then(|()| {
            self.threads().push(self.thread("exit").spawn(move || reaper.reap())?);
            Ok(())
        });
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

    /// The program has exited and its output has been read; whoever still holds the other end (a job in the background) is cut off, as
    /// when a window is closed.
    pub(in super::super) fn complete_program(&self) {
        let exit = self.lock().exit.unwrap_or(Exit { code: -1, signal: None });
        self.complete(exit);
    }

    /// No more output comes.
    fn complete(&self, exit: Exit) {
        self.lock().finish(exit);
        self.changed.send_replace(());
        self.emit(TerminalEvent::Exited { id: Arc::clone(&self.id), exit });
    }

    fn reap(&self) {
        let Some(process) = &self.process else { return };
        // Who exits leaves background jobs alone; who closes the terminal means all of it.
        let exit = process.wait(|| self.lock().closing);
        self.lock().exit = Some(exit);
        self.waker.wake_by_ref();
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
