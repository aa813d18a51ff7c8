//! What a tree takes of the disk.

use std::{ffi::CString, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};

/// Bytes of a block in `struct stat`, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

/// Bytes on the disk of all that is below a name; a file with several names counts with each of them. What cannot be looked at counts
/// nothing, and no link is followed. A loop with a stack of its own, as deleting is.
pub(super) fn bytes_below(parent: &OwnedFd, name: &str) -> u64 {
    let mut levels = Vec::new();
    let mut bytes = 0;
    let first = CString::new(name).ok();
    let enter = |parent: &OwnedFd, name: CString| Level::open(parent, &name).ok();
    levels.extend(first.and_then(|name| enter(parent, name)));
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            levels.pop();
            continue;
        };
        let Ok(stat) = rustix::fs::statat(&level.directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = enter(&level.directory, name);
            levels.extend(below);
        }
    }
    bytes
}

struct Level {
    directory: OwnedFd,
    names: Vec<CString>,
}

impl Level {
    fn open(parent: &OwnedFd, name: &CString) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(parent, name.as_c_str(), flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        Ok(Self { directory, names })
    }
}
