//! All processes of a host, by owner.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use midplane_model::{PluginName, limits::PROCESSES_ENDED_KEPT_MAX};
use tokio_util::task::TaskTracker;

use super::{
    Exit, capture,
    child::Child,
    error::ProcessError,
    launch,
    options::{Command, Finished, OnExit, Piece, ProcessInfo, ProcessesConfig, RunOptions, Stream},
    running::{Running, kill},
    seats::Seats,
    spawner::Spawner,
};
use crate::child::parse_signal;

/// The processes of a host; clones are the same. An owner sees its own and nobody else's.
///
/// [`Processes::shutdown`] must be awaited before the program exits. A host that is killed takes its children with it where
/// the kernel can see to that (Linux), and the guard, if there is one, what those have started in their sessions.
#[derive(Clone)]
pub struct Processes(Arc<Inner>);

struct Inner {
    config: ProcessesConfig,
    seats: Seats,
    spawner: Spawner,
    table: Mutex<Table>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Table {
    children: BTreeMap<PluginName, BTreeMap<Arc<str>, Arc<Child>>>,
    closed: bool,
}

impl Processes {
    #[must_use]
    pub fn new(config: ProcessesConfig) -> Self {
        let spawner = Spawner::new(config.guard.clone());
        Self(Arc::new(Inner {
            config,
            seats: Seats::default(),
            spawner,
            table: Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Runs a program to its end. Dropping the future kills it.
    ///
    /// # Errors
    /// `UnknownProgram`, `OutsideRoot`, `NoSuchFolder`, `BadParameter`, `InputTooLarge`, `TooManyOfOwner`, `TooMany`, `Closed`;
    /// `Spawn` when the machine refuses. A program that fails is no error.
    pub async fn run(
        &self,
        owner: &PluginName,
        command: Command,
        options: RunOptions,
    ) -> Result<Finished, ProcessError> {
        let running = self.start(owner, command).await?;
        Ok(capture::run(running, options).await)
    }

    /// Starts a long-lived child. It ends by itself, or when it is closed, its owner or the host ends. `on_exit` is told once.
    ///
    /// # Errors
    /// As [`Processes::run`].
    pub async fn spawn(
        &self,
        owner: &PluginName,
        command: Command,
        on_exit: OnExit,
    ) -> Result<ProcessInfo, ProcessError> {
        let program = command.program.clone();
        let running = self.start(owner, command).await?;
        let id: Arc<str> = format!("p-{:08x}", getrandom::u32().unwrap_or_else(|_| running.process.id())).into();
        let process = running.process.clone();
        let (child, work) = Child::start(id.clone(), program, running, self.0.config.ring_bytes, on_exit);
        self.0.tasks.spawn(work);
        let info = child.info();
        let mut table = self.table();
        if table.closed {
            kill(&process);
            return Err(ProcessError::Closed);
        }
        let children = table.children.entry(owner.clone()).or_default();
        forget_oldest(children);
        children.insert(id, child);
        Ok(info)
    }

    async fn start(&self, owner: &PluginName, command: Command) -> Result<Running, ProcessError> {
        if self.table().closed {
            return Err(ProcessError::Closed);
        }
        let seat = self.0.seats.take(owner, &self.0.config)?;
        let program = command.program.clone();
        let fail = |source| ProcessError::Spawn { program: program.clone(), source };
        let this = self.clone();
        let prepared = self.0.tasks.spawn_blocking(move || launch::prepare(&this.0.config, &command)).await;
        let command = prepared.unwrap_or(Err(ProcessError::Closed))?;
        let child = self.0.spawner.spawn(command).await.map_err(fail)?;
        Running::new(child, seat, &self.0.tasks).map_err(fail)
    }

    /// The owner's long-lived children by id, ended ones included.
    #[must_use]
    pub fn list(&self, owner: &PluginName) -> Vec<ProcessInfo> {
        let table = self.table();
        table.children.get(owner).into_iter().flatten().map(|(_, child)| child.info()).collect()
    }

    /// Queues input, all of it or none.
    ///
    /// # Errors
    /// `NotFound`, as for every method that takes an id; `InputTooLarge`, `InputFull`, `InputClosed`, `Ended`.
    pub fn write(&self, owner: &PluginName, id: &str, bytes: Vec<u8>) -> Result<(), ProcessError> {
        self.find(owner, id)?.write(bytes)
    }

    /// No more input: the program reads its end after what is queued.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn close_input(&self, owner: &PluginName, id: &str) -> Result<(), ProcessError> {
        self.find(owner, id)?.close_input();
        Ok(())
    }

    /// At most `limit_bytes` of a stream from an offset on. Waits up to `patience` for something to be there; then the piece is
    /// empty. Dropping the future is safe.
    ///
    /// # Errors
    /// `NotFound`; `BadParameter` when `from` lies ahead of the output.
    pub async fn read(
        &self,
        owner: &PluginName,
        id: &str,
        (stream, from): (Stream, u64),
        limit_bytes: usize,
        patience: Duration,
    ) -> Result<Piece, ProcessError> {
        self.find(owner, id)?.read(stream, from, limit_bytes, patience).await
    }

    /// Sends a signal by name (`INT`, `TERM`, …) to the child and what it started.
    ///
    /// # Errors
    /// `NotFound`, `BadParameter` for an unknown name, `Ended`, `Signal`.
    pub fn signal(&self, owner: &PluginName, id: &str, name: &str) -> Result<(), ProcessError> {
        let signal = parse_signal(name).ok_or_else(|| ProcessError::BadParameter {
            path: "params.signal",
            message: format!("{name:?} is no signal known here; use HUP, INT, QUIT, KILL, TERM, USR1, USR2, CONT, …"),
        })?;
        self.find(owner, id)?.signal(signal)
    }

    /// Waits for the end. Dropping the future is safe.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait(&self, owner: &PluginName, id: &str) -> Result<Exit, ProcessError> {
        Ok(self.find(owner, id)?.ended().await)
    }

    /// Ends a child (SIGTERM, SIGKILL a second later) and forgets it. Dropping the future leaves it ending, and known.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn close(&self, owner: &PluginName, id: &str) -> Result<(), ProcessError> {
        let child = self.find(owner, id)?;
        _ = self.0.tasks.spawn(async move { child.end().await }).await;
        if let Some(children) = self.table().children.get_mut(owner) {
            children.remove(id);
        }
        Ok(())
    }

    /// Ends and forgets all children of an owner that is no more.
    pub async fn end_all(&self, owner: &PluginName) {
        let children = self.table().children.remove(owner).unwrap_or_default();
        join_all(children.values().map(|child| child.end())).await;
    }

    /// As [`Processes::end_all`], for those who cannot wait.
    pub fn abandon(&self, owner: &PluginName) {
        let children = self.table().children.remove(owner).unwrap_or_default();
        for child in children.into_values() {
            self.0.tasks.spawn(async move { child.end().await });
        }
    }

    /// Ends all children, starts no more, and joins everything.
    pub async fn shutdown(&self) {
        let children = {
            let mut table = self.table();
            table.closed = true;
            std::mem::take(&mut table.children)
        };
        join_all(children.values().flat_map(BTreeMap::values).map(|child| child.end())).await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.spawner.close().await;
    }

    fn find(&self, owner: &PluginName, id: &str) -> Result<Arc<Child>, ProcessError> {
        let table = self.table();
        let child = table.children.get(owner).and_then(|children| children.get(id));
        child.cloned().ok_or_else(|| ProcessError::NotFound { id: id.to_owned() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the ended children that nobody closed, the newest are kept.
fn forget_oldest(children: &mut BTreeMap<Arc<str>, Arc<Child>>) {
    let mut ended: Vec<ProcessInfo> =
        children.values().map(|child| child.info()).filter(|info| info.exit.is_some()).collect();
    ended.sort_by_key(|info| std::cmp::Reverse(info.started_at));
    for info in ended.into_iter().skip(PROCESSES_ENDED_KEPT_MAX) {
        children.remove(&info.id);
    }
}
