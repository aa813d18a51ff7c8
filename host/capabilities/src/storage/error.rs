//! What can go wrong in the store, and how a caller sees it.

use std::{io, sync::Arc};

use midplane_model::{ErrorCode, Fault};

/// A failed operation of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    #[error("the store is in use by another process; stop that host or choose another data directory")]
    InUse,
    #[error(
        "the store has format {found}, this host reads {expected}; start the host that wrote it, or use a new data directory"
    )]
    Format { found: u64, expected: u64 },
    #[error("cannot open the store")]
    Open {
        #[source]
        source: Arc<redb::Error>,
    },
    #[error("cannot set up the file of the store")]
    Prepare {
        #[source]
        source: Arc<io::Error>,
    },
    #[error("cannot start the writer of the store")]
    Start {
        #[source]
        source: Arc<io::Error>,
    },
    #[error("cannot read the store")]
    Read {
        #[source]
        source: Arc<redb::Error>,
    },
    /// One cause is shared by all writes of the commit that failed.
    #[error("cannot write the store")]
    Write {
        #[source]
        source: Arc<redb::Error>,
    },
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge { what: &'static str, limit_bytes: usize },
    #[error("a key has at least one byte")]
    EmptyKey,
    #[error(
        "the storage of {plugin} is full: it holds {used_bytes} bytes, this needs {needed_bytes} more, the limit is {quota_bytes}; delete something, or raise [limits] storage_bytes in its plugin.toml"
    )]
    Quota { plugin: Box<str>, quota_bytes: u64, used_bytes: u64, needed_bytes: u64 },
    #[error("the store is closed")]
    Closed,
}

impl StorageError {
    pub(super) fn read(source: impl Into<redb::Error>) -> Self {
        Self::Read { source: Arc::new(source.into()) }
    }

    pub(super) fn write(source: impl Into<redb::Error>) -> Self {
        Self::Write { source: Arc::new(source.into()) }
    }

    fn is_disk_full(&self) -> bool {
        // A file that was damaged by a full disk needs room to be repaired.
        let (Self::Write { source } | Self::Open { source }) = self else { return false };
        matches!(&**source, redb::Error::Io(cause) if cause.kind() == io::ErrorKind::StorageFull)
    }
}

impl From<StorageError> for Fault {
    /// The one place where a cause goes to the log and a code to the caller.
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::TooLarge { limit_bytes, .. } => {
                Fault::new(ErrorCode::TooLarge, error.to_string()).with("limit_bytes", *limit_bytes)
            }
            StorageError::EmptyKey => Fault::invalid_params("key", error.to_string()),
            StorageError::Quota { plugin, quota_bytes, used_bytes, needed_bytes } => {
                Fault::new(ErrorCode::QuotaExceeded, error.to_string())
                    .with("quota", "storage_bytes")
                    .with("plugin", &**plugin)
                    .with("limit_bytes", *quota_bytes)
                    .with("used_bytes", *used_bytes)
                    .with("needed_bytes", *needed_bytes)
            }
            StorageError::Closed => Fault::new(ErrorCode::Unavailable, "the store is closing"),
            _ if error.is_disk_full() => Fault::new(ErrorCode::NoSpace, "the disk of the store is full"),
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "storage failed");
                Fault::internal()
            }
        }
    }
}
