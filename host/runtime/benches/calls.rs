//! A call through the registry, mailbox and JSON conversion, beside a raw typed call of wasmtime into the same component.
//! `cargo xtask bench` builds the component and runs this; timing never fails anything.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on stdout")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use midplane_broker::{Broker, StreamDefinition};
use midplane_capabilities::{
    files::Root,
    processes::{Processes, ProcessesConfig},
    storage::Storage,
    terminals::{TerminalLimits, Terminals, TerminalsConfig},
    watch::{Exclusions, Watcher},
};
use midplane_model::{Call, CallContext, Principal};
use midplane_router::Router;
use midplane_runtime::{Engine, Host, HostParts, Plugins, PluginsConfig};
use serde_json::json;
use wasmtime::{
    Config, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

const CALLS: u32 = 20_000;

fn main() -> Result<()> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests");
    let runtime = tokio::runtime::Runtime::new()?;
    let ours = runtime.block_on(through_the_host(&guests))?;
    let raw = runtime.block_on(raw_call(&guests.join("echo/echo.wasm")))?;
    let ratio = ours.as_secs_f64() / raw.as_secs_f64();
    println!("call of a component in process: {ours:.2?}; raw typed wasmtime call: {raw:.2?}; ratio {ratio:.1}");
    Ok(())
}

async fn through_the_host(guests: &Path) -> Result<Duration> {
    let home = tempfile::tempdir()?;
    let (served, plugins) = (home.path().join("served"), home.path().join("plugins"));
    std::fs::create_dir(&served)?;
    std::fs::create_dir_all(plugins.join("echo"))?;
    for file in ["plugin.toml", "echo.wasm"] {
        std::fs::copy(guests.join("echo").join(file), plugins.join("echo").join(file))
            .with_context(|| format!("echo/{file} is built by `cargo xtask guests`"))?;
    }
    let files = Root::open(&served)?;
    let router = Arc::new(Router::default());
    let host = Host::new(HostParts {
        engine: Arc::new(Engine::new(&home.path().join("code"))?),
        router: router.clone(),
        broker: Arc::new(Broker::new(&StreamDefinition::defaults())?),
        watcher: Arc::new(Watcher::start(&files, Exclusions::default()).await?),
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
    let plugins = Plugins::start(host, PluginsConfig { folder: Some(plugins), ..PluginsConfig::default() }).await?;
    let principal = Arc::new(Principal::owner());
    let call = async || {
        let context = CallContext::new("bench", principal.clone(), Duration::from_secs(30));
        let params = json!({ "a": 1, "b": 2 });
        router.call(Call { method: "echo.add".into(), params, context }).await
    };
    for _ in 0..CALLS / 10 {
        call().await?;
    }
    let begin = Instant::now();
    for _ in 0..CALLS {
        call().await?;
    }
    let each = begin.elapsed() / CALLS;
    plugins.close().await;
    Ok(each)
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

async fn raw_call(wasm: &Path) -> Result<Duration> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    let engine = wasmtime::Engine::new(&config)?;
    let component = Component::from_file(&engine, wasm)?;
    let mut linker: Linker<State> = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.define_unknown_imports_as_traps(&component)?;
    let mut store = Store::new(&engine, State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() });
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let interface = instance.get_export_index(&mut store, None, "test:echo/echo@0.1.0").context("echo")?;
    let add = instance.get_export_index(&mut store, Some(&interface), "add").context("add")?;
    let add = instance.get_typed_func::<(i32, i32), (i32,)>(&mut store, add)?;
    for _ in 0..CALLS / 10 {
        add.call_async(&mut store, (1, 2)).await?;
    }
    let begin = Instant::now();
    for _ in 0..CALLS {
        add.call_async(&mut store, (1, 2)).await?;
    }
    Ok(begin.elapsed() / CALLS)
}
