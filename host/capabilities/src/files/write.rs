//! Writing a file: check what is there, decide how to write, write.
//!
//! Runs on a blocking thread, with the turn on the path held. How the bytes get there is in [`replace`](super::replace)
//! (atomic, the rule) and [`overwrite`](super::overwrite) (in place, where a new file would break something).

use std::{fs::File, sync::Arc};

use rustix::{fs::OFlags, io::Errno};
use serde::{Deserialize, Serialize};

use super::{
    Root,
    error::{FilesError, shown},
    facts::Facts,
    jail::regular,
    overwrite::overwrite,
    own_writes::{OwnWrite, Trace},
    path::RelativePath,
    replace::{Replaced, replace},
    version::Version,
    walk::Place,
};

/// Whether a write may make a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// The file must exist.
    Never,
    /// Either way.
    #[default]
    Always,
    /// The file must not exist; of two creators one fails.
    MustNotExist,
}

/// How to write.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Write only if the file still has this version.
    pub if_version: Option<Version>,
    pub create: Create,
    /// Make missing parent directories.
    pub create_dirs: bool,
    /// Return only when the content would survive a power cut.
    pub durable: bool,
    /// The request that asks for it: comes back with the watcher's change.
    pub origin: Option<Arc<str>>,
}

/// How the bytes got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// A new file took the name in one step: readers saw the old content or the new.
    Atomic,
    /// The same file was written over, because a new one would have broken a hard link, a mount point, an owner or a
    /// directory permission. A reader may have seen a mixture.
    InPlace,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub version: Version,
    /// Bytes.
    pub size: u64,
    pub created: bool,
    /// The file had these bytes already and was not touched.
    pub unchanged: bool,
    pub write_mode: WriteMode,
}

/// The file as it is before the write.
pub(super) struct Present {
    pub file: File,
    pub facts: Facts,
}

/// One write on its way.
pub(super) struct Job<'a> {
    pub place: &'a Place,
    pub bytes: &'a [u8],
    pub options: &'a WriteOptions,
    pub root: &'a Root,
}

pub(super) fn write(job: &Job<'_>) -> Result<Written, FilesError> {
    let Some(present) = job.present()? else {
        job.may_create()?;
        let facts = match replace(job, None)? {
            Replaced::Done(facts) => facts,
            Replaced::Refused(errno) => return Err(job.fail(errno)),
        };
        return Ok(job.written(&facts, true, WriteMode::Atomic));
    };
    let (version, content) = Version::of_file(&present.file, &present.facts)
        .map_err(|error| FilesError::from_io("read", job.path(), error))?;
    job.may_replace(&version)?;
    // Above the hashed size, comparing would mean to read it all: such a write is a write.
    if content.is_some_and(|content| content == job.bytes) {
        let size = present.facts.size;
        return Ok(Written { version, size, created: false, unchanged: true, write_mode: WriteMode::Atomic });
    }
    // A second name must keep leading to the same content.
    if present.facts.nlink == 1
        && let Replaced::Done(facts) = replace(job, Some(&present))?
    {
        return Ok(job.written(&facts, false, WriteMode::Atomic));
    }
    let facts = overwrite(job, &present)?;
    Ok(job.written(&facts, false, WriteMode::InPlace))
}

impl Job<'_> {
    pub fn path(&self) -> &RelativePath {
        &self.place.path
    }

    pub fn fail(&self, errno: Errno) -> FilesError {
        FilesError::from_errno("write", self.path(), errno)
    }

    /// Tells the watcher what it is going to see.
    pub fn note(&self, facts: &Facts) {
        let own = OwnWrite {
            trace: Trace::from(facts),
            version: Some(self.version(facts)),
            origin: self.options.origin.clone(),
        };
        self.root.inner.own.note(self.path(), own);
    }

    pub fn present(&self) -> Result<Option<Present>, FilesError> {
        match self.place.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).and_then(regular) {
            Ok((file, facts)) => Ok(Some(Present { file, facts })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.fail(errno)),
        }
    }

    pub fn may_create(&self) -> Result<(), FilesError> {
        match self.options.if_version.is_some() || self.options.create == Create::Never {
            true => Err(self.absent()),
            false => Ok(()),
        }
    }

    /// The file is not there, and should be.
    pub fn absent(&self) -> FilesError {
        let path = shown(self.path());
        match &self.options.if_version {
            Some(_) => FilesError::Stale { path, current: None },
            None => FilesError::NotFound { path },
        }
    }

    pub fn may_replace(&self, current: &Version) -> Result<(), FilesError> {
        if self.options.create == Create::MustNotExist {
            return Err(FilesError::AlreadyExists { path: shown(self.path()) });
        }
        match &self.options.if_version {
            Some(expected) if expected != current => {
                Err(FilesError::Stale { path: shown(self.path()), current: Some(current.clone()) })
            }
            _ => Ok(()),
        }
    }

    fn version(&self, facts: &Facts) -> Version {
        Version::of_bytes(self.bytes).unwrap_or_else(|| Version::of_facts(facts))
    }

    fn written(&self, facts: &Facts, created: bool, write_mode: WriteMode) -> Written {
        Written { version: self.version(facts), size: self.bytes.len() as u64, created, unchanged: false, write_mode }
    }
}
