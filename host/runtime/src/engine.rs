//! WebAssembly for the whole process: one wasmtime engine a tier, the clock of their epochs, and the way from a component to
//! code that runs.

mod clock;
mod code;
mod compile;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::Arc,
};

use crate::cache::{CodeCache, Functions, Interrupted};
use clock::Clock;
use code::Codes;
pub use code::{Code, Tier, Wasm};
pub use compile::Progress;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot set up WebAssembly")]
    Configure(#[source] wasmtime::Error),
    #[error("cannot start the clock of epochs")]
    StartClock(#[source] std::io::Error),
    #[error("the component cannot be compiled")]
    Compile(#[source] wasmtime::Error),
    #[error("the host is stopping; the component was not compiled to the end")]
    Interrupted,
}

/// The engines. Dropping it stops and joins the clock.
pub struct Engine {
    baseline: wasmtime::Engine,
    optimised: wasmtime::Engine,
    /// Compiles what `optimised` runs, function by function through the cache. Runs nothing.
    compiler: wasmtime::Engine,
    functions: Arc<Functions>,
    cache: CodeCache,
    codes: Codes,
    _clock: Clock,
}

impl Engine {
    /// `cache` is a directory of the host's own (created with mode 0700); hosts may share it.
    ///
    /// # Errors
    /// When this machine cannot run WebAssembly or start a thread. A cache that cannot be used is only logged.
    pub fn new(cache: &Path) -> Result<Self, EngineError> {
        let make = |config: &wasmtime::Config| wasmtime::Engine::new(config).map_err(EngineError::Configure);
        let baseline = make(&settings::baseline())?;
        let optimised = make(&settings::optimised())?;
        let cache = CodeCache::open(cache);
        let functions = cache.functions(&optimised);
        let mut sharing = settings::optimised();
        sharing.enable_incremental_compilation(functions.clone()).map_err(EngineError::Configure)?;
        let compiler = make(&sharing)?;
        let clock = Clock::start([baseline.clone(), optimised.clone()]).map_err(EngineError::StartClock)?;
        Ok(Self { baseline, optimised, compiler, functions, cache, codes: Codes::default(), _clock: clock })
    }

    /// The engine that runs code of a tier.
    #[must_use]
    pub fn wasm(&self, tier: Tier) -> &wasmtime::Engine {
        match tier {
            Tier::Baseline => &self.baseline,
            Tier::Optimised => &self.optimised,
        }
    }

    /// Ends the compiles of large components, because the host is stopping: they answer [`EngineError::Interrupted`].
    pub fn interrupt(&self) {
        self.functions.interrupt();
    }

    /// Compiles for `optimised` with the functions that other components have left, and leaves its own.
    fn compile_shared(&self, wasm: &[u8]) -> Result<Vec<u8>, EngineError> {
        let _part = self.functions.join();
        let compile = AssertUnwindSafe(|| self.compiler.precompile_component(wasm));
        match catch_unwind(compile) {
            Ok(compiled) => compiled.map_err(EngineError::Compile),
            Err(payload) if (&*payload as &dyn Any).is::<Interrupted>() => Err(EngineError::Interrupted),
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// An engine for looking at components without running them: what links here links with the host's own.
pub fn for_checks() -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&settings::optimised()).map_err(EngineError::Configure)
}
