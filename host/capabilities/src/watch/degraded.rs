//! What is watched less well than it should be, why, and what helps.

use std::fmt;

use crate::files::RelativePath;

/// A part of the tree that is watched less well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degraded {
    /// Everything that is affected lies at or below this.
    pub path: RelativePath,
    pub reason: Reason,
}

/// Why. Shown with the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The kernel's limit for the user is reached.
    KernelLimit,
    /// The user has as many watchers as the kernel allows, so that there is none for this tree.
    NoWatcher,
    /// The watcher's own part of that limit is used up.
    Budget { directories: usize },
    /// Changes by other machines are not seen by this one's kernel.
    RemoteFiles,
    /// The kernel would not watch, without a reason that we know.
    Refused,
    /// There are more entries than the watcher remembers: those below are not watched at all.
    TooManyEntries { entries: usize },
}

impl Reason {
    /// For programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::KernelLimit => "kernel_limit",
            Self::NoWatcher => "no_watcher",
            Self::Budget { .. } => "budget",
            Self::RemoteFiles => "remote_files",
            Self::Refused => "refused",
            Self::TooManyEntries { .. } => "too_many_entries",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelLimit => f.write_str(
                "the kernel watches no more directories for this user, so some are polled; raise \
                 fs.inotify.max_user_watches (sysctl), or let .gitignore name what need not be watched",
            ),
            Self::NoWatcher => f.write_str(
                "the kernel gives this user no more watchers, so everything is polled; raise \
                 fs.inotify.max_user_instances (sysctl), or end programs that watch files, and start the host again",
            ),
            Self::Budget { directories } => write!(
                f,
                "more than {directories} directories, so the rest is polled; raise fs.inotify.max_user_watches \
                 (sysctl), of which half is used, or let .gitignore name what need not be watched"
            ),
            Self::RemoteFiles => f.write_str(
                "the files are on a network or another kind of file system whose changes the kernel does not tell, \
                 so they are polled; serve the directory where its files are",
            ),
            Self::Refused => f.write_str("the kernel would not watch some directories, so they are polled"),
            Self::TooManyEntries { entries } => write!(
                f,
                "more than {entries} files, so some directories are not watched; let .gitignore name what need not be"
            ),
        }
    }
}
