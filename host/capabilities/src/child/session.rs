//! The processes of a session besides its leader: jobs in the background, children of children.
//!
//! Linux only, where the kernel lists them; elsewhere they are left to notice that their terminal is gone.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Looked for so often, because a job may start another one while it is being looked for.
const SWEEPS_MAX: usize = 3;

/// Kills what is left in the session of `leader`, which must not have been reaped, or have members left: until then its id
/// names this session and no other. A daemon that made a session of its own is not touched.
pub(crate) fn kill_rest(leader: Pid) {
    for _ in 0..SWEEPS_MAX {
        let members = members(leader);
        if members.is_empty() {
            return;
        }
        for member in members {
            // It may have ended by itself.
            let _ = kill_process(member, Signal::KILL);
        }
    }
}

fn members(leader: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|&pid| pid != leader && session_of(pid) == Some(leader)).collect()
}

/// The session of a process that has not ended; proc(5), `stat`: `pid (name) state ppid pgrp session …`.
fn session_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name may contain anything, but nothing after it contains a parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    // One that is being reaped at this moment has the session -1.
    let session = fields.nth(2)?.parse().ok().filter(|session| *session > 0)?;
    if state == "Z" { None } else { Pid::from_raw(session) }
}
