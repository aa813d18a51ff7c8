//! Why a search does not begin.

use midplane_model::{ErrorCode, Fault};

use crate::files::FilesError;

/// A search that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("params.query: {reason}")]
    Query { reason: String },
    #[error("params.{parameter}: {glob:?} is no glob: {reason}")]
    Glob { parameter: &'static str, glob: String, reason: String },
    #[error("params.{parameter}: {reason}")]
    Parameter { parameter: &'static str, reason: String },
    /// The path to search below.
    #[error(transparent)]
    Path(#[from] FilesError),
    #[error("no search runs here any more; begin another")]
    Over,
}

impl From<SearchError> for Fault {
    fn from(error: SearchError) -> Self {
        let message = error.to_string();
        match error {
            SearchError::Query { .. } => Fault::invalid_params("params.query", message),
            SearchError::Glob { parameter, .. } | SearchError::Parameter { parameter, .. } => {
                Fault::invalid_params(&format!("params.{parameter}"), message)
            }
            SearchError::Path(error) => error.into(),
            SearchError::Over => Fault::new(ErrorCode::Unavailable, message),
        }
    }
}
