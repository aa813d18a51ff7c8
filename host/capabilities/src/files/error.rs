//! What can go wrong with a file, and how a caller sees it. Messages name relative paths only.

use std::{io, sync::Arc};

use midplane_model::{ErrorCode, Fault};
use rustix::io::Errno;

use super::{path::RelativePath, version::Version};

/// A failed operation on a file.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{path}: no such file or directory")]
    NotFound { path: Arc<str> },
    #[error("{path} exists already")]
    AlreadyExists { path: Arc<str> },
    #[error("{path} lies outside of the workspace")]
    OutsideRoot { path: Arc<str> },
    #[error("the path {path} {problem}")]
    InvalidPath { path: Arc<str>, problem: &'static str },
    #[error("{path} {problem}")]
    WrongType { path: Arc<str>, problem: &'static str },
    /// `current` is the version to merge with; none when there is no file any more.
    #[error("{path} is no longer the version that was read; read it again and merge")]
    Stale { path: Arc<str>, current: Option<Version> },
    /// An edit did not find its text as often as it must be there.
    #[error(
        "{path}: the old text of edits[{edit}] is there {found} times, not {expected}; read the file again, or give more of the text around the place"
    )]
    Mismatch { path: Arc<str>, edit: usize, expected: u32, found: usize, current: Version },
    #[error("params.{at} {problem}")]
    InvalidParameter { at: Arc<str>, problem: &'static str },
    /// One change of a set is in the way of all.
    #[error("changes[{index}]: {source}")]
    InChange { index: usize, source: Box<FilesError> },
    #[error("{path} belongs to the host")]
    Reserved { path: Arc<str> },
    #[error("{path}: more than {limit_bytes} bytes at once; use a range or a stream")]
    TooLarge { path: Arc<str>, limit_bytes: u64 },
    #[error("{path} has more than {entries} entries or {levels} levels; take parts of it")]
    TooMany { path: Arc<str>, entries: usize, levels: usize },
    #[error("{path}: no space left on the device")]
    NoSpace { path: Arc<str> },
    #[error(
        "no upload of this name waits for its bytes; it may have been given up, or removed after a day without any"
    )]
    NoUpload,
    #[error(
        "{count} uploads wait for their bytes, {bytes} in all, and one more is too much; complete or cancel one, or put the file whole"
    )]
    TooManyUploads { count: usize, bytes: u64 },
    /// `offset` is how far the upload really is.
    #[error("{path}: the upload goes on at {offset}; ask for its offset and send from there")]
    OtherOffset { path: Arc<str>, offset: u64 },
    #[error("{path}: another request has taken this upload over; ask for its offset and go on")]
    Superseded { path: Arc<str> },
    #[error("{path}: these are not the bytes whose hash was given; the upload is removed, begin again")]
    OtherBytes { path: Arc<str> },
    /// `entry` is what the archive calls it; nothing of it has been unpacked.
    #[error("the archive is refused: {}{problem}", if entry.is_empty() { "it ".to_owned() } else { format!("\"{entry}\" ") })]
    BadArchive { entry: Arc<str>, problem: &'static str },
    #[error("too many archives are being made or unpacked; try again when one is done")]
    TooManyArchives,
    #[error("the caller gave up")]
    Cancelled,
    #[error("{path}: permission denied")]
    Denied { path: Arc<str> },
    #[error("{path} cannot be moved to another file system; copy and delete it")]
    OtherFileSystem { path: Arc<str> },
    #[error("the workspace is closing")]
    Closed,
    #[error("cannot open the workspace")]
    OpenRoot {
        #[source]
        source: io::Error,
    },
    #[error("what a former host left undone cannot be looked at")]
    Recover {
        #[source]
        source: io::Error,
    },
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: Arc<str>,
        #[source]
        source: io::Error,
    },
    /// The blocking task panicked or the runtime went away.
    #[error("the work on the file was interrupted")]
    Interrupted,
}

/// The path as messages show it.
pub(super) fn shown(path: &RelativePath) -> Arc<str> {
    path.to_string().into()
}

impl FilesError {
    /// What the kernel said while we tried to `action` (`"read"`, `"list"`) the path.
    pub(crate) fn from_errno(action: &'static str, path: &RelativePath, errno: Errno) -> Self {
        let path = shown(path);
        match errno {
            Errno::NOENT => Self::NotFound { path },
            Errno::EXIST => Self::AlreadyExists { path },
            // The jail's answer to a path that leaves the root; renames look at theirs before.
            Errno::XDEV => Self::OutsideRoot { path },
            Errno::LOOP => Self::WrongType { path, problem: "is a link that cannot be followed" },
            Errno::ISDIR => Self::WrongType { path, problem: "is a directory" },
            Errno::NOTDIR => Self::WrongType { path, problem: "is not a directory" },
            Errno::STALE => Self::Stale { path, current: None },
            Errno::NOTEMPTY => Self::WrongType { path, problem: "is not empty" },
            Errno::BUSY => Self::WrongType { path, problem: "is in use by the system" },
            Errno::NXIO => Self::WrongType { path, problem: "is not a regular file" },
            Errno::NAMETOOLONG => Self::InvalidPath { path, problem: "is too long" },
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace { path },
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::Denied { path },
            errno => Self::Io { action, path, source: errno.into() },
        }
    }

    /// As [`FilesError::from_errno`], for calls of the standard library.
    pub(super) fn from_io(action: &'static str, path: &RelativePath, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => Self::from_errno(action, path, errno),
            None => Self::Io { action, path: shown(path), source: error },
        }
    }

    /// The same, about one change of a set.
    pub(super) fn in_change(self, index: usize) -> Self {
        Self::InChange { index, source: Box::new(self) }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } | Self::NoUpload => ErrorCode::NotFound,
            Self::BadArchive { .. } => ErrorCode::InvalidParams,
            Self::TooManyArchives => ErrorCode::Unavailable,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::TooManyUploads { .. } => ErrorCode::QuotaExceeded,
            Self::OtherBytes { .. } => ErrorCode::InvalidRequest,
            Self::AlreadyExists { .. } => ErrorCode::AlreadyExists,
            Self::OutsideRoot { .. } => ErrorCode::OutsideRoot,
            Self::InvalidPath { .. } | Self::InvalidParameter { .. } => ErrorCode::InvalidParams,
            Self::WrongType { .. } | Self::Mismatch { .. } | Self::OtherOffset { .. } | Self::Superseded { .. } => {
                ErrorCode::Conflict
            }
            Self::Stale { .. } => ErrorCode::PreconditionFailed,
            Self::TooLarge { .. } | Self::TooMany { .. } => ErrorCode::TooLarge,
            Self::NoSpace { .. } => ErrorCode::NoSpace,
            Self::Denied { .. } | Self::Reserved { .. } => ErrorCode::Forbidden,
            Self::OtherFileSystem { .. } => ErrorCode::NotSupported,
            Self::InChange { source, .. } => source.code(),
            Self::Closed => ErrorCode::Unavailable,
            Self::OpenRoot { .. } | Self::Recover { .. } | Self::Io { .. } | Self::Interrupted => ErrorCode::Internal,
        }
    }
}

impl From<FilesError> for Fault {
    /// The one place where a cause goes to the log and a code to the caller.
    fn from(error: FilesError) -> Self {
        if error.code() == ErrorCode::Internal {
            tracing::error!(error = &error as &dyn std::error::Error, "file operation failed");
            return Fault::internal();
        }
        let fault = Fault::new(error.code(), error.to_string());
        match error {
            FilesError::InChange { index, source } => {
                Fault { message: fault.message, ..Fault::from(*source).with("change", index) }
            }
            FilesError::Stale { current, .. } => fault.with("current_version", current.as_ref().map(Version::as_str)),
            FilesError::Mismatch { edit, expected, found, current, .. } => fault
                .with("edit", edit)
                .with("expected_count", expected)
                .with("found_count", found)
                .with("current_version", current.as_str()),
            FilesError::OtherOffset { offset, .. } => fault.with("offset", offset),
            FilesError::InvalidParameter { at, .. } => fault.with("path", format!("params.{at}")),
            FilesError::TooLarge { limit_bytes, .. } => fault.with("limit_bytes", limit_bytes),
            FilesError::InvalidPath { .. } => fault.with("path", "params.path"),
            _ => fault,
        }
    }
}
