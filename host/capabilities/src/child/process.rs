//! A program of ours that leads a session: its end, and signals that cannot hit a stranger.

use std::{
    io,
    os::fd::AsFd,
    sync::{Mutex, PoisonError},
};

use portable_pty::Child;
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid},
};

use super::{exit::Exit, session};

pub(crate) struct Process {
    pid: Pid,
    /// `None` once reaped. Locked while signalling and while reaping: until then the id is ours.
    child: Mutex<Option<Box<dyn Child + Send + Sync>>>,
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The job in the foreground, as for Ctrl-C.
    Foreground,
    /// That job and the shell.
    Everybody,
}

impl Process {
    /// # Errors
    /// When the child has no id that the system knows; it is killed.
    pub(crate) fn new(mut child: Box<dyn Child + Send + Sync>) -> Result<Self, io::Error> {
        match child.process_id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            Some(pid) => Ok(Self { pid, child: Mutex::new(Some(child)) }),
            None => {
                child.kill()?;
                child.wait()?;
                Err(io::Error::other("the program has no process id"))
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Whether another group than the program's own is in the foreground of its terminal.
    pub(crate) fn has_foreground_job(&self, pty: impl AsFd) -> bool {
        rustix::termios::tcgetpgrp(pty).is_ok_and(|foreground| foreground != self.pid)
    }

    /// Signals the process groups of `audience`; `pty` tells which is in the foreground. Does nothing, and says so,
    /// when the program has exited.
    pub(crate) fn signal(&self, signal: Signal, audience: Audience, pty: Option<impl AsFd>) -> Result<bool, Errno> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.is_none() {
            return Ok(false);
        }
        let foreground = pty.and_then(|pty| rustix::termios::tcgetpgrp(pty).ok()).unwrap_or(self.pid);
        let shell = (audience == Audience::Everybody && foreground != self.pid).then_some(self.pid);
        // All are tried: a foreground job of another user must not protect the shell.
        let mut result = Ok(true);
        for group in [Some(foreground), shell].into_iter().flatten() {
            match kill_process_group(group, signal) {
                // The group has just ended.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Blocks until the program has exited, then reaps it. If `sweeps` says so at that moment, the rest of its session
    /// is killed first.
    pub(crate) fn wait(&self, sweeps: impl FnOnce() -> bool) -> Exit {
        // Leaves a zombie, which keeps the id from being given to another process.
        let status = loop {
            match waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(Errno::INTR) => {}
                status => break status.ok().flatten(),
            }
        };
        if sweeps() {
            session::kill_rest(self.pid);
        }
        let reaped = self.child.lock().unwrap_or_else(PoisonError::into_inner).take().map(|mut child| child.wait());
        let signal = status.as_ref().and_then(WaitIdStatus::terminating_signal);
        let code = status.as_ref().and_then(WaitIdStatus::exit_status);
        match (code, signal) {
            (Some(code), _) => Exit { code, signal: None },
            (None, Some(signal)) => Exit { code: 128 + signal, signal: u8::try_from(signal).ok() },
            // `waitid` failed; the child's own wait knows at least a code.
            (None, None) => {
                let code = reaped.and_then(Result::ok).map_or(-1, |status| status.exit_code().cast_signed());
                Exit { code, signal: None }
            }
        }
    }
}

/// A signal by its name, with or without `SIG`.
pub(crate) fn parse_signal(name: &str) -> Option<Signal> {
    Some(match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "KILL" => Signal::KILL,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "CONT" => Signal::CONT,
        "STOP" => Signal::STOP,
        "TSTP" => Signal::TSTP,
        "WINCH" => Signal::WINCH,
        _ => return None,
    })
}
