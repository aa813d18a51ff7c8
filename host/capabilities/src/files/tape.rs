//! Files that something goes on writing to, or reads at its own pace: recordings of terminals.

use std::fs::File;

use rustix::fs::{Mode, OFlags};

use super::{Root, error::FilesError, path::RelativePath, walk::Last};

impl Root {
    /// Makes a new file that is written to at its end.
    ///
    /// # Errors
    /// `already_exists`; `not_found` for the folder; `conflict` for the root itself, `outside_root`, `forbidden`, `no_space`.
    pub async fn create_tape(&self, path: &RelativePath) -> Result<File, FilesError> {
        let place = self.place("create", path, Last::Keep).await?;
        self.run(move |_| {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
            let made = rustix::fs::openat(
                &place.parent,
                place.on_disk(),
                flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o666),
            );
            made.map(File::from).map_err(|errno| FilesError::from_errno("create", &place.path, errno))
        })
        .await
    }

    /// Opens a file to read it from its beginning, as it is at each moment.
    ///
    /// # Errors
    /// `not_found`, `conflict` for what is no file, `outside_root`, `forbidden`.
    pub async fn open_tape(&self, path: &RelativePath) -> Result<File, FilesError> {
        let path = path.clone();
        self.run(move |root| {
            let opened = root.jail.open_file(&path);
            opened.map(|(file, _)| file).map_err(|errno| FilesError::from_errno("read", &path, errno))
        })
        .await
    }
}
