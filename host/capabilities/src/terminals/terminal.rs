//! One terminal: a program on a pseudo-terminal, the state of its screen and output, and the threads that serve it ([`threads`]).

mod threads;

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use midplane_model::limits::TERMINAL_INPUT_BYTES_MAX;
use rustix::{process::Signal, termios::Winsize};
use tokio::sync::watch;

use super::{
    attachment::Next,
    budget::Budget,
    error::TerminalError,
    opening::Identity,
    options::{Status, TerminalEvent, TerminalInfo, TerminalsConfig},
    output::Output,
    size::Size,
    spawn::Spawned,
    state::State,
};
use crate::child::{Audience, Process};

pub(super) struct Terminal {
    pub(super) id: Arc<str>,
    pub(super) epoch: Arc<str>,
    created_at: SystemTime,
    /// None where a recording is played.
    process: Option<Process>,
    state: Mutex<State>,
    /// Told of every change of `state` that somebody may wait for; of output where it is wanted.
    changed: watch::Sender<()>,
    waker: Waker,
    observer: Arc<dyn Fn(TerminalEvent) + Send + Sync>,
    budget: Arc<Budget>,
    /// What the budget knows of this terminal.
    counted_bytes: AtomicUsize,
    opened_by: Option<String>,
    /// Until they are joined, by whoever closes the terminal.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.budget.change(self.counted_bytes.load(Ordering::Relaxed), 0);
    }
}

impl Terminal {
    /// Wraps a program that runs, or none for a recording; [`Terminal::start`] makes it live. `waker` wakes who moves its bytes.
    pub(super) fn new(
        config: &TerminalsConfig,
        identity: Identity,
        spawned: Option<Spawned>,
        waker: Waker,
        budget: &Arc<Budget>,
    ) -> Arc<Self> {
        let Identity { id, epoch, name, size, opened_by } = identity;
        let output = Output::new(size, config.limits.ring_bytes, config.limits.scrollback_lines);
        let (process, pty) = spawned.map(|Spawned { process, pty }| (process, Arc::new(pty))).unzip();
        Arc::new(Self {
            id,
            epoch,
            created_at: SystemTime::now(),
            process,
            state: Mutex::new(State::new(name, output, pty, config.limits.hold_max)),
            changed: watch::Sender::new(()),
            waker,
            observer: Arc::clone(&config.observer),
            budget: Arc::clone(budget),
            counted_bytes: AtomicUsize::new(0),
            opened_by,
            threads: Mutex::default(),
        })
    }

    /// The state is consistent after every statement, so a panic elsewhere under the lock does not spoil it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless somebody else has it just now; then it may be waited for.
    pub(super) fn try_lock(&self, wait: bool) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => wait.then(|| self.lock()),
        }
    }

    pub(super) fn pty(&self) -> Option<Arc<OwnedFd>> {
        self.lock().pty.clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The program has written.
    pub(super) fn output_arrived(&self, bytes: &[u8]) {
        let (news, wanted, overdrawn) = {
            let mut state = self.lock();
            let answers = state.output.write(bytes);
            // A program that asks without reading the answers loses them, as it would with a slow person.
            state.input.push_answer(&answers);
            (state.take_news(&self.id), state.output_is_wanted(), self.count(&state))
        };
        if overdrawn {
            self.budget.make_room();
        }
        if wanted || !news.is_empty() {
            self.changed.send_replace(());
        }
        for event in news {
            self.emit(event);
        }
    }

    /// Tells the budget what this terminal takes now; says whether all take too much.
    fn count(&self, state: &State) -> bool {
        let now = state.output.bytes();
        self.budget.change(self.counted_bytes.swap(now, Ordering::Relaxed), now)
    }

    /// Forgets old output and lines where they take more than this.
    pub(super) fn keep_bytes(&self, bytes: usize) {
        let mut state = self.lock();
        if state.output.bytes() > bytes {
            state.output.keep_bytes(bytes);
            self.count(&state);
        }
    }

    /// The program's side has taken input.
    pub(super) fn input_written(&self, bytes: usize) {
        if self.lock().input_written(bytes) {
            self.changed.send_replace(());
        }
    }

    /// Changes the state, tells those who wait, and has the pump look at it.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        self.waker.wake_by_ref();
        result
    }

    /// Changes who is attached and how, and the size with it.
    ///
    /// # Errors
    /// `Resize` when the machine refuses.
    pub(super) fn rearrange<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, TerminalError> {
        let (result, fitted) = {
            let mut state = self.lock();
            let result = change(&mut state);
            (result, self.fit(&mut state))
        };
        self.changed.send_replace(());
        self.waker.wake_by_ref();
        if let Some(size) = fitted? {
            self.emit(TerminalEvent::Resized { id: Arc::clone(&self.id), size });
        }
        Ok(result)
    }

    /// Gives the terminal the size that its policy asks for; says which, if it is another.
    pub(super) fn fit(&self, state: &mut State) -> Result<Option<Size>, TerminalError> {
        match state.fitting() {
            // A program that has exited has its last size.
            Some(size) if state.pty.is_some() => self.set_size(state, size).map(|()| Some(size)),
            _ => Ok(None),
        }
    }

    fn set_size(&self, state: &mut State, size: Size) -> Result<(), TerminalError> {
        let pty = state.pty.as_ref().ok_or_else(|| self.takes_nothing())?;
        let cells = Winsize { ws_col: size.cols, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(pty, cells)
            .map_err(|error| TerminalError::Resize { id: self.id.to_string(), source: error.into() })?;
        state.output.resize(size);
        Ok(())
    }

    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let last = state.last_use.max(state.output.last_write);
        // A job in the foreground is a use, however quiet it is.
        let working =
            state.pty.as_ref().zip(self.process.as_ref()).is_some_and(|(pty, process)| process.has_foreground_job(pty));
        let idle = if state.attachment_count() > 0 || working { Duration::ZERO } else { last.elapsed() };
        Status {
            cwd: state.output.shell.cwd().map(str::to_owned),
            opened_by: self.opened_by.clone(),
            attachments: state.attachment_count(),
            size_policy: state.size_policy,
            commands_ended: state.output.shell.ended(),
            idle_ms: u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The next frame for an attachment. A pump that was held back for it may go on.
    pub(super) fn next_frame(&self, attachment: u64) -> Next {
        let (next, holding) = {
            let mut state = self.lock();
            (state.next_frame(attachment, Instant::now()), state.is_holding())
        };
        if holding {
            self.waker.wake_by_ref();
        }
        next
    }

    pub(super) fn emit(&self, event: TerminalEvent) {
        (self.observer)(event);
    }

    pub(super) fn info(&self) -> TerminalInfo {
        let state = self.lock();
        TerminalInfo {
            id: Arc::clone(&self.id),
            name: state.name.clone(),
            title: state.output.known().title().to_owned(),
            pid: self.process.as_ref().map_or(0, Process::id),
            epoch: Arc::clone(&self.epoch),
            size: state.output.known().size(),
            offset: state.output.ring.end(),
            state: state.state(),
            created_at: self.created_at,
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), TerminalError> {
        if bytes.len() > TERMINAL_INPUT_BYTES_MAX {
            return Err(TerminalError::InputTooLarge { bytes: bytes.len() });
        }
        let mut state = self.lock();
        if state.pty.is_none() {
            return Err(self.takes_nothing());
        }
        if !state.input.push_all(bytes) {
            return Err(TerminalError::InputFull { id: self.id.to_string() });
        }
        state.last_use = Instant::now();
        let heard = state.input.is_heard();
        drop(state);
        if heard {
            self.changed.send_replace(());
        }
        self.waker.wake_by_ref();
        Ok(())
    }

    /// Program and screen change their size together; the program is told by SIGWINCH.
    pub(super) fn resize(&self, size: Size) -> Result<(), TerminalError> {
        {
            let mut state = self.lock();
            if state.pty.is_some() && state.output.known().size() == size {
                return Ok(());
            }
            self.set_size(&mut state, size)?;
        }
        self.changed.send_replace(());
        self.emit(TerminalEvent::Resized { id: Arc::clone(&self.id), size });
        Ok(())
    }

    pub(super) fn rename(&self, name: String) {
        self.lock().name.clone_from(&name);
        self.emit(TerminalEvent::Renamed { id: Arc::clone(&self.id), name });
    }

    pub(super) fn signal(&self, signal: Signal, audience: Audience) -> Result<(), TerminalError> {
        let Some(process) = &self.process else {
            // What is played ends when it sees that the terminal closes.
            self.waker.wake_by_ref();
            return if audience == Audience::Everybody { Ok(()) } else { Err(self.takes_nothing()) };
        };
        match process.signal(signal, audience, self.pty()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.exited()),
            Err(error) => Err(TerminalError::Signal { id: self.id.to_string(), source: error.into() }),
        }
    }

    pub(super) fn kill(&self) -> Result<(), TerminalError> {
        self.signal(Signal::KILL, Audience::Everybody)
    }

    /// Why there is nothing that takes input, sizes and signals.
    pub(super) fn takes_nothing(&self) -> TerminalError {
        if self.process.is_none() { TerminalError::ReadOnly { id: self.id.to_string() } } else { self.exited() }
    }

    pub(super) fn exited(&self) -> TerminalError {
        TerminalError::Exited { id: self.id.to_string() }
    }
}
