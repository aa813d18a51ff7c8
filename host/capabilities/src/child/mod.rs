//! What terminals and processes have in common: finding a program, the program as a process, its session, its end.

mod exit;
mod lookup;
mod process;
mod session;

pub use exit::Exit;
pub(crate) use lookup::{NoFolder, folder, program};
pub(crate) use process::{Audience, Process, parse_signal};
pub(crate) use session::kill_rest;
