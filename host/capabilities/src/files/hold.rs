//! A directory that is held open, for those who take paths and open them without us.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{error::FilesError, jail::Jail, naming::on_disk};

/// A directory of the workspace. Its path is good as long as this lives, and leads there even when the directory is moved
/// or a link takes its place.
#[derive(Debug)]
pub struct HeldDirectory {
    path: PathBuf,
    _fd: OwnedFd,
}

impl HeldDirectory {
    pub(super) fn open(jail: &Jail, location: &Path) -> Result<Self, FilesError> {
        let fd = jail
            .open_existing(jail.floor(), OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|errno| FilesError::from_errno("open", jail.floor(), errno))?;
        // A descriptor has a path of its own only here; elsewhere a link could take the directory's place between now and
        // the moment when somebody opens the path.
        let path = if cfg!(target_os = "linux") {
            format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
        } else {
            location.join(on_disk(jail.floor().as_str()))
        };
        Ok(Self { path, _fd: fd })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
