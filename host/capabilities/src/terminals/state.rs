//! What is known of one terminal, behind its one lock. Everything that must be atomic together is here: output, who has
//! seen how much of it, input, size, end.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    attachment::{AttachmentState, Ending, Next},
    frames::EndReason,
    input::InputQueue,
    options::{Role, TerminalState},
    output::Output,
    queries::HELD_BYTES_MAX,
};
use crate::child::Exit;

/// Longest time a lossless attachment may hold a program back at once.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// Bytes read from a pseudo-terminal at once.
pub(super) const READ_BYTES: usize = 16 * 1024;

pub(super) struct State {
    pub(super) name: String,
    pub(super) output: Output,
    pub(super) input: InputQueue,
    attachments: BTreeMap<u64, AttachmentState>,
    last_attachment: u64,
    /// The host's end of the pseudo-terminal; none once the output is complete.
    pub(super) pty: Option<Arc<OwnedFd>>,
    /// The program has exited; its last output may still be on the way.
    pub(super) exit: Option<Exit>,
    /// The output is complete.
    pub(super) ending: Option<Ending>,
    pub(super) ended_at: Option<Instant>,
    pub(super) closing: bool,
    /// Gone from the list; whoever is still attached is sent away.
    pub(super) closed: bool,
    held_since: Option<Instant>,
    announced_title: String,
}

/// What the thread that moves bytes should do next.
pub(super) struct Plan {
    pub(super) read: bool,
    pub(super) write: bool,
    /// When to plan again, without anything happening.
    pub(super) again_at: Option<Instant>,
    pub(super) exited: bool,
}

impl State {
    pub(super) fn new(name: String, output: Output, pty: Arc<OwnedFd>) -> Self {
        Self {
            name,
            output,
            input: InputQueue::default(),
            attachments: BTreeMap::new(),
            last_attachment: 0,
            pty: Some(pty),
            exit: None,
            ending: None,
            ended_at: None,
            closing: false,
            closed: false,
            held_since: None,
            announced_title: String::new(),
        }
    }

    /// Exited only once the output is complete, so that who sees the end can read everything before it.
    pub(super) fn state(&self) -> TerminalState {
        self.ending.map_or(TerminalState::Running, |ending| TerminalState::Exited(ending.exit))
    }

    /// The output is complete.
    pub(super) fn finish(&mut self, exit: Exit) {
        self.output.finish();
        self.input.clear();
        self.pty = None;
        let reason = match exit.signal {
            _ if self.closing => EndReason::Closed,
            Some(_) => EndReason::Signalled,
            None => EndReason::Exited,
        };
        self.ending = Some(Ending { exit, reason });
        self.ended_at = Some(Instant::now());
    }

    /// Adds an attachment. A driver takes the role from the one before.
    pub(super) fn attach(&mut self, attachment: AttachmentState) -> u64 {
        if attachment.role == Role::Drive {
            self.attachments.values_mut().for_each(|other| other.role = Role::View);
        }
        self.last_attachment += 1;
        self.attachments.insert(self.last_attachment, attachment);
        self.last_attachment
    }

    pub(super) fn detach(&mut self, attachment: u64) {
        self.attachments.remove(&attachment);
    }

    /// The attachment with the parts of the terminal it works on; `None` once it is detached.
    pub(super) fn attachment(&mut self, id: u64) -> Option<(&mut AttachmentState, &mut InputQueue)> {
        let attachment = self.attachments.get_mut(&id)?;
        Some((attachment, &mut self.input))
    }

    pub(super) fn next_frame(&mut self, attachment: u64, now: Instant) -> Next {
        let Some(attachment) = self.attachments.get_mut(&attachment) else { return Next::End };
        attachment.next(&mut self.output, self.ending, self.closed, now)
    }

    /// Written input was taken by the program; says whether an attachment has waited for room.
    pub(super) fn input_written(&mut self, bytes: usize) -> bool {
        self.input.consume(bytes);
        // Not for every byte that is taken: a client that is told too early is refused again.
        // Only the driver sends, but one that lost the role may still wait for its last bytes.
        self.input.is_empty() && self.attachments.values_mut().filter_map(AttachmentState::input_has_room).count() > 0
    }

    /// The title, if the program has set another one since the last call.
    pub(super) fn take_new_title(&mut self) -> Option<String> {
        let title = self.output.model.title();
        (title != self.announced_title).then(|| {
            title.clone_into(&mut self.announced_title);
            self.announced_title.clone()
        })
    }

    /// The program is held back for a lossless reader.
    pub(super) fn is_holding(&self) -> bool {
        self.held_since.is_some()
    }

    pub(super) fn plan(&mut self, now: Instant) -> Plan {
        let hold = self.hold(now);
        Plan {
            read: !hold,
            write: !self.input.is_empty(),
            again_at: self.held_since.map(|since| since + HOLD_MAX),
            exited: self.exit.is_some(),
        }
    }

    /// Whether to leave output in the kernel, so that the program waits, because a lossless reader is a whole ring
    /// behind. One that stays there for [`HOLD_MAX`] is given up.
    fn hold(&mut self, now: Instant) -> bool {
        let ring_bytes = self.output.ring.capacity();
        let end = self.output.ring.end() + (READ_BYTES + HELD_BYTES_MAX) as u64;
        let mut stuck = self
            .attachments
            .values_mut()
            .filter(|a| a.holds_back_at(ring_bytes).is_some_and(|limit| end > limit))
            .peekable();
        if stuck.peek().is_none() {
            self.held_since = None;
            return false;
        }
        if now < *self.held_since.get_or_insert(now) + HOLD_MAX {
            return true;
        }
        stuck.for_each(AttachmentState::give_up);
        self.held_since = None;
        false
    }
}
