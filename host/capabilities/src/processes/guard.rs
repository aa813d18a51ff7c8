//! The end of what children have started, when the host is killed and can see to nothing any more.
//!
//! The **guard** is a process of its own. It reads which sessions there are, and when the host's end of the pipe is gone, however
//! that came, it kills what is left of them. It begins with the first child; a host that ends in order has ended all sessions
//! before, and the guard finds nothing to do. What made a session of its own (a daemon) is not touched, and nobody is left to
//! do anything where the guard is killed together with the host.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, BufRead, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group, setsid};

use crate::child::kill_rest;

/// What the program of the guard is told to be: it calls [`guard`].
pub const GUARD_ARGUMENT: &str = "guard";

/// The work of the guard: notes of the host, one a line, `+` or `-` and the leader of a session. Returns when the host has ended.
pub fn guard(notes: impl BufRead) {
    let mut sessions = BTreeSet::new();
    for note in notes.lines().map_while(Result::ok) {
        let Some((begins, leader)) = note.split_at_checked(1) else { continue };
        let Some(leader) = leader.parse().ok().and_then(Pid::from_raw) else { continue };
        if begins == "+" {
            sessions.insert(leader.as_raw_nonzero());
        } else {
            sessions.remove(&leader.as_raw_nonzero());
        }
    }
    for leader in sessions.into_iter().filter_map(|leader| Pid::from_raw(leader.get())) {
        // Its leader may be gone, but as long as there is a member its number names this session and no other.
        _ = kill_process_group(leader, Signal::KILL);
        kill_rest(leader);
    }
}

/// The host's end.
pub(super) struct Handle(Mutex<Option<Running>>);

struct Running {
    process: Child,
    notes: ChildStdin,
}

impl Handle {
    /// Starts the guard. Without a program for it, or where it does not start, children's children may outlive a host that is
    /// killed.
    pub(super) fn start(program: Option<&Path>) -> Arc<Self> {
        let running = program.and_then(|program| {
            let started = start(program);
            let failed =
                |error: &io::Error| tracing::warn!(%error, "children are not guarded against a kill of the host");
            started.inspect_err(failed).ok()
        });
        Arc::new(Self(Mutex::new(running)))
    }

    /// Guards the session of `leader` until the value is dropped: not before the leader has been reaped.
    pub(super) fn watch(self: &Arc<Self>, leader: u32) -> Watched {
        self.note(format_args!("+{leader}\n"));
        Watched { guard: self.clone(), leader }
    }

    fn note(&self, note: fmt::Arguments<'_>) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Lines are far shorter than a pipe, and the guard does nothing but read.
        let Some(Err(error)) = running.as_mut().map(|running| running.notes.write_fmt(note)) else { return };
        tracing::warn!(%error, "the guard has ended; children are not guarded against a kill of the host");
        running.take().into_iter().for_each(Running::end);
    }

    /// Lets the guard go and reaps it.
    pub(super) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().into_iter().for_each(Running::end);
    }
}

impl Running {
    fn end(self) {
        let Self { mut process, notes } = self;
        drop(notes);
        // It ends at the end of its notes.
        _ = process.wait();
    }
}

/// A session that the guard knows.
pub(super) struct Watched {
    guard: Arc<Handle>,
    leader: u32,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.guard.note(format_args!("-{}\n", self.leader));
    }
}

fn start(program: &Path) -> io::Result<Running> {
    let mut command = Command::new(program);
    command.arg(GUARD_ARGUMENT).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // What ends the host's session or group shall not end the guard.
    // SAFETY: between fork and exec one system call is made, which is safe there; nothing is allocated or locked.
    unsafe { command.pre_exec(|| setsid().map(drop).map_err(Into::into)) };
    let mut process = command.spawn()?;
    let notes = process.stdin.take().ok_or_else(|| io::Error::other("a pipe is missing"))?;
    Ok(Running { process, notes })
}
