//! Where plugins come from: bundles in the program, folders in the plugin folder, and what changes there.
//!
//! Each is read by a task of its own (see [`super::reading`]), one per source at a time. A source that changes while it is read
//! is read again, and only what the last reading gave counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;
use midplane_capabilities::files::{Entry, Kind, ListOptions, RelativePath};
use midplane_model::{ErrorCode, Fault, PluginName, limits::PLUGIN_REQUESTS_MAX};

use super::{
    Done, Supervisor,
    handle::{Asked, no_plugin, too_many_wait},
    plugin::{Errand, Plugin, Replacement, Source},
    reading::{Read, Reader, manifest_in},
    shown::Broken,
};
use crate::{
    host::Bundle,
    life::State,
    manifest::Manifest,
    package::{LoadError, Package},
};

/// A source that is being read.
#[derive(Default)]
pub struct Reading {
    asked: Vec<Asked>,
    /// It changed since.
    again: bool,
}

impl Supervisor {
    /// The first load: every folder, and the bundles whose names no folder bears.
    pub(super) async fn read_everything(&mut self) {
        let Some(root) = self.folder.clone() else {
            self.read_bundles(|_| true);
            return;
        };
        let listing = root.list(&RelativePath::root(), ListOptions::default()).await;
        let entries = listing.map(|listing| listing.entries).unwrap_or_default();
        let hidden = |entry: &Entry| entry.path.as_str().starts_with('.');
        let folders = entries.into_iter().filter(|entry| entry.kind == Kind::Directory && !hidden(entry));
        let folders: Vec<String> = folders.map(|entry| entry.path.as_str().to_owned()).collect();
        let manifests = join_all(folders.iter().map(|folder| manifest_in(&root, folder))).await;
        for (folder, manifest) in folders.iter().zip(manifests) {
            if let Some(manifest) = manifest {
                self.first.entry(manifest.name).or_insert_with(|| folder.clone());
            }
        }
        let named = self.first.clone();
        self.read_bundles(|name| !named.contains_key(name));
        for folder in folders {
            self.read(&Source::Folder(folder), None);
        }
    }

    fn read_bundles(&mut self, wanted: impl Fn(&PluginName) -> bool) {
        for bundle in self.bundles.clone() {
            if Manifest::parse(bundle.manifest).is_ok_and(|manifest| wanted(&manifest.name)) {
                self.read(&Source::Bundle(bundle), None);
            }
        }
    }

    fn bundle(&self, name: &PluginName) -> Option<Bundle> {
        let named = |bundle: &&Bundle| Manifest::parse(bundle.manifest).is_ok_and(|manifest| manifest.name == *name);
        self.bundles.iter().find(named).copied()
    }

    pub(super) fn reload(&mut self, name: &PluginName, asked: Asked) {
        match self.plugins.get(name).map(|plugin| plugin.source.clone()) {
            Some(source) => self.read(&source, Some(asked)),
            None => _ = asked.send(Err(no_plugin(name))),
        }
    }

    /// Begins to read a source. Whoever asked gets what comes of it in the end.
    pub(super) fn read(&mut self, source: &Source, asked: Option<Asked>) {
        let key = source.key();
        if let Some(reading) = self.reads.get_mut(&key) {
            reading.again = true;
            if reading.asked.len() < PLUGIN_REQUESTS_MAX {
                reading.asked.extend(asked);
            } else if let Some(asked) = asked
                && let Some(name) = self.owner(source)
            {
                _ = asked.send(Err(too_many_wait(&name)));
            }
            return;
        }
        let reader = Reader {
            host: self.host.clone(),
            folder: self.folder.clone(),
            source: source.clone(),
            known: self
                .plugins
                .values()
                .filter(|plugin| plugin.source.key() == key)
                .flat_map(Plugin::packages)
                .collect(),
            owners: self.owners(),
            turns: self.reading.clone(),
        };
        self.reads.insert(key, Reading { asked: asked.into_iter().collect(), again: false });
        let lost = Read { source: source.clone(), result: Err(LoadError::GivenUp), manifest: None, owner: None };
        self.spawn(async move { Done::Read(reader.read().await) }, Done::Read(lost));
    }

    /// The folders of all plugins, and for a name that no plugin bears yet the first that was found with it.
    fn owners(&self) -> BTreeMap<PluginName, String> {
        let mut owners = self.first.clone();
        owners.extend(
            self.plugins.iter().filter_map(|(name, plugin)| Some((name.clone(), plugin.source.folder()?.to_owned()))),
        );
        owners
    }

    /// As [`Self::owners`] says for one name.
    fn folder_of(&self, name: &PluginName) -> Option<&str> {
        let plugin = self.plugins.get(name).and_then(|plugin| plugin.source.folder());
        plugin.or(self.first.get(name).map(String::as_str))
    }

    /// The plugin that came from this source.
    fn owner(&self, source: &Source) -> Option<PluginName> {
        let key = source.key();
        self.plugins.iter().find(|(_, plugin)| plugin.source.key() == key).map(|(name, _)| name.clone())
    }

    pub(super) fn was_read(&mut self, read: Read) {
        let Read { source, result, manifest, owner: former } = read;
        let key = source.key();
        let Some(Reading { asked, again }) = self.reads.remove(&key) else { return };
        let owner = manifest.as_ref().and_then(|manifest| self.folder_of(&manifest.name));
        // Another folder has brought a plugin of this name meanwhile: it must be asked whether it still does.
        let overtaken = source.folder().is_some() && owner != former.as_deref() && owner != source.folder();
        if again || overtaken {
            self.read(&source, None);
            if let Some(reading) = self.reads.get_mut(&key) {
                reading.asked = asked;
            }
            return;
        }
        if let Source::Folder(folder) = &source {
            if matches!(result, Err(LoadError::Absent)) {
                self.gone.insert(folder.clone());
                self.vanished.push(source.clone());
            } else {
                self.gone.remove(folder);
            }
        }
        let owner = self.owner(&source);
        self.table.forget_broken(&key);
        let result = result.and_then(|package| self.admit(&source, &package).map(|()| package));
        match result {
            Ok(package) => {
                // The folder now holds another plugin: the former one has lost its files.
                if let Some(owner) = owner.filter(|owner| *owner != package.manifest.name) {
                    self.lost_its_files(&owner);
                }
                self.take(source, package, asked);
            }
            Err(LoadError::Absent) => refuse(asked, &LoadError::Absent),
            Err(error) => {
                // Whoever hears of it finds it in the list.
                if owner.is_none() {
                    self.never_loaded(&key, manifest.as_deref(), &error);
                }
                self.announce_failure(&source.describe(), owner.as_ref(), &error);
                refuse(asked, &error);
            }
        }
        // A folder that was renamed has been read under its new name by then, and taken over what ran.
        if self.reads.is_empty() {
            for vanished in std::mem::take(&mut self.vanished) {
                let elsewhere =
                    |plugin: &Plugin| plugin.coming().is_some_and(|with| with.source.key() != vanished.key());
                let owner = self.owner(&vanished);
                if let Some(owner) = owner.filter(|owner| !self.plugins.get(owner).is_some_and(elsewhere)) {
                    self.lost_its_files(&owner);
                }
            }
            let plugins = self.plugins.values();
            let owned: BTreeSet<String> = plugins.map(|plugin| plugin.source.key()).collect();
            self.gone.retain(|folder| owned.contains(folder));
        }
    }

    fn never_loaded(&mut self, key: &str, manifest: Option<&Manifest>, error: &LoadError) {
        let broken = Broken {
            name: manifest.map_or_else(|| key.to_owned(), |manifest| manifest.name.to_string()),
            version: manifest.map(|manifest| manifest.version.to_string()).unwrap_or_default(),
            reason: error.to_string(),
        };
        self.table.show_broken(key, broken);
        // What is built in was left out because a folder bears its name.
        if let Some(name) = manifest.map(|manifest| &manifest.name)
            && !self.plugins.contains_key(name)
            && let Some(bundle) = self.bundle(name).map(Source::Bundle)
            && bundle.key() != key
        {
            self.read(&bundle, None);
        }
    }

    /// A package from a source that no plugin has yet, or a newer one for a plugin that is there.
    pub(super) fn take(&mut self, source: Source, package: Arc<Package>, asked: Vec<Asked>) {
        let name = package.manifest.name.clone();
        let Some(plugin) = self.plugins.get_mut(&name) else {
            self.add(source, package, asked);
            return;
        };
        if let (Source::Folder(folder), Source::Bundle(_)) = (&plugin.source, &source)
            && !self.gone.contains(folder)
        {
            // A folder takes the place of what is built in, and never the reverse.
            self.answer(&name, asked);
            return;
        }
        if asked.is_empty() && !plugin.leaves() {
            if plugin.refused.as_ref().is_some_and(|refused| refused.package.digest == package.digest) {
                plugin
                    .slot
                    .log("warn", "the files are those that failed in their probation; plugin.reload tries them again");
                return;
            }
            let retry = matches!(plugin.life.state(), State::Failed | State::Disabled | State::Backoff);
            let same_source = plugin.coming().is_none_or(|with| with.source.key() == source.key());
            if plugin.target().digest == package.digest && !retry && same_source {
                // What runs, or will in a moment, is what is there; it may have moved.
                if plugin.coming().is_none() {
                    plugin.source = source;
                    plugin.slot.set_newer(None);
                    self.show(&name);
                }
                return;
            }
        }
        let why = if asked.is_empty() { "its files changed" } else { "reloaded by request" };
        let mut asked = asked;
        // Of several replacements that wait only the newest is made.
        plugin.errands.retain_mut(|errand| match errand {
            Errand::Replace { asked: earlier, .. } => {
                asked.append(earlier);
                false
            }
            _ => true,
        });
        let with = Replacement { source, package, why: why.into() };
        self.errand(&name, Errand::Replace { with, asked });
    }

    /// Somebody took a plugin's folder away. Unlike a folder that is only found to be missing, this counts whatever lies there by
    /// the time it is looked at.
    pub(super) fn removed(&mut self, folder: &str, asked: Asked) {
        let Some(name) = self.owner(&Source::Folder(folder.to_owned())) else {
            self.read(&Source::Folder(folder.to_owned()), Some(asked));
            return;
        };
        match self.bundle(&name) {
            Some(bundle) => {
                self.gone.insert(folder.to_owned());
                self.read(&Source::Bundle(bundle), Some(asked));
            }
            None => self.errand(&name, Errand::Remove(Some(asked))),
        }
    }

    /// What is built in comes back, else the plugin goes.
    fn lost_its_files(&mut self, name: &PluginName) {
        match self.bundle(name) {
            Some(bundle) => self.read(&Source::Bundle(bundle), None),
            None => self.errand(name, Errand::Remove(None)),
        }
    }
}

fn refuse(asked: Vec<Asked>, error: &LoadError) {
    for asked in asked {
        // Who asked may be gone.
        _ = asked.send(Err(Fault::new(ErrorCode::PluginFailed, format!("not replaced: {error}"))));
    }
}
