//! The host, put together in one function, from the ground up; and taken apart in the reverse order.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use midplane_broker::{Broker, StreamDefinition};
use midplane_capabilities::{
    files::Root,
    processes::{Processes, ProcessesConfig},
    search::Searches,
    storage::Storage,
    terminals::{TerminalEvent, TerminalLimits, Terminals, TerminalsConfig},
    watch::{Exclusions, Watcher},
};
use midplane_router::Router;
use midplane_runtime::{Engine, Host, HostParts, Lock, Plugins, PluginsConfig};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bundles::BUNDLES,
    data::{DATA_VARIABLE, DataDir},
};

/// News of terminals that wait for the plugins; beyond, the newest is dropped and logged.
const TERMINAL_EVENTS_MAX: usize = 1024;

/// Everything that runs, in the order in which it was made.
pub struct Assembly {
    pub router: Arc<Router>,
    pub broker: Arc<Broker>,
    pub plugins: Arc<Plugins>,
    storage: Arc<Storage>,
    files: Root,
    /// Ends, and joins, what looks after the host's own folder.
    upkeep: (CancellationToken, JoinHandle<()>),
    pub watcher: Arc<Watcher>,
    pub searches: Searches,
    terminals: Terminals,
    processes: Processes,
}

/// This program. On Linux also when its file has been replaced meanwhile.
fn own_program() -> Option<PathBuf> {
    if cfg!(target_os = "linux") { Some("/proc/self/exe".into()) } else { std::env::current_exe().ok() }
}

/// What of the command line concerns the parts below the gateway.
pub struct Options {
    pub durable_events: bool,
    /// The most that the trash takes of the disk.
    pub trash_bytes: u64,
}

/// Makes the host for a directory. Returns when every plugin runs or has a reason not to.
pub async fn assemble(
    directory: PathBuf,
    data: &DataDir,
    plugin_folder: PathBuf,
    lock: Arc<Lock>,
    options: Options,
) -> Result<Assembly> {
    let Options { durable_events, trash_bytes } = options;
    let storage = Arc::new(Storage::open(&data.store())?);
    let engine = Arc::new(Engine::new(data.code_cache())?);
    let files = Root::open_recorded(&directory, &data.files(), trash_bytes)
        .with_context(|| format!("{} cannot be served", directory.display()))?;
    let stop_upkeep = CancellationToken::new();
    let upkeep = tokio::spawn({
        let (files, stop) = (files.clone(), stop_upkeep.clone());
        async move { files.upkeep(stop).await }
    });
    let upkeep = (stop_upkeep, upkeep);
    let watcher = Arc::new(Watcher::start(&files, Exclusions::default()).await?);
    let searches = Searches::default();
    // What a login shell would have, less what is the host's own.
    let environment: BTreeMap<String, String> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !name.starts_with("MIDPLANE_"))
        .collect();
    let processes = Processes::new(ProcessesConfig {
        guard: own_program(),
        ..ProcessesConfig::new(directory.clone(), environment.get("PATH").cloned())
    });
    let (terminals, terminal_events) = terminals(directory, &environment, data.path());
    let streams = StreamDefinition::defaults();
    let broker = if durable_events { Broker::durable(&streams, &data.events()) } else { Broker::new(&streams) };
    let (router, broker) = (Arc::new(Router::default()), Arc::new(broker?));
    let host = Host::new(HostParts {
        engine,
        router: router.clone(),
        broker: broker.clone(),
        files: files.clone(),
        watcher: watcher.clone(),
        searches: searches.clone(),
        storage: storage.clone(),
        terminals: terminals.clone(),
        processes: processes.clone(),
        environment,
    });
    let config = PluginsConfig {
        bundles: BUNDLES.to_vec(),
        folder: Some(plugin_folder),
        lock,
        terminal_events: Some(terminal_events),
    };
    let plugins = Arc::new(Plugins::start(host, config).await?);
    midplane_runtime::register_native(&router, &plugins)?;
    Ok(Assembly { router, broker, plugins, storage, files, upkeep, watcher, searches, terminals, processes })
}

fn terminals(
    root: PathBuf,
    environment: &BTreeMap<String, String>,
    data: &Path,
) -> (Terminals, mpsc::Receiver<TerminalEvent>) {
    let (events, receiver) = mpsc::channel(TERMINAL_EVENTS_MAX);
    let observer = move |event| {
        // When the plugins have ended, the terminals that end after them are nobody's news.
        if let Err(TrySendError::Full(_)) = events.try_send(event) {
            tracing::warn!("news of a terminal was dropped: the plugins are too slow");
        }
    };
    // By this the command line finds its host inside a terminal.
    let own = data.to_str().map(|data| (DATA_VARIABLE.to_owned(), data.to_owned()));
    let env = environment.iter().map(|(name, value)| (name.clone(), value.clone())).chain(own);
    let config = TerminalsConfig {
        root,
        env: env.collect(),
        shell: environment.get("SHELL").cloned(),
        limits: TerminalLimits::default(),
        observer: Arc::new(observer),
    };
    (Terminals::new(config), receiver)
}

impl Assembly {
    /// Ends everything, the newest first, and joins it.
    pub async fn close(self) {
        self.plugins.close().await;
        self.processes.shutdown().await;
        self.terminals.shutdown().await;
        self.searches.close().await;
        self.watcher.close().await;
        let (stop, upkeep) = self.upkeep;
        stop.cancel();
        // A panic in it was logged, and nothing is lost.
        _ = upkeep.await;
        self.files.close().await;
        self.broker.close().await;
        self.storage.close().await;
    }
}
