//! Plugins: WebAssembly components, each in a store of its own, owned by one task.
//!
//! The way of a call: [`slot`] is the address that outlives generations and holds the bounded mailbox; [`actor`] is the task
//! that owns an instance and takes from the mailbox; [`turn`] takes one message through the guest and [`inside`] knows which
//! call each import serves; [`convert`] lifts JSON to component values and back by the function's type; [`imports`] is what
//! a guest may ask the host for, grants checked there; [`link`] connects a plugin's import of
//! another plugin's interface to whichever generation serves it, [`shapes`] without touching every byte. [`supervisor`] is the one task that loads, reloads, restarts
//! and unloads. Only this crate knows wasmtime; it knows neither connections nor envelopes.

mod actor;
mod authenticating;
mod bindings;
mod cache;
mod check;
mod compiling;
mod config;
mod contract;
mod convert;
mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod host;
mod http;
mod imports;
mod inbox;
mod inside;
mod install;
mod instance;
mod life;
mod link;
mod lock;
mod log_book;
mod log_budget;
mod log_line;
mod mailbox;
mod manifest;
mod meant;
mod metrics;
mod native;
mod optimiser;
mod output;
mod package;
mod routes;
mod saved;
mod shapes;
mod slot;
mod supervisor;
mod tools;
mod turn;
mod waits;
mod wasi;

pub use check::{Against, Change, Difference, Report, Weight, check};
pub use engine::{Engine, EngineError};
pub use host::{Bundle, Host, HostParts};
pub use install::{InstallReport, SourceError, Wish};
pub use lock::{Lock, LockError};
pub use manifest::{Manifest, ManifestError};
pub use native::register as register_native;
pub use package::{LoadError, Package};
pub use supervisor::{Plugins, PluginsConfig, Summary};
