//! Where plugins come from: bundles in the program, folders in the plugin folder, and what changes there.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use midplane_capabilities::{
    files::{Kind, ListOptions, RelativePath, Root},
    watch::{Batch, Exclusions, Watcher},
};
use midplane_model::{Fault, PluginName, limits::RELOAD_QUIET};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Command, Supervisor, plugin::Source};
use crate::{
    bindings::Ending,
    manifest::Manifest,
    package::{LoadError, Package},
};

/// The watch over the plugin folder.
pub struct FolderWatch {
    watcher: Watcher,
    task: JoinHandle<()>,
}

impl FolderWatch {
    pub async fn close(self) {
        self.watcher.close().await;
        _ = self.task.await;
    }
}

/// Opens and watches the plugin folder.
///
/// # Errors
/// When it is missing or cannot be watched.
pub(super) async fn open(
    folder: Option<PathBuf>,
    commands: mpsc::Sender<Command>,
) -> Result<(Option<Root>, Option<FolderWatch>), Fault> {
    let Some(folder) = folder else { return Ok((None, None)) };
    let root = Root::open(&folder)
        .map_err(|error| Fault::not_found(format!("the plugin folder {}: {error}", folder.display())))?;
    let watcher = Watcher::start(&root, Exclusions::default()).await?;
    let batches = watcher.subscribe();
    let task = tokio::spawn(gather(batches, commands.downgrade()));
    Ok((Some(root), Some(FolderWatch { watcher, task })))
}

/// Collects the folders that change until they have been quiet for `RELOAD_QUIET`: a copy or a build is over then.
async fn gather(mut batches: mpsc::Receiver<Batch>, commands: mpsc::WeakSender<Command>) {
    let mut changed: BTreeSet<String> = BTreeSet::new();
    loop {
        let batch = if changed.is_empty() {
            batches.recv().await
        } else {
            match tokio::time::timeout(RELOAD_QUIET, batches.recv()).await {
                Ok(batch) => batch,
                Err(_) => {
                    let Some(commands) = commands.upgrade() else { return };
                    if commands.send(Command::Changed(std::mem::take(&mut changed))).await.is_err() {
                        return;
                    }
                    continue;
                }
            }
        };
        let Some(batch) = batch else { return };
        let paths = batch.changes.iter().flat_map(|change| change.from.iter().chain([&change.path]));
        changed.extend(paths.chain(&batch.rescan).filter_map(|path| path.segments().next().map(str::to_owned)));
    }
}

impl Supervisor {
    /// The first load: folders first, then bundles whose names are still free. Compiling uses all cores.
    pub(super) async fn load_everything(&mut self) {
        let mut sources: Vec<Source> = self.folders().await.into_iter().map(Source::Folder).collect();
        sources.extend(self.bundles.iter().copied().map(Source::Bundle));
        let packages = futures_util::future::join_all(sources.iter().map(|source| self.read(source))).await;
        for (source, package) in sources.into_iter().zip(packages) {
            match package {
                Ok(package) => self.take_or_tell(source, package).await,
                Err(error) => self.announce_failure(&source.describe(), None, &error),
            }
        }
        self.wake_waiting().await;
    }

    async fn folders(&self) -> Vec<String> {
        let Some(root) = &self.folder else { return Vec::new() };
        let listing = root.list(&RelativePath::root(), ListOptions::default()).await;
        let entries = listing.map(|listing| listing.entries).unwrap_or_default();
        entries
            .into_iter()
            .filter(|entry| entry.kind == Kind::Directory && !entry.path.as_str().starts_with('.'))
            .map(|entry| entry.path.as_str().to_owned())
            .collect()
    }

    async fn take_or_tell(&mut self, source: Source, package: Arc<Package>) {
        let (what, name) = (source.describe(), package.manifest.name.clone());
        if let Err(error) = self.take(source, package).await {
            self.announce_failure(&what, Some(&name), &error);
        }
    }

    /// A package from a source that no plugin has yet, or a newer one for a plugin that is there.
    pub(super) async fn take(&mut self, source: Source, package: Arc<Package>) -> Result<(), LoadError> {
        let name = package.manifest.name.clone();
        let Some(plugin) = self.plugins.get(&name) else {
            self.add(source, package).await;
            return Ok(());
        };
        let taken = match (&plugin.source, &source) {
            // A folder takes the place of what is built in, and never the reverse.
            (Source::Folder(_), Source::Bundle(_)) => return Ok(()),
            (Source::Folder(other), Source::Folder(folder)) if other != folder && self.is_there(other).await => {
                Some(other.clone())
            }
            _ => None,
        };
        let slot = plugin.slot.clone();
        let unchanged = plugin.package.digest == package.digest && plugin.running.is_some();
        match (taken, &source) {
            (Some(other), Source::Folder(folder)) => {
                Err(LoadError::NameTaken { name: name.to_string(), folder: folder.clone(), other })
            }
            _ if unchanged => {
                slot.set_newer(None);
                Ok(())
            }
            _ => self.replace(&name, source.clone(), package).await,
        }
    }

    async fn is_there(&self, folder: &str) -> bool {
        let Some(root) = &self.folder else { return false };
        match RelativePath::parse(&format!("{folder}/plugin.toml")) {
            Ok(path) => root.stat(&path).await.is_ok(),
            Err(_) => false,
        }
    }

    /// A plugin folder appeared, changed or vanished.
    pub(super) async fn folder_changed(&mut self, folder: &str) {
        if folder.starts_with('.') {
            // Where packages are put together, and whatever else people hide.
            return;
        }
        let owner =
            self.plugins.iter().find(|(_, plugin)| plugin.source.is_folder(folder)).map(|(name, _)| name.clone());
        if !self.is_there(folder).await {
            if let Some(name) = owner {
                self.folder_gone(&name).await;
            }
            return;
        }
        let source = Source::Folder(folder.to_owned());
        match self.read(&source).await {
            Ok(package) => {
                // The folder now holds another plugin: the former one has lost its files.
                if let Some(owner) = owner.filter(|owner| *owner != package.manifest.name) {
                    self.folder_gone(&owner).await;
                }
                self.take_or_tell(source, package).await;
            }
            Err(error) => self.announce_failure(folder, owner.as_ref(), &error),
        }
        self.wake_waiting().await;
    }

    /// The files of a plugin are gone: what is built in comes back, else the plugin goes.
    async fn folder_gone(&mut self, name: &PluginName) {
        let bundle = self
            .bundles
            .iter()
            .find(|bundle| Manifest::parse(bundle.manifest).is_ok_and(|manifest| manifest.name == *name));
        let Some(source) = bundle.copied().map(Source::Bundle) else {
            self.unload(name, Ending::Removed, "its folder was removed").await;
            return;
        };
        let replaced = match self.read(&source).await {
            Ok(package) => self.replace(name, source.clone(), package).await,
            Err(error) => Err(error),
        };
        if let Err(error) = replaced {
            self.announce_failure(&source.describe(), Some(name), &error);
        }
    }
}
