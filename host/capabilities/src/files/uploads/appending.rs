//! One request's part of an upload.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use midplane_model::limits::{FILE_HASH_BYTES_MAX, STREAM_PIECE_BYTES};
use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};

use super::{
    super::{
        Root,
        error::{FilesError, shown},
        receive::{Arrival, GATHERED},
        remove::remove_tree,
        version::{Hashing, Version},
        walk::{Last, Place},
        write::{Job, WriteOptions, Written},
    },
    Upload,
    record::{self, About, Id},
};

/// An upload that somebody appends to. Held with a lock on its folder, which other hosts and those who tidy respect.
pub(super) struct Slot {
    id: Id,
    about: About,
    folder: OwnedFd,
    above: OwnedFd,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Who may write: the newest request that went on with it.
    turn: u64,
    /// The file is no longer the upload's: it has its name, or none.
    over: bool,
}

impl Slot {
    pub fn open(above: &OwnedFd, id: Id) -> Result<Self, FilesError> {
        record::look(above, &id)?.ok_or(FilesError::NoUpload)?;
        let folder = record::open(above, id.as_str()).map_err(record::fail)?;
        let about = record::read(&folder)?;
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| FilesError::Superseded { path: shown(&about.path) })?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, GATHERED, flags, Mode::empty()).map_err(record::fail)?;
        let above = above.try_clone().map_err(|_| record::fail(Errno::MFILE))?;
        Ok(Self { id, about, folder, above, state: Mutex::new(State { file: File::from(file), turn: 0, over: false }) })
    }

    /// Removes the upload; whoever appends to it is told.
    pub fn remove(&self) -> Result<(), FilesError> {
        let mut state = self.lock();
        state.over = true;
        remove_tree(&self.above, self.id.as_str()).map_err(record::fail)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that goes on with an upload. What it has written stays when it is dropped.
pub struct Appending {
    root: Root,
    slot: Arc<Slot>,
    turn: u64,
    offset: u64,
    options: WriteOptions,
}

/// What a request has done for an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub upload: Upload,
    /// The file, if this request completed it.
    pub written: Option<Written>,
}

impl Appending {
    pub(super) fn begin(
        root: &Root,
        slot: Arc<Slot>,
        offset: u64,
        if_version: Option<Version>,
        origin: Option<Arc<str>>,
    ) -> Result<Self, FilesError> {
        let turn = {
            let mut state = slot.lock();
            if state.over {
                return Err(FilesError::NoUpload);
            }
            let present = state.file.metadata().map_err(|error| slot.fail(error))?.len();
            if present != offset {
                return Err(FilesError::OtherOffset { path: shown(&slot.about.path), offset: present });
            }
            state.turn += 1;
            state.turn
        };
        let options = slot.about.options(if_version, origin);
        Ok(Self { root: root.clone(), slot, turn, offset, options })
    }

    /// The next bytes. Must be awaited to its end.
    ///
    /// # Errors
    /// `too_large` beyond the size that was said, `conflict` when another request has taken the upload over; `no_space`: then the
    /// upload is removed, so that it does not keep a full disk full.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), FilesError> {
        let (slot, turn, offset) = (self.slot.clone(), self.turn, self.offset);
        self.offset = self
            .root
            .run(move |_| {
                let end = offset + bytes.len() as u64;
                let path = &slot.about.path;
                if end > slot.about.size {
                    return Err(FilesError::TooLarge { path: shown(path), limit_bytes: slot.about.size });
                }
                let written = {
                    let state = slot.held(turn)?;
                    state.file.write_all_at(&bytes, offset)
                };
                match written.map_err(|error| slot.fail(error)) {
                    Ok(()) => Ok(end),
                    Err(error) => {
                        if matches!(error, FilesError::NoSpace { .. }) {
                            slot.remove()?;
                        }
                        Err(error)
                    }
                }
            })
            .await?;
        Ok(())
    }

    /// The request has no more bytes. If all have come, they become the file.
    ///
    /// # Errors
    /// As [`Root::write`]: the upload stays as it is, and the next request may name another version. `invalid_request` when the bytes
    /// have another hash than was said: the upload is removed.
    pub async fn finish(self) -> Result<Appended, FilesError> {
        let Self { root, slot, turn, offset, options } = self;
        let mut written = None;
        if offset == slot.about.size {
            root.make_dirs_above(&slot.about.path, &options).await?;
            let place = root.place("write", &slot.about.path, Last::Follow).await?;
            let turns = root.inner.turns.wait(vec![place.path.clone()]).await;
            let slot = slot.clone();
            let settle = move |root: &Root| {
                let _turns = turns;
                slot.settle(turn, &place, &options, root)
            };
            written = Some(root.run(settle).await?);
        }
        Ok(Appended { upload: root.upload(slot.id.as_str()).await?, written })
    }
}

impl Slot {
    fn fail(&self, error: io::Error) -> FilesError {
        FilesError::from_io("upload", &self.about.path, error)
    }

    /// Nobody else writes while this is held.
    fn held(&self, turn: u64) -> Result<MutexGuard<'_, State>, FilesError> {
        let state = self.lock();
        if state.turn == turn && !state.over {
            Ok(state)
        } else {
            Err(FilesError::Superseded { path: shown(&self.about.path) })
        }
    }

    fn settle(&self, turn: u64, place: &Place, options: &WriteOptions, root: &Root) -> Result<Written, FilesError> {
        let mut state = self.held(turn)?;
        let size = self.about.size;
        let (sha256, version) = self.hash(&state.file).map_err(|error| self.fail(error))?;
        if self.about.sha256.is_some() && self.about.sha256 != sha256 {
            drop(state);
            self.remove()?;
            return Err(FilesError::OtherBytes { path: shown(&self.about.path) });
        }
        let job = Job { place, bytes: &[], options, root };
        let written = Arrival { job, folder: self.folder.as_fd(), file: &state.file, version, size }.settle()?;
        state.over = true;
        // Where it was not renamed it has been copied, or was there already.
        match rustix::fs::unlinkat(&self.folder, GATHERED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(written),
            Err(errno) => Err(record::fail(errno)),
        }
    }

    /// The hash that was asked for, and the version where that stands on the content. Read again rather than kept: requests and
    /// hosts come and go while an upload waits.
    fn hash(&self, mut file: &File) -> io::Result<(Option<String>, Option<Version>)> {
        let versioned = self.about.size <= FILE_HASH_BYTES_MAX;
        if !versioned && self.about.sha256.is_none() {
            return Ok((None, None));
        }
        file.rewind()?;
        let mut hashing = Hashing::default();
        let mut piece = vec![0; STREAM_PIECE_BYTES];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                let (sha256, version) = hashing.both();
                return Ok((Some(sha256), versioned.then_some(version)));
            }
            hashing = hashing.and(&piece[..count]);
        }
    }
}
