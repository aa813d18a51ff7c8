//! Moves bytes between one pseudo-terminal and its [`State`](super::state::State): one thread, both directions, neither
//! waiting for the other.
//!
//! Reading is never held up by a client, except by lossless ones and for a bounded time. The thread ends when the
//! program has exited and its output has been read; whoever still holds the other end then (a job in the background) is
//! cut off, as when a window is closed.

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    state::{Plan, READ_BYTES},
    terminal::Terminal,
    wake::Alarm,
};

/// Written at once: a pseudo-terminal takes no more than a few KiB, and a large paste should let output through.
const WRITE_BYTES: usize = 1024;

enum Read {
    Some(usize),
    Nothing,
    End,
}

/// Runs until the terminal is complete.
pub(super) fn run(terminal: &Terminal, pty: &Arc<OwnedFd>, alarm: &Alarm) {
    let mut buffer = vec![0; READ_BYTES];
    // After the program's end at most a ring of output is read, or a job in the background could write for ever.
    let mut late_bytes = terminal.lock().output.ring.capacity();
    let mut open = true;
    // Whether there may be more at once: a read gives a few KiB, whatever waits.
    let mut flows = false;
    loop {
        let plan = terminal.lock().plan(Instant::now());
        let may_read = plan.read && open;
        if plan.exited && !open {
            return;
        }
        if !may_read || !(plan.exited || flows) {
            wait(pty, alarm, &plan, open);
        }
        if plan.write && open {
            write(terminal, pty);
        }
        if !may_read {
            continue;
        }
        match read(pty, &mut buffer) {
            Read::Some(count) => {
                flows = true;
                terminal.output_arrived(&buffer[..count]);
                if plan.exited {
                    late_bytes = late_bytes.saturating_sub(count);
                    open = late_bytes > 0;
                }
            }
            // The kernel delivers what was written before an exit before it says that there is nothing.
            Read::Nothing => {
                flows = false;
                open = !plan.exited;
            }
            Read::End => open = false,
        }
    }
}

/// Sleeps until there is something to do; what, is found by trying.
fn wait(pty: &OwnedFd, alarm: &Alarm, plan: &Plan, open: bool) {
    let mut interest = PollFlags::empty();
    interest.set(PollFlags::IN, plan.read && open);
    interest.set(PollFlags::OUT, plan.write && open);
    let timeout = plan.again_at.map(|at| timespec(at.saturating_duration_since(Instant::now())));
    // A descriptor without interest would still report that the other end has hung up, again and again.
    let mut both = [PollFd::new(alarm, PollFlags::IN), PollFd::new(pty, interest)];
    let watched = if interest.is_empty() { &mut both[..1] } else { &mut both[..] };
    // An interrupted or failed wait only means to look again.
    let _ = poll(watched, timeout.as_ref());
    if !watched[0].revents().is_empty() {
        alarm.reset();
    }
}

fn read(pty: &OwnedFd, buffer: &mut [u8]) -> Read {
    match rustix::io::read(pty, buffer) {
        Ok(0) => Read::End,
        Ok(count) => Read::Some(count),
        Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
        // EIO is how a pseudo-terminal says that nobody has the other end open.
        Err(_) => Read::End,
    }
}

fn write(terminal: &Terminal, pty: &OwnedFd) {
    let mut chunk = [0; WRITE_BYTES];
    let length = {
        let state = terminal.lock();
        let front = state.input.front();
        let length = front.len().min(WRITE_BYTES);
        chunk[..length].copy_from_slice(&front[..length]);
        length
    };
    match rustix::io::write(pty, &chunk[..length]) {
        Ok(count) => terminal.input_written(count),
        Err(Errno::AGAIN | Errno::INTR) => {}
        // Nobody will read it.
        Err(_) => terminal.input_written(length),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
