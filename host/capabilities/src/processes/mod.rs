//! Programs that are run for plugins: once, to their end, or as long-lived children that are written to and read from.
//!
//! Every child belongs to an owner, who sees no others' children, has a quota, and takes them along when it ends. A child leads
//! a session of its own and is killed whole: when it ends, so does what it has started in that session. Everything is forked
//! by one thread ([`spawner`]), because the kernel ties "die with your parent" to the thread that forked.
//!
//! Knows neither plugins' grants nor events: whoever holds a [`Processes`] may run any program that it can name.
//!
//! Order of reading: [`registry`] (the handle), [`launch`], [`spawner`], [`running`], [`child`], [`capture`]; [`guard`](mod@guard) for when the host is killed.

mod capture;
mod child;
mod error;
mod guard;
mod launch;
mod options;
mod registry;
mod running;
mod seats;
mod spawner;
#[cfg(test)]
mod tests;

pub use error::ProcessError;
pub use guard::{GUARD_ARGUMENT, guard};
pub use options::{Command, Finished, OnExit, Piece, ProcessInfo, ProcessesConfig, RunOptions, Stream};
pub use registry::Processes;

pub use crate::child::Exit;
