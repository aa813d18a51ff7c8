//! Files below one root: looking, reading, atomic writing, in a jail that the kernel enforces.
//!
//! [`Root`] is the handle; every path is a [`RelativePath`]. What a path may reach is decided in [`jail`] and [`walk`], how
//! bytes get to a file in [`mod@write`], [`replace`] and [`overwrite`], who may write when in [`turns`], what happens as a whole
//! in [`apply`], what comes over several requests in [`uploads`], trees as one file in [`archive`], and what a killed host leaves in [`strays`]. Own changes are noted
//! in [`own_writes`] for the [`watch`](crate::watch) module. Knows nothing of grants, requests or JSON: whoever holds a
//! `Root` may use all of it.

mod accounts;
mod apply;
mod archive;
mod copy;
mod diff;
mod download;
mod edit;
mod entry;
mod error;
mod facts;
mod hold;
mod insist;
mod jail;
mod list;
mod make_dir;
mod naming;
mod overwrite;
mod own_writes;
mod path;
mod read;
mod receive;
mod relocate;
mod remove;
mod replace;
mod staging;
mod strays;
mod tape;
mod trash;
mod turns;
mod upkeep;
mod uploads;
mod version;
mod walk;
mod weight;
mod write;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use accounts::Owner;
pub use apply::{ApplyOptions, Change, Outcome, OutcomeKind, Target};
#[cfg(any(test, fuzzing))]
pub(crate) use archive::fuzzing;
pub use archive::{ArchiveArriving, ArchiveFormat, Packing, UnpackOptions, Unpacked};
use bytes::Bytes;
pub use copy::CopyOptions;
pub use download::OpenFile;
pub use edit::{EditOptions, Edited, Replacement};
pub use entry::{Entry, Kind, Symlink};
pub use error::FilesError;
use error::shown;
pub(crate) use facts::Facts;
pub use hold::HeldDirectory;
pub(crate) use jail::{Jail, regular};
pub(crate) use list::names;
pub use list::{Ignored, ListOptions, Listing};
pub use make_dir::MakeDirOptions;
use midplane_model::limits::{FILE_BYTES_MAX, TRASH_BYTES_MAX};
pub(crate) use naming::{on_disk, text_of};
pub(crate) use own_writes::{OwnWrite, Trace};
pub use path::RelativePath;
pub use read::Content;
pub use receive::Receiving;
pub use relocate::RenameOptions;
pub use remove::DeleteOptions;
pub(crate) use replace::is_ours;
use strays::Strays;
use tokio_util::task::TaskTracker;
pub use trash::Trashed;
use turns::Turns;
use uploads::Uploads;
pub use uploads::{Appended, Appending, Upload, UploadOptions};
pub use version::Version;
pub(crate) use walk::Last;
use walk::Place;
pub use write::{Create, WriteMode, WriteOptions, Written};

/// A directory tree that is served; cheap to clone.
///
/// All methods do their work on the blocking pool. Dropping a future of a reading method discards the result; dropping
/// one of a changing method before it has its turn cancels it, afterwards the change completes.
#[derive(Clone)]
pub struct Root {
    inner: Arc<Inner>,
    jail: Jail,
}

struct Inner {
    /// Where it was opened; only the kernel's watches need it.
    location: PathBuf,
    accounts: accounts::Accounts,
    turns: Turns,
    own: own_writes::OwnWrites,
    strays: Strays,
    uploads: Uploads,
    trash: trash::Trash,
    archives: archive::Archives,
    /// Where sets of changes are recorded while they happen; without it a killed host leaves half of one.
    journal: Option<PathBuf>,
    work: TaskTracker,
}

impl Root {
    /// Opens a directory that nobody changes through this, or for a while. Blocks for a few system calls.
    ///
    /// # Errors
    /// [`FilesError::OpenRoot`] when it is not there, not a directory, or not readable.
    pub fn open(directory: &Path) -> Result<Self, FilesError> {
        let (jail, location) = Self::jail_of(directory)?;
        Ok(Self::of(jail, location, Strays::default(), None, TRASH_BYTES_MAX))
    }

    /// Opens the directory to serve, with a folder of the host's own where it records what it is doing. First ends what a killed
    /// host had begun and removes what it left: blocks as long as that takes. `trash_bytes_max` is what the trash may take of the disk.
    ///
    /// # Errors
    /// As [`Root::open`], and [`FilesError::Recover`] when the record cannot be read or written.
    pub fn open_recorded(directory: &Path, record: &Path, trash_bytes_max: u64) -> Result<Self, FilesError> {
        let (jail, location) = Self::jail_of(directory)?;
        let fail = |source| FilesError::Recover { source };
        std::fs::create_dir_all(record).map_err(fail)?;
        apply::recover(&jail, record).map_err(fail)?;
        let (strays, left) = Strays::open(&record.join("strays")).map_err(fail)?;
        for path in left {
            remove::remove_stray(&jail, &path);
        }
        strays.clear().map_err(fail)?;
        let root = Self::of(jail, location, strays, Some(record.to_owned()), trash_bytes_max);
        root.tidy_uploads_or_log();
        Ok(root)
    }

    fn jail_of(directory: &Path) -> Result<(Jail, PathBuf), FilesError> {
        let fail = |source| FilesError::OpenRoot { source };
        let location = directory.canonicalize().map_err(fail)?;
        let jail = Jail::open(&location).map_err(|errno| fail(errno.into()))?;
        Ok((jail, location))
    }

    fn of(jail: Jail, location: PathBuf, strays: Strays, journal: Option<PathBuf>, trash_bytes_max: u64) -> Self {
        let inner = Inner {
            location,
            accounts: accounts::Accounts::default(),
            turns: Turns::default(),
            own: own_writes::OwnWrites::default(),
            strays,
            uploads: Uploads::default(),
            trash: trash::Trash::new(trash_bytes_max),
            archives: archive::Archives::default(),
            journal,
            work: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner), jail }
    }

    /// The same files under the same names, of which only `floor` and what is below it can be reached, whichever links lie
    /// there: the kernel sees to it. `floor` need not exist; where it is a link it is a `conflict`.
    #[must_use]
    pub fn within(&self, floor: RelativePath) -> Self {
        Self { inner: self.inner.clone(), jail: self.jail.within(floor) }
    }

    /// The directory that this root is narrowed to, held open under a path that leads to it and nowhere else.
    ///
    /// # Errors
    /// `not_found`; `conflict` for what is no directory.
    pub async fn hold(&self) -> Result<HeldDirectory, FilesError> {
        self.run(|root| HeldDirectory::open(&root.jail, &root.inner.location)).await
    }

    /// Everything about one entry, with its version (which reads files of up to `FILE_HASH_BYTES_MAX`).
    ///
    /// # Errors
    /// `not_found`, `outside_root`, `forbidden`.
    pub async fn stat(&self, path: &RelativePath) -> Result<Entry, FilesError> {
        let path = path.clone();
        self.run(move |root| entry::stat(root, &path)).await
    }

    /// One page of a directory, in byte order. Links are listed, never entered.
    ///
    /// # Errors
    /// `not_found`, `outside_root`, `forbidden`; `conflict` for what is no directory.
    pub async fn list(&self, path: &RelativePath, options: ListOptions) -> Result<Listing, FilesError> {
        let path = path.clone();
        self.run(move |root| list::list(root, &path, &options)).await
    }

    /// A file or the part of it within `range` (bytes, the end excluded, cut to the size of the file).
    ///
    /// # Errors
    /// `not_found`, `outside_root`, `forbidden`; `conflict` for what is no file; `too_large` beyond `FILE_BYTES_MAX`.
    pub async fn read(&self, path: &RelativePath, range: Option<Range<u64>>) -> Result<Content, FilesError> {
        self.read_up_to(path, range, FILE_BYTES_MAX as u64).await
    }

    /// As [`Root::read`], with less than `FILE_BYTES_MAX` as the bound.
    ///
    /// # Errors
    /// As [`Root::read`]; `too_large` before anything is read.
    pub async fn read_up_to(
        &self,
        path: &RelativePath,
        range: Option<Range<u64>>,
        bytes_max: u64,
    ) -> Result<Content, FilesError> {
        let path = path.clone();
        self.run(move |root| read::read(&root.jail, &path, range, bytes_max)).await
    }

    /// Replaces or makes a file; through a link, what it leads to. Writers of one path take turns.
    ///
    /// # Errors
    /// `precondition_failed` when `if_version` is not the present version; `not_found`, `already_exists` as `create`
    /// says; `conflict` for what is no file; `too_large`, `no_space`, `outside_root`, `forbidden`. The old content is
    /// intact after every error but one in the midst of writing in place.
    pub async fn write(&self, path: &RelativePath, bytes: Bytes, options: WriteOptions) -> Result<Written, FilesError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(FilesError::TooLarge { path: shown(path), limit_bytes: FILE_BYTES_MAX as u64 });
        }
        if options.create_dirs && options.if_version.is_none() && options.create != Create::Never {
            let parent = path.parent().unwrap_or_else(RelativePath::root);
            self.make_dir(&parent, MakeDirOptions { parents: true, origin: options.origin.clone() }).await?;
        }
        let place = self.place("write", path, Last::Follow).await?;
        let turn = self.inner.turns.wait(vec![place.path.clone()]).await;
        self.run(move |root| {
            let _turn = turn;
            write::write(&write::Job { place: &place, bytes: &bytes, options: &options, root })
        })
        .await
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `already_exists` (with `parents` only for something that is no directory), `not_found` for the parent,
    /// `outside_root`, `forbidden`, `no_space`.
    pub async fn make_dir(&self, path: &RelativePath, options: MakeDirOptions) -> Result<(), FilesError> {
        let path = path.clone();
        self.run(move |root| make_dir::make_dir(&root.jail, &root.inner.own, &path, &options)).await
    }

    /// Moves an entry; a link itself, not what it leads to.
    ///
    /// # Errors
    /// `not_found`, `already_exists` unless `overwrite`; `precondition_failed` for another version than was asked for; `conflict` for a directory that would go into itself or onto one
    /// that is not empty; `not_supported` across file systems; `outside_root`, `forbidden`.
    pub async fn rename(
        &self,
        from: &RelativePath,
        to: &RelativePath,
        options: RenameOptions,
    ) -> Result<(), FilesError> {
        self.rename_into(from, self, to, options).await
    }

    /// As [`Root::rename`], to a place that `target` can reach: the same files, perhaps narrowed to another floor.
    ///
    /// # Errors
    /// As [`Root::rename`].
    pub async fn rename_into(
        &self,
        from: &RelativePath,
        target: &Self,
        to: &RelativePath,
        options: RenameOptions,
    ) -> Result<(), FilesError> {
        let from = self.place("move", from, Last::Keep).await?;
        let to = target.place("move", to, Last::Keep).await?;
        let turn = self.inner.turns.wait(vec![from.path.clone(), to.path.clone()]).await;
        self.run(move |root| {
            let _turn = turn;
            relocate::rename(&from, &to, &options, &root.inner.own)
        })
        .await
    }

    /// Deletes an entry for good; a link itself, not what it leads to.
    ///
    /// # Errors
    /// `not_found`; `conflict` for a directory with content unless `recursive`; `precondition_failed` for another version than
    /// was asked for; `outside_root`, `forbidden`.
    pub async fn delete(&self, path: &RelativePath, options: DeleteOptions) -> Result<(), FilesError> {
        let place = self.place("delete", path, Last::Keep).await?;
        let turn = self.inner.turns.wait(vec![place.path.clone()]).await;
        self.run(move |root| {
            let _turn = turn;
            remove::delete(&place, &options, &root.inner.own)
        })
        .await
    }

    /// Refuses new work and waits for what is running.
    pub async fn close(&self) {
        self.inner.work.close();
        self.inner.work.wait().await;
    }

    /// The real place of an entry that is going to change. The root itself cannot.
    async fn place(&self, action: &'static str, path: &RelativePath, last: Last) -> Result<Place, FilesError> {
        let path = path.clone();
        self.run(move |root| match root.jail.place(&path, last) {
            Ok(Some(place)) => Ok(place),
            Ok(None) => Err(FilesError::WrongType { path: shown(&path), problem: "is the root of the workspace" }),
            Err(errno) => Err(FilesError::from_errno(action, &path, errno)),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, FilesError> + Send + 'static,
    ) -> Result<T, FilesError> {
        if self.inner.work.is_closed() {
            return Err(FilesError::Closed);
        }
        let root = self.clone();
        let done = self.inner.work.spawn_blocking(move || work(&root)).await;
        done.unwrap_or(Err(FilesError::Interrupted))
    }
}

/// What the watcher needs, on its own thread.
impl Root {
    pub(crate) fn location(&self) -> &Path {
        &self.inner.location
    }

    pub(crate) fn jail(&self) -> &Jail {
        &self.jail
    }

    /// The own change that left this trace at `path`, once.
    pub(crate) fn claim(&self, path: &RelativePath, trace: Trace) -> Option<OwnWrite> {
        self.inner.own.claim(path, trace)
    }
}

#[cfg(test)]
mod floor_tests;
#[cfg(test)]
mod hard_tests;
#[cfg(test)]
mod tests;
