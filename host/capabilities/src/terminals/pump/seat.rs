//! One terminal at a pump: what is done for it in one turn.

use std::{os::fd::OwnedFd, sync::Arc, time::Instant};

use rustix::io::Errno;

use super::{
    super::{state::Plan, terminal::Terminal},
    lanes::{Credit, Lane},
};

/// Written at once: a pseudo-terminal takes no more than a few KiB, and a large paste should let output through.
const WRITE_BYTES: usize = 1024;

pub(super) struct Seat {
    pub(super) key: usize,
    terminal: Arc<Terminal>,
    pub(super) pty: Arc<OwnedFd>,
    /// The kernel may have output, may take input: until it has said that it has not. It tells when that changes.
    may_read: bool,
    may_write: bool,
    /// After the program's end at most a ring of output is read, or a job in the background could write for ever.
    late_bytes: usize,
    exited: bool,
    pub(super) credit: Credit,
    /// Where it waits for its turn.
    pub(super) lane: Option<Lane>,
    /// When to look again, without anything happening.
    pub(super) again_at: Option<Instant>,
    /// Somebody else had the state in the last turn.
    passed_over: bool,
}

/// What is left after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// More at once.
    More,
    /// Nothing until something happens.
    Rest,
    /// The output is complete.
    Complete,
}

impl Seat {
    pub(super) fn new(key: usize, terminal: Arc<Terminal>, pty: Arc<OwnedFd>) -> Self {
        let late_bytes = terminal.lock().output.ring.capacity();
        Self {
            key,
            terminal,
            pty,
            may_read: true,
            may_write: true,
            late_bytes,
            exited: false,
            credit: Credit::new(),
            lane: None,
            again_at: None,
            passed_over: false,
        }
    }

    /// The kernel has told.
    pub(super) fn notice(&mut self, event: &mio::event::Event) {
        // Hung up is to be read, too: what was written before comes first.
        self.may_read |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.may_write |= event.is_writable();
    }

    /// Writes a piece of the input and reads once. Never waits for the program, nor, if others can be served meanwhile, for who has
    /// the state: that may be a client that is drawn a long screen.
    pub(super) fn turn(&mut self, buffer: &mut [u8]) -> After {
        let mut chunk = [0; WRITE_BYTES];
        let (plan, input) = {
            let Some(mut state) = self.terminal.try_lock(self.passed_over) else {
                self.passed_over = true;
                return After::More;
            };
            self.passed_over = false;
            let plan = state.plan(Instant::now());
            let front = state.input.front();
            let length = front.len().min(WRITE_BYTES);
            chunk[..length].copy_from_slice(&front[..length]);
            (plan, length)
        };
        self.again_at = plan.again_at;
        if plan.exited && !self.exited {
            // The kernel delivers what was written before an exit before it says that there is nothing.
            (self.exited, self.may_read) = (true, true);
        }
        if input > 0 && self.may_write {
            self.write(&chunk[..input]);
        }
        if plan.read && self.may_read {
            self.read(buffer);
        }
        self.after(&plan, input > 0)
    }

    fn after(&self, plan: &Plan, types: bool) -> After {
        if plan.exited && plan.read && !self.may_read {
            return After::Complete;
        }
        let more = plan.read && self.may_read || types && self.may_write;
        if more { After::More } else { After::Rest }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        match rustix::io::read(&self.pty, &mut *buffer) {
            Ok(count @ 1..) => {
                self.credit.spend(count);
                self.terminal.output_arrived(&buffer[..count]);
                if self.exited {
                    self.late_bytes = self.late_bytes.saturating_sub(count);
                    self.may_read = self.late_bytes > 0;
                }
            }
            Err(Errno::INTR) => {}
            // Nothing now. EIO is how a pseudo-terminal says that nobody has the other end open, which may change.
            Ok(0) | Err(_) => self.may_read = false,
        }
    }

    fn write(&mut self, chunk: &[u8]) {
        match rustix::io::write(&self.pty, chunk) {
            Ok(count) => {
                self.credit.restore();
                self.terminal.input_written(count);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => self.may_write = false,
            // Nobody will read it.
            Err(_) => self.terminal.input_written(chunk.len()),
        }
    }

    pub(super) fn complete(self) {
        self.terminal.complete_program();
    }
}
