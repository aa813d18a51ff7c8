//! What the supervisor keeps about a plugin, and what it shows of it.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use midplane_model::PageAccess;
use midplane_router::describe_interface;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Summary;
use crate::{
    actor::{Control, Mailbox},
    host::Bundle,
    inbox::{self, Inbox},
    package::Package,
    slot::Slot,
};

/// Where a plugin's files are.
#[derive(Debug, Clone)]
pub enum Source {
    Bundle(Bundle),
    /// Name of a folder in the plugin folder.
    Folder(String),
}

impl Source {
    pub fn describe(&self) -> String {
        match self {
            Self::Bundle(_) => "built in".to_owned(),
            Self::Folder(folder) => folder.clone(),
        }
    }

    pub fn is_folder(&self, name: &str) -> bool {
        matches!(self, Self::Folder(folder) if folder == name)
    }
}

pub struct Plugin {
    pub slot: Arc<Slot>,
    pub inbox: Inbox,
    pub source: Source,
    pub package: Arc<Package>,
    /// The generation that serves.
    pub running: Option<Running>,
    /// The mailbox while nobody serves it.
    pub mailbox: Option<Mailbox>,
    /// Recent failures, for back-off and budget.
    pub failures: VecDeque<Instant>,
}

/// A generation with its task.
pub struct Running {
    pub generation: u64,
    pub control: mpsc::Sender<Control>,
    pub task: JoinHandle<()>,
}

/// What `plugin.list` and `plugin.get` say; replaced whenever the package changes.
pub struct Shown {
    pub slot: Arc<Slot>,
    pub inbox: mpsc::Sender<inbox::Command>,
    pub package: Arc<Package>,
    pub source: Source,
}

impl Shown {
    pub fn summary(&self) -> Summary {
        let status = self.slot.status();
        Summary {
            name: self.slot.name.clone(),
            version: status.version,
            state: status.state.as_str(),
            generation: status.generation,
            description: self.package.manifest.description.clone(),
            reason: status.reason,
            builtin: matches!(self.source, Source::Bundle(_)),
            newer: self.slot.newer().map(|newer| newer.reason),
        }
    }

    pub fn describe(&self) -> Value {
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
            "storage_bytes": manifest.limits.storage_bytes,
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
