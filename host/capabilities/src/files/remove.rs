//! Deleting entries, directories with all that is in them included.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags},
    io::Errno,
};

use super::{
    error::FilesError,
    facts::Facts,
    insist::insist,
    jail::Jail,
    naming::on_disk_c,
    own_writes::{OwnWrite, OwnWrites, Trace},
    path::RelativePath,
    replace::is_temporary,
    version::Version,
    walk::{Last, Place},
};

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// A directory with its content; else only an empty one.
    pub recursive: bool,
    /// Only a file that has this version.
    pub if_version: Option<Version>,
    /// The request that asks for it: comes back with the watcher's change.
    pub origin: Option<Arc<str>>,
}

/// Deletes the entry itself: of a link the link. A recursive delete that fails in the midst leaves the rest.
pub(super) fn delete(place: &Place, options: &DeleteOptions, own: &OwnWrites) -> Result<(), FilesError> {
    insist(place, options.if_version.as_ref())?;
    own.note(&place.path, OwnWrite { trace: Trace::Gone, version: None, origin: options.origin.clone() });
    let result = Facts::at(&place.parent, &place.name).and_then(|facts| match facts.is_dir() {
        true if options.recursive => remove_tree(&place.parent, &place.name),
        true => rustix::fs::unlinkat(&place.parent, place.on_disk(), AtFlags::REMOVEDIR),
        false => rustix::fs::unlinkat(&place.parent, place.on_disk(), AtFlags::empty()),
    });
    result.map_err(|errno| {
        own.forget(&place.path);
        // Some systems say EEXIST for a directory that is not empty.
        let errno = if errno == Errno::EXIST { Errno::NOTEMPTY } else { errno };
        FilesError::from_errno("delete", &place.path, errno)
    })
}

/// Removes a temporary file that a killed host left: that, and nothing of another kind.
pub(super) fn remove_stray(jail: &Jail, path: &RelativePath) {
    if !is_temporary(path.name()) {
        return;
    }
    let removed = jail.place(path, Last::Keep).and_then(|place| match place {
        Some(place) => rustix::fs::unlinkat(&place.parent, place.on_disk(), AtFlags::empty()),
        None => Ok(()),
    });
    if let Err(error) = removed.or_else(|errno| if errno == Errno::NOENT { Ok(()) } else { Err(errno) }) {
        tracing::warn!(%error, %path, "a temporary file of a former host stays");
    }
}

/// A directory being emptied: its descriptor and the names still to remove.
struct Level {
    directory: OwnedFd,
    names: Vec<std::ffi::CString>,
    own_name: std::ffi::CString,
}

/// Depth first, by descriptor and without following links. A loop with a stack of its own, since a tree may be deeper than
/// the thread's stack.
pub(super) fn remove_tree(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    let name = on_disk_c(name)?;
    let mut levels = vec![Level::open(parent, name)?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            let done = levels.pop().map(|level| level.own_name).unwrap_or_default();
            let above = levels.last().map_or(parent, |level| &level.directory);
            rustix::fs::unlinkat(above, done, AtFlags::REMOVEDIR)?;
            continue;
        };
        match rustix::fs::unlinkat(&level.directory, name.as_c_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // A directory is EISDIR on Linux and EPERM where POSIX is taken by the letter.
            Err(errno @ (Errno::ISDIR | Errno::PERM)) => {
                let below = Level::open(&level.directory, name)
                    .map_err(|open| if open == Errno::NOTDIR { errno } else { open })?;
                levels.push(below);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

impl Level {
    fn open(parent: impl AsFd, own_name: std::ffi::CString) -> Result<Self, Errno> {
        let (directory, names) = enter(parent, &own_name)?;
        Ok(Self { directory, names, own_name })
    }
}

/// Opens a directory, not through a link, and reads the names in it as the disk has them.
pub(super) fn enter(parent: impl AsFd, name: &std::ffi::CStr) -> Result<(OwnedFd, Vec<std::ffi::CString>), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok((directory, names))
}
