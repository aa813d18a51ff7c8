//! How a terminal comes to be: a slot, an identity, a place on the list, threads. Never by halves.

use std::{io, sync::Arc, task::Waker};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    error::TerminalError,
    options::{OpenOptions, TerminalEvent, TerminalInfo},
    registry::Terminals,
    size::Size,
    spawn::{Launch, Spawned},
    terminal::Terminal,
};

/// What identifies a new terminal.
pub(super) struct Identity {
    pub(super) id: Arc<str>,
    pub(super) epoch: Arc<str>,
    pub(super) name: String,
    pub(super) size: Size,
    pub(super) opened_by: Option<String>,
}

impl Terminals {
    /// Starts a program on a new terminal. Dropping the future does not stop it: the terminal may be open and listed.
    ///
    /// # Errors
    /// `TooManyTerminals`, `UnknownShell`, `BadSize`, `OutsideRoot`, `NoSuchFolder`, `BadParameter`, `ShuttingDown`;
    /// `Spawn` when the machine refuses.
    pub async fn open(&self, options: OpenOptions) -> Result<TerminalInfo, TerminalError> {
        let shell = options.shell.clone().unwrap_or_default();
        self.open_in_slot(shell, move |terminals, slot| {
            let launch = Launch::prepare(&terminals.0.config, &options)?;
            let identity = identity(launch.name.clone(), launch.size, options.opened_by)?;
            let shell = launch.shell.clone();
            let fail = |source: io::Error| TerminalError::Spawn { shell: shell.clone(), source: source.into() };
            let call = terminals.0.pumps.call().map_err(fail)?;
            let waker = Waker::from(Arc::clone(&call));
            terminals.begin(
                &shell,
                slot,
                identity,
                waker,
                || launch.spawn().map(Some),
                |terminal| terminal.start(&call),
            )
        })
        .await
    }

    /// Takes a slot and runs `open` where it may block. `what` is named if that fails.
    pub(super) async fn open_in_slot(
        &self,
        what: String,
        open: impl FnOnce(&Self, OwnedSemaphorePermit) -> Result<TerminalInfo, TerminalError> + Send + 'static,
    ) -> Result<TerminalInfo, TerminalError> {
        self.forget_expired();
        let max = self.0.config.limits.terminals;
        let slots = Arc::clone(&self.0.slots);
        let slot = slots.try_acquire_owned().map_err(|_| TerminalError::TooManyTerminals { max })?;
        let this = self.clone();
        let opening = self.0.tasks.spawn_blocking(move || open(&this, slot));
        opening.await.unwrap_or_else(|error| Err(TerminalError::Spawn { shell: what, source: error.into() }))
    }

    /// Makes a terminal of what `spawn` gives and `start`s it. `waker` wakes who then moves its bytes.
    pub(super) fn begin(
        &self,
        what: &str,
        slot: OwnedSemaphorePermit,
        identity: Identity,
        waker: Waker,
        spawn: impl FnOnce() -> Result<Option<Spawned>, TerminalError>,
        start: impl FnOnce(&Arc<Terminal>) -> io::Result<()>,
    ) -> Result<TerminalInfo, TerminalError> {
        let fail = |source: io::Error| TerminalError::Spawn { shell: what.to_owned(), source: source.into() };
        let terminal = Terminal::new(&self.0.config, identity, spawn()?, waker, &self.0.budget);
        self.0.budget.join(Arc::downgrade(&terminal));
        let info = terminal.info();
        if let Err(error) = self.register(&terminal, slot) {
            terminal.abort();
            return Err(error);
        }
        terminal.emit(TerminalEvent::Opened(info.clone()));
        if let Err(source) = start(&terminal) {
            self.forget(&terminal.id);
            terminal.emit(TerminalEvent::Closed { id: Arc::clone(&terminal.id) });
            return Err(fail(source));
        }
        Ok(info)
    }
}

pub(super) fn identity(name: String, size: Size, opened_by: Option<String>) -> Result<Identity, TerminalError> {
    let id = format!("t-{:08x}", getrandom::u32().map_err(|_| TerminalError::Identify)?).into();
    let epoch = format!("{:016x}", getrandom::u64().map_err(|_| TerminalError::Identify)?).into();
    Ok(Identity { id, epoch, name, size, opened_by })
}
