//! The one task that loads, reloads, restarts and unloads plugins, so that no two of these ever race.
//!
//! A reload makes the new generation beside the old one and swaps in one step; until then every failure leads back to an
//! untouched old generation. See `reload` for the order of the steps.

mod ask;
mod generation;
mod plugin;
mod reload;
mod sources;
mod trust;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use midplane_broker::Publish;
use midplane_capabilities::{files::Root, terminals::TerminalEvent};
use midplane_model::{ErrorCode, Fault, Origin, PluginName, Topic};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    actor::Died,
    bindings::Ending,
    host::{Bundle, Host},
    imports::news,
    inbox,
    install::{self, InstallReport, Installer, Wish},
    lock::Lock,
    log_book::{LogQuery, Numbered},
    manifest::Manifest,
    metrics,
    package::{LoadError, Package},
    slot::State,
};
pub use ask::Ask;
use plugin::Plugin;
use trust::newer;

/// Commands that wait for the supervisor; then whoever asks waits.
const COMMANDS_MAX: usize = 64;
/// First and longest pause before a restart.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Restarts within the window; one more failure disables the plugin.
const RESTARTS: (usize, Duration) = (5, Duration::from_secs(180));

/// Where plugins come from.
#[derive(Debug, Default)]
pub struct PluginsConfig {
    /// First-party plugins inside the program.
    pub bundles: Vec<Bundle>,
    /// A folder of plugin folders. A plugin in it takes the place of a bundled one of the same name.
    pub folder: Option<PathBuf>,
    /// Which packages are trusted, and which plugins are to run.
    pub lock: Arc<Lock>,
    /// What happens to terminals, for the plugins that may use them. Bounded by whoever makes it.
    pub terminal_events: Option<mpsc::Receiver<TerminalEvent>>,
}

/// One line of `plugin.list`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    pub name: PluginName,
    pub version: String,
    pub state: &'static str,
    pub generation: u64,
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub builtin: bool,
    /// Why the newest files of this plugin are not what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
}

pub(crate) enum Command {
    Reload {
        name: PluginName,
        done: oneshot::Sender<Result<Summary, Fault>>,
    },
    Enable {
        name: PluginName,
        on: bool,
        done: oneshot::Sender<Result<Summary, Fault>>,
    },
    /// Load what is in a folder now.
    Load {
        folder: String,
        done: oneshot::Sender<Result<Summary, Fault>>,
    },
    /// The same files in another form.
    Upgrade(Arc<Package>),
    /// Plugin folders whose files changed and have been quiet since.
    Changed(BTreeSet<String>),
    Died {
        name: PluginName,
        generation: u64,
        died: Died,
    },
    Stop,
}

/// What everybody may read about plugins.
type Table = Arc<RwLock<BTreeMap<PluginName, Arc<plugin::Shown>>>>;

/// The handle of the supervisor.
pub struct Plugins {
    /// What pages are served with.
    pub(crate) host: Arc<Host>,
    ask: Ask,
    lock: Arc<Lock>,
    /// None without a plugin folder.
    installer: Option<Arc<Installer>>,
    /// Installations under way.
    tasks: TaskTracker,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Plugins {
    /// Loads every plugin and resolves when each runs or has a reason not to.
    ///
    /// # Errors
    /// Only when the plugin folder itself cannot be read or watched; a broken plugin is an event.
    pub async fn start(host: Arc<Host>, config: PluginsConfig) -> Result<Self, Fault> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let table = Table::default();
        if let Some(folder) = &config.folder {
            let (folder, lock) = (folder.clone(), config.lock.clone());
            let recovered = tokio::task::spawn_blocking(move || install::recover(&folder, &lock)).await;
            if let Ok(Err(error)) = recovered {
                tracing::warn!(%error, "what an installation left cannot be cleared");
            }
        }
        let builtin = config.bundles.iter().filter_map(|bundle| Some(Manifest::parse(bundle.manifest).ok()?.name));
        let ask = Ask { commands: commands.clone(), table: table.clone(), builtin: Arc::new(builtin.collect()) };
        let installer = config.folder.clone().map(|folder| {
            let (host, lock, supervisor) = (host.clone(), config.lock.clone(), ask.clone());
            Arc::new(Installer { host, folder, lock, supervisor, turn: Semaphore::new(1) })
        });
        let lock = config.lock.clone();
        let (folder, watch) = sources::open(config.folder, commands.clone()).await?;
        let mut supervisor = Supervisor {
            host: host.clone(),
            folder,
            lock: config.lock,
            bundles: config.bundles,
            plugins: BTreeMap::new(),
            retries: BTreeMap::new(),
            table: table.clone(),
            commands: commands.downgrade(),
        };
        if let Err(error) = host.optimiser.start(host.clone(), commands.downgrade()) {
            tracing::warn!(%error, "large plugins keep their baseline code");
        }
        supervisor.load_everything().await;
        let ending = host.clone();
        let task = tokio::spawn(async move {
            supervisor.run(receiver, config.terminal_events).await;
            ending.optimiser.close(&ending).await;
            if let Some(watch) = watch {
                watch.close().await;
            }
        });
        Ok(Self { host, ask, lock, installer, tasks: TaskTracker::new(), task: Mutex::new(Some(task)) })
    }

    /// All plugins by name.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        let table = self.ask.table.read().unwrap_or_else(PoisonError::into_inner);
        table.values().map(|shown| shown.summary()).collect()
    }

    /// Everything about one plugin: interfaces with types and docs, grants, limits.
    ///
    /// # Errors
    /// `not_found`.
    pub fn get(&self, name: &PluginName) -> Result<Value, Fault> {
        let mut plugin = self.find(name)?.describe();
        if let Some(pin) = self.lock.entry(name).and_then(|entry| entry.pin) {
            plugin["approved"] = json!(pin.grants);
        }
        Ok(plugin)
    }

    /// The figures of all plugins as Prometheus text, in families of their own (`midplane_plugin_…`).
    #[must_use]
    pub fn metrics(&self) -> String {
        let table = self.ask.table.read().unwrap_or_else(PoisonError::into_inner);
        let slots: Vec<_> = table.values().map(|shown| shown.slot.clone()).collect();
        drop(table);
        metrics::render(&slots)
    }

    /// Log lines, oldest first; where there are none, waits for the next one, at most `wait`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn logs(&self, name: &PluginName, query: &LogQuery, wait: Duration) -> Result<Vec<Numbered>, Fault> {
        let slot = self.find(name)?.slot.clone();
        Ok(slot.logs.read_or_wait(query, wait).await)
    }

    /// Loads the plugin's files again and answers when the new generation serves.
    ///
    /// # Errors
    /// `not_found`, or `plugin_failed` with the reason; the old generation then goes on.
    pub async fn reload(&self, name: &PluginName) -> Result<Summary, Fault> {
        self.ask.send(|done| Command::Reload { name: name.clone(), done }).await
    }

    /// Starts a plugin that was disabled, or stops and disables it; kept over a restart.
    ///
    /// # Errors
    /// `not_found`, or `plugin_failed` with the reason.
    pub async fn enable(&self, name: &PluginName, on: bool) -> Result<Summary, Fault> {
        self.find(name)?;
        self.lock.change(name, |entry| entry.enabled = on).await.map_err(|error| install::not_locked(&error))?;
        self.ask.send(|done| Command::Enable { name: name.clone(), on, done }).await
    }

    /// Allows what the newest package of a plugin asks for, and loads it. With `sha256`, only if it is still that package.
    ///
    /// # Errors
    /// `not_found`; `conflict` when it is another package by now or the host is locked; `plugin_failed` with the reason.
    pub async fn approve(&self, name: &PluginName, sha256: Option<String>) -> Result<Summary, Fault> {
        let (installer, name) = (self.installer()?, name.clone());
        self.to_the_end(async move { installer.approve(&name, sha256.as_deref()).await }).await
    }

    /// Installs or upgrades a plugin, or says what it asks for.
    ///
    /// # Errors
    /// What is wrong with the source; `conflict`; `plugin_failed` when the package does not run: then everything is as before.
    pub async fn install(&self, wish: Wish) -> Result<InstallReport, Fault> {
        let installer = self.installer()?;
        self.to_the_end(async move { installer.install(wish).await }).await
    }

    /// Removes a plugin; with `purge` also what it stored.
    ///
    /// # Errors
    /// `not_found`; `conflict` for one that is built in.
    pub async fn remove(&self, name: &PluginName, purge: bool) -> Result<(), Fault> {
        let (installer, name) = (self.installer()?, name.clone());
        self.to_the_end(async move { installer.remove(&name, purge).await }).await
    }

    /// Stops every plugin in turn, ends what visitors are still being told, and joins the supervisor.
    pub async fn close(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            _ = self.ask.commands.send(Command::Stop).await;
            _ = task.await;
            self.host.visits.close();
            self.host.visits.wait().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn find(&self, name: &PluginName) -> Result<Arc<plugin::Shown>, Fault> {
        let table = self.ask.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(name).cloned().ok_or_else(|| no_plugin(name))
    }

    fn installer(&self) -> Result<Arc<Installer>, Fault> {
        let none = || Fault::new(ErrorCode::NotSupported, "this host has no plugin folder");
        self.installer.clone().ok_or_else(none)
    }

    /// Work that must not stop halfway because whoever asked for it has gone.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        self.tasks.spawn(work).await.map_err(|_| Fault::internal())?
    }
}

fn no_plugin(name: &PluginName) -> Fault {
    Fault::not_found(format!("there is no plugin {name}; plugin.list names those there are"))
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

struct Supervisor {
    host: Arc<Host>,
    /// The plugin folder, if there is one.
    folder: Option<Root>,
    lock: Arc<Lock>,
    bundles: Vec<Bundle>,
    plugins: BTreeMap<PluginName, Plugin>,
    /// Restarts that wait for their time.
    retries: BTreeMap<Instant, PluginName>,
    table: Table,
    /// For the tasks of instances; weak, so that the supervisor ends when the handle is gone.
    commands: mpsc::WeakSender<Command>,
}

impl Summary {
    /// The reason, for a sentence.
    pub fn why(&self) -> String {
        self.reason.clone().unwrap_or_else(|| format!("it is {}", self.state))
    }
}

impl Supervisor {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut terminals: Option<mpsc::Receiver<TerminalEvent>>,
    ) {
        loop {
            let retry = self.retries.first_key_value().map(|(at, _)| *at);
            let command = tokio::select! {
                command = commands.recv() => command,
                event = next_terminal_event(&mut terminals) => {
                    self.tell_terminal_event(&event);
                    continue;
                }
                () = tokio::time::sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {
                    if let Some((_, name)) = self.retries.pop_first() {
                        self.restart(&name).await;
                    }
                    continue;
                }
            };
            match command {
                Some(Command::Reload { name, done }) => {
                    let answer = self.reload_by_name(&name).await;
                    // Whoever asked may be gone; the reload happened all the same.
                    _ = done.send(answer);
                }
                Some(Command::Enable { name, on, done }) => {
                    let answer = self.enable(&name, on).await;
                    _ = done.send(answer);
                }
                Some(Command::Load { folder, done }) => {
                    let answer = self.load_folder(&folder).await;
                    _ = done.send(answer);
                }
                Some(Command::Upgrade(package)) => self.upgrade(package).await,
                Some(Command::Changed(folders)) => {
                    for folder in folders {
                        self.folder_changed(&folder).await;
                    }
                }
                Some(Command::Died { name, generation, died }) => self.died(&name, generation, died),
                Some(Command::Stop) | None => break,
            }
        }
        let names: Vec<PluginName> = self.plugins.keys().cloned().collect();
        for name in names {
            self.unload(&name, Ending::Shutdown, "the host is stopping").await;
        }
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
    fn announce(&self, name: &PluginName, from: State, to: State, reason: Option<&str>) {
        let Some(plugin) = self.plugins.get(name) else { return };
        let status = plugin.slot.status();
        tracing::info!(plugin = %name, version = status.version, generation = status.generation, from = from.as_str(), to = to.as_str(), reason, "plugin");
        self.publish(
            "plugin.state_changed",
            &json!({
                "name": name, "version": status.version, "generation": status.generation,
                "from": from.as_str(), "to": to.as_str(), "reason": reason,
            }),
        );
    }

    /// Says why files did not become a running generation. Whatever ran before goes on.
    fn announce_failure(&self, what: &str, name: Option<&PluginName>, error: &LoadError) {
        let reason = error.to_string();
        tracing::warn!(what, plugin = name.map(PluginName::as_str), reason, "plugin not loaded");
        if let Some(plugin) = name.and_then(|name| self.plugins.get(name)) {
            plugin.slot.log("error", &format!("not loaded: {reason}"));
            if plugin.slot.status().state != State::Starting {
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
