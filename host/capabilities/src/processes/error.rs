//! What can go wrong with a process, and how a caller sees it.

use std::io;

use midplane_model::{ErrorCode, Fault};

/// A failed operation on a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("there is no program {program:?} that can be run here")]
    UnknownProgram { program: String },
    #[error("the folder {path:?} lies outside of the workspace")]
    OutsideRoot { path: String },
    #[error("the folder {path:?} is not there")]
    NoSuchFolder { path: String },
    #[error("{message}")]
    BadParameter { path: &'static str, message: String },
    #[error("{max} processes of this plugin run already; end one first")]
    TooManyOfOwner { max: usize },
    #[error("{max} processes run already; try again later")]
    TooMany { max: usize },
    #[error("there is no process {id}")]
    NotFound { id: String },
    #[error("the process {id} has ended")]
    Ended { id: String },
    #[error("the process {id} takes no more input: it was closed")]
    InputClosed { id: String },
    #[error("the process {id} has not read what was written before")]
    InputFull { id: String },
    #[error("more than {limit_bytes} bytes at once")]
    InputTooLarge { limit_bytes: usize },
    #[error("no more processes are started: the host is stopping")]
    Closed,
    #[error("cannot start {program}")]
    Spawn {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot signal the process {id}")]
    Signal {
        id: String,
        #[source]
        source: io::Error,
    },
}

impl From<ProcessError> for Fault {
    /// The one place where a cause goes to the log and a code to the caller.
    fn from(error: ProcessError) -> Self {
        use ProcessError as E;
        let fault = |code| Fault::new(code, error.to_string());
        match &error {
            E::UnknownProgram { .. } | E::NotFound { .. } | E::NoSuchFolder { .. } => fault(ErrorCode::NotFound),
            E::OutsideRoot { .. } => fault(ErrorCode::OutsideRoot),
            E::BadParameter { path, .. } => fault(ErrorCode::InvalidParams).with("path", *path),
            E::TooManyOfOwner { max } => fault(ErrorCode::QuotaExceeded).with("limit", *max),
            E::TooMany { max } => fault(ErrorCode::QuotaExceeded).with("limit", *max).retry_after_ms(1000),
            E::Ended { .. } | E::InputClosed { .. } => fault(ErrorCode::Conflict),
            E::InputFull { .. } => fault(ErrorCode::Unavailable).retry_after_ms(50),
            E::InputTooLarge { limit_bytes } => fault(ErrorCode::TooLarge).with("limit_bytes", *limit_bytes),
            E::Closed => fault(ErrorCode::Unavailable),
            E::Spawn { .. } | E::Signal { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "process failed");
                Fault::internal()
            }
        }
    }
}
