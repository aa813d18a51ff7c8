//! The host without sockets: everything that a call by name passes.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use midplane_broker::{Broker, StreamDefinition};
use midplane_capabilities::{
    files::Root,
    processes::{Processes, ProcessesConfig},
    search::Searches,
    storage::Storage,
    terminals::{TerminalLimits, Terminals, TerminalsConfig},
    watch::{Exclusions, Watcher},
};
use midplane_model::{Call, CallContext, PluginName, Principal};
use midplane_router::Router;
use midplane_runtime::{Engine, Host, HostParts, Plugins, PluginsConfig};
use serde_json::Value;
use tempfile::TempDir;

use crate::raw::wasm;

pub struct Ours {
    router: Arc<Router>,
    plugins: Plugins,
    principal: Arc<Principal>,
    home: TempDir,
}

impl Ours {
    /// A host with these guests in its plugin folder.
    pub async fn start(guests: &[&str]) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let (served, folder) = (home.path().join("served"), home.path().join("plugins"));
        std::fs::create_dir(&served)?;
        for guest in guests {
            let (from, to) = (wasm(guest)?, folder.join(guest));
            std::fs::create_dir_all(&to)?;
            std::fs::copy(from.with_file_name("plugin.toml"), to.join("plugin.toml"))?;
            std::fs::copy(&from, to.join(from.file_name().context("a file")?))?;
        }
        let files = Root::open(&served)?;
        let router = Arc::new(Router::default());
        let host = Host::new(HostParts {
            engine: Arc::new(Engine::new(&home.path().join("code"))?),
            router: router.clone(),
            broker: Arc::new(Broker::new(&StreamDefinition::defaults())?),
            watcher: Arc::new(Watcher::start(&files, Exclusions::default()).await?),
            searches: Searches::default(),
            files,
            storage: Arc::new(Storage::open(&home.path().join("state.redb"))?),
            terminals: Terminals::new(TerminalsConfig {
                root: served,
                env: Vec::new(),
                shell: None,
                limits: TerminalLimits::default(),
                observer: Arc::new(|_| {}),
            }),
            processes: Processes::new(ProcessesConfig::new(home.path().to_owned(), None)),
            environment: Default::default(),
        });
        let config = PluginsConfig { folder: Some(folder), ..PluginsConfig::default() };
        let plugins = Plugins::start(host, config).await?;
        Ok(Self { router, plugins, principal: Arc::new(Principal::owner()), home })
    }

    /// The time of one of `count` calls, after a tenth as many.
    pub async fn each(&self, count: u32, method: &str, params: &Value) -> Result<Duration> {
        let method: Arc<str> = method.into();
        let call = async || {
            let context = CallContext::new("bench", self.principal.clone(), Duration::from_secs(30));
            self.router.call(Call { method: method.clone(), params: params.clone(), context }).await
        };
        for _ in 0..count / 10 {
            call().await?;
        }
        let begin = Instant::now();
        for _ in 0..count {
            call().await?;
        }
        Ok(begin.elapsed() / count)
    }

    pub async fn reload(&self, guest: &str) -> Result<Duration> {
        let manifest = std::fs::read_to_string(self.folder(guest).join("plugin.toml"))?;
        let name =
            manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).context("name")?;
        let name = PluginName::parse(name)?;
        let begin = Instant::now();
        self.plugins.reload(&name).await?;
        Ok(begin.elapsed())
    }

    /// Reloads a component that is the same but for its hash, so that nothing of it is in the cache.
    pub async fn reload_cold(&self, guest: &str) -> Result<Duration> {
        let path = self.folder(guest).join(wasm(guest)?.file_name().context("a file")?);
        let mut bytes = std::fs::read(&path)?;
        // A custom section: id, size, the length of its name, its name.
        bytes.extend([0, 2, 1, b'x']);
        std::fs::write(path, bytes)?;
        self.reload(guest).await
    }

    pub async fn close(self) {
        self.plugins.close().await;
    }

    fn folder(&self, guest: &str) -> PathBuf {
        self.home.path().join("plugins").join(guest)
    }
}
