//! Compiled code on disk: whole components, and the functions that several components have in common.
//!
//! The name of an entry is the hash of the component, of wasmtime's version and settings, and of the tier. Anything
//! unreadable, foreign or damaged is compiled again and overwritten. When the disk refuses, nothing is cached.

mod functions;
mod private;
#[cfg(test)]
mod tests;

use std::{io::Read, os::fd::AsRawFd, path::Path, sync::Arc};

use midplane_model::limits::CODE_CACHE_BYTES_MAX;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

pub use functions::{Functions, Interrupted};
use private::{Entry, PrivateDirectory};

/// What the names of whole components end with.
const ENDING: &str = ".code";

/// The cache; without a directory it holds nothing.
pub struct CodeCache {
    directory: Option<Arc<PrivateDirectory>>,
}

impl CodeCache {
    /// Opens the directory, which is made if it is not there. One that cannot be trusted is not used, which the log says.
    pub fn open(path: &Path) -> Self {
        let directory = PrivateDirectory::open(path).map(Arc::new);
        if let Err(error) = &directory {
            tracing::warn!(path = %path.display(), %error, "compiled code is not cached; every start compiles again");
        }
        Self { directory: directory.ok() }
    }

    /// The cache of functions beside this one.
    pub fn functions(&self, engine: &wasmtime::Engine) -> Arc<Functions> {
        Functions::new(self.directory.clone(), &settings(engine))
    }

    /// The name of a component's code for an engine.
    pub fn name(engine: &wasmtime::Engine, wasm: &[u8; 32]) -> String {
        let digest = Sha256::new().chain_update(settings(engine)).chain_update(wasm).finalize();
        format!("{digest:x}{ENDING}")
    }

    /// The code of this name, if it is there and can be trusted. Blocks for the reading of all of it.
    pub fn load(&self, engine: &wasmtime::Engine, name: &str) -> Option<Component> {
        let entry = match self.directory.as_ref()?.read(name) {
            Ok(entry) => entry?,
            Err(distrust) => {
                tracing::warn!(name, %distrust, "an entry of the cache of compiled code is not used; compiling again");
                return None;
            }
        };
        entry.touch();
        match map(engine, entry) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(name, %error, "compiled code does not fit this engine; compiling again");
                None
            }
        }
    }

    /// Keeps code, and evicts what has been unused for longest when there is too much.
    pub fn store(&self, name: &str, code: &[u8]) {
        let Some(directory) = &self.directory else { return };
        let write = || {
            let mut writer = directory.write(name)?;
            writer.append(code)?;
            writer.commit()?;
            directory.evict(ENDING, CODE_CACHE_BYTES_MAX, name)
        };
        if let Err(error) = write() {
            tracing::warn!(%error, "compiled code could not be cached; the next start compiles again");
        }
    }

    /// Forgets code that is of no use any more.
    pub fn remove(&self, name: &str) {
        if let Some(directory) = &self.directory {
            directory.remove(name);
        }
    }
}

/// Maps the verified file: its pages are shared with every other host and given back when memory is short. Where files may
/// not be mapped as code (`noexec`), it is copied.
fn map(engine: &wasmtime::Engine, entry: Entry) -> wasmtime::Result<Component> {
    // The descriptor, not the name: what is mapped is the very file that was verified. Only this user could change it in
    // place, and no host does.
    let path = format!("/dev/fd/{}", entry.file.as_raw_fd());
    // SAFETY: the file carries our MAC over its name and content, so it is what `precompile_component` gave a host of this
    // user for an engine with the same version and settings; the directory and the file are writable by this user alone.
    match unsafe { Component::deserialize_file(engine, &path) } {
        Ok(component) => Ok(component),
        Err(_) => copy(engine, entry),
    }
}

fn copy(engine: &wasmtime::Engine, entry: Entry) -> wasmtime::Result<Component> {
    let mut code = Vec::new();
    entry.file.take(entry.content_bytes).read_to_end(&mut code).map_err(wasmtime::Error::new)?;
    // SAFETY: as in `map`.
    unsafe { Component::deserialize(engine, &code) }
}

/// Hash of wasmtime's version and the engine's settings, the compiler among them.
fn settings(engine: &wasmtime::Engine) -> [u8; 32] {
    struct Hasher(Sha256);
    impl std::hash::Hasher for Hasher {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Hasher(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    hasher.0.finalize().into()
}
