//! Why a source is not installed.

use std::{io, path::PathBuf};

use midplane_model::{
    ErrorCode, Fault,
    limits::{PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX, PACKAGE_PATH_BYTES_MAX},
};

use crate::manifest::ManifestError;

/// What is wrong with a source of a plugin. Entries are named as the archive or the folder names them.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is nothing at {0}; sources are paths on the host's machine")]
    Missing(PathBuf),
    #[error("{0} is a registry reference; download the component and install the file")]
    Registry(String),
    #[error("{0} is neither a folder with plugin.toml, nor a .wasm component, nor a .tar.gz archive of such a folder")]
    Unknown(PathBuf),
    #[error("cannot read {path}: {cause}")]
    Read { path: String, cause: io::Error },
    #[error("cannot unpack {path}: {cause}")]
    Unpack { path: PathBuf, cause: io::Error },
    #[error("the entry {0:?} leads out of the plugin's folder")]
    Outside(String),
    #[error("the entry {entry:?} is {what}; a plugin holds files and folders")]
    Kind { entry: String, what: &'static str },
    #[error("the entry {0:?} comes twice")]
    Twice(String),
    #[error("the entry {0:?} has a name of more than {PACKAGE_PATH_BYTES_MAX} bytes")]
    LongName(String),
    #[error("more than {PACKAGE_FILES_MAX} files; a plugin is plugin.toml, one component and its WIT")]
    TooManyFiles,
    #[error("more than {PACKAGE_BYTES_MAX} bytes with {entry:?}")]
    TooLarge { entry: String },
    #[error("there is no {0}")]
    Absent(String),
    #[error("the component says nothing that could name the plugin: {0}; put it into a folder with a plugin.toml")]
    Nameless(String),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl SourceError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) => ErrorCode::NotFound,
            Self::Registry(_) => ErrorCode::NotSupported,
            Self::TooManyFiles | Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Manifest(ManifestError::Contract { .. }) => ErrorCode::UnsupportedVersion,
            _ => ErrorCode::InvalidParams,
        }
    }
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        let fault = Self::new(error.code(), error.to_string());
        match error {
            SourceError::TooLarge { .. } => fault.with("limit_bytes", PACKAGE_BYTES_MAX),
            _ if fault.code == ErrorCode::InvalidParams => fault.with("path", "params.source"),
            _ => fault,
        }
    }
}
