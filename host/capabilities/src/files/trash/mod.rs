//! The trash: what was deleted and can come back, in the host's own folder, so that deleting a large tree is one rename.
//!
//! Each entry is a folder with a file that says where it was, and the entry itself. What is too old, too many or too much is removed for
//! good ([`bounds`]): now and then, and after each deletion.

mod bounds;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use midplane_model::limits::{PATH_BYTES_MAX, TRASH_ENTRIES_MAX};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    DeleteOptions, RenameOptions, Root,
    error::{FilesError, shown},
    facts::Facts,
    insist::insist,
    own_writes::{OwnWrite, Trace},
    path::RelativePath,
    relocate::rename,
    remove::remove_tree,
    staging::own_folder,
    walk::{Last, Place},
};

pub(super) use bounds::Trash;

const TRASH: &str = "trash";
const ABOUT: &str = "about.json";
const ENTRY: &str = "entry";
/// Before the id of what is being removed for good.
const DISCARDED: char = '-';
/// More is no file that we wrote.
const ABOUT_BYTES_MAX: u64 = 2 * PATH_BYTES_MAX as u64 + 1024;

/// Something in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// Names it for [`Root::restore`].
    pub id: String,
    /// Where it was.
    pub path: RelativePath,
    pub deleted: SystemTime,
    pub is_directory: bool,
    /// Bytes of a file.
    pub size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    path: RelativePath,
    /// Since 1970.
    deleted_ms: u64,
}

impl Root {
    /// Deletes an entry, a directory with all that is in it, so that it can be restored. Gives its name in the trash.
    ///
    /// # Errors
    /// As [`Root::delete`]; `not_supported` for what lies on another file system than the root: delete it for good.
    pub async fn trash(&self, path: &RelativePath, options: DeleteOptions) -> Result<String, FilesError> {
        let place = self.place("delete", path, Last::Keep).await?;
        let turn = self.inner.turns.wait(vec![place.path.clone()]).await;
        let id = self
            .run(move |root| {
                let _turn = turn;
                insist(&place, options.if_version.as_ref())?;
                trash(root, &place, options.origin)
            })
            .await?;
        self.tidy_trash_behind();
        Ok(id)
    }

    /// What is in the trash, the newest first; `TRASH_ENTRIES_MAX` at most.
    ///
    /// # Errors
    /// `forbidden`, and those of reading.
    pub async fn trashed(&self) -> Result<Vec<Trashed>, FilesError> {
        self.run(|root| {
            let (folder, _) = folder(root)?;
            let mut ids = ids(&folder).map_err(|errno| fail("list", errno))?;
            ids.sort_by(|a, b| b.cmp(a));
            Ok(ids.into_iter().filter_map(|id| look(&folder, id)).take(TRASH_ENTRIES_MAX).collect())
        })
        .await
    }

    /// Brings something back from the trash, to where it was or elsewhere; directories above it are made.
    ///
    /// # Errors
    /// `not_found` for nothing of that name; `already_exists` unless `overwrite`; else as [`Root::rename`].
    pub async fn restore(&self, id: &str, to: &RelativePath, options: RenameOptions) -> Result<(), FilesError> {
        if let Some(parent) = to.parent().filter(|parent| !parent.is_root()) {
            let origin = options.origin.clone();
            self.make_dir(&parent, super::MakeDirOptions { parents: true, origin }).await?;
        }
        let to = self.place("restore", to, Last::Keep).await?;
        let turn = self.inner.turns.wait(vec![to.path.clone()]).await;
        let id = id.to_owned();
        self.run(move |root| {
            let _turn = turn;
            let (folder, path) = folder(root)?;
            let _leaving = root.inner.trash.leaving();
            let found =
                look(&folder, id).ok_or_else(|| FilesError::NotFound { path: "that entry of the trash".into() })?;
            let inner = open(&folder, &found.id).map_err(|errno| fail("restore", errno))?;
            let from = Place { parent: inner, name: ENTRY.to_owned(), path: path.join(&found.id).join(ENTRY) };
            rename(&from, &to, &options, &root.inner.own)?;
            root.inner.own.forget(&from.path);
            remove_tree(&folder, &found.id).map_err(|errno| fail("empty", errno))
        })
        .await
    }

    /// Removes an entry of the trash for good, or all of them. How many they were.
    ///
    /// # Errors
    /// `not_found` for nothing of that name; those of deleting.
    pub async fn empty_trash(&self, id: Option<String>) -> Result<usize, FilesError> {
        self.run(move |root| {
            let (folder, _) = folder(root)?;
            let mut ids = ids(&folder).map_err(|errno| fail("empty", errno))?;
            if let Some(id) = id {
                ids.retain(|known| *known == id);
                if ids.is_empty() {
                    return Err(FilesError::NotFound { path: "that entry of the trash".into() });
                }
            }
            ids.iter().try_for_each(|id| root.discard(&folder, id)).map_err(|errno| fail("empty", errno))?;
            Ok(ids.len())
        })
        .await
    }
}

fn fail(action: &'static str, errno: Errno) -> FilesError {
    match errno {
        Errno::NOENT => FilesError::NotFound { path: "the trash".into() },
        errno => FilesError::Io { action, path: "the trash".into(), source: errno.into() },
    }
}

fn folder(root: &Root) -> Result<(OwnedFd, RelativePath), FilesError> {
    own_folder(&root.jail.whole(), TRASH)
        .map_err(|errno| FilesError::from_errno("open the trash of", &RelativePath::root(), errno))
}

fn trash(root: &Root, place: &Place, origin: Option<Arc<str>>) -> Result<String, FilesError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let fail = |errno| FilesError::from_errno("delete", &place.path, errno);
    Facts::at(&place.parent, &place.name).map_err(fail)?;
    let (folder, _) = folder(root)?;
    let deleted_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let deleted_ms = u64::try_from(deleted_ms).unwrap_or(u64::MAX);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // In the order of time, and of a kind that no other host makes at the same moment.
    let id = format!("{deleted_ms:013}-{:x}-{number:x}", std::process::id());
    rustix::fs::mkdirat(&folder, id.as_str(), Mode::from_raw_mode(0o700)).map_err(fail)?;
    let taken = || -> Result<(), Errno> {
        let inner = open(&folder, &id)?;
        let about = About { path: place.path.clone(), deleted_ms };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&inner, ABOUT, flags, Mode::from_raw_mode(0o600))?);
        let text = serde_json::to_vec(&about).map_err(|_| Errno::INVAL)?;
        file.write_all(&text).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::renameat(&place.parent, place.on_disk(), &inner, ENTRY)
    };
    root.inner.own.note(&place.path, OwnWrite { trace: Trace::Gone, version: None, origin });
    match taken() {
        Ok(()) => Ok(id),
        Err(errno) => {
            root.inner.own.forget(&place.path);
            // Best effort: an entry without content is not listed.
            _ = remove_tree(&folder, &id);
            Err(if errno == Errno::XDEV {
                FilesError::OtherFileSystem { path: shown(&place.path) }
            } else {
                fail(errno)
            })
        }
    }
}

fn open(folder: &OwnedFd, id: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, id, flags, Mode::empty())
}

fn ids(folder: &OwnedFd) -> Result<Vec<String>, Errno> {
    let names = super::names(folder)?;
    Ok(names.into_iter().filter(|name| !name.starts_with(DISCARDED)).collect())
}

/// What an entry says about itself; none for a name that is none of ours.
fn look(folder: &OwnedFd, id: String) -> Option<Trashed> {
    if id.contains('/') || id.starts_with(DISCARDED) || matches!(id.as_str(), "" | "." | "..") {
        return None;
    }
    let inner = open(folder, &id).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(inner.as_fd(), ABOUT, flags, Mode::empty()).ok()?);
    let mut text = Vec::new();
    file.take(ABOUT_BYTES_MAX).read_to_end(&mut text).ok()?;
    let about: About = serde_json::from_slice(&text).ok()?;
    let facts = Facts::at(&inner, ENTRY).ok()?;
    let deleted = UNIX_EPOCH + Duration::from_millis(about.deleted_ms);
    Some(Trashed { id, path: about.path, deleted, is_directory: facts.is_dir(), size: facts.size })
}
