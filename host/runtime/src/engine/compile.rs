//! From a component to code: shared, else cached, else compiled.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::limits::TIERED_BYTES_MIN;
use wasmtime::component::Component;

use super::{Code, Engine, EngineError, Tier, Wasm};
use crate::cache::CodeCache;

/// News of a compile, for who shows it. What is shared or cached is there at once and makes none.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    Begins(Tier),
    Ends { tier: Tier, took: Duration, compiled: bool },
}

impl Engine {
    /// The code to run now: optimised where it is at hand or quickly made, else baseline code, which
    /// [`optimise`](Self::optimise) should follow. Blocks for as long as it compiles: never call it on an async thread.
    ///
    /// # Errors
    /// [`EngineError::Compile`] when the component is no good; [`EngineError::Interrupted`].
    pub fn compile(&self, wasm: &Wasm, progress: impl Fn(Progress)) -> Result<Arc<Code>, EngineError> {
        let place = self.codes.place(&wasm.digest);
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = held.upgrade() {
            return Ok(code);
        }
        let code = match self.cached(wasm, Tier::Optimised) {
            Some(code) => code,
            None if wasm.len() < TIERED_BYTES_MIN => self.make(wasm, Tier::Optimised, &progress)?,
            None => match self.cached(wasm, Tier::Baseline) {
                Some(code) => code,
                // What the baseline compiler refuses, for whatever reason, the other one judges.
                None => match self.make(wasm, Tier::Baseline, &progress) {
                    Ok(code) => code,
                    Err(_) => self.make(wasm, Tier::Optimised, &progress)?,
                },
            },
        };
        let code = Arc::new(code);
        *held = Arc::downgrade(&code);
        Ok(code)
    }

    /// The optimised code, from whoever has it already or compiled here. From then on it is the shared one; the baseline
    /// code on disk is of no more use.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn optimise(&self, wasm: &Wasm, progress: impl Fn(Progress)) -> Result<Arc<Code>, EngineError> {
        let place = self.codes.place(&wasm.digest);
        let shared = || place.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(code) = shared().filter(|code| code.tier == Tier::Optimised) {
            return Ok(code);
        }
        // The place is free meanwhile: another plugin with this component starts with its baseline code.
        let code = match self.cached(wasm, Tier::Optimised) {
            Some(code) => code,
            None => self.make(wasm, Tier::Optimised, &progress)?,
        };
        let code = Arc::new(code);
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&code);
        self.cache.remove(&self.name(wasm, Tier::Baseline));
        Ok(code)
    }

    fn name(&self, wasm: &Wasm, tier: Tier) -> String {
        CodeCache::name(self.wasm(tier), &wasm.digest)
    }

    fn cached(&self, wasm: &Wasm, tier: Tier) -> Option<Code> {
        let component = self.cache.load(self.wasm(tier), &self.name(wasm, tier))?;
        Some(Code { component, tier, digest: wasm.digest })
    }

    fn make(&self, wasm: &Wasm, tier: Tier, progress: &impl Fn(Progress)) -> Result<Code, EngineError> {
        progress(Progress::Begins(tier));
        let begun = Instant::now();
        let compiled = match tier {
            Tier::Baseline => compile_baseline(&self.baseline, wasm),
            // Sharing functions pays where there are many.
            Tier::Optimised if wasm.len() >= TIERED_BYTES_MIN => self.compile_shared(wasm),
            Tier::Optimised => self.optimised.precompile_component(wasm).map_err(EngineError::Compile),
        };
        progress(Progress::Ends { tier, took: begun.elapsed(), compiled: compiled.is_ok() });
        let code = compiled?;
        self.cache.store(&self.name(wasm, tier), &code);
        let made = self.cached(wasm, tier).map_or_else(
            // SAFETY: this very engine compiled it a moment ago, from settings that all engines of its tier share.
            || unsafe { Component::deserialize(self.wasm(tier), &code) },
            |cached| Ok(cached.component),
        );
        let component = made.map_err(EngineError::Compile)?;
        Ok(Code { component, tier, digest: wasm.digest })
    }
}

/// The baseline compiler is younger than the other one: where it panics, it refuses.
fn compile_baseline(engine: &wasmtime::Engine, wasm: &[u8]) -> Result<Vec<u8>, EngineError> {
    catch_unwind(AssertUnwindSafe(|| engine.precompile_component(wasm)))
        .unwrap_or_else(|_| Err(wasmtime::Error::msg("the baseline compiler panicked")))
        .map_err(EngineError::Compile)
}
