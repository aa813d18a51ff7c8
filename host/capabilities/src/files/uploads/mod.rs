//! Uploads that can be resumed: the bytes gather in the host's own folder, at the pace and over the connections of the client, and
//! become the file in one step when all have come.
//!
//! An upload is a folder with a file that says what it is to become ([`record`]) and what has come of it; how far it is, is
//! the size of that file, so a killed host forgets nothing. Whoever appends holds it by [`appending`]. When the bytes have
//! taken their name only the record is left, and answers clients that did not hear of it. What waits too long is removed by
//! [`Root::tidy_uploads`].

mod appending;
mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use midplane_model::limits::{
    STREAM_BYTES_MAX, UPLOAD_AGE_MAX, UPLOADS_BYTES_MAX, UPLOADS_COMPLETE_KEPT_MAX, UPLOADS_MAX,
};
use rustix::{fs::FlockOperation, io::Errno};

use appending::Slot;
pub use appending::{Appended, Appending};
use record::{About, Id};

use super::{
    Root,
    error::{FilesError, shown},
    make_dir::MakeDirOptions,
    path::RelativePath,
    receive::allow,
    remove::remove_tree,
    version::Version,
    walk::Last,
    write::{Create, Job, WriteOptions},
};

/// What a client begins.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// Bytes of the whole file.
    pub size: u64,
    /// SHA-256 of the whole file in hexadecimal: other bytes do not become the file.
    pub sha256: Option<String>,
    /// Whose it is: kept with it, and compared by whoever decides about access.
    pub owner: Option<String>,
    /// As of any write. Looked at when the upload begins, decided when it is complete.
    pub write: WriteOptions,
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    /// What it becomes.
    pub path: RelativePath,
    /// Bytes that have come: where to go on.
    pub offset: u64,
    pub size: u64,
    /// As it was said.
    pub sha256: Option<String>,
    /// As it was said.
    pub owner: Option<String>,
    /// It is removed then, unless more comes.
    pub expires: SystemTime,
    /// It has become the file.
    pub complete: bool,
}

/// Uploads that somebody appends to, by id; those that nobody holds any more are dead entries until the next look.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<Id, Weak<Slot>>>);

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Weak<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Root {
    /// Begins an upload. The space is reserved where the file system can do that, so that a full disk is told now. A file
    /// without bytes is complete at once.
    ///
    /// # Errors
    /// As [`Root::write`]; `too_large` beyond `STREAM_BYTES_MAX`, `quota_exceeded` beyond `UPLOADS_MAX` and
    /// `UPLOADS_BYTES_MAX`, `invalid_params` for what is no hash.
    pub async fn begin_upload(&self, path: &RelativePath, options: UploadOptions) -> Result<Appended, FilesError> {
        let UploadOptions { size, sha256, owner, write } = options;
        if size > STREAM_BYTES_MAX {
            return Err(FilesError::TooLarge { path: shown(path), limit_bytes: STREAM_BYTES_MAX });
        }
        let place = match self.place("upload", path, Last::Follow).await {
            // Its directory is made when the file is there.
            Err(FilesError::NotFound { .. }) if write.create_dirs => None,
            place => Some(place?),
        };
        let (about, origin) = (About::new(path, size, sha256, &write)?.owned_by(owner), write.origin.clone());
        let id = self
            .run(move |root| {
                if let Some(place) = &place {
                    allow(&Job { place, bytes: &[], options: &write, root })?;
                }
                root.admit(&about)
            })
            .await?;
        let appending = self.append_upload(id.as_str(), 0, None, origin).await?;
        match size {
            0 => appending.finish().await,
            _ => Ok(Appended { upload: self.upload(id.as_str()).await?, written: None }),
        }
    }

    /// How far an upload is.
    ///
    /// # Errors
    /// `not_found` for one that does not exist, or not any more.
    pub async fn upload(&self, id: &str) -> Result<Upload, FilesError> {
        let id = Id::parse(id)?;
        self.run(move |root| record::look(&record::folder(root)?, &id)?.ok_or(FilesError::NoUpload)).await
    }

    /// All uploads, in the order of their names.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn uploads(&self) -> Result<Vec<Upload>, FilesError> {
        self.run(|root| record::all(&record::folder(root)?)).await
    }

    /// Goes on with an upload where it stands, in place of whoever did before. `if_version` replaces the version that it began with.
    ///
    /// # Errors
    /// `not_found`; `conflict` with `offset` when it stands elsewhere.
    pub async fn append_upload(
        &self,
        id: &str,
        offset: u64,
        if_version: Option<Version>,
        origin: Option<Arc<str>>,
    ) -> Result<Appending, FilesError> {
        let id = Id::parse(id)?;
        self.run(move |root| Appending::begin(root, root.hold_upload(&id)?, offset, if_version, origin)).await
    }

    /// Gives an upload up; what has come is gone.
    ///
    /// # Errors
    /// `not_found`, `conflict` while another host holds it.
    pub async fn cancel_upload(&self, id: &str) -> Result<(), FilesError> {
        let id = Id::parse(id)?;
        self.run(move |root| match root.hold_upload(&id) {
            Ok(slot) => slot.remove(),
            // Complete: only its record is left.
            Err(FilesError::NoUpload) => {
                let folder = record::folder(root)?;
                record::look(&folder, &id)?.ok_or(FilesError::NoUpload)?;
                remove_tree(&folder, id.as_str()).map_err(record::fail)
            }
            Err(error) => Err(error),
        })
        .await
    }

    /// Removes uploads that have waited too long, and records of complete ones beyond `UPLOADS_COMPLETE_KEPT_MAX`. How many.
    ///
    /// # Errors
    /// Those of reading the folder; what cannot be removed is logged.
    pub async fn tidy_uploads(&self) -> Result<usize, FilesError> {
        self.run(|root| root.tidy_uploads_now(SystemTime::now())).await
    }

    pub(super) fn tidy_uploads_now(&self, now: SystemTime) -> Result<usize, FilesError> {
        let Some(folder) = record::existing_folder(self)? else { return Ok(0) };
        let slots = self.inner.uploads.lock();
        let mut complete = Vec::new();
        let mut old = Vec::new();
        for name in record::names(&folder)? {
            let touched = record::touched(&folder, &name);
            if touched.is_none_or(|touched| now > touched + UPLOAD_AGE_MAX) {
                old.push(name);
            } else if let Ok(id) = Id::parse(&name)
                && record::look(&folder, &id)?.is_some_and(|upload| upload.complete)
            {
                complete.push((touched, name));
            }
        }
        complete.sort();
        let surplus = complete.len().saturating_sub(UPLOADS_COMPLETE_KEPT_MAX);
        old.extend(complete.drain(..surplus).map(|(_, name)| name));
        let held = |name: &String| Id::parse(name).is_ok_and(|id| slots.get(&id).is_some_and(|s| s.strong_count() > 0));
        let removed = old.iter().filter(|name| !held(name)).filter(|name| match remove_unheld(&folder, name) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, upload = name, "an upload that waited too long stays");
                false
            }
        });
        Ok(removed.count())
    }

    /// Makes room for one more upload.
    fn admit(&self, about: &About) -> Result<Id, FilesError> {
        self.tidy_uploads_now(SystemTime::now())?;
        let folder = record::folder(self)?;
        // Of two that begin at the same time the second sees the first.
        let _slots = self.inner.uploads.lock();
        let waiting: Vec<u64> =
            record::all(&folder)?.into_iter().filter(|upload| !upload.complete).map(|upload| upload.size).collect();
        let (count, bytes) = (waiting.len(), waiting.iter().sum::<u64>());
        if count >= UPLOADS_MAX || bytes.saturating_add(about.size) > UPLOADS_BYTES_MAX {
            return Err(FilesError::TooManyUploads { count, bytes });
        }
        about.make(self, &folder)
    }

    /// The upload, held for this process: what another host over the same directory holds is a `conflict`.
    fn hold_upload(&self, id: &Id) -> Result<Arc<Slot>, FilesError> {
        let mut slots = self.inner.uploads.lock();
        if let Some(slot) = slots.get(id).and_then(Weak::upgrade) {
            return Ok(slot);
        }
        let slot = Arc::new(Slot::open(&record::folder(self)?, id.clone())?);
        slots.retain(|_, slot| slot.strong_count() > 0);
        slots.insert(id.clone(), Arc::downgrade(&slot));
        Ok(slot)
    }

    /// The directories above the file, where they are to be made.
    async fn make_dirs_above(&self, path: &RelativePath, options: &WriteOptions) -> Result<(), FilesError> {
        if !options.create_dirs || options.if_version.is_some() || options.create == Create::Never {
            return Ok(());
        }
        let parent = path.parent().unwrap_or_else(RelativePath::root);
        self.make_dir(&parent, MakeDirOptions { parents: true, origin: options.origin.clone() }).await
    }
}

fn remove_unheld(folder: &std::os::fd::OwnedFd, name: &str) -> Result<(), Errno> {
    let held = record::open(folder, name)?;
    rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive)?;
    remove_tree(folder, name)
}
