//! Makes optimised code for plugins that run on baseline code: one component at a time, behind everything else that the
//! machine does. The supervisor then puts it in charge by the path of a reload.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering, mpsc as queue},
    thread::JoinHandle,
};

use midplane_model::limits::OPTIMISATIONS_QUEUED_MAX;
use tokio::sync::mpsc;

use crate::{
    engine::EngineError,
    host::Host,
    package::{LoadError, Package},
    supervisor::Command,
};

/// The handle. It belongs to the host; whoever starts it closes it.
#[derive(Default)]
pub struct Optimiser(Mutex<Option<Worker>>);

struct Worker {
    /// Bounded; a package that finds no room keeps its baseline code until it is loaded again.
    jobs: queue::SyncSender<Arc<Package>>,
    thread: JoinHandle<()>,
}

impl Optimiser {
    /// Starts the thread. Better packages go to `commands`.
    pub fn start(&self, host: Arc<Host>, commands: mpsc::WeakSender<Command>) -> std::io::Result<()> {
        let (jobs, waiting) = queue::sync_channel(OPTIMISATIONS_QUEUED_MAX);
        let work = move || waiting.into_iter().for_each(|package| optimise(&host, &package, &commands));
        let thread = std::thread::Builder::new().name("optimiser".into()).spawn(work)?;
        *self.worker() = Some(Worker { jobs, thread });
        Ok(())
    }

    /// Asks for the optimised code of a package that has begun to serve on baseline code. Asking again changes nothing.
    pub fn want(&self, package: &Arc<Package>) {
        if !package.wants_better_code() || package.optimising.swap(true, Ordering::Relaxed) {
            return;
        }
        let queued = self.worker().as_ref().is_some_and(|worker| worker.jobs.try_send(package.clone()).is_ok());
        if !queued {
            package.optimising.store(false, Ordering::Relaxed);
            let plugin = &package.manifest.name;
            tracing::warn!(%plugin, "too many plugins wait for optimised code; this one keeps its baseline code");
        }
    }

    /// Ends the compile in progress at its next function, and joins the thread.
    pub async fn close(&self, host: &Host) {
        let Some(Worker { jobs, thread }) = self.worker().take() else { return };
        drop(jobs);
        host.parts.engine.interrupt();
        // A thread that panicked has said so.
        _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }

    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn optimise(host: &Host, package: &Arc<Package>, commands: &mpsc::WeakSender<Command>) {
    // The compiler takes the threads of the pool that it is called in. These exist for one compile, and are joined with it.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads()).thread_name(|index| format!("optimiser-{index}"));
    let made = pool.build_scoped(
        |thread| {
            step_back();
            thread.run();
        },
        |pool| pool.install(|| package.optimised(host)),
    );
    package.optimising.store(false, Ordering::Relaxed);
    let plugin = &package.manifest.name;
    match made {
        Ok(Ok(better)) => {
            if let Some(commands) = commands.upgrade() {
                // The supervisor is stopping if this fails, and needs no better code.
                _ = commands.blocking_send(Command::Upgrade(Arc::new(better)));
            }
        }
        Ok(Err(LoadError::Compile(EngineError::Interrupted))) => {}
        Ok(Err(error)) => tracing::warn!(%plugin, %error, "no optimised code could be made"),
        Err(error) => tracing::warn!(%plugin, %error, "no threads for making optimised code"),
    }
}

/// Half of the processors: what is in front should not wait for memory either.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| NonZero::get(processors).div_ceil(2))
}

/// The lowest priority, for the calling thread.
fn step_back() {
    // Elsewhere than on Linux it would be the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(19) {
        tracing::debug!(%error, "optimised code is made at normal priority");
    }
}
