//! All terminals of a host: opened, found by id, closed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use midplane_model::{PeerId, limits::TERMINAL_ATTACHMENTS_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::{
    attachment::{AttachmentStart, AttachmentState},
    budget::Budget,
    channel,
    error::TerminalError,
    lineage::Lineage,
    options::{
        AttachOptions, Attachment, OutputPiece, ScreenText, SizePolicy, Status, TerminalEvent, TerminalInfo,
        TerminalsConfig,
    },
    pump::Pumps,
    shell::Command,
    size::Size,
    spawn::checked_name,
    state::State,
    terminal::Terminal,
};
use crate::child::{Audience, parse_signal};

/// The terminals of a host; clones are the same. They belong to the host, not to a plugin or a client, and live until
/// they are closed, or for 24 hours after their program's end.
///
/// [`Terminals::shutdown`] must be awaited before the program exits, or programs are left behind.
#[derive(Clone)]
pub struct Terminals(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) config: TerminalsConfig,
    pub(super) slots: Arc<Semaphore>,
    pub(super) budget: Arc<Budget>,
    pub(super) pumps: Pumps,
    table: Mutex<Table>,
    /// Everything that must not be left half done: openings, closings and recordings.
    pub(super) tasks: TaskTracker,
}

#[derive(Default)]
struct Table {
    terminals: BTreeMap<Arc<str>, Entry>,
    shutting_down: bool,
}

struct Entry {
    terminal: Arc<Terminal>,
    _slot: OwnedSemaphorePermit,
}

impl Terminals {
    #[must_use]
    pub fn new(config: TerminalsConfig) -> Self {
        let slots = Arc::new(Semaphore::new(config.limits.terminals));
        let budget = Arc::new(Budget::new(config.limits.memory_bytes));
        let (pumps, tasks) = (Pumps::new(), TaskTracker::new());
        Self(Arc::new(Inner { config, slots, budget, pumps, table: Mutex::default(), tasks }))
    }

    /// All terminals by id, exited ones included.
    #[must_use]
    pub fn list(&self) -> Vec<TerminalInfo> {
        self.forget_expired();
        self.all().iter().map(|terminal| terminal.info()).collect()
    }

    /// # Errors
    /// `NotFound`, as for every method that takes an id.
    pub fn get(&self, id: &str) -> Result<TerminalInfo, TerminalError> {
        Ok(self.find(id)?.info())
    }

    /// Sends a signal by name (`INT`, `TERM`, …) to the job in the foreground.
    ///
    /// # Errors
    /// `BadParameter` for an unknown name, `Exited`, `Signal`.
    pub fn signal(&self, id: &str, name: &str) -> Result<(), TerminalError> {
        let signal = parse_signal(name).ok_or_else(|| TerminalError::BadParameter {
            path: "params.signal",
            message: format!("{name:?} is no signal known here; use HUP, INT, QUIT, KILL, TERM, USR1, USR2, CONT, …"),
        })?;
        self.find(id)?.signal(signal, Audience::Foreground)
    }

    /// Queues input, all of it or none.
    ///
    /// # Errors
    /// `Exited`; `InputFull` when the program has not read what was queued before; `InputTooLarge`.
    pub fn write(&self, id: &str, bytes: &[u8]) -> Result<(), TerminalError> {
        self.find(id)?.write(bytes)
    }

    /// # Errors
    /// `BadSize`, `Exited`, `Resize`.
    pub fn resize(&self, id: &str, cols: u16, rows: u16) -> Result<(), TerminalError> {
        self.find(id)?.resize(Size::new(cols, rows)?)
    }

    /// # Errors
    /// `BadParameter` for a name that is empty, too long or has control characters.
    pub fn rename(&self, id: &str, name: &str) -> Result<(), TerminalError> {
        self.find(id)?.rename(checked_name(name)?);
        Ok(())
    }

    /// The visible screen as text, after at most `lines_above` lines of what is above it.
    pub fn screen(&self, id: &str, lines_above: usize) -> Result<ScreenText, TerminalError> {
        let terminal = self.find(id)?;
        let mut state = terminal.lock();
        let offset = state.output.ring.end();
        let model = state.output.screen();
        let (cursor_row, cursor_col) = model.cursor();
        let (title, above) = (model.title().to_owned(), model.lines_above(lines_above));
        Ok(ScreenText { lines: model.lines(), above, cursor_row, cursor_col, size: model.size(), title, offset })
    }

    /// The newest commands that its shell has marked, oldest first; the last may still run.
    pub fn commands(&self, id: &str, limit: usize) -> Result<Vec<Command>, TerminalError> {
        Ok(self.find(id)?.lock().output.shell.commands(limit))
    }

    /// What it is doing.
    pub fn status(&self, id: &str) -> Result<Status, TerminalError> {
        Ok(self.find(id)?.status())
    }

    /// Who decides its size from now on.
    ///
    /// # Errors
    /// `Resize` when the machine refuses the size that it has with that.
    pub fn set_size_policy(&self, id: &str, policy: SizePolicy) -> Result<(), TerminalError> {
        self.find(id)?.rearrange(|state| state.size_policy = policy)
    }

    /// Raw output from an offset on, at most `limit_bytes` and 4 MiB; empty at the end.
    ///
    /// # Errors
    /// `BadParameter` when `from` lies ahead of the output.
    pub fn read(&self, id: &str, from: u64, limit_bytes: usize) -> Result<OutputPiece, TerminalError> {
        let terminal = self.find(id)?;
        let ring = &mut terminal.lock().output.ring;
        if from > ring.end() {
            let message = format!("the output ends at {}, before {from}", ring.end());
            return Err(TerminalError::BadParameter { path: "params.from", message });
        }
        let offset = from.max(ring.start());
        let bytes = ring.read(offset, limit_bytes);
        Ok(OutputPiece { offset, next: offset + bytes.len() as u64, lost_bytes: offset - from, bytes })
    }

    /// Attaches a client. What it has seen before counts if `resume` is of this epoch, the size is the same and the ring
    /// reaches back; else it begins with a snapshot. No byte between that and the first output is lost or doubled.
    ///
    /// # Errors
    /// `TooManyAttachments`, `Identify`; `Resize` when the machine refuses its size.
    pub fn attach(&self, id: &str, options: &AttachOptions) -> Result<Attachment, TerminalError> {
        let terminal = self.find(id)?;
        let resume = options.resume.as_ref().filter(|resume| *resume.epoch == *terminal.epoch);
        let name = format!("l-{:016x}", getrandom::u64().map_err(|_| TerminalError::Identify)?).into();
        let attached = terminal.rearrange(|state| {
            if state.attachment_count() >= TERMINAL_ATTACHMENTS_MAX {
                return Err(TerminalError::TooManyAttachments { id: id.to_owned(), max: TERMINAL_ATTACHMENTS_MAX });
            }
            let former = options.lineage.as_deref().and_then(|name| state.take_lineage(name));
            let lineage = former.unwrap_or_else(|| Lineage::new(name));
            let (name, input_offset) = (Arc::clone(&lineage.name), lineage.accepted);
            let start = AttachmentStart {
                role: options.role,
                lossless: options.lossless,
                max_unacked_bytes: options.max_unacked_bytes,
                scrollback_lines: options.scrollback_lines,
                size: options.size,
                lineage,
            };
            let size = state.output.known().size();
            let number = state.attach(AttachmentState::new(start, size));
            // Its size counts before the snapshot is taken.
            let fitted = terminal.fit(state);
            let (offset, delta) = state.begin(number, resume.map(|resume| resume.offset));
            Ok((number, offset, delta, name, input_offset, fitted))
        })?;
        let (number, offset, delta, lineage, input_offset, fitted) = attached?;
        let channel = channel::open(Arc::clone(&terminal), number);
        // Dropping the channel detaches it.
        if let Some(size) = fitted? {
            terminal.emit(TerminalEvent::Resized { id: Arc::clone(&terminal.id), size });
        }
        let epoch = Arc::clone(&terminal.epoch);
        Ok(Attachment { channel, epoch, offset, delta, number, lineage, input_offset })
    }

    /// Tells where the channel of an attachment was opened, for [`Terminals::claim`] and [`Terminals::release`].
    pub fn place(&self, id: &str, attachment: u64, peer: PeerId, channel: u32) {
        if let Ok(terminal) = self.find(id)
            && let Some((attachment, _)) = terminal.lock().attachment(attachment)
        {
            attachment.place = Some((peer, channel));
        }
    }

    /// Makes an attachment the driver. Whoever drove before gets the role back when this one gives it up or leaves.
    ///
    /// # Errors
    /// `NotAttached`; `Resize` when the machine refuses its size.
    pub fn claim(&self, id: &str, peer: PeerId, channel: u32) -> Result<(), TerminalError> {
        self.hand_over(id, peer, channel, State::claim)
    }

    /// Gives the role of the driver up, to whoever asked for it before.
    ///
    /// # Errors
    /// As [`Terminals::claim`].
    pub fn release(&self, id: &str, peer: PeerId, channel: u32) -> Result<(), TerminalError> {
        self.hand_over(id, peer, channel, State::release)
    }

    fn hand_over(
        &self,
        id: &str,
        peer: PeerId,
        channel: u32,
        change: impl FnOnce(&mut State, u64),
    ) -> Result<(), TerminalError> {
        self.find(id)?.rearrange(|state| {
            let attachment =
                state.at((peer, channel)).ok_or_else(|| TerminalError::NotAttached { id: id.to_owned(), channel })?;
            change(state, attachment);
            Ok(())
        })?
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.budget.used()
    }

    /// Puts a new terminal on the list.
    ///
    /// # Errors
    /// `ShuttingDown`, `Identify`.
    pub(super) fn register(&self, terminal: &Arc<Terminal>, slot: OwnedSemaphorePermit) -> Result<(), TerminalError> {
        let mut table = self.table();
        if table.shutting_down {
            return Err(TerminalError::ShuttingDown);
        }
        if table.terminals.contains_key(&terminal.id) {
            return Err(TerminalError::Identify);
        }
        table.terminals.insert(Arc::clone(&terminal.id), Entry { terminal: Arc::clone(terminal), _slot: slot });
        Ok(())
    }

    /// Runs what [`Terminals::shutdown`] waits for; says whether, because after that nothing is begun.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let table = self.table();
        if !table.shutting_down {
            self.0.tasks.spawn(task);
        }
        !table.shutting_down
    }

    pub(super) fn find(&self, id: &str) -> Result<Arc<Terminal>, TerminalError> {
        let table = self.table();
        let entry = table.terminals.get(id).ok_or_else(|| TerminalError::NotFound { id: id.to_owned() })?;
        Ok(Arc::clone(&entry.terminal))
    }

    /// From now on nothing is opened or recorded.
    pub(super) fn open_no_more(&self) {
        self.table().shutting_down = true;
    }

    pub(super) fn all(&self) -> Vec<Arc<Terminal>> {
        self.table().terminals.values().map(|entry| Arc::clone(&entry.terminal)).collect()
    }

    pub(super) fn forget(&self, id: &str) {
        self.table().terminals.remove(id);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
