//! What keeps the trash small: bounds of age, number and bytes. It is weighed behind the answer, since a tree has to be walked through
//! to know what it takes of the disk.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use midplane_model::limits::{TRASH_AGE_MAX, TRASH_ENTRIES_MAX};
use rustix::io::Errno;

use super::{
    super::{Root, error::FilesError, names, remove::remove_tree, staging::existing_own_folder, weight::bytes_below},
    DISCARDED, TRASH, fail, ids,
};

/// What is known of the trash of one root.
pub(in super::super) struct Trash {
    /// On the disk; the oldest beyond are removed, but for the newest one.
    bytes_max: u64,
    /// Of each entry: nobody changes what lies there.
    weights: Mutex<HashMap<String, u64>>,
    /// Somebody is about to look for what is too much.
    tidying: AtomicBool,
    /// Held while an entry leaves the trash, in whichever direction: what is being removed cannot be restored.
    leaving: Mutex<()>,
}

impl Trash {
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, weights: Mutex::default(), tidying: AtomicBool::new(false), leaving: Mutex::default() }
    }

    pub(super) fn leaving(&self) -> MutexGuard<'_, ()> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Root {
    /// Looks for what is too much without keeping the caller. Joined when the root is closed.
    pub(super) fn tidy_trash_behind(&self) {
        if self.inner.trash.tidying.swap(true, Ordering::AcqRel) {
            return;
        }
        let root = self.clone();
        self.inner.work.spawn_blocking(move || {
            // Before the look: what comes during it wants another one.
            root.inner.trash.tidying.store(false, Ordering::Release);
            root.tidy_trash_or_log();
        });
    }

    pub(in super::super) fn tidy_trash_or_log(&self) {
        if let Err(error) = self.tidy_trash_now(SystemTime::now()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the trash keeps what is too old or too much");
        }
    }

    /// Removes for good what is too old, and the oldest of too many or too much.
    ///
    /// # Errors
    /// Those of reading and deleting.
    pub(in super::super) fn tidy_trash_now(&self, now: SystemTime) -> Result<(), FilesError> {
        let Some(folder) = existing_own_folder(&self.jail.whole(), TRASH).map_err(|errno| fail("empty", errno))? else {
            return Ok(());
        };
        // One look at a time: of two, one would find entries gone in the midst of its work.
        let mut weights = self.inner.trash.weights.lock().unwrap_or_else(PoisonError::into_inner);
        for name in discarded(&folder).map_err(|errno| fail("empty", errno))? {
            remove_or_gone(&folder, &name).map_err(|errno| fail("empty", errno))?;
        }
        let mut ids = ids(&folder).map_err(|errno| fail("empty", errno))?;
        ids.sort();
        let surplus = ids.len().saturating_sub(TRASH_ENTRIES_MAX);
        let is_old = |id: &String| {
            let deleted = id.split('-').next().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
            deleted.and_then(|since| UNIX_EPOCH.checked_add(since + TRASH_AGE_MAX)).is_some_and(|end| end < now)
        };
        weights.retain(|id, _| ids.binary_search(id).is_ok());
        let mut bytes = 0_u64;
        // The newest first, so that what is beyond the bytes is the oldest.
        for (index, id) in ids.iter().enumerate().rev() {
            let weight = *weights.entry(id.clone()).or_insert_with(|| bytes_below(&folder, id));
            let is_newest = index + 1 == ids.len();
            bytes = bytes.saturating_add(weight);
            if index >= surplus && !is_old(id) && (bytes <= self.inner.trash.bytes_max || is_newest) {
                continue;
            }
            self.discard(&folder, id).map_err(|errno| fail("empty", errno))?;
        }
        Ok(())
    }

    /// Removes an entry for good. It loses its name first: of half a tree nothing is restored.
    pub(super) fn discard(&self, folder: &OwnedFd, id: &str) -> Result<(), Errno> {
        let discarded = format!("{DISCARDED}{id}");
        let taken = {
            let _leaving = self.inner.trash.leaving();
            rustix::fs::renameat(folder, id, folder, discarded.as_str())
        };
        match taken {
            Ok(()) => remove_or_gone(folder, &discarded),
            // Restored, or removed by somebody else.
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// Removes what somebody else may be removing, too.
fn remove_or_gone(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    match remove_tree(folder, name) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// What a killed host was removing.
fn discarded(folder: &OwnedFd) -> Result<Vec<String>, Errno> {
    let names = names(folder)?;
    Ok(names.into_iter().filter(|name| name.starts_with(DISCARDED)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::super::{
            DeleteOptions,
            strays::Strays,
            tests::{Case, rel},
        },
        *,
    };

    /// What no file system makes smaller.
    fn noise(bytes: u64) -> Vec<u8> {
        (0..bytes).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) >> 17) as u8).collect()
    }

    #[tokio::test]
    async fn the_oldest_of_too_much_are_removed_for_good_and_the_newest_stays_however_much_it_is() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (jail, location) = Root::jail_of(directory.path()).expect("root");
        let root = Root::of(jail, location, Strays::default(), None, 200 * 1024);
        for (index, kib) in [50_u64, 100, 60, 300].into_iter().enumerate() {
            let folder = directory.path().join(format!("{index}/below"));
            fs::create_dir_all(&folder).expect("mkdir");
            fs::write(folder.join("file"), noise(kib * 1024)).expect("write");
            root.trash(&rel(&index.to_string()), DeleteOptions::default()).await.expect("trash");
            root.tidy_trash_now(SystemTime::now()).expect("tidy");
            let left = root.trashed().await.expect("list");
            let left: Vec<_> = left.iter().map(|entry| entry.path.as_str()).collect();
            assert_eq!(left, [&["0"][..], &["1", "0"], &["2", "1"], &["3"]][index], "after {kib} KiB");
        }
        root.close().await;
    }

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
        // Whether this look or the one behind a deletion removes it.
        case.root.tidy_trash_now(SystemTime::now()).expect("tidy");
        let left: Vec<_> = case.root.trashed().await.expect("list").into_iter().map(|entry| entry.id).collect();
        assert_eq!(left, ids[1..]);
        for n in 0..TRASH_ENTRIES_MAX {
            fs::create_dir(trash.join(format!("{:013}-1-{n}", past * 2))).expect("mkdir");
        }
        case.root.tidy_trash_now(SystemTime::now()).expect("tidy");
        assert!(!trash.join(&ids[1]).exists(), "the oldest of too many");
        assert_eq!(fs::read_dir(&trash).expect("trash").count(), TRASH_ENTRIES_MAX);
    }
}
