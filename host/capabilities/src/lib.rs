//! What the machine can do for the host: files below one root, changes of those files, searching in them and for them, terminals, other
//! programs, stored values.
//!
//! Each module is one capability with its own handle, errors and bounds. None of them knows that plugins are wasm, that
//! calls are routed or that clients speak JSON-RPC: whoever assembles the host hands a capability to those who may use it.
//! Unix only; Linux first, with fall-backs where it has more to offer than the others.

mod child;
pub mod files;
pub mod find;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ignores;
#[cfg(test)]
mod leaks;
pub mod processes;
mod ring;
pub mod search;
#[cfg(test)]
mod small_disk;
pub mod storage;
pub mod terminals;
pub mod watch;
