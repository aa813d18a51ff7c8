//! What the rest of this crate asks of the supervisor.

use std::{collections::BTreeSet, sync::Arc};

use midplane_model::{Fault, PluginName};
use tokio::sync::{mpsc, oneshot};

use super::{Command, Summary, handle::Asked, shown::Table};

/// Questions to the supervisor; cheap to clone.
#[derive(Clone)]
pub struct Ask {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) table: Table,
    /// Names of the plugins inside the program.
    pub(super) builtin: Arc<BTreeSet<PluginName>>,
}

impl Ask {
    /// Loads what is in a folder of the plugin folder, and answers when it serves, waits or has failed.
    ///
    /// # Errors
    /// `plugin_failed` with the reason; whatever ran before goes on.
    pub async fn load(&self, folder: &str) -> Result<Summary, Fault> {
        self.send(|done| Command::Load { folder: folder.to_owned(), done }).await
    }

    /// Tells that a folder has changed, as the watch over it would.
    pub async fn look_again(&self, folder: &str) {
        // A host that is stopping has no use for it.
        _ = self.commands.send(Command::Changed(BTreeSet::from([folder.to_owned()]))).await;
    }

    /// Tells that a folder was taken away, and waits until its plugin is gone, or what is built in under its name is back.
    pub async fn removed(&self, folder: &str) {
        // No answer is bad news: that there is no such plugin is what was wanted.
        _ = self.send(|done| Command::Removed { folder: folder.to_owned(), done }).await;
    }

    /// Stops a plugin, for good as far as this host is concerned.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn stop(&self, name: &PluginName) -> Result<Summary, Fault> {
        self.send(|done| Command::Enable { name: name.clone(), on: false, done }).await
    }

    pub fn summary(&self, name: &PluginName) -> Option<Summary> {
        self.table.summary(name)
    }

    /// The folder that a plugin was loaded from; none for one that is built in, or unknown.
    pub fn folder(&self, name: &PluginName) -> Option<String> {
        self.table.find(name)?.source.folder().map(str::to_owned)
    }

    /// Whether the program holds a plugin of this name, whether it runs or a folder has taken its place.
    pub fn is_builtin(&self, name: &PluginName) -> bool {
        self.builtin.contains(name)
    }

    pub(super) async fn send(&self, command: impl FnOnce(Asked) -> Command) -> Result<Summary, Fault> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| Fault::internal())?;
        answer.await.map_err(|_| Fault::internal())?
    }
}
