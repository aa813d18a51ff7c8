//! What the lock has to say about a package: asked before it is loaded, told when it serves.

use midplane_model::PluginName;
use serde_json::json;

use super::{Supervisor, plugin::Source};
use crate::{
    lock::{Candidate, GrantSet, Pin, Refusal},
    package::{LoadError, Package, Unapproved},
    slot::Newer,
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

    /// Records the package that serves now, if it is another one. A lock that cannot be written is a warning: the plugin runs,
    /// and the next start trusts what it finds.
    pub(super) fn remember(&self, name: &PluginName) {
        let Some(plugin) = self.plugins.get(name) else { return };
        let Source::Folder(folder) = &plugin.source else { return };
        let package = &plugin.package;
        if self.lock.trusts(name, &package.digest) {
            return;
        }
        let pin = Pin {
            version: package.manifest.version.clone(),
            sha256: package.digest.clone(),
            source: folder.clone(),
            grants: GrantSet::of(&package.manifest.grants),
        };
        self.lock.set(name, |entry| entry.pin = Some(pin));
        let (lock, name, slot) = (self.lock.clone(), name.clone(), plugin.slot.clone());
        // The disk is not waited for; whatever is written last is the newest.
        self.tasks.spawn(async move {
            if let Err(error) = lock.save().await {
                tracing::error!(plugin = %name, %error, "the package that serves is not in the lock");
                slot.log("warn", &error.to_string());
            }
        });
    }
}

/// What is told of files that did not become what runs.
pub fn newer(error: &LoadError) -> Newer {
    let reason = error.to_string();
    match error {
        LoadError::Unapproved(unapproved) => {
            let Unapproved { version, sha256, added, .. } = &**unapproved;
            Newer { reason, version: Some(version.clone()), sha256: Some(sha256.clone()), added: added.clone() }
        }
        _ => Newer { reason, version: None, sha256: None, added: GrantSet::default() },
    }
}
