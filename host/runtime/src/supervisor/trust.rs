//! What the lock has to say about a package: asked before it is loaded, told when it serves.

use midplane_model::{ErrorCode, Fault, PluginName};
use serde_json::json;

use super::{Summary, Supervisor, no_plugin, plugin::Source};
use crate::{
    lock::{Candidate, GrantSet, LockError, Pin, Refusal},
    manifest::Manifest,
    package::{Files, LoadError, Package, Unapproved},
};

impl Supervisor {
    /// Whether a package may be loaded. What is built in may.
    pub(super) fn admit(&self, source: &Source, package: &Package) -> Result<(), LoadError> {
        if matches!(source, Source::Bundle(_)) {
            return Ok(());
        }
        let name = package.manifest.name.clone();
        let (version, sha256) = (package.manifest.version.clone(), package.digest.clone());
        let asks = GrantSet::of(&package.manifest.grants);
        let candidate = Candidate { version, sha256, asks };
        self.lock.admit(&name, &candidate).map_err(|refusal| {
            let Candidate { version, sha256, .. } = candidate;
            match refusal {
                Refusal::Unapproved { added } => {
                    LoadError::Unapproved(Box::new(Unapproved { name, version, sha256, added }))
                }
                Refusal::Differs { locked } => LoadError::NotLocked {
                    found: format!("{name} {version} (sha256 {sha256})"),
                    locked: format!("{name} {} (sha256 {})", locked.version, locked.sha256),
                },
                Refusal::NotLocked => LoadError::NotLocked {
                    found: format!("{name} {version} (sha256 {sha256})"),
                    locked: format!("nothing named {name}"),
                },
            }
        })
    }

    /// Tells whoever listens that an operator is needed.
    pub(super) fn announce_unapproved(&self, unapproved: &Unapproved) {
        let Unapproved { name, version, sha256, added } = unapproved;
        self.publish(
            "plugin.approval_needed",
            &json!({ "name": name, "version": version, "sha256": sha256, "added": added }),
        );
    }

    /// Records the package that serves now. A lock that cannot be written is a warning: the plugin runs, and the next start
    /// trusts what it finds.
    pub(super) async fn remember(&self, name: &PluginName) {
        let Some(plugin) = self.plugins.get(name) else { return };
        let Source::Folder(folder) = &plugin.source else { return };
        let package = &plugin.package;
        let pin = Pin {
            version: package.manifest.version.clone(),
            sha256: package.digest.clone(),
            source: folder.clone(),
            grants: GrantSet::of(&package.manifest.grants),
        };
        if let Err(error) = self.lock.change(name, |entry| entry.pin = Some(pin)).await {
            tracing::error!(plugin = %name, %error, "the package that serves is not in the lock");
            plugin.slot.log("warn", &error.to_string());
        }
    }

    /// Approves what the newest package of a plugin asks for, and loads it. `sha256` makes sure that it is still the one that
    /// was looked at.
    pub(super) async fn approve(&mut self, name: &PluginName, sha256: Option<&str>) -> Result<Summary, Fault> {
        if self.lock.is_locked() {
            return Err(locked("plugin.approve"));
        }
        let folder = self.folder_of(name).await.ok_or_else(|| no_plugin(name))?;
        let source = Source::Folder(folder);
        let package = self.build(&source).await.map_err(|error| not_loaded(name, &error))?;
        if let Some(expected) = sha256.filter(|expected| *expected != package.digest) {
            let message = format!(
                "the package of {name} is not the one to approve any more: its sha256 is {}, not {expected}; look at it again with plugin.get",
                package.digest
            );
            return Err(Fault::new(ErrorCode::Conflict, message).with("sha256", package.digest.as_str()));
        }
        let approved = Pin {
            version: package.manifest.version.clone(),
            sha256: package.digest.clone(),
            source: source.describe(),
            grants: GrantSet::of(&package.manifest.grants),
        };
        self.lock.change(name, |entry| entry.pin = Some(approved)).await.map_err(|error| not_written(&error))?;
        self.take(source, package).await.map_err(|error| not_loaded(name, &error))?;
        self.wake_waiting().await;
        self.summary(name)
    }

    /// The folder that holds a plugin, also one that has never run.
    async fn folder_of(&self, name: &PluginName) -> Option<String> {
        if let Some(Source::Folder(folder)) = self.plugins.get(name).map(|plugin| &plugin.source) {
            return Some(folder.clone());
        }
        let root = self.folder.as_ref()?;
        for folder in self.folders().await {
            let manifest = Files::manifest_of(root, &folder).await;
            if manifest.is_ok_and(|text| Manifest::parse(&text).is_ok_and(|manifest| manifest.name == *name)) {
                return Some(folder);
            }
        }
        None
    }

    /// Keeps whether a plugin is to run.
    pub(super) async fn remember_enabled(&self, name: &PluginName, on: bool) -> Result<(), Fault> {
        self.lock.change(name, |entry| entry.enabled = on).await.map_err(|error| not_written(&error))
    }
}

/// What a host that was started with `--locked` does not do.
fn locked(method: &str) -> Fault {
    let message = format!(
        "this host was started with --locked, so {method} changes nothing; start it without to change what is trusted"
    );
    Fault::new(ErrorCode::Conflict, message)
}

fn not_written(error: &LockError) -> Fault {
    tracing::error!(%error, "the lock");
    Fault::new(ErrorCode::NoSpace, "plugins.lock cannot be written; the log of the host says why")
}

fn not_loaded(name: &PluginName, error: &LoadError) -> Fault {
    Fault::new(ErrorCode::PluginFailed, format!("{name} was not loaded: {error}")).with("plugin", name.as_str())
}
