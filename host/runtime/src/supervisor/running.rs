//! Instances with their tasks: made, started, handed over and ended. Everything here may take its time, so only tasks of their
//! own call it, never the supervisor's loop.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{
    FutureExt,
    future::{join_all, try_join_all},
};
use midplane_model::limits::RELOAD_DRAIN_MAX;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Command;
use crate::{
    actor::{self, Control},
    bindings::{Ending, Reason, Snapshot},
    host::Host,
    inbox,
    inside::Inside,
    instance::Instance,
    metrics::metered,
    package::{LoadError, Package},
    saved::Saved,
    slot::Slot,
};

/// Orders that wait for an instance; the supervisor never waits for one to take them.
const ORDERS_MAX: usize = 8;

/// An instance with its task. Dropping it drops the instance as it is, with what is inside.
pub struct Running {
    /// Of the instance, unique in this host.
    pub id: u64,
    pub control: mpsc::Sender<Control>,
    /// What it last said when it was asked for its health.
    pub sick: bool,
    inside: Inside,
    task: AbortOnDropHandle<()>,
}

/// The instances that serve, or did, under one number.
pub struct Generation {
    pub number: u64,
    pub package: Arc<Package>,
    pub instances: Vec<Running>,
    /// Where its checkpoints go.
    pub saved: Arc<Saved>,
}

/// What an instance is told when it starts.
pub struct Birth {
    pub reason: Reason,
    /// Its number.
    pub generation: u64,
}

/// What instances of one plugin are made with.
#[derive(Clone)]
pub struct Workshop {
    pub host: Arc<Host>,
    pub slot: Arc<Slot>,
    pub inbox: mpsc::Sender<inbox::Command>,
    /// Weak, so that the supervisor ends when its handle is gone.
    pub commands: mpsc::WeakSender<Command>,
    /// Every task of an instance, joined when the supervisor ends.
    pub tasks: TaskTracker,
    pub ids: Arc<AtomicU64>,
}

impl Workshop {
    /// Makes an instance and its task; neither restored nor started.
    pub async fn make(&self, package: &Arc<Package>, saved: &Arc<Saved>) -> Result<Running, LoadError> {
        let instance = Instance::new(&self.host, package, &self.slot, self.inbox.clone()).await?;
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let (control, orders) = mpsc::channel(ORDERS_MAX);
        let (commands, slot, saved) = (self.commands.clone(), self.slot.clone(), saved.clone());
        let inside = instance.inside.clone();
        let task = self.tasks.spawn(async move {
            let name = slot.name.clone();
            let run = AssertUnwindSafe(metered(slot, actor::run(instance, orders, saved))).catch_unwind();
            let died = run.await.unwrap_or_else(|_| Some("the host failed, which is a bug of it".into()));
            if let (Some(reason), Some(commands)) = (died, commands.upgrade()) {
                // The supervisor is stopping if this fails, and needs no news.
                _ = commands.send(Command::Died { name, id, reason }).await;
            }
        });
        Ok(Running { id, control, sick: false, inside, task: AbortOnDropHandle::new(task) })
    }

    pub async fn make_all(
        &self,
        package: &Arc<Package>,
        saved: &Arc<Saved>,
        count: usize,
    ) -> Result<Vec<Running>, LoadError> {
        try_join_all((0..count).map(|_| self.make(package, saved))).await
    }

    /// Makes and starts instances of a generation. One that cannot take over the saved state starts without it.
    pub async fn start_all(
        &self,
        package: &Arc<Package>,
        saved: &Arc<Saved>,
        count: usize,
        birth: &Birth,
    ) -> Result<Vec<Running>, LoadError> {
        let mut instances = self.make_all(package, saved, count).await?;
        if let Some(snapshot) = saved.get().filter(|_| package.stateful)
            && let Err(error) = restore_all(&instances, &snapshot).await
        {
            self.slot.log("warn", &format!("starts without its saved state: {error}"));
            instances = self.make_all(package, saved, count).await?;
        }
        start_all(&instances, birth).await?;
        Ok(instances)
    }
}

impl Running {
    pub fn is_gone(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends the instance as it is, and answers what is inside with `plugin_failed`.
    async fn kill(self, reason: &str) {
        self.task.abort();
        _ = self.task.await;
        actor::fail_all(&self.inside, reason);
    }

    /// Lets the instance finish what is inside, stop and end; after the drain time it is dropped as it is.
    async fn retire(self, ending: Ending) {
        let (done, stopped) = oneshot::channel();
        let ended = async {
            if self.control.send(Control::Stop { ending, done }).await.is_ok() {
                // It may have failed instead.
                _ = stopped.await;
            }
        };
        if tokio::time::timeout(RELOAD_DRAIN_MAX, ended).await.is_err() {
            self.kill("the plugin was stopped before this call was done").await;
        } else {
            drop(self.control);
            _ = self.task.await;
        }
    }

    /// `None` when the instance is gone, or ends without an answer.
    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Control) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.control.send(order(done)).await.ok()?;
        answer.await.ok()
    }
}

impl Generation {
    pub async fn retire(self, ending: Ending) {
        join_all(self.instances.into_iter().map(|instance| instance.retire(ending))).await;
    }

    pub async fn kill(self, reason: &str) {
        join_all(self.instances.into_iter().map(|instance| instance.kill(reason))).await;
    }

    pub fn controls(&self) -> Vec<mpsc::Sender<Control>> {
        self.instances.iter().map(|instance| instance.control.clone()).collect()
    }

    /// Stops taking calls, and ends with the state that the next start goes on with, if it has one and can give it.
    pub async fn retire_with_state(self, ending: Ending) -> Option<Snapshot> {
        let snapshot = hand_over(&self.controls(), self.package.stateful).await;
        self.retire(ending).await;
        snapshot.ok().flatten()
    }
}

pub async fn restore_all(instances: &[Running], snapshot: &Snapshot) -> Result<(), LoadError> {
    let restore = |instance| ask_one(instance, |done| Control::Restore { snapshot: snapshot.clone(), done });
    try_join_all(instances.iter().map(restore)).await.map(drop)
}

pub async fn start_all(instances: &[Running], birth: &Birth) -> Result<(), LoadError> {
    let Birth { reason, generation } = birth;
    let start =
        |instance| ask_one(instance, |done| Control::Start { reason: reason.clone(), generation: *generation, done });
    try_join_all(instances.iter().map(start)).await.map(drop)
}

async fn ask_one(
    instance: &Running,
    order: impl FnOnce(oneshot::Sender<Result<(), LoadError>>) -> Control,
) -> Result<(), LoadError> {
    instance.ask(order).await.unwrap_or(Err(LoadError::Gone))
}

/// Makes the instances of a generation take nothing more from the mailbox, and gives the state if asked for. Those that are gone
/// are no obstacle, unless all are. A generation that is not done in the drain time goes on as before.
pub async fn hand_over(controls: &[mpsc::Sender<Control>], save: bool) -> Result<Option<Snapshot>, LoadError> {
    let asked = controls.iter().map(async |control| {
        let (done, answer) = oneshot::channel();
        control.send(Control::HandOver { save, done }).await.ok()?;
        answer.await.ok()
    });
    let answers = tokio::time::timeout(RELOAD_DRAIN_MAX, join_all(asked)).await;
    let mut handed = Err(LoadError::Gone);
    for answer in answers.map_err(|_| LoadError::Busy(RELOAD_DRAIN_MAX))?.into_iter().flatten() {
        let snapshot = answer?;
        handed = Ok(handed.ok().flatten().or(snapshot));
    }
    handed
}
