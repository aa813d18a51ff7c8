//! What is known of one terminal, behind its one lock. Everything that must be atomic together is here: output, who has
//! seen how much of it, input, size, end.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use midplane_model::PeerId;

use super::{
    attachment::{AttachmentState, Ending, Next},
    frames::EndReason,
    input::InputQueue,
    lineage::{Lineage, Lineages},
    options::{Role, SizePolicy, TerminalEvent, TerminalState},
    output::Output,
    recording::RecordingState,
    scan::HELD_BYTES_MAX,
    size::Size,
};
use crate::child::Exit;

/// Bytes read from a pseudo-terminal at once.
pub(super) const READ_BYTES: usize = 16 * 1024;

pub(super) struct State {
    pub(super) name: String,
    pub(super) output: Output,
    pub(super) input: InputQueue,
    attachments: BTreeMap<u64, AttachmentState>,
    last_attachment: u64,
    /// How often somebody has asked to drive.
    asked: u64,
    lineages: Lineages,
    pub(super) size_policy: SizePolicy,
    pub(super) recording: Option<RecordingState>,
    /// When somebody was attached last, or typed.
    pub(super) last_use: Instant,
    /// The host's end of the pseudo-terminal; none once the output is complete, and where a recording is played.
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
    /// Longest time a lossless attachment may hold a program back at once.
    hold_max: Duration,
    /// The first offset of the output at which somebody wants to look again.
    wanted_at: u64,
    announced_title: String,
    announced_cwd: Option<String>,
    announced_commands: u64,
}

/// What who moves the bytes should do next.
pub(super) struct Plan {
    pub(super) read: bool,
    /// When to plan again, without anything happening.
    pub(super) again_at: Option<Instant>,
    pub(super) exited: bool,
}

impl State {
    pub(super) fn new(name: String, output: Output, pty: Option<Arc<OwnedFd>>, hold_max: Duration) -> Self {
        Self {
            name,
            output,
            input: InputQueue::default(),
            attachments: BTreeMap::new(),
            last_attachment: 0,
            asked: 0,
            lineages: Lineages::default(),
            size_policy: SizePolicy::Driver,
            recording: None,
            last_use: Instant::now(),
            pty,
            exit: None,
            ending: None,
            ended_at: None,
            closing: false,
            closed: false,
            held_since: None,
            hold_max,
            wanted_at: u64::MAX,
            announced_title: String::new(),
            announced_cwd: None,
            announced_commands: 0,
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
        let drives = attachment.role == Role::Drive;
        self.last_attachment += 1;
        let id = self.last_attachment;
        self.attachments.insert(id, attachment);
        if self.recording.as_ref().is_some_and(RecordingState::goes_on) {
            self.tell_of_recording(Some(id));
        }
        if drives {
            self.claim(id);
        }
        id
    }

    pub(super) fn detach(&mut self, attachment: u64) {
        if let Some(left) = self.attachments.remove(&attachment) {
            self.lineages.keep(left.input);
            self.last_use = Instant::now();
            self.elect();
        }
    }

    /// The lineage that was left, or is continued elsewhere: then that attachment is sent away.
    pub(super) fn take_lineage(&mut self, name: &str) -> Option<Lineage> {
        // Without a name it is one that was given away.
        let mut here = self.attachments.values_mut().filter(|_| !name.is_empty());
        if let Some(former) = here.find(|attachment| &*attachment.input.name == name) {
            former.supersede();
            former.asked_to_drive = None;
            return Some(former.input.give_away());
        }
        self.lineages.take(name)
    }

    /// Makes an attachment the driver. Whoever drives now gets the role back when it is given up.
    pub(super) fn claim(&mut self, id: u64) {
        self.asked += 1;
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.asked_to_drive = Some(self.asked);
        }
        self.elect();
    }

    /// Gives the role up, to whoever asked before.
    pub(super) fn release(&mut self, id: u64) {
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.asked_to_drive = None;
        }
        self.elect();
    }

    /// Whoever asked last drives.
    fn elect(&mut self) {
        let driver = self.attachments.values().filter_map(|attachment| attachment.asked_to_drive).max();
        for attachment in self.attachments.values_mut() {
            let drives = driver.is_some() && attachment.asked_to_drive == driver;
            attachment.role = if drives { Role::Drive } else { Role::View };
        }
    }

    /// The attachment at a channel of a connection.
    pub(super) fn at(&self, place: (PeerId, u32)) -> Option<u64> {
        self.attachments.iter().find(|(_, attachment)| attachment.place == Some(place)).map(|(&id, _)| id)
    }

    /// Those with somebody behind them.
    pub(super) fn attachment_count(&self) -> usize {
        self.attachments.values().filter(|attachment| !attachment.records).count()
    }

    /// Tells one client, or all, whether they are recorded, and where to.
    pub(super) fn tell_of_recording(&mut self, only: Option<u64>) {
        let recording = self.recording.as_ref().filter(|recording| recording.goes_on());
        let facts = serde_json::json!({ "recording": recording.map(|recording| &recording.shown.path) });
        for (id, attachment) in &mut self.attachments {
            if only.is_none_or(|only| only == *id) {
                attachment.tell(facts.clone());
            }
        }
    }

    /// An attachment that recorded has ended.
    pub(super) fn forget_recorder(&mut self, attachment: u64) {
        self.attachments.remove(&attachment);
    }

    /// The size that the policy asks for now; `None` for the present one.
    pub(super) fn fitting(&self) -> Option<Size> {
        let mut windows = self.attachments.values();
        let size = match self.size_policy {
            SizePolicy::Driver => windows.find(|attachment| attachment.role == Role::Drive)?.window_size?,
            SizePolicy::Smallest => windows
                .filter(|attachment| attachment.visible)
                .filter_map(|attachment| attachment.window_size)
                .reduce(|a, b| Size { cols: a.cols.min(b.cols), rows: a.rows.min(b.rows) })?,
            SizePolicy::Fixed => return None,
        };
        (size != self.output.known().size()).then_some(size)
    }

    /// Sends an attachment on its way; says where it begins, and whether without a snapshot.
    pub(super) fn begin(&mut self, id: u64, resume: Option<u64>) -> (u64, bool) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return (0, false) };
        attachment.begin(resume, &mut self.output);
        (attachment.position(), !attachment.has_snapshot())
    }

    /// The attachment with the parts of the terminal it works on; `None` once it is detached.
    pub(super) fn attachment(&mut self, id: u64) -> Option<(&mut AttachmentState, &mut InputQueue)> {
        let attachment = self.attachments.get_mut(&id)?;
        Some((attachment, &mut self.input))
    }

    pub(super) fn next_frame(&mut self, attachment: u64, now: Instant) -> Next {
        let Some(attachment) = self.attachments.get_mut(&attachment) else { return Next::End };
        let next = attachment.next(&mut self.output, self.ending, self.closed, now);
        let wanted = match next {
            Next::Wait => attachment.wants_more(&self.output),
            Next::WaitUntil(_) => Some(attachment.is_enough_at()),
            Next::Frame(_) | Next::End => None,
        };
        self.wanted_at = self.wanted_at.min(wanted.unwrap_or(u64::MAX));
        next
    }

    /// Whoever waits for changes wants to know of the next output.
    pub(super) fn want_output(&mut self) {
        self.wanted_at = self.wanted_at.min(self.output.ring.end() + 1);
    }

    /// Whether somebody waits for what has come; who still does says it again when it has looked. A flood that nobody waits for
    /// wakes nobody, and one that is read does so once for each frame.
    pub(super) fn output_is_wanted(&mut self) -> bool {
        let wanted = self.output.ring.end() >= self.wanted_at;
        if wanted {
            self.wanted_at = u64::MAX;
        }
        wanted
    }

    /// Written input was taken by the program; says whether an attachment has waited for room.
    pub(super) fn input_written(&mut self, bytes: usize) -> bool {
        self.input.consume(bytes);
        // Not for every byte that is taken: a client that is told too early is refused again.
        // Only the driver sends, but one that lost the role may still wait for its last bytes.
        self.input.is_empty() && self.attachments.values_mut().filter_map(AttachmentState::input_has_room).count() > 0
    }

    /// What has become news with the last output.
    pub(super) fn take_news(&mut self, id: &Arc<str>) -> Vec<TerminalEvent> {
        let mut news = Vec::new();
        let id = || Arc::clone(id);
        let title = self.output.known().title();
        if title != self.announced_title {
            title.clone_into(&mut self.announced_title);
            news.push(TerminalEvent::TitleChanged { id: id(), title: title.to_owned() });
        }
        let shell = &self.output.shell;
        if let Some(cwd) = shell.cwd().filter(|cwd| self.announced_cwd.as_deref() != Some(cwd)) {
            self.announced_cwd = Some(cwd.to_owned());
            news.push(TerminalEvent::CwdChanged { id: id(), cwd: cwd.to_owned() });
        }
        if shell.ended() > self.announced_commands {
            let done = usize::try_from(shell.ended() - self.announced_commands).unwrap_or(usize::MAX);
            self.announced_commands = shell.ended();
            let commands = shell.commands(done + 1).into_iter().filter(|command| command.to.is_some());
            let newest: Vec<_> = commands.collect();
            let skip = newest.len().saturating_sub(done);
            news.extend(newest.into_iter().skip(skip).map(|command| TerminalEvent::CommandDone { id: id(), command }));
        }
        news
    }

    /// The program is held back for a lossless reader.
    pub(super) fn is_holding(&self) -> bool {
        self.held_since.is_some()
    }

    pub(super) fn plan(&mut self, now: Instant) -> Plan {
        let hold = self.hold(now);
        Plan { read: !hold, again_at: self.held_since.map(|since| since + self.hold_max), exited: self.exit.is_some() }
    }

    /// Whether to leave output in the kernel, so that the program waits, because a lossless reader is a whole ring
    /// behind. One that stays there for `hold_max` is given up.
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
        if now < *self.held_since.get_or_insert(now) + self.hold_max {
            return true;
        }
        stuck.for_each(AttachmentState::give_up);
        self.held_since = None;
        false
    }
}
