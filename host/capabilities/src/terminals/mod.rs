//! Terminals: programs on pseudo-terminals, with screens that outlive every client.
//!
//! Knows neither plugins nor calls nor sockets. Bytes come from the program through one of few threads
//! ([`pump`]) into its [`state`]: a raw ring with stream offsets and a VT model, fed together. Attached clients draw
//! frames from there at their own pace ([`attachment`]), as a [`Channel`](midplane_model::Channel) that whoever holds
//! the client's connection pumps ([`channel`]). Input goes the other way through one bounded queue. What happens to
//! terminals is told to one observer, which the host connects to its events.
//!
//! A recording is one more reader, into a file ([`recording`]); played, it is a terminal without a program ([`playing`]).
//!
//! Order of reading: [`registry`] (the handle), [`terminal`], [`state`], [`output`], [`attachment`], [`pump`].

mod answers;
pub mod asciicast;
mod attachment;
mod budget;
mod channel;
mod ending;
mod error;
mod frames;
mod input;
mod lineage;
mod opening;
mod options;
mod output;
mod playing;
mod pump;
mod recording;
mod registry;
mod scan;
mod screen;
mod shell;
mod size;
mod spawn;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod undrawn;
mod waiting;
mod wake;

pub use error::TerminalError;
pub use options::{
    AttachOptions, Attachment, OpenOptions, OutputPiece, Resume, Role, ScreenText, SizePolicy, Status, TerminalEvent,
    TerminalInfo, TerminalLimits, TerminalState, TerminalsConfig, WaitFor, WaitOutcome,
};
pub use playing::PlayOptions;
pub use recording::{RecordOptions, Recording, RecordingEnd};
pub use registry::Terminals;
pub use shell::Command;
pub use size::Size;

pub use crate::child::Exit;
