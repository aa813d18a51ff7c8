//! A process from its start until it is reaped, whoever still cares about it.

use std::{io, sync::Arc};

use rustix::process::Signal;
use tokio::{
    process::{ChildStderr, ChildStdin, ChildStdout},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use super::{Exit, seats::Seat, spawner::Started};
use crate::child::{Audience, Process};

/// A started process and its pipes.
pub(super) struct Running {
    pub(super) process: Arc<Process>,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    /// Resolves when it and its session have ended and it has been reaped. Runs to its end, dropped or not.
    pub(super) exit: JoinHandle<Exit>,
}

impl Running {
    /// Takes over a child that was just started. Its seat is free again when it has been reaped.
    ///
    /// # Errors
    /// When the machine refuses; the child is killed then.
    pub(super) fn new(mut started: Started, seat: Seat, tasks: &TaskTracker) -> io::Result<Self> {
        let missing = || io::Error::other("a pipe is missing");
        let stdin = ChildStdin::from_std(started.stdin.take().ok_or_else(missing)?)?;
        let stdout = ChildStdout::from_std(started.stdout.take().ok_or_else(missing)?)?;
        let stderr = ChildStderr::from_std(started.stderr.take().ok_or_else(missing)?)?;
        let (process, watched) = started.take_over().ok_or_else(missing)?;
        let waiting = process.clone();
        // What has been started in its session ends with it, before its id can be given to another process.
        let exit = tasks.spawn_blocking(move || {
            let exit = waiting.wait(|| true);
            drop((seat, watched));
            exit
        });
        Ok(Self { process, stdin, stdout, stderr, exit })
    }
}

/// Kills the process with its group; what is left of its session goes when it is reaped.
pub(super) fn kill(process: &Process) {
    if let Err(error) = signal(process, Signal::KILL) {
        tracing::warn!(pid = process.id(), %error, "a process cannot be killed");
    }
}

/// Signals the whole group. False when it has ended.
pub(super) fn signal(process: &Process, signal: Signal) -> io::Result<bool> {
    Ok(process.signal(signal, Audience::Foreground, None::<std::fs::File>)?)
}

/// Kills the process when whoever runs it gives up.
pub(super) struct KillOnDrop(pub(super) Arc<Process>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        kill(&self.0);
    }
}
