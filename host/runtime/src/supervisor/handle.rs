//! The handle of the supervisor: what others may ask of it, and what they may read without asking.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use midplane_capabilities::terminals::TerminalEvent;
use midplane_model::{ErrorCode, Fault, PluginName};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use super::{
    Ask, Command, Supervisor, folder,
    shown::{Shown, Table},
};
use crate::{
    host::{Bundle, Host},
    install::{self, InstallReport, Installer, Wish},
    lock::Lock,
    log_book::{LogQuery, Numbered},
    manifest::Manifest,
    metrics,
};

/// Commands that wait for the supervisor; then whoever asks waits.
const COMMANDS_MAX: usize = 64;

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
    /// Of the plugin; of its folder, if nothing in there says the name.
    pub name: String,
    /// Empty if nothing says it.
    pub version: String,
    pub state: &'static str,
    pub generation: u64,
    pub description: String,
    /// Why it is in this state.
    pub reason: String,
    pub builtin: bool,
    /// Why the newest files of this plugin are not what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
}

/// Who asked for something about one plugin, and waits for what comes of it.
pub type Asked = oneshot::Sender<Result<Summary, Fault>>;

/// Dropping it without [`Plugins::close`] ends the supervisor without stopping plugins gently.
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
    /// Loads every plugin, and resolves when each runs or has a reason not to; plugins that take longer than `STARTUP_MAX` to
    /// start are not waited for.
    ///
    /// # Errors
    /// Only when the plugin folder itself cannot be read or watched; a broken plugin is a line of the list.
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
        let (folder, watch) = folder::open(config.folder, commands.clone()).await?;
        let (ready, is_ready) = oneshot::channel();
        let mut supervisor = Supervisor::new(host.clone(), config.lock, table, commands.downgrade(), ready);
        supervisor.folder = folder;
        supervisor.bundles = config.bundles;
        if let Err(error) = host.optimiser.start(host.clone(), commands.downgrade()) {
            tracing::warn!(%error, "large plugins keep their baseline code");
        }
        let ending = host.clone();
        let task = tokio::spawn(async move {
            supervisor.run(receiver, config.terminal_events).await;
            ending.optimiser.close(&ending).await;
            if let Some(watch) = watch {
                watch.close().await;
            }
        });
        is_ready.await.map_err(|_| Fault::internal())?;
        Ok(Self { host, ask, lock, installer, tasks: TaskTracker::new(), task: Mutex::new(Some(task)) })
    }

    /// All plugins by name, with those that never loaded.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        self.ask.table.list()
    }

    /// Everything about one plugin: interfaces with types and docs, grants, limits.
    ///
    /// # Errors
    /// `not_found`.
    pub fn get(&self, name: &PluginName) -> Result<Value, Fault> {
        let mut plugin = self.ask.table.describe(name).ok_or_else(|| no_plugin(name))?;
        if let Some(pin) = self.lock.entry(name).and_then(|entry| entry.pin) {
            plugin["approved"] = json!(pin.grants);
        }
        Ok(plugin)
    }

    /// The figures of all plugins as Prometheus text, in families of their own (`midplane_plugin_…`).
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics::render(&self.ask.table.slots())
    }

    pub(crate) fn find(&self, name: &PluginName) -> Result<Arc<Shown>, Fault> {
        self.ask.table.find(name).ok_or_else(|| no_plugin(name))
    }

    /// The plugin that has the office of the authenticator.
    pub(crate) fn authenticator(&self) -> Option<Arc<Shown>> {
        self.ask.table.authenticator()
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
    /// `not_found`, `unavailable` when too many wait for this plugin already, or `plugin_failed` with the reason; the old
    /// generation then goes on.
    pub async fn reload(&self, name: &PluginName) -> Result<Summary, Fault> {
        self.ask.send(|done| Command::Reload { name: name.clone(), done }).await
    }

    /// Starts a plugin that was disabled, or stops and disables it; kept over a restart.
    ///
    /// # Errors
    /// `not_found`, `unavailable` when too many wait for this plugin already.
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

    /// Stops every plugin, ends what visitors are still being told, and joins everything that was started for them.
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

impl Summary {
    /// The reason, for a sentence.
    pub fn why(&self) -> String {
        self.reason.clone()
    }
}

pub fn no_plugin(name: &PluginName) -> Fault {
    Fault::not_found(format!("there is no plugin {name}; plugin.list names those there are"))
}

pub fn too_many_wait(name: &PluginName) -> Fault {
    Fault::new(ErrorCode::Unavailable, format!("too many requests wait for {name} already; try again"))
        .with("busy", name.as_str())
        .retry_after_ms(1000)
}
