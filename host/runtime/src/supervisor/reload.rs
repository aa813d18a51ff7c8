//! The reload: `prepare → hand over → start → swap → retire`. Before the swap every step leads back to the old generation,
//! which has not lost its mailbox or its state.

use std::sync::Arc;

use midplane_model::{ErrorCode, Fault, PluginName, limits::RELOAD_DRAIN_MAX};
use tokio::sync::oneshot;

use super::{
    Summary, Supervisor,
    generation::{finish_start, retire},
    no_plugin,
    plugin::{Running, Source},
};
use crate::{
    actor::{Control, HandedOver},
    bindings::{Ending, Reason},
    package::{Files, LoadError, Package},
    slot::State,
};

impl Supervisor {
    pub(super) async fn reload_by_name(&mut self, name: &PluginName) -> Result<Summary, Fault> {
        let source = self.plugins.get(name).map(|plugin| plugin.source.clone()).ok_or_else(|| no_plugin(name))?;
        let replaced = match self.read(&source).await {
            Ok(package) => self.replace(name, source.clone(), package).await,
            Err(error) => Err(error),
        };
        self.wake_waiting().await;
        match replaced {
            Ok(()) => self.summary(name),
            Err(error) => {
                self.announce_failure(&source.describe(), Some(name), &error);
                Err(Fault::new(ErrorCode::PluginFailed, format!("{name} was not replaced: {error}"))
                    .with("plugin", name.as_str()))
            }
        }
    }

    /// Loads what is in a folder, whatever was there before.
    pub(super) async fn load_folder(&mut self, folder: &str) -> Result<Summary, Fault> {
        let source = Source::Folder(folder.to_owned());
        let loaded = match self.read(&source).await {
            Ok(package) => {
                let name = package.manifest.name.clone();
                self.take(source, package).await.map(|()| name)
            }
            Err(error) => Err(error),
        };
        self.wake_waiting().await;
        match loaded {
            Ok(name) => self.summary(&name),
            Err(error) => {
                self.announce_failure(folder, None, &error);
                Err(Fault::new(ErrorCode::PluginFailed, error.to_string()))
            }
        }
    }

    /// The same files in another form take the place of what runs.
    pub(super) async fn upgrade(&mut self, package: Arc<Package>) {
        let name = package.manifest.name.clone();
        let Some(plugin) = self.plugins.get(&name).filter(|plugin| plugin.package.digest == package.digest) else {
            return;
        };
        let source = plugin.source.clone();
        match self.replace(&name, source.clone(), package).await {
            Ok(()) => self.set_state(&name, State::Running, Some("optimised code")),
            Err(error) => self.announce_failure(&source.describe(), Some(&name), &error),
        }
    }

    /// Reads, checks and compiles off the async threads, and asks the lock.
    pub(super) async fn read(&self, source: &Source) -> Result<Arc<Package>, LoadError> {
        let package = self.build(source).await?;
        self.admit(source, &package)?;
        Ok(package)
    }

    /// Reads, checks and compiles, whether the package is trusted or not.
    pub(super) async fn build(&self, source: &Source) -> Result<Arc<Package>, LoadError> {
        let files = match (source, &self.folder) {
            (Source::Bundle(bundle), _) => Files::of_bundle(bundle),
            (Source::Folder(folder), Some(root)) => Files::of_folder(root, folder).await?,
            (Source::Folder(_), None) => return Err(LoadError::Gone),
        };
        let host = self.host.clone();
        let built = tokio::task::spawn_blocking(move || Package::build(&host, &files)).await;
        Ok(Arc::new(built.map_err(|_| LoadError::Gone)??))
    }

    /// Puts a new package in the place of a plugin's present one, whether that one runs or not.
    pub(super) async fn replace(
        &mut self,
        name: &PluginName,
        source: Source,
        package: Arc<Package>,
    ) -> Result<(), LoadError> {
        let plugin = self.plugins.get_mut(name).ok_or(LoadError::Gone)?;
        let Some(old) = plugin.running.take() else {
            plugin.source = source;
            plugin.package = package;
            plugin.failures.clear();
            self.bring_up(name, Reason::Fresh).await;
            return Ok(());
        };
        self.set_state(name, State::Reloading, None);
        match self.swap(name, &old, &package).await {
            Ok((new, mailbox)) => {
                if let Some(plugin) = self.plugins.get_mut(name) {
                    plugin.source = source;
                    plugin.slot.metrics.reloads.add(1);
                }
                self.put_in_charge(name, package, new, mailbox).await;
                retire(old, Ending::Reload).await;
                Ok(())
            }
            Err(error) => {
                if let Some(plugin) = self.plugins.get_mut(name) {
                    plugin.running = Some(old);
                }
                self.set_state(name, State::Running, None);
                Err(error)
            }
        }
    }

    /// Everything up to the moment where only the swap remains: the new generation, started, and the mailbox.
    async fn swap(
        &self,
        name: &PluginName,
        old: &Running,
        package: &Arc<Package>,
    ) -> Result<(Running, Option<crate::actor::Mailbox>), LoadError> {
        self.check_needs(package)?;
        let stateful = package.stateful && self.plugins.get(name).is_some_and(|plugin| plugin.package.stateful);
        let reason =
            || Reason::Reload(self.plugins.get(name).map(|plugin| plugin.slot.status().version).unwrap_or_default());
        let new = self.prepare(name, package).await?;
        if !stateful {
            // Nothing to hand over but the mailbox: the new generation starts first, so nobody waits.
            let new = finish_start(new, reason(), None).await?;
            let handed = hand_over(old, false).await?;
            return Ok((new, handed.mailbox));
        }
        let HandedOver { mailbox, snapshot } = hand_over(old, true).await?;
        match finish_start(new, reason(), snapshot).await {
            Ok(new) => Ok((new, mailbox)),
            Err(error) => {
                if let Some(mailbox) = mailbox {
                    _ = old.control.send(Control::Serve(mailbox)).await;
                }
                Err(error)
            }
        }
    }
}

/// Takes the mailbox, with the state if asked for. Giving up after the drain time leaves it with the old generation.
async fn hand_over(old: &Running, save: bool) -> Result<HandedOver, LoadError> {
    let (done, answer) = oneshot::channel();
    old.control.send(Control::HandOver { save, done }).await.map_err(|_| LoadError::Gone)?;
    match tokio::time::timeout(RELOAD_DRAIN_MAX, answer).await {
        Ok(Ok(handed)) => handed,
        Ok(Err(_)) => Err(LoadError::Gone),
        Err(_) => Err(LoadError::Busy(RELOAD_DRAIN_MAX)),
    }
}
