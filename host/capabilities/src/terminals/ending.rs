//! How a terminal is closed: politely first, and never by halves.

use std::{future::Future, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::time::timeout;

use super::{error::TerminalError, options::TerminalEvent, terminal::Terminal, waiting::when};
use crate::child::Audience;

/// Time a program has to leave after SIGHUP.
const HANG_UP_GRACE: Duration = Duration::from_secs(2);
/// Time the kernel has to end a program after SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Ends the program (SIGHUP, 2 s, SIGKILL), what is left of its session, and its threads. Must run to its end: spawn it.
pub(super) async fn close(terminal: &Arc<Terminal>) {
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
pub(super) fn send_away(terminal: &Terminal) {
    terminal.update(|state| state.closed = true);
    terminal.emit(TerminalEvent::Closed { id: Arc::clone(&terminal.id) });
}
