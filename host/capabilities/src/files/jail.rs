//! The jail: every path is resolved by the kernel, from the descriptor of the root, and cannot leave it.
//!
//! Opening for reading uses `openat2` with `RESOLVE_BENEATH`, where the kernel has it and lets us; a change of the tree
//! during the resolution cannot trick it. Elsewhere, and for changes (which must know the real directory and name that
//! they work on), [`walk`] goes component by component. Links that are absolute count as leaving the root,
//! wherever they point: that is the rule of `RESOLVE_BENEATH`.
//!
//! A jail may be narrowed to one path, its **floor**: then nothing beside or above it is reached, whichever links lie below,
//! and the floor itself is never a link that is followed.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

#[cfg(target_os = "linux")]
use rustix::fs::ResolveFlags;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    facts::Facts,
    naming::on_disk,
    path::RelativePath,
    walk::{self, Last, Place},
};

/// The root directory, held open: renaming it or replacing its path does not change which tree is served.
#[derive(Clone)]
pub(crate) struct Jail {
    root: Arc<OwnedFd>,
    /// The root itself, or what the jail was narrowed to.
    floor: RelativePath,
    /// Whether `openat2` works here. Asked once: seccomp filters answer EPERM, which later could mean anything.
    beneath: bool,
}

impl Jail {
    pub fn open(root: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        let beneath = open_beneath(root.as_fd(), ".", OFlags::RDONLY | OFlags::DIRECTORY).is_ok();
        Ok(Self { root: Arc::new(root), floor: RelativePath::root(), beneath })
    }

    /// The same tree, of which only `floor` and what is below it can be reached. `floor` need not exist.
    pub fn within(&self, floor: RelativePath) -> Self {
        Self { floor, ..self.clone() }
    }

    /// The tree without a floor: for work on paths that were found within one.
    pub fn whole(&self) -> Self {
        self.within(RelativePath::root())
    }

    pub fn floor(&self) -> &RelativePath {
        &self.floor
    }

    /// The same root without `openat2`, to try the fall-back on a kernel that does not need it.
    #[cfg(test)]
    pub fn without_openat2(mut self) -> Self {
        self.beneath = false;
        self
    }

    /// Opens something that exists, following links inside the root; `EXDEV` for a path that leaves it.
    pub fn open_existing(&self, path: &RelativePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        if path.is_root() && self.floor.is_root() {
            let flags = flags | OFlags::CLOEXEC;
            return rustix::fs::openat(&*self.root, ".", flags, Mode::empty());
        }
        if self.beneath
            && let Some((floor, rest)) = self.step_to_floor(path)?
        {
            return open_beneath(floor.as_fd(), rest.as_str(), flags);
        }
        match self.place(path, Last::Follow)? {
            Some(place) => place.open(flags),
            None => self.open_existing(&RelativePath::root(), flags),
        }
    }

    /// The directory that the kernel may not leave, and the way from there; none for the floor itself, which is opened by
    /// name.
    fn step_to_floor(&self, path: &RelativePath) -> Result<Option<(Arc<OwnedFd>, RelativePath)>, Errno> {
        if self.floor.is_root() {
            return Ok(Some((self.root.clone(), path.clone())));
        }
        let rest = path.rebase(&self.floor, &RelativePath::root()).ok_or(Errno::XDEV)?;
        if rest.is_root() {
            return Ok(None);
        }
        match self.place(&self.floor, Last::Keep)? {
            Some(place) => Ok(Some((Arc::new(place.open(walk::DIRECTORY)?), rest))),
            None => Ok(None),
        }
    }

    /// Opens a regular file for reading; `EISDIR` or `ENXIO` for anything else. Never waits for the writer of a pipe.
    pub fn open_file(&self, path: &RelativePath) -> Result<(File, Facts), Errno> {
        regular(self.open_existing(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?)
    }

    /// Facts of what the path leads to, following links inside the root, without opening it.
    pub fn facts(&self, path: &RelativePath) -> Result<Facts, Errno> {
        #[cfg(target_os = "linux")]
        if self.beneath {
            return Facts::of(self.open_existing(path, OFlags::PATH)?);
        }
        match self.place(path, Last::Follow)? {
            Some(place) => Facts::at(&place.parent, &place.name),
            None => Facts::of(&*self.root),
        }
    }

    /// As [`Jail::open_existing`], but a link on the way is `ELOOP`: nothing has two names for whoever opens like this.
    pub fn open_real(&self, path: &RelativePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        if path.is_root() {
            return self.open_existing(path, flags);
        }
        #[cfg(target_os = "linux")]
        if self.beneath && self.floor.is_root() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
            return rustix::fs::openat2(
                &*self.root,
                on_disk(path.as_str()),
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            );
        }
        match self.place(path, Last::Keep)? {
            Some(place) if place.path == *path => place.open(flags),
            _ => Err(Errno::LOOP),
        }
    }

    /// Facts of the entry itself: a link in the last place stays a link, one before it is `ELOOP`.
    pub fn entry_facts(&self, path: &RelativePath) -> Result<Facts, Errno> {
        match path.parent() {
            Some(parent) => Facts::at(self.open_real(&parent, walk::DIRECTORY)?, path.name()),
            None => Facts::of(&*self.root),
        }
    }

    /// The real directory and name that a path stands for; none for the root itself.
    pub fn place(&self, path: &RelativePath, last: Last) -> Result<Option<Place>, Errno> {
        walk::place(self.root.as_fd(), &self.floor, path, last)
    }
}

/// Insists on a regular file.
pub(crate) fn regular(fd: OwnedFd) -> Result<(File, Facts), Errno> {
    let facts = Facts::of(&fd)?;
    if facts.is_dir() {
        return Err(Errno::ISDIR);
    }
    if !facts.is_file() {
        return Err(Errno::NXIO);
    }
    Ok((File::from(fd), facts))
}

#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    /// A `..` that races with a rename anywhere on the system makes the kernel give up with EAGAIN; it hardly ever
    /// does so twice.
    const ATTEMPTS_MAX: u32 = 64;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let path = on_disk(path);
    for _ in 1..ATTEMPTS_MAX {
        match rustix::fs::openat2(root, &*path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(_: BorrowedFd<'_>, _: &str, _: OFlags) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}
