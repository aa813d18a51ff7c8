//! What everybody may read about plugins without asking the supervisor.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
};

use midplane_model::{PageAccess, PluginName};
use midplane_router::describe_interface;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    handle::Summary,
    plugin::{Plugin, Source},
};
use crate::{inbox, life::State, package::Package, slot::Slot};

/// Replaced piece by piece by the supervisor, read by everybody.
#[derive(Clone, Default)]
pub struct Table(Arc<RwLock<Lines>>);

#[derive(Default)]
struct Lines {
    plugins: BTreeMap<PluginName, Arc<Shown>>,
    /// What never loaded, by source.
    broken: BTreeMap<String, Broken>,
}

/// A source that no plugin came from.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Of the plugin if something says it, else of the folder.
    pub name: String,
    pub version: String,
    pub reason: String,
}

/// What `plugin.list` and `plugin.get` say; replaced whenever something of it changes that the slot does not know.
pub struct Shown {
    pub slot: Arc<Slot>,
    pub inbox: mpsc::Sender<inbox::Command>,
    pub package: Arc<Package>,
    pub source: Source,
    serving: usize,
    on_probation: bool,
    rolled_back: Option<Value>,
}

impl Table {
    pub fn show(&self, plugin: &Plugin) {
        let shown = Shown {
            slot: plugin.slot.clone(),
            inbox: plugin.inbox.commands.clone(),
            package: plugin.package.clone(),
            source: plugin.source.clone(),
            serving: plugin.generation.as_ref().map_or(0, |generation| generation.instances.len()),
            on_probation: plugin.probation.is_some(),
            rolled_back: plugin.refused.as_ref().map(|refused| {
                json!({
                    "version": refused.package.manifest.version.to_string(), "sha256": refused.package.digest,
                    "reason": refused.reason,
                })
            }),
        };
        self.write(|lines| _ = lines.plugins.insert(plugin.slot.name.clone(), Arc::new(shown)));
    }

    pub fn forget(&self, name: &PluginName) {
        self.write(|lines| _ = lines.plugins.remove(name));
    }

    pub fn show_broken(&self, source: &str, broken: Broken) {
        self.write(|lines| _ = lines.broken.insert(source.to_owned(), broken));
    }

    pub fn forget_broken(&self, source: &str) {
        self.write(|lines| _ = lines.broken.remove(source));
    }

    /// Sources that would have been this plugin.
    pub fn broken_named(&self, name: &PluginName) -> Vec<String> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        lines
            .broken
            .iter()
            .filter(|(_, broken)| broken.name == name.as_str())
            .map(|(source, _)| source.clone())
            .collect()
    }

    fn write(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn find(&self, name: &PluginName) -> Option<Arc<Shown>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).plugins.get(name).cloned()
    }

    /// Who has the office of the authenticator: one at a time serves a package for it, or will soon.
    pub fn authenticator(&self) -> Option<Arc<Shown>> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let has = |shown: &&Arc<Shown>| shown.package.authenticates() && shown.slot.status().state.takes_calls();
        lines.plugins.values().find(has).cloned()
    }

    pub fn list(&self) -> Vec<Summary> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Summary> = lines.plugins.values().map(|shown| shown.summary()).collect();
        list.extend(lines.broken.values().map(Broken::summary));
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    pub fn slots(&self) -> Vec<Arc<Slot>> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        lines.plugins.values().map(|shown| shown.slot.clone()).collect()
    }

    pub fn summary(&self, name: &PluginName) -> Option<Summary> {
        Some(self.find(name)?.summary())
    }

    pub fn describe(&self, name: &PluginName) -> Option<Value> {
        if let Some(shown) = self.find(name) {
            return Some(shown.describe());
        }
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (source, broken) = lines.broken.iter().find(|(_, broken)| broken.name == name.as_str())?;
        let mut json = json!(broken.summary());
        json["source"] = source.as_str().into();
        Some(json)
    }
}

impl Broken {
    fn summary(&self) -> Summary {
        Summary {
            name: self.name.clone(),
            version: self.version.clone(),
            state: State::Failed.as_str(),
            generation: 0,
            description: String::new(),
            reason: self.reason.clone(),
            builtin: false,
            newer: None,
        }
    }
}

impl Shown {
    fn summary(&self) -> Summary {
        let status = self.slot.status();
        Summary {
            name: self.slot.name.to_string(),
            version: status.version,
            state: status.state.as_str(),
            generation: status.generation,
            description: self.package.manifest.description.clone(),
            reason: status.reason,
            builtin: matches!(self.source, Source::Bundle(_)),
            newer: self.slot.newer().map(|newer| newer.reason),
        }
    }

    fn describe(&self) -> Value {
        let manifest = &self.package.manifest;
        let services: Vec<Value> =
            self.package.services.iter().map(|interface| describe_interface(interface)).collect();
        let mut json = json!(self.summary());
        json["newer"] = json!(self.slot.newer());
        json["source"] = self.source.describe().into();
        json["sha256"] = self.package.digest.as_str().into();
        json["component_bytes"] = self.package.wasm_bytes.into();
        json["code"] = json!({
            "tier": self.package.code.tier.as_str(), "optimising": self.package.optimising.load(Ordering::Relaxed),
        });
        json["instances"] = self.serving.into();
        json["on_probation"] = self.on_probation.into();
        if let Some(rolled_back) = &self.rolled_back {
            json["rolled_back"] = rolled_back.clone();
        }
        json["services"] = services.into();
        json["hooks"] = json!(self.package.hooks);
        json["imports"] = json!(self.package.imports);
        json["pages"] = self.pages();
        json["dependencies"] = manifest
            .dependencies
            .iter()
            .map(|(name, range)| (name.to_string(), Value::from(range.to_string())))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json["grants"] = json!(manifest.grants);
        json["limits"] = json!({
            "memory_bytes": manifest.limits.memory_bytes, "deadline_ms": manifest.limits.deadline.as_millis() as u64,
            "queue": manifest.limits.queue, "max_concurrency": manifest.limits.max_concurrency,
            "instances": manifest.limits.instances, "storage_bytes": manifest.limits.storage_bytes,
        });
        json["config"] = manifest.config.shown();
        json["config_schema"] = json!(manifest.config.schema());
        json["metrics"] = self.slot.show_metrics();
        json
    }

    /// Where the plugin answers HTTP and who may ask; null if it does not.
    fn pages(&self) -> Value {
        if self.package.pages.is_none() {
            return Value::Null;
        }
        let access = match &self.package.page_rules.access {
            PageAccess::ByMethod => "by_method".to_owned(),
            PageAccess::Scope(scope) => scope.to_string(),
            PageAccess::Public => "public".to_owned(),
        };
        json!({ "path": format!("/p/{}/", self.slot.name), "access": access })
    }
}
