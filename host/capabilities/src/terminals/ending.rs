//! How a terminal is closed: politely first, and never by halves.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::time::timeout;

use super::{error::TerminalError, options::TerminalEvent, registry::Terminals, terminal::Terminal, waiting::when};
use crate::child::Audience;

/// How long an exited terminal keeps its screen and exit code for those who come late.
const EXITED_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Time a program has to leave after SIGHUP.
const HANG_UP_GRACE: Duration = Duration::from_secs(2);
/// Time the kernel has to end a program after SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(5);

impl Terminals {
    /// Ends the program (SIGHUP, SIGKILL after 2 s) with all jobs of its session, and forgets the terminal; returns when
    /// it is gone. Dropping the future does not stop that.
    pub async fn close(&self, id: &str) -> Result<(), TerminalError> {
        let terminal = self.find(id)?;
        self.begin_close(&terminal);
        when(&terminal, |state| state.closed.then_some(())).await;
        Ok(())
    }

    /// Closes all terminals and lets none be opened any more; returns when their processes and threads are gone, 7 s
    /// later at most.
    pub async fn shutdown(&self) {
        self.open_no_more();
        for terminal in self.all() {
            self.begin_close(&terminal);
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let this = self.clone();
        if tokio::task::spawn_blocking(move || this.0.pumps.end()).await.is_err() {
            tracing::error!("joining the threads of the terminals failed");
        }
    }

    fn begin_close(&self, terminal: &Arc<Terminal>) {
        if std::mem::replace(&mut terminal.lock().closing, true) {
            return;
        }
        let (this, terminal) = (self.clone(), Arc::clone(terminal));
        self.0.tasks.spawn(async move {
            close(&terminal).await;
            this.forget(&terminal.id);
            send_away(&terminal);
        });
    }

    /// Closes terminals whose program ended long ago. Done when somebody looks, so that no timer is needed.
    pub(super) fn forget_expired(&self) {
        let expired = |ended_at: Instant| ended_at.elapsed() > EXITED_KEPT;
        for terminal in self.all() {
            if terminal.lock().ended_at.is_some_and(expired) {
                self.begin_close(&terminal);
            }
        }
    }
}

/// Ends the program (SIGHUP, 2 s, SIGKILL), what is left of its session, and its threads. Must run to its end: spawn it.
async fn close(terminal: &Arc<Terminal>) {
    hang_up(terminal);
    if timeout(HANG_UP_GRACE, ended(terminal)).await.is_err() {
        report(terminal, terminal.kill());
        if timeout(KILL_GRACE, ended(terminal)).await.is_err() {
            // A process in an uninterruptible wait. Its threads end with it.
            tracing::error!(terminal = %terminal.id, "the program does not end after SIGKILL; it is left behind");
            return;
        }
    }
    let threads = Arc::clone(terminal);
    if tokio::task::spawn_blocking(move || threads.join_threads()).await.is_err() {
        tracing::error!(terminal = %terminal.id, "joining the threads of the terminal failed");
    }
}

/// SIGCONT after it, because a stopped job would not notice that it should end.
fn hang_up(terminal: &Terminal) {
    for signal in [Signal::HUP, Signal::CONT] {
        report(terminal, terminal.signal(signal, Audience::Everybody));
    }
}

fn report(terminal: &Terminal, signalled: Result<(), TerminalError>) {
    match signalled {
        Ok(()) | Err(TerminalError::Exited { .. }) => {}
        Err(error) => tracing::warn!(terminal = %terminal.id, error = &error as &dyn std::error::Error, "closing"),
    }
}

fn ended(terminal: &Terminal) -> impl Future<Output = ()> {
    when(terminal, |state| state.ending.map(|_| ()))
}

/// The terminal is gone: ends its attachments, and tells the host.
fn send_away(terminal: &Terminal) {
    terminal.update(|state| state.closed = true);
    terminal.emit(TerminalEvent::Closed { id: Arc::clone(&terminal.id) });
}
