//! Values that plugins keep: one embedded ACID store, one namespace per plugin, every write durable when it resolves.
//!
//! A [`Storage`] owns the file and one writer thread; [`Namespace`] handles are cheap and know one plugin's keys only.
//! Writes queue up and share durable transactions ([`queue`], [`writer`]); reads see the newest committed snapshot and
//! never wait for a writer. What a plugin holds is counted in the same transactions ([`usage`]). A disk that was full serves again
//! when there is room ([`opened`]). This module does not know what the values mean, who may call it, or what JSON is.

mod error;
mod namespace;
mod opened;
mod queue;
mod table;
mod usage;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

pub use error::StorageError;
use midplane_model::PluginName;
pub use namespace::{Namespace, Op};
pub use usage::{Gauge, Usage};

/// The open store. Dropping it commits what is queued and joins the writer, which blocks for one commit at most;
/// [`Storage::close`] does the same without blocking the runtime.
pub struct Storage {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the handles and the writer thread have in common.
struct Shared {
    opened: opened::Opened,
    queue: queue::Queue,
    gauges: usage::Gauges,
}

impl Storage {
    /// Opens or creates the store at `path`, readable by its owner only. Blocks on the disk; call it while starting.
    ///
    /// # Errors
    /// [`StorageError::InUse`] while another process has it open, [`StorageError::Format`] when it was written by a
    /// version of the host that this one does not understand, [`StorageError::Open`] for everything else.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let opened = opened::Opened::open(path)?;
        let gauges = opened.with(StorageError::read, usage::Gauges::load)?;
        let shared = Arc::new(Shared { opened, queue: queue::Queue::new(), gauges });
        let thread = std::thread::Builder::new().name("storage-writer".into()).spawn({
            let shared = shared.clone();
            move || writer::run(&shared.opened, &shared.queue, &shared.gauges)
        });
        let thread = thread.map_err(|cause| StorageError::Start { source: Arc::new(cause) })?;
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }

    /// The keys of one plugin.
    #[must_use]
    pub fn namespace(&self, plugin: &PluginName) -> Namespace {
        Namespace::new(self.shared.clone(), plugin)
    }

    /// Commits what is queued and joins the writer. Later writes are [`StorageError::Closed`]; reads still work as long
    /// as a [`Namespace`] holds the file open. Dropping the future leaves the writer to finish on its own.
    pub async fn close(&self) {
        if let Some(thread) = self.stop() {
            // A join error is a panic of the writer, which has already failed every queued write.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        self.shared.queue.close();
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(thread) = self.stop() {
            _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
