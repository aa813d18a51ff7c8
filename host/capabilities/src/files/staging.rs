//! The host's own folder in the served directory, `.midplane`: what must lie on the same file system as the files, so that a
//! rename brings it into place. Clients and plugins neither see it nor reach it by its name; git ignores it.
//!
//! A set of changes, a copy or an unpacked archive gets a folder of its own below it, locked as long as somebody works in it,
//! so that of two hosts over one directory the one that starts does not clear away what the other is using.

use std::{
    fs::File,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{Dir, FlockOperation, Mode, OFlags},
    io::Errno,
};

use super::{jail::Jail, path::RelativePath, remove::remove_tree, walk::Last};

/// The name of the folder, at the root of what is served.
pub(crate) const OWN_FOLDER: &str = ".midplane";
const STAGING: &str = "staging";
const RESCUED: &str = "rescued";
const PRIVATE: Mode = Mode::from_raw_mode(0o700);

/// A folder below the host's own, opened without following links; made with all above it where it is not there.
pub(super) fn own_folder(jail: &Jail, name: &str) -> Result<(OwnedFd, RelativePath), Errno> {
    let own = RelativePath::root().join(OWN_FOLDER);
    let (folder, is_new) = open_or_make(jail, &own)?;
    if is_new {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::openat(&folder, ".gitignore", flags, Mode::from_raw_mode(0o600)) {
            // Where it cannot be written, git shows a folder more; nothing else depends on it.
            _ = std::io::Write::write_all(&mut File::from(file), b"*\n");
        }
    }
    let path = own.join(name);
    open_or_make(jail, &path).map(|(folder, _)| (folder, path))
}

/// The same, where there has ever been one.
pub(super) fn existing_own_folder(jail: &Jail, name: &str) -> Result<Option<OwnedFd>, Errno> {
    let path = RelativePath::root().join(OWN_FOLDER).join(name);
    match jail.place(&path, Last::Keep).and_then(|place| match place {
        Some(place) => place.open(OFlags::RDONLY | OFlags::DIRECTORY),
        None => Err(Errno::NOENT),
    }) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn open_or_make(jail: &Jail, path: &RelativePath) -> Result<(OwnedFd, bool), Errno> {
    let place = jail.place(path, Last::Keep)?.ok_or(Errno::EXIST)?;
    let is_new = match rustix::fs::mkdirat(&place.parent, place.on_disk(), PRIVATE) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno),
    };
    place.open(OFlags::RDONLY | OFlags::DIRECTORY).map(|folder| (folder, is_new))
}

/// A folder in which the files of one piece of work stand until they are brought into place.
pub(super) struct Staging {
    /// Held with its lock.
    pub folder: OwnedFd,
    pub path: RelativePath,
    above: OwnedFd,
}

impl Staging {
    pub fn create(jail: &Jail) -> Result<Self, Errno> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (above, path) = own_folder(jail, STAGING)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{:x}-{number:x}", std::process::id());
            match rustix::fs::mkdirat(&above, name.as_str(), PRIVATE) {
                Ok(()) => return Self::lock(above, path.join(&name)),
                // Left behind by a process with our id that was killed, and somebody still looks at it.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The folder that a killed host worked in; `EAGAIN` while another one works there.
    pub fn reopen(jail: &Jail, path: &RelativePath) -> Result<Self, Errno> {
        let (above, _) = own_folder(jail, STAGING)?;
        Self::lock(above, path.clone())
    }

    fn lock(above: OwnedFd, path: RelativePath) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&above, path.name(), flags, Mode::empty())?;
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { folder, path, above })
    }

    /// A new file for writing and reading back.
    pub fn file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The process's umask makes this what any new file would get.
        rustix::fs::openat(&self.folder, name, flags, Mode::from_raw_mode(0o666)).map(File::from)
    }

    /// Makes the names in the folder durable, and the folder's own.
    pub fn sync(&self) -> Result<(), Errno> {
        rustix::fs::fsync(&self.folder)?;
        rustix::fs::fsync(&self.above)
    }

    /// Keeps the folder out of the way of the next start, because what is in it stands nowhere else. Gives its new path.
    pub fn rescue(&self, jail: &Jail) -> Result<RelativePath, Errno> {
        let (rescued, path) = own_folder(jail, RESCUED)?;
        rustix::fs::renameat(&self.above, self.path.name(), &rescued, self.path.name())?;
        Ok(path.join(self.path.name()))
    }

    /// Gives the folder, whole as it is, another place among the host's own.
    pub fn hand_over(self, to: &OwnedFd, name: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.above, self.path.name(), to, name)
    }

    /// As a killed host leaves it.
    #[cfg(test)]
    pub fn abandon(self) {
        rustix::fs::flock(&self.folder, FlockOperation::Unlock).expect("unlock");
        std::mem::forget(self);
    }

    /// Removes what is left of all folders that nobody works in.
    pub fn clear_all(jail: &Jail) -> Result<(), Errno> {
        let own = RelativePath::root().join(OWN_FOLDER).join(STAGING);
        let Some(above) = existing_own_folder(jail, STAGING)? else { return Ok(()) };
        for entry in Dir::read_from(&above)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            if let Ok(left) = Self::lock(above.try_clone().map_err(|_| Errno::MFILE)?, own.join(name)) {
                drop(left);
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Best effort: what stays is cleared at the next start.
        _ = remove_tree(&self.above, self.path.name());
    }
}
