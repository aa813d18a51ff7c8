//! The plugin folder: opened once, and watched for folders that change.

use std::{collections::BTreeSet, path::PathBuf};

use midplane_capabilities::{
    files::Root,
    watch::{Batch, Exclusions, Scope, Watcher},
};
use midplane_model::{Fault, limits::RELOAD_QUIET};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Command;

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
    let watcher = Watcher::start(&root, Exclusions::without_rules()).await?;
    let batches = watcher.subscribe(Scope::everything());
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
        changed.extend(
            paths
                .chain(batch.rescan.as_ref().map(|rescan| &rescan.path))
                .filter_map(|path| path.segments().next().map(str::to_owned)),
        );
    }
}
