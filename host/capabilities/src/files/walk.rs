//! Resolution component by component, without ever letting the kernel follow a link.
//!
//! Each directory is opened from the one before with `O_NOFOLLOW`; links are read and spliced into what is left to walk;
//! `..` goes back to the descriptor we came from. So a directory that is swapped for a link during the walk is an error,
//! never a way out. The walk also learns the real path, which is what the write queue and the watcher go by.

use std::{
    borrow::Cow,
    ffi::OsStr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    naming::{on_disk, text_of},
    path::RelativePath,
};

/// Links on one path, as in Linux.
const LINKS_MAX: usize = 40;

/// How directories are opened that are only a step on the way: with `O_PATH` search permission is enough.
#[cfg(target_os = "linux")]
pub(super) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
#[cfg(not(target_os = "linux"))]
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// What to do with a link in the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// Go where it points: reading and writing.
    Follow,
    /// The link itself: moving and deleting.
    Keep,
}

/// An entry, which need not exist, in a directory that does.
#[derive(Debug)]
pub(crate) struct Place {
    pub parent: OwnedFd,
    pub name: String,
    /// The real path, free of links (but for the last segment with [`Last::Keep`]).
    pub path: RelativePath,
}

impl Place {
    /// Opens the entry; a link, which can only have appeared since the walk, is `ELOOP`.
    pub fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.parent, self.on_disk(), flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }

    /// The name as the disk has it.
    pub fn on_disk(&self) -> Cow<'_, OsStr> {
        on_disk(&self.name)
    }
}

/// Walks from `root`; none when the path leads to the root itself, `EXDEV` when it leads out of `floor`, `ELOOP` when
/// `floor` is a link.
pub(super) fn place(
    root: BorrowedFd<'_>,
    floor: &RelativePath,
    path: &RelativePath,
    last: Last,
) -> Result<Option<Place>, Errno> {
    let below = path.rebase(floor, &RelativePath::root()).ok_or(Errno::XDEV)?;
    let mut walk = Walk { root, trail: Vec::new(), ahead: Vec::new(), links: 0, depth_min: 0 };
    if let Some(parent) = floor.parent() {
        walk.ahead(&parent);
        walk.run(Until::Inside)?;
        if below.is_root() {
            if last == Last::Follow && walk.is_link(floor.name())? {
                return Err(Errno::LOOP);
            }
            return walk.arrive(floor.name().to_owned()).map(Some);
        }
        // Never follows: a link that took the place of the floor leads nowhere.
        walk.descend(floor.name().to_owned())?;
        walk.depth_min = walk.trail.len();
    }
    walk.ahead(&below);
    match walk.run(Until::At(last))? {
        Some(name) => walk.arrive(name).map(Some),
        // A link ended in `..`: the place is the directory that we stand in.
        None => match walk.trail.pop() {
            Some((name, _)) => walk.arrive(name).map(Some),
            None => Ok(None),
        },
    }
}

/// Where a walk ends.
#[derive(Clone, Copy)]
enum Until {
    /// In the directory that the path names.
    Inside,
    /// In front of the last name, which is given back.
    At(Last),
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The directories walked through, by name.
    trail: Vec<(String, OwnedFd)>,
    /// The names still to walk, the next one last.
    ahead: Vec<String>,
    links: usize,
    /// The trail may not become shorter than this.
    depth_min: usize,
}

impl Walk<'_> {
    fn here(&self) -> BorrowedFd<'_> {
        self.trail.last().map_or(self.root, |(_, fd)| fd.as_fd())
    }

    fn ahead(&mut self, path: &RelativePath) {
        self.ahead = path.segments().rev().map(str::to_owned).collect();
    }

    /// None when a link led to a directory on the trail, in which we now stand.
    fn run(&mut self, until: Until) -> Result<Option<String>, Errno> {
        while let Some(name) = self.ahead.pop() {
            if name == ".." {
                self.up()?;
                continue;
            }
            let last = match until {
                Until::At(last) if self.ahead.is_empty() => Some(last),
                _ => None,
            };
            if last != Some(Last::Keep) && self.follow(&name)? {
                continue;
            }
            if last.is_some() {
                return Ok(Some(name));
            }
            self.descend(name)?;
        }
        Ok(None)
    }

    /// Up from the floor is out.
    fn up(&mut self) -> Result<(), Errno> {
        if self.trail.len() == self.depth_min {
            return Err(Errno::XDEV);
        }
        self.trail.pop();
        Ok(())
    }

    fn is_link(&self, name: &str) -> Result<bool, Errno> {
        match rustix::fs::readlinkat(self.here(), on_disk(name), Vec::new()) {
            Ok(_) => Ok(true),
            Err(Errno::INVAL | Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// If `name` is a link, puts where it leads in front of what is ahead.
    fn follow(&mut self, name: &str) -> Result<bool, Errno> {
        let target = match rustix::fs::readlinkat(self.here(), on_disk(name), Vec::new()) {
            Ok(target) => text_of(target.to_bytes()).into_owned(),
            // Not a link, or nothing at all: the caller may want to create it.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno),
        };
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP);
        }
        if target.starts_with('/') {
            return Err(Errno::XDEV);
        }
        self.ahead.extend(target.split('/').rev().filter(|segment| !matches!(*segment, "" | ".")).map(str::to_owned));
        Ok(true)
    }

    fn descend(&mut self, name: String) -> Result<(), Errno> {
        let flags = DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.here(), on_disk(&name), flags, Mode::empty())?;
        self.trail.push((name, fd));
        Ok(())
    }

    fn arrive(mut self, name: String) -> Result<Place, Errno> {
        let names = self.trail.iter().map(|(name, _)| name.as_str());
        let path = names.fold(RelativePath::root(), |path, name| path.join(name)).join(&name);
        let parent = match self.trail.pop() {
            Some((_, fd)) => fd,
            None => {
                self.root.try_clone_to_owned().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?
            }
        };
        Ok(Place { parent, name, path })
    }
}
