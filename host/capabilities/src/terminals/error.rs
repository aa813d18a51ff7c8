//! What can go wrong with terminals, and how a caller is told.

use std::{io, time::Duration};

use midplane_model::{
    ErrorCode, Fault,
    limits::{TERMINAL_CELLS, TERMINAL_INPUT_BYTES_MAX},
};

/// A failed operation on terminals. Variants name what was attempted; sources are for the log only.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    #[error("there is no terminal {id:?}")]
    NotFound { id: String },
    #[error("terminal {id} has exited")]
    Exited { id: String },
    #[error("{max} terminals are open; close one first")]
    TooManyTerminals { max: usize },
    #[error("{max} clients are attached to terminal {id}; detach one first")]
    TooManyAttachments { id: String, max: usize },
    #[error("there is no attachment to terminal {id} on channel {channel} of this connection")]
    NotAttached { id: String, channel: u32 },
    #[error("terminal {id} plays a recording: it takes no input, and its sizes are those of the recording")]
    ReadOnly { id: String },
    #[error("terminal {id} is being recorded into {path}; stop that first")]
    AlreadyRecorded { id: String, path: String },
    #[error("terminal {id} has not been recorded")]
    NotRecorded { id: String },
    #[error("no terminals are opened any more, the host is stopping")]
    ShuttingDown,
    #[error("there is no program {shell:?} that may be executed")]
    UnknownShell { shell: String },
    #[error("{path:?} is outside the root")]
    OutsideRoot { path: String },
    #[error("{path:?} is no folder below the root")]
    NoSuchFolder { path: String },
    #[error("a terminal has {} to {} cells on both axes, not {cols} by {rows}", TERMINAL_CELLS.start(), TERMINAL_CELLS.end())]
    BadSize { cols: u16, rows: u16 },
    #[error("{message}")]
    BadParameter { path: &'static str, message: String },
    #[error(
        "{bytes} bytes of input are more than the {TERMINAL_INPUT_BYTES_MAX} that are queued at most; send less at once"
    )]
    InputTooLarge { bytes: usize },
    #[error("the program in terminal {id} does not read its input; the queue is full")]
    InputFull { id: String },
    #[error("the condition was not met within {} ms", waited.as_millis())]
    WaitTimedOut { waited: Duration },
    #[error("could not start {shell:?}")]
    Spawn { shell: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("could not signal the processes of terminal {id}")]
    Signal { id: String, source: io::Error },
    #[error("could not resize terminal {id}")]
    Resize { id: String, source: io::Error },
    #[error("could not make a new id")]
    Identify,
}

impl From<TerminalError> for Fault {
    /// The only place where terminal errors become the client's. Logs the cause of those that have one.
    fn from(error: TerminalError) -> Self {
        use TerminalError as E;
        let message = error.to_string();
        match error {
            E::NotFound { .. } | E::NoSuchFolder { .. } | E::NotAttached { .. } | E::NotRecorded { .. } => {
                Fault::not_found(message)
            }
            E::Exited { .. } | E::AlreadyRecorded { .. } => Fault::new(ErrorCode::Conflict, message),
            E::ReadOnly { .. } => Fault::new(ErrorCode::Forbidden, message),
            E::TooManyTerminals { max } | E::TooManyAttachments { max, .. } => {
                Fault::new(ErrorCode::QuotaExceeded, message).with("limit", max)
            }
            E::ShuttingDown => Fault::new(ErrorCode::Unavailable, message),
            E::UnknownShell { .. } => Fault::invalid_params("params.shell", message),
            E::OutsideRoot { .. } => Fault::new(ErrorCode::OutsideRoot, message),
            E::BadSize { cols, .. } => {
                let path = if TERMINAL_CELLS.contains(&cols) { "params.rows" } else { "params.cols" };
                Fault::invalid_params(path, message)
            }
            E::BadParameter { path, .. } => Fault::invalid_params(path, message),
            E::InputTooLarge { .. } => {
                Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", TERMINAL_INPUT_BYTES_MAX)
            }
            E::InputFull { .. } => Fault::new(ErrorCode::Unavailable, message),
            E::WaitTimedOut { waited } => Fault::timeout(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)),
            E::Spawn { .. } | E::Signal { .. } | E::Resize { .. } | E::Identify => {
                tracing::error!(error = &error as &dyn std::error::Error, "terminal operation failed");
                Fault::internal()
            }
        }
    }
}
