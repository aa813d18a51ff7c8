//! How much the watcher takes of the kernel and of memory, and where the kernel's notifications are worth nothing.

use std::os::fd::OwnedFd;

use midplane_model::limits::{WATCH_DIRECTORIES_MAX, WATCH_ENTRIES_MAX};

/// The kernel's limit for one user, whatever programs that user runs.
const USER_WATCHES: &str = "/proc/sys/fs/inotify/max_user_watches";

/// What a watcher may have.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Directories that the kernel watches; those beyond are polled.
    pub directories: usize,
    /// Files and directories that are known; directories beyond are not entered.
    pub entries: usize,
}

impl Budget {
    /// Half of what the kernel allows the user, so that editors and other hosts have the rest; at most
    /// `WATCH_DIRECTORIES_MAX`.
    #[must_use]
    pub fn of_system() -> Self {
        let allowed = std::fs::read_to_string(USER_WATCHES).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let directories = allowed.map_or(WATCH_DIRECTORIES_MAX, |allowed| (allowed / 2).min(WATCH_DIRECTORIES_MAX));
        Self { directories, entries: WATCH_ENTRIES_MAX }
    }
}

/// Whether others can change what is on this file system without our kernel seeing it.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(directory: &OwnedFd) -> bool {
    /// NFS, SMB (three generations), 9P, FUSE, Ceph, AFS, Coda, Lustre, VirtualBox' shared folders.
    const REMOTE: [u64; 11] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x6573_5546,
        0x00c3_6400,
        0x5346_414f,
        0x7375_7245,
        0x0bd0_0bd0,
        0x786f_4256,
    ];
    #[allow(clippy::unnecessary_cast, reason = "the field has other types on other platforms")]
    rustix::fs::fstatfs(directory).is_ok_and(|facts| REMOTE.contains(&(facts.f_type as u64 & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_remote(_: &OwnedFd) -> bool {
    false
}
