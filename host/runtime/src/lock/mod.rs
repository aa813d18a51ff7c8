//! `plugins.lock`: which package of each plugin is trusted, with which grants, and whether the plugin is to run.
//!
//! [`admission`] decides, [`grants`] compares, [`file`](mod@file) keeps. The supervisor asks before it loads a package, and has it
//! recorded once the package serves. What is built into the program is trusted by the program: only whether it is to run is kept.

mod admission;
mod entry;
mod file;
mod grants;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use midplane_model::PluginName;

pub use admission::{Candidate, Refusal};
pub use entry::{Entry, Pin};
pub use file::LockError;
pub use grants::GrantSet;

use file::Entries;

/// The lock of one host. The default keeps it in memory only.
#[derive(Debug, Default)]
pub struct Lock {
    /// None keeps it in memory only.
    path: Option<PathBuf>,
    /// Nothing is loaded but what is locked, and nothing is trusted anew.
    locked: bool,
    entries: Mutex<Entries>,
    expected: Mutex<BTreeSet<(PluginName, String)>>,
    /// One writer at a time, so that an older state never replaces a newer one.
    writing: Mutex<()>,
}

impl Lock {
    /// Reads the lock; blocks on the disk.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or is damaged. It is never replaced silently.
    pub fn open(path: Option<PathBuf>, locked: bool) -> Result<Arc<Self>, LockError> {
        let entries = path.as_deref().map_or_else(|| Ok(Entries::new()), file::read)?;
        Ok(Arc::new(Self { path, locked, entries: Mutex::new(entries), ..Self::default() }))
    }

    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    #[must_use]
    pub fn entry(&self, name: &PluginName) -> Option<Entry> {
        self.entries().get(name).cloned()
    }

    /// Whether the operator wants a plugin to run; so where nothing is known.
    #[must_use]
    pub fn is_enabled(&self, name: &PluginName) -> bool {
        self.entries().get(name).is_none_or(|entry| entry.enabled)
    }

    /// Whether exactly this package was trusted last.
    #[must_use]
    pub fn trusts(&self, name: &PluginName, sha256: &str) -> bool {
        let entries = self.entries();
        entries.get(name).and_then(|entry| entry.pin.as_ref()).is_some_and(|pin| pin.sha256 == sha256)
    }

    /// Admits a package until the answer is dropped: somebody has looked at it, and it is not known yet whether it runs.
    #[must_use]
    pub fn expect(self: &Arc<Self>, name: &PluginName, sha256: &str) -> Expected {
        let package = (name.clone(), sha256.to_owned());
        self.expected().insert(package.clone());
        Expected { lock: self.clone(), package }
    }

    fn expected(&self) -> MutexGuard<'_, BTreeSet<(PluginName, String)>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a package may be loaded.
    ///
    /// # Errors
    /// Why it may not.
    pub fn admit(&self, name: &PluginName, candidate: &Candidate) -> Result<(), Refusal> {
        if self.expected().contains(&(name.clone(), candidate.sha256.clone())) {
            return Ok(());
        }
        admission::admit(self.entries().get(name), candidate, self.locked)
    }

    /// Changes what is known of a plugin, and keeps it on disk if that made a difference. Not cancel safe: a caller that goes
    /// away leaves a change that is written with the next one.
    ///
    /// # Errors
    /// `Write`; the change then holds until the host ends.
    pub async fn change(self: &Arc<Self>, name: &PluginName, change: impl FnOnce(&mut Entry)) -> Result<(), LockError> {
        if self.set(name, change) { self.save().await } else { Ok(()) }
    }

    /// Changes what is known of a plugin; whether that made a difference, which [`Lock::save`] then keeps.
    pub fn set(&self, name: &PluginName, change: impl FnOnce(&mut Entry)) -> bool {
        let mut entries = self.entries();
        let before = entries.get(name).cloned();
        let mut entry = before.clone().unwrap_or_default();
        change(&mut entry);
        let changed = before.as_ref() != Some(&entry);
        entries.insert(name.clone(), entry);
        changed
    }

    /// Forgets a plugin.
    ///
    /// # Errors
    /// `Write`.
    pub async fn forget(self: &Arc<Self>, name: &PluginName) -> Result<(), LockError> {
        let known = self.entries().remove(name).is_some();
        if known { self.save().await } else { Ok(()) }
    }

    /// Keeps everything on disk.
    ///
    /// # Errors
    /// `Write`.
    pub async fn save(self: &Arc<Self>) -> Result<(), LockError> {
        let lock = self.clone();
        let write = move || {
            let Some(path) = &lock.path else { return Ok(()) };
            let _one = lock.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let entries = lock.entries().clone();
            file::write(path, &entries)
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(written) => written,
            // Blocking work is only cut off when the program ends.
            Err(_) => Ok(()),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A package that is admitted as long as this lives.
pub struct Expected {
    lock: Arc<Lock>,
    package: (PluginName, String),
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.lock.expected().remove(&self.package);
    }
}
