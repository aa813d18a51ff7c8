//! A file that comes piece by piece: it is gathered in the host's own folder and takes its name in one step, when all of it is
//! there and may be.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
};

use bytes::Bytes;
use midplane_model::limits::{FILE_HASH_BYTES_MAX, STREAM_BYTES_MAX};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    Root,
    error::{FilesError, shown},
    facts::Facts,
    make_dir::MakeDirOptions,
    own_writes::{OwnWrite, Trace},
    path::RelativePath,
    relocate::rename_free,
    replace::{inherit_group, keep_attributes, sync_directory},
    staging::Staging,
    version::{Hashing, Version},
    walk::{Last, Place},
    write::{Create, Job, Present, WriteMode, WriteOptions, Written},
};

/// The name of what is gathered, in a folder of its own.
pub(super) const GATHERED: &str = "gathered";

/// A file on its way. Dropped before its end it leaves nothing.
pub struct Receiving {
    root: Root,
    path: RelativePath,
    options: WriteOptions,
    gathered: Arc<Gathered>,
    hashing: Option<Hashing>,
    size: u64,
}

struct Gathered {
    staging: Staging,
    file: File,
}

impl Root {
    /// Begins to receive a file. What `options` asks for is looked at now, so that nobody sends a large file in vain, and decided at
    /// the end.
    ///
    /// # Errors
    /// As [`Root::write`].
    pub async fn receive(&self, path: &RelativePath, options: WriteOptions) -> Result<Receiving, FilesError> {
        if options.create_dirs && options.if_version.is_none() && options.create != Create::Never {
            let parent = path.parent().unwrap_or_else(RelativePath::root);
            self.make_dir(&parent, MakeDirOptions { parents: true, origin: options.origin.clone() }).await?;
        }
        let place = self.place("write", path, Last::Follow).await?;
        let early = options.clone();
        let gathered = self
            .run(move |root| {
                allow(&Job { place: &place, bytes: &[], options: &early, root })?;
                let fail = |errno| FilesError::from_errno("receive", &place.path, errno);
                let staging = Staging::create(&root.jail.whole()).map_err(fail)?;
                let file = staging.file(GATHERED).map_err(fail)?;
                Ok(Gathered { staging, file })
            })
            .await?;
        let (root, path) = (self.clone(), path.clone());
        Ok(Receiving { root, path, options, gathered: Arc::new(gathered), hashing: Some(Hashing::default()), size: 0 })
    }
}

impl Receiving {
    /// The next bytes. Dropping the future leaves the file unusable.
    ///
    /// # Errors
    /// `too_large` beyond `STREAM_BYTES_MAX`, `no_space`.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), FilesError> {
        self.size += bytes.len() as u64;
        if self.size > STREAM_BYTES_MAX {
            return Err(FilesError::TooLarge { path: shown(&self.path), limit_bytes: STREAM_BYTES_MAX });
        }
        // Beyond, no version stands on the content.
        let hashing = self.hashing.take().filter(|_| self.size <= FILE_HASH_BYTES_MAX);
        let (gathered, path) = (self.gathered.clone(), self.path.clone());
        self.hashing = self
            .root
            .run(move |_| {
                let hashing = hashing.map(|hashing| hashing.and(&bytes));
                (&gathered.file).write_all(&bytes).map_err(|error| FilesError::from_io("write", &path, error))?;
                Ok(hashing)
            })
            .await?;
        Ok(())
    }

    /// All is there: it becomes the file.
    ///
    /// # Errors
    /// As [`Root::write`].
    pub async fn finish(self) -> Result<Written, FilesError> {
        let place = self.root.place("write", &self.path, Last::Follow).await?;
        let turn = self.root.inner.turns.wait(vec![place.path.clone()]).await;
        let Self { root, options, gathered, hashing, size, .. } = self;
        root.run(move |root| {
            let _turn = turn;
            let job = Job { place: &place, bytes: &[], options: &options, root };
            let (folder, file) = (gathered.staging.folder.as_fd(), &gathered.file);
            Arrival { job, folder, file, version: hashing.map(Hashing::version), size }.settle()
        })
        .await
    }
}

/// Whether the write may happen as things are: who is there, and in which version.
pub(super) fn allow(job: &Job<'_>) -> Result<Option<(Present, Version)>, FilesError> {
    let Some(present) = job.present()? else { return job.may_create().map(|()| None) };
    let (version, _) = Version::of_file(&present.file, &present.facts)
        .map_err(|error| FilesError::from_io("read", job.path(), error))?;
    job.may_replace(&version)?;
    Ok(Some((present, version)))
}

/// All bytes are there, in a file of the name [`GATHERED`].
pub(super) struct Arrival<'a> {
    pub job: Job<'a>,
    /// Where the file stands.
    pub folder: BorrowedFd<'a>,
    pub file: &'a File,
    /// Of what came, where it stands on the content.
    pub version: Option<Version>,
    pub size: u64,
}

impl Arrival<'_> {
    /// Makes it the file.
    pub fn settle(&self) -> Result<Written, FilesError> {
        let Some((present, version)) = allow(&self.job)? else {
            inherit_group(self.file, &self.job.place.parent);
            return match self.rename(true)? {
                Ok(facts) => Ok(self.written(&facts, true, WriteMode::Atomic)),
                // Another file system is mounted there.
                Err(Errno::XDEV) => self.make(),
                Err(errno) => Err(self.job.fail(errno)),
            };
        };
        if self.version.as_ref() == Some(&version) {
            let write_mode = WriteMode::Atomic;
            return Ok(Written { version, size: self.size, created: false, unchanged: true, write_mode });
        }
        let old = Some(present.file.as_fd());
        if present.facts.nlink == 1
            && keep_attributes(self.file, old, &present.facts).is_ok()
            && let Ok(facts) = self.rename(false)?
        {
            return Ok(self.written(&facts, false, WriteMode::Atomic));
        }
        let (target, facts) = self
            .job
            .place
            .open(OFlags::WRONLY | OFlags::NONBLOCK)
            .and_then(super::jail::regular)
            .map_err(|errno| self.job.fail(errno))?;
        if facts.ino != present.facts.ino {
            return Err(self.job.fail(Errno::BUSY));
        }
        let facts = self.pour(&target)?;
        Ok(self.written(&facts, false, WriteMode::InPlace))
    }

    /// Brings the file to its name; the inner error is one that another way may avoid.
    fn rename(&self, is_new: bool) -> Result<Result<Facts, Errno>, FilesError> {
        let (job, place) = (&self.job, self.job.place);
        if job.options.durable {
            rustix::fs::fsync(self.file).map_err(|errno| job.fail(errno))?;
        }
        let facts = Facts::of(self.file).map_err(|errno| job.fail(errno))?;
        self.note(&facts);
        let folder = self.folder;
        let renamed = match is_new && job.options.create == Create::MustNotExist {
            true => rename_free(folder, GATHERED, place.parent.as_fd(), &place.name),
            false => rustix::fs::renameat(folder, GATHERED, &place.parent, place.on_disk()),
        };
        if let Err(errno) = renamed {
            job.root.inner.own.forget(job.path());
            return Ok(Err(errno));
        }
        if job.options.durable {
            sync_directory(&place.parent).map_err(|errno| job.fail(errno))?;
        }
        let facts = Facts::of(self.file).map_err(|errno| job.fail(errno))?;
        self.note(&facts);
        Ok(Ok(facts))
    }

    fn make(&self) -> Result<Written, FilesError> {
        let place: &Place = self.job.place;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&place.parent, place.on_disk(), flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| self.job.fail(errno))?;
        let facts = self.pour(&File::from(made))?;
        Ok(self.written(&facts, true, WriteMode::InPlace))
    }

    fn pour(&self, target: &File) -> Result<Facts, FilesError> {
        let fail = |error| FilesError::from_io("write", self.job.path(), error);
        super::overwrite::pour(self.file, target).map_err(fail)?;
        let facts = Facts::of(target).map_err(|errno| self.job.fail(errno))?;
        self.note(&facts);
        Ok(facts)
    }

    /// Tells the watcher what it is going to see.
    fn note(&self, facts: &Facts) {
        let (version, origin) = (Some(self.version(facts)), self.job.options.origin.clone());
        self.job.root.inner.own.note(self.job.path(), OwnWrite { trace: Trace::from(facts), version, origin });
    }

    fn version(&self, facts: &Facts) -> Version {
        self.version.clone().unwrap_or_else(|| Version::of_facts(facts))
    }

    fn written(&self, facts: &Facts, created: bool, write_mode: WriteMode) -> Written {
        Written { version: self.version(facts), size: self.size, created, unchanged: false, write_mode }
    }
}
