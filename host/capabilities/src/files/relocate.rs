//! Moving an entry to another name.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
};

use rustix::io::Errno;

use super::{
    error::{FilesError, shown},
    facts::Facts,
    insist::insist,
    naming::on_disk,
    own_writes::{OwnWrite, OwnWrites, Trace},
    version::Version,
    walk::Place,
};

/// How to move.
#[derive(Debug, Clone, Default)]
pub struct RenameOptions {
    /// Replace what is at the new name: a file by anything but a directory, an empty directory by a directory.
    pub overwrite: bool,
    /// Only a file that has this version.
    pub if_version: Option<Version>,
    /// The request that asks for it: comes back with the watcher's change.
    pub origin: Option<Arc<str>>,
}

pub(super) fn rename(from: &Place, to: &Place, options: &RenameOptions, own: &OwnWrites) -> Result<(), FilesError> {
    let facts = Facts::at(&from.parent, &from.name).map_err(|errno| fail(from, to, errno))?;
    insist(from, options.if_version.as_ref())?;
    if from.path == to.path {
        return Ok(());
    }
    let write = |trace| OwnWrite { trace, version: None, origin: options.origin.clone() };
    own.note(&to.path, write(Trace::from(&facts)));
    own.note(&from.path, write(Trace::Gone));
    let (old, new) = (from.parent.as_fd(), to.parent.as_fd());
    let result = match options.overwrite {
        true => rustix::fs::renameat(old, from.on_disk(), new, to.on_disk()),
        false => match rename_free(old, &from.name, new, &to.name) {
            // No such flag here, or a directory into itself: the plain call tells which.
            Err(Errno::INVAL | Errno::NOSYS) => rename_unless_there(from, to),
            result => result,
        },
    };
    result.map_err(|errno| {
        own.forget(&to.path);
        own.forget(&from.path);
        fail(from, to, errno)
    })
}

fn fail(from: &Place, to: &Place, errno: Errno) -> FilesError {
    let path = match errno {
        Errno::NOENT | Errno::XDEV => &from.path,
        _ => &to.path,
    };
    match errno {
        Errno::XDEV => FilesError::OtherFileSystem { path: shown(path) },
        Errno::INVAL => {
            FilesError::WrongType { path: shown(path), problem: "lies inside of what should be moved there" }
        }
        errno => FilesError::from_errno("move", path, errno),
    }
}

/// Renames to a name that nobody has: `EEXIST` otherwise, `EINVAL` or `ENOSYS` where that cannot be done in one step.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) fn rename_free(old: BorrowedFd<'_>, from: &str, new: BorrowedFd<'_>, to: &str) -> Result<(), Errno> {
    rustix::fs::renameat_with(old, on_disk(from), new, on_disk(to), rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn rename_free(_: BorrowedFd<'_>, _: &str, _: BorrowedFd<'_>, _: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Two steps, for file systems that cannot do it in one: our own writers hold the turn, foreign ones may slip between.
fn rename_unless_there(from: &Place, to: &Place) -> Result<(), Errno> {
    match Facts::at(&to.parent, &to.name) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(&from.parent, from.on_disk(), &to.parent, to.on_disk()),
        Err(errno) => Err(errno),
    }
}
