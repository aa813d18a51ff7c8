//! `plugin.install`, `plugin.remove` and `plugin.approve`: what changes which plugins there are, and what they may do.
//!
//! The supervisor is only asked to look at a folder; files and trust are changed here, around that question.

use std::{path::PathBuf, sync::Arc};

use midplane_model::{ErrorCode, Fault, PluginName};
use midplane_router::interfaces_of_component;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    PluginFiles,
    place::{self, Placed, Staged},
    source,
};
use crate::{
    host::Host,
    lock::{GrantSet, Lock, LockError, Pin},
    manifest::Manifest,
    package::{Files, is_hook},
    supervisor::{Ask, Summary},
};

/// What `plugin.install` is asked.
#[derive(Debug)]
pub struct Wish {
    /// A path on the host's machine.
    pub source: PathBuf,
    /// Whether the grants that are new have been looked at and are allowed.
    pub approve: bool,
    /// Only this package, if it is given: what was looked at.
    pub sha256: Option<String>,
}

/// What came of it; nothing has changed unless `installed`.
#[derive(Debug, Serialize)]
pub struct InstallReport {
    pub installed: bool,
    pub name: PluginName,
    pub version: String,
    pub sha256: String,
    /// The version that was there before.
    pub replaces: Option<String>,
    /// Everything the plugin asks for.
    pub grants: GrantSet,
    /// What of it nobody has approved yet.
    pub needs_approval: GrantSet,
    /// Interfaces that it serves.
    pub services: Vec<String>,
    /// The plugin as it is now.
    pub plugin: Option<Summary>,
}

pub struct Installer {
    pub host: Arc<Host>,
    /// The plugin folder.
    pub folder: PathBuf,
    pub lock: Arc<Lock>,
    pub supervisor: Ask,
    /// One package is in hand at a time, because it is in memory; whoever comes with another waits.
    pub turn: Semaphore,
}

impl Installer {
    /// Reads, shows, and if nothing is left to approve installs: the package changes places with the former one, which stays at
    /// hand until the new one serves or waits for another plugin. Must run to its end: spawn it.
    pub async fn install(&self, wish: Wish) -> Result<InstallReport, Fault> {
        self.refuse_if_locked("plugin.install")?;
        let _turn = self.turn.acquire().await.map_err(|_| Fault::internal())?;
        let path = wish.source.clone();
        let files = blocking(move || source::read(&path)).await??;
        let mut report = self.look_at(&files);
        if let Some(expected) = wish.sha256.as_ref().filter(|expected| **expected != report.sha256) {
            let message =
                format!("the source holds another package by now: its sha256 is {}, not {expected}", report.sha256);
            return Err(Fault::new(ErrorCode::Conflict, message).with("sha256", report.sha256));
        }
        if !report.needs_approval.is_empty() && !wish.approve {
            return Ok(report);
        }
        let name = report.name.clone();
        let folder = self.folder_for(&name).await?;
        let _expected = self.lock.expect(&name, &report.sha256);
        let (plugins, target) = (self.folder.clone(), folder.clone());
        let placed =
            blocking(move || Staged::write(&plugins, &target, &files.files)?.place()).await?.map_err(not_written)?;
        let summary = match self.supervisor.load(&folder).await {
            Ok(summary) if !["failed", "backoff"].contains(&summary.state) => summary,
            Ok(summary) => return Err(self.undo(&name, &folder, placed, &summary.why()).await),
            Err(fault) => return Err(self.undo(&name, &folder, placed, &fault.message).await),
        };
        let pin = Pin {
            version: report.version.parse().map_err(|_| Fault::internal())?,
            sha256: report.sha256.clone(),
            source: wish.source.display().to_string(),
            grants: report.grants.clone(),
        };
        let written = self.lock.change(&name, |entry| entry.pin = Some(pin)).await;
        // Only now: until the lock has the new package, a host that is killed goes back to the former one.
        blocking(move || placed.keep()).await?;
        written.map_err(|error| not_locked(&error))?;
        report.installed = true;
        report.plugin = Some(summary);
        Ok(report)
    }

    /// What can be said before anything changes.
    fn look_at(&self, files: &PluginFiles) -> InstallReport {
        let (manifest, package) = (&files.manifest, files.package());
        let entry = self.lock.entry(&manifest.name).and_then(|entry| entry.pin);
        let approved = entry.as_ref().map(|pin| pin.grants.clone()).unwrap_or_default();
        let asks = GrantSet::of(&manifest.grants);
        let exports = interfaces_of_component(&package.wasm).map(|read| read.exports).unwrap_or_default();
        let replaced = self.supervisor.summary(&manifest.name).map(|summary| summary.version);
        InstallReport {
            installed: false,
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            sha256: package.digest(),
            replaces: replaced,
            needs_approval: asks.beyond(&approved),
            grants: asks,
            services: exports.iter().filter(|export| !is_hook(export)).map(|export| export.id.to_string()).collect(),
            plugin: None,
        }
    }

    /// Where the plugin lives, or would.
    async fn folder_for(&self, name: &PluginName) -> Result<String, Fault> {
        if let Some(folder) = self.supervisor.folder(name) {
            return Ok(folder);
        }
        let (path, name) = (self.folder.join(name.as_str()), name.clone());
        blocking(move || match std::fs::read_to_string(path.join(super::MANIFEST)) {
            Ok(text) if Manifest::parse(&text).is_ok_and(|manifest| manifest.name == name) => Ok(name.to_string()),
            Err(_) if !path.exists() => Ok(name.to_string()),
            _ => {
                let message =
                    format!("the folder {name} in the plugin folder holds something else; move it away first");
                Err(Fault::new(ErrorCode::Conflict, message))
            }
        })
        .await?
    }

    /// The former files come back, and the supervisor looks at them again.
    async fn undo(&self, name: &PluginName, folder: &str, placed: Placed, reason: &str) -> Fault {
        if let Ok(Err(error)) = blocking(move || placed.undo()).await {
            tracing::error!(plugin = %name, %error, "a package that does not run is still in its folder");
        }
        self.supervisor.look_again(folder).await;
        let message = format!("{name} was not installed: {reason}");
        Fault::new(ErrorCode::PluginFailed, message).with("plugin", name.as_str())
    }

    /// Deletes a plugin's folder, forgets that it was trusted, and waits until it is gone; with `purge` also what it stored.
    pub async fn remove(&self, name: &PluginName, purge: bool) -> Result<(), Fault> {
        self.refuse_if_locked("plugin.remove")?;
        let _turn = self.turn.acquire().await.map_err(|_| Fault::internal())?;
        let folder = match (self.supervisor.folder(name), self.supervisor.summary(name)) {
            (Some(folder), _) => folder,
            (None, Some(_)) => {
                let message =
                    format!("{name} is built into the program and cannot be removed; plugin.disable stops it");
                return Err(Fault::new(ErrorCode::Conflict, message));
            }
            (None, None) => self.folder_holding(name).await?,
        };
        if purge && self.supervisor.is_builtin(name) {
            let message =
                format!("a plugin named {name} is built in and goes on with what is stored; remove without purge");
            return Err(Fault::new(ErrorCode::Conflict, message));
        }
        if purge && self.supervisor.summary(name).is_some() {
            // It must not write any more. Nothing of this is kept: the entry of the lock goes below.
            self.supervisor.stop(name).await?;
        }
        let (plugins, target) = (self.folder.clone(), folder.clone());
        blocking(move || place::remove(&plugins, &target)).await?.map_err(not_written)?;
        self.lock.forget(name).await.map_err(|error| not_locked(&error))?;
        if purge {
            self.host.parts.storage.namespace(name).clear().await.map_err(Fault::from)?;
        }
        // Or what is put in its place next would pass for what was there.
        self.supervisor.removed(&folder).await;
        Ok(())
    }

    /// Allows what the package in a plugin's folder asks for, and loads it. `sha256` makes sure that it is still the one that was
    /// looked at.
    pub async fn approve(&self, name: &PluginName, sha256: Option<&str>) -> Result<Summary, Fault> {
        self.refuse_if_locked("plugin.approve")?;
        let _turn = self.turn.acquire().await.map_err(|_| Fault::internal())?;
        let folder = match self.supervisor.folder(name) {
            Some(folder) => folder,
            None => self.folder_holding(name).await?,
        };
        let path = self.folder.join(&folder);
        let files = blocking(move || source::read(&path)).await??;
        let found = files.package().digest();
        if let Some(expected) = sha256.filter(|expected| *expected != found) {
            let message = format!(
                "the package of {name} is another one by now: its sha256 is {found}, not {expected}; look at it with plugin.get"
            );
            return Err(Fault::new(ErrorCode::Conflict, message).with("sha256", found));
        }
        let pin = Pin {
            version: files.manifest.version.clone(),
            sha256: found,
            source: folder.clone(),
            grants: GrantSet::of(&files.manifest.grants),
        };
        self.lock.change(name, |entry| entry.pin = Some(pin)).await.map_err(|error| not_locked(&error))?;
        self.supervisor.load(&folder).await
    }

    /// The folder of a plugin that has never run.
    async fn folder_holding(&self, name: &PluginName) -> Result<String, Fault> {
        let (plugins, wanted) = (self.folder.clone(), name.clone());
        let found = blocking(move || {
            std::fs::read_dir(plugins).ok()?.filter_map(Result::ok).find_map(|entry| {
                let text = std::fs::read_to_string(entry.path().join(super::MANIFEST)).ok()?;
                let holds = Manifest::parse(&text).is_ok_and(|manifest| manifest.name == wanted);
                holds.then(|| entry.file_name().into_string().ok()).flatten()
            })
        });
        let none = || Fault::not_found(format!("there is no plugin {name}; plugin.list names those there are"));
        found.await?.ok_or_else(none)
    }

    fn refuse_if_locked(&self, method: &str) -> Result<(), Fault> {
        if !self.lock.is_locked() {
            return Ok(());
        }
        let message = format!("this host was started with --locked, so {method} changes nothing; start it without");
        Err(Fault::new(ErrorCode::Conflict, message))
    }
}

/// Ends what a host that was killed had begun in a plugin folder. Blocks.
pub fn recover(plugins: &std::path::Path, lock: &Lock) -> std::io::Result<()> {
    place::recover(plugins, |folder| {
        source::read(folder).is_ok_and(|files| lock.trusts(&files.manifest.name, &Files::digest(&files.package())))
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::internal())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_written(error: std::io::Error) -> Fault {
    tracing::error!(%error, "the plugin folder");
    Fault::new(ErrorCode::NoSpace, "the plugin folder cannot be written; the log of the host says why")
}

/// The fault of a change that could not be kept.
pub fn not_locked(error: &LockError) -> Fault {
    tracing::error!(%error, "the lock");
    Fault::new(ErrorCode::NoSpace, "plugins.lock cannot be written; the log of the host says why")
}
