//! What a tree takes of the disk.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType};

use super::{naming::on_disk_c, remove::enter};

/// Bytes of a block in `struct stat`, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

/// Bytes on the disk of all that is below a name; a file with several names counts with each of them. What cannot be looked at counts
/// nothing, and no link is followed. A loop with a stack of its own, as deleting is.
pub(super) fn bytes_below(parent: &OwnedFd, name: &str) -> u64 {
    let mut levels: Vec<_> = on_disk_c(name).and_then(|name| enter(parent, &name)).into_iter().collect();
    let mut bytes = 0;
    while let Some((directory, names)) = levels.last_mut() {
        let Some(name) = names.pop() else {
            levels.pop();
            continue;
        };
        let Ok(stat) = rustix::fs::statat(&*directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = enter(&*directory, &name);
            levels.extend(below);
        }
    }
    bytes
}
