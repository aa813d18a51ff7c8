//! The one task that decides what is loaded, replaced, restarted and unloaded, and in which order.
//!
//! Its loop never waits for anything slow. Reading and compiling, making instances, handing over and ending are tasks of their
//! own ([`Supervisor::jobs`]) that report back here; for one plugin there is never more than one of them, and what is asked
//! meanwhile waits as an [`plugin::Errand`]. So a plugin that takes its time delays itself and nobody else. What a state
//! means and what follows from an event is [`crate::life`]'s; here it is done.

mod ask;
mod charge;
mod folder;
mod handle;
mod health;
mod needs;
mod plugin;
mod probation;
mod reading;
mod reload;
mod running;
mod shown;
mod sources;
mod trust;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicU64},
};

use futures_util::{FutureExt, future::join_all};
use midplane_broker::Publish;
use midplane_capabilities::{files::Root, terminals::TerminalEvent};
use midplane_model::{
    Origin, PluginName, Topic,
    limits::{PACKAGES_READ_AT_ONCE_MAX, STARTUP_MAX},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    actor::Control,
    bindings::Snapshot,
    host::{Bundle, Host},
    imports::news,
    inbox,
    life::{Change, Happened, State},
    lock::Lock,
    mailbox::Mailbox,
    package::{LoadError, Package},
};
pub use ask::Ask;
use handle::Asked;
pub use handle::{Plugins, PluginsConfig, Summary};
use plugin::Plugin;
use running::Running;
use shown::Table;
use trust::newer;

pub(crate) enum Command {
    Reload {
        name: PluginName,
        done: Asked,
    },
    Enable {
        name: PluginName,
        on: bool,
        done: Asked,
    },
    /// Load what is in a folder now.
    Load {
        folder: String,
        done: Asked,
    },
    /// A folder was taken away, and what came from it is to go.
    Removed {
        folder: String,
        done: Asked,
    },
    /// The same files in another form.
    Upgrade(Arc<Package>),
    /// Plugin folders whose files changed and have been quiet since.
    Changed(BTreeSet<String>),
    /// An instance failed while it served.
    Died {
        name: PluginName,
        id: u64,
        reason: String,
    },
    Stop,
}

/// What came of a task.
enum Done {
    Read(reading::Read),
    Worked {
        name: PluginName,
        worked: Worked,
    },
    /// None when the instance had no answer to give.
    Health {
        name: PluginName,
        id: u64,
        answer: Option<Result<(), String>>,
    },
}

enum Worked {
    Started(Result<Vec<Running>, LoadError>),
    Replaced(Result<reload::Ready, LoadError>),
    Stopped(Option<Snapshot>),
    RolledBack,
    /// Ended before it was done: somebody wanted something else, or the host has a bug.
    Lost,
}

struct Supervisor {
    host: Arc<Host>,
    /// The plugin folder, if there is one.
    folder: Option<Root>,
    lock: Arc<Lock>,
    bundles: Vec<Bundle>,
    plugins: BTreeMap<PluginName, Plugin>,
    /// Who took the office of the authenticator last.
    authenticator: Option<PluginName>,
    /// Sources that are being read.
    reads: BTreeMap<String, sources::Reading>,
    /// The folders that were there at the start, the first for each name: which one runs must not depend on which is read faster.
    first: BTreeMap<PluginName, String>,
    /// Folders that are not there any more, though a plugin came from them.
    gone: BTreeSet<String>,
    /// Those whose plugins have not been told yet.
    vanished: Vec<plugin::Source>,
    table: Table,
    jobs: JoinSet<Done>,
    /// The tasks of instances, and of generations that end on their own.
    tasks: TaskTracker,
    ids: Arc<AtomicU64>,
    reading: Arc<Semaphore>,
    /// For the tasks of instances; weak, so that the supervisor ends when the handle is gone.
    commands: mpsc::WeakSender<Command>,
    /// Who waits for the first load, and until when.
    ready: Option<oneshot::Sender<()>>,
    ready_by: Option<Instant>,
}

impl Supervisor {
    fn new(
        host: Arc<Host>,
        lock: Arc<Lock>,
        table: Table,
        commands: mpsc::WeakSender<Command>,
        ready: oneshot::Sender<()>,
    ) -> Self {
        Self {
            host,
            folder: None,
            lock,
            bundles: Vec::new(),
            plugins: BTreeMap::new(),
            authenticator: None,
            reads: BTreeMap::new(),
            first: BTreeMap::new(),
            gone: BTreeSet::new(),
            vanished: Vec::new(),
            table,
            jobs: JoinSet::new(),
            tasks: TaskTracker::new(),
            ids: Arc::default(),
            reading: Arc::new(Semaphore::new(PACKAGES_READ_AT_ONCE_MAX)),
            commands,
            ready: Some(ready),
            ready_by: None,
        }
    }

    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut terminals: Option<mpsc::Receiver<TerminalEvent>>,
    ) {
        self.read_everything().await;
        loop {
            self.weigh();
            self.tell_ready();
            let due = self.next_due();
            // Nothing has been taken from a branch that is dropped.
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.obey(command),
                },
                Some(done) = self.jobs.join_next() => match done {
                    Ok(done) => self.done(done),
                    Err(error) => tracing::error!(%error, "a task of the supervisor was lost"),
                },
                event = next_terminal_event(&mut terminals) => self.tell_terminal_event(&event),
                () = sleep_until(due), if due.is_some() => self.tick(Instant::now()),
            }
        }
        // An instance that fails now must not wait until somebody hears of it.
        drop(commands);
        self.shut_down().await;
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Reload { name, done } => self.reload(&name, done),
            Command::Enable { name, on, done } => self.enable(&name, on, done),
            Command::Load { folder, done } => self.read(&plugin::Source::Folder(folder), Some(done)),
            Command::Removed { folder, done } => self.removed(&folder, done),
            Command::Upgrade(package) => self.upgrade(package),
            Command::Changed(folders) => {
                // Hidden: where packages are put together, and whatever else people hide.
                for folder in folders.into_iter().filter(|folder| !folder.starts_with('.')) {
                    self.read(&plugin::Source::Folder(folder), None);
                }
            }
            Command::Died { name, id, reason } => self.died(&name, id, &reason),
            Command::Stop => {}
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Read(read) => self.was_read(read),
            Done::Worked { name, worked } => self.worked(&name, worked),
            Done::Health { name, id, answer } => self.health(&name, id, answer),
        }
    }

    /// Starts a task that reports back. One that panics, which would be a bug of the host, reports `lost`.
    fn spawn(&mut self, task: impl Future<Output = Done> + Send + 'static, lost: Done) {
        self.jobs.spawn(async move { AssertUnwindSafe(task).catch_unwind().await.unwrap_or(lost) });
    }

    fn next_due(&self) -> Option<Instant> {
        let plugins = self.plugins.values().filter_map(Plugin::next_due);
        plugins.chain(self.ready_by.filter(|_| self.ready.is_some())).min()
    }

    fn tick(&mut self, now: Instant) {
        let due = |plugin: &Plugin| plugin.next_due().is_some_and(|due| due <= now);
        let names: Vec<PluginName> =
            self.plugins.iter().filter(|(_, plugin)| due(plugin)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.tick_plugin(&name, now);
        }
    }

    /// The first load is over when everything is read, and started or late.
    fn tell_ready(&mut self) {
        if self.ready.is_none() || !self.reads.is_empty() {
            return;
        }
        let by = *self.ready_by.get_or_insert_with(|| Instant::now() + STARTUP_MAX);
        let starting = self.plugins.values().any(|plugin| plugin.work.is_some());
        if (!starting || by <= Instant::now())
            && let Some(ready) = self.ready.take()
        {
            // Who waited may be gone; then the host is stopping.
            _ = ready.send(());
        }
    }

    /// Ends everything at the same time and joins it. What is under way is given up.
    async fn shut_down(mut self) {
        self.jobs.shutdown().await;
        let names: Vec<PluginName> = self.plugins.keys().cloned().collect();
        for name in &names {
            self.note(name, Happened::Disabled("the host is stopping".into()));
        }
        join_all(std::mem::take(&mut self.plugins).into_values().map(Plugin::end)).await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// News of a terminal for every plugin that may use terminals. One whose inbox is full is told in its log.
    fn tell_terminal_event(&self, event: &TerminalEvent) {
        let payload = news(event).to_string();
        for plugin in self.plugins.values().filter(|plugin| plugin.package.manifest.grants.terminals) {
            if plugin
                .inbox
                .commands
                .try_send(inbox::Command::News { topic: "midplane.terminals", payload: payload.clone() })
                .is_err()
            {
                plugin.slot.log("warn", "news of a terminal was dropped: too much waits already");
            }
        }
    }

    /// Publishes a change of state, which is also one line in the log.
    fn announce(&self, name: &PluginName, change: &Change) {
        let Some(plugin) = self.plugins.get(name) else { return };
        let status = plugin.slot.status();
        let Change { from, to, reason } = change;
        let (from, to) = (from.as_str(), to.as_str());
        tracing::info!(plugin = %name, version = status.version, generation = status.generation, from, to, reason, "plugin");
        self.publish(
            "plugin.state_changed",
            &json!({
                "name": name, "version": status.version, "generation": status.generation,
                "from": from, "to": to, "reason": reason,
            }),
        );
    }

    /// Says why files did not become a running generation. Whatever ran before goes on.
    fn announce_failure(&self, what: &str, name: Option<&PluginName>, error: &LoadError) {
        let reason = error.to_string();
        tracing::warn!(what, plugin = name.map(PluginName::as_str), reason, "plugin not loaded");
        if let Some(plugin) = name.and_then(|name| self.plugins.get(name)) {
            plugin.slot.log("error", &format!("not loaded: {reason}"));
            if plugin.life.state() != State::Starting {
                plugin.slot.set_newer(Some(newer(error)));
            }
        }
        if let LoadError::Unapproved(unapproved) = error {
            self.announce_unapproved(unapproved);
        }
        self.publish("plugin.load_failed", &json!({ "source": what, "name": name, "reason": reason }));
    }

    fn publish(&self, topic: &str, payload: &Value) {
        let payload = serde_json::value::to_raw_value(payload);
        if let (Ok(topic), Ok(payload)) = (Topic::parse(topic), payload) {
            // The broker refuses only what is too large, and this is not.
            _ = self.host.parts.broker.publish(Publish { topic, payload, origin: Origin::default(), ttl: None });
        }
    }
}

/// Lets instances take from the mailbox. Harmless for those that do already; one that is gone says so itself.
fn serve(controls: &[mpsc::Sender<Control>], mailbox: &Arc<Mailbox>) {
    for control in controls {
        _ = control.try_send(Control::Serve(mailbox.clone()));
    }
}

async fn next_terminal_event(events: &mut Option<mpsc::Receiver<TerminalEvent>>) -> TerminalEvent {
    if let Some(receiver) = events {
        if let Some(event) = receiver.recv().await {
            return event;
        }
        *events = None;
    }
    std::future::pending().await
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
