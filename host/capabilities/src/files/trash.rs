//! The trash: what was deleted and can come back, in the host's own folder, so that deleting a large tree is one rename.
//!
//! Each entry is a folder with a file that says where it was, and the entry itself.

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

use midplane_model::limits::{PATH_BYTES_MAX, TRASH_AGE_MAX, TRASH_ENTRIES_MAX};
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
    staging::{existing_own_folder, own_folder},
    walk::{Last, Place},
};

const TRASH: &str = "trash";
const ABOUT: &str = "about.json";
const ENTRY: &str = "entry";
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
        self.run(move |root| {
            let _turn = turn;
            insist(&place, options.if_version.as_ref())?;
            trash(root, &place, options.origin)
        })
        .await
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
            ids.iter().try_for_each(|id| remove_tree(&folder, id)).map_err(|errno| fail("empty", errno))?;
            Ok(ids.len())
        })
        .await
    }
}

impl Root {
    /// Removes for good what is too old, and the oldest of too many. How many they were.
    ///
    /// # Errors
    /// Those of reading and deleting.
    pub(super) fn tidy_trash_now(&self, now: SystemTime) -> Result<usize, FilesError> {
        let Some(folder) = existing_own_folder(&self.jail.whole(), TRASH).map_err(|errno| fail("empty", errno))? else {
            return Ok(0);
        };
        let mut ids = ids(&folder).map_err(|errno| fail("empty", errno))?;
        ids.sort();
        let surplus = ids.len().saturating_sub(TRASH_ENTRIES_MAX);
        let is_old = |id: &String| {
            let deleted = id.split('-').next().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
            deleted.and_then(|since| UNIX_EPOCH.checked_add(since + TRASH_AGE_MAX)).is_some_and(|end| end < now)
        };
        let old: Vec<_> = ids.iter().enumerate().filter(|(index, id)| *index < surplus || is_old(id)).collect();
        for (_, id) in &old {
            remove_tree(&folder, id).map_err(|errno| fail("empty", errno))?;
        }
        Ok(old.len())
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
        rustix::fs::renameat(&place.parent, place.name.as_str(), &inner, ENTRY)
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
    Ok(super::names(folder)?.0)
}

/// What an entry says about itself; none for a name that is none of ours.
fn look(folder: &OwnedFd, id: String) -> Option<Trashed> {
    if id.contains('/') || matches!(id.as_str(), "" | "." | "..") {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::tests::{Case, rel},
        *,
    };

    #[tokio::test]
    async fn what_is_in_the_trash_for_too_long_is_removed_for_good() {
        let [case, _] = Case::both();
        let mut ids = Vec::new();
        for name in ["old", "young"] {
            fs::create_dir_all(case.at(name).join("below")).expect("mkdir");
            ids.push(case.root.trash(&rel(name), DeleteOptions::default()).await.expect("trash"));
        }
        let past = SystemTime::now() - TRASH_AGE_MAX - Duration::from_secs(1);
        let past = past.duration_since(UNIX_EPOCH).expect("time").as_millis();
        let trash = case.at(".midplane/trash");
        fs::rename(trash.join(&ids[0]), trash.join(format!("{past:013}-1-1"))).expect("rename");
        assert_eq!(case.root.tidy_trash_now(SystemTime::now()).expect("tidy"), 1);
        let left: Vec<_> = case.root.trashed().await.expect("list").into_iter().map(|entry| entry.id).collect();
        assert_eq!(left, ids[1..]);
        for n in 0..TRASH_ENTRIES_MAX {
            fs::create_dir(trash.join(format!("{:013}-1-{n}", past * 2))).expect("mkdir");
        }
        assert_eq!(case.root.tidy_trash_now(SystemTime::now()).expect("tidy"), 1, "the oldest of too many");
        assert!(!trash.join(&ids[1]).exists());
    }
}
