//! The one wasmtime engine of the process, its clock of epochs, and compiled code.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use wasmtime::{Config, component::Component};

use crate::cache::CodeCache;

/// How often guests are made to yield. A spinning guest delays other work on its thread by at most this.
const EPOCH: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot set up WebAssembly")]
    Configure(#[source] wasmtime::Error),
    #[error("cannot start the clock of epochs")]
    StartClock(#[source] std::io::Error),
    #[error("cannot use the cache of compiled code")]
    OpenCache(#[source] std::io::Error),
    #[error("the component cannot be compiled")]
    Compile(#[source] wasmtime::Error),
}

/// The engine. Dropping it stops and joins the clock.
pub struct Engine {
    wasm: wasmtime::Engine,
    cache: CodeCache,
    stop: Arc<AtomicBool>,
    clock: Option<JoinHandle<()>>,
}

impl Engine {
    /// `cache` is a directory of the host's own (created with mode 0700).
    pub fn new(cache: &Path) -> Result<Self, EngineError> {
        let wasm = wasmtime::Engine::new(&config()).map_err(EngineError::Configure)?;
        let cache = CodeCache::open(cache, &wasm).map_err(EngineError::OpenCache)?;
        let stop = Arc::new(AtomicBool::new(false));
        let clock = {
            let (wasm, stop) = (wasm.clone(), stop.clone());
            // A thread of its own: an async timer would stand still exactly when guests keep the executor busy.
            let run = move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::park_timeout(EPOCH);
                    wasm.increment_epoch();
                }
            };
            std::thread::Builder::new().name("epochs".into()).spawn(run).map_err(EngineError::StartClock)?
        };
        Ok(Self { wasm, cache, stop, clock: Some(clock) })
    }

    #[must_use]
    pub fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// Compiles a component, or takes its code from the cache. Seconds of work: never call it on an async thread.
    pub fn compile(&self, bytes: &[u8]) -> Result<Component, EngineError> {
        if let Some(component) = self.cache.load(&self.wasm, bytes) {
            return Ok(component);
        }
        let component = Component::new(&self.wasm, bytes).map_err(EngineError::Compile)?;
        self.cache.store(bytes, &component);
        Ok(component)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(clock) = self.clock.take() {
            clock.thread().unpark();
            _ = clock.join();
        }
    }
}

/// An engine for looking at components without running them: what links here links with the host's own.
pub fn for_checks() -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&config()).map_err(EngineError::Configure)
}

/// Every engine of the program is made here, so that compiled code is always of one kind.
fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).epoch_interruption(true);
    config
}
