//! A file that is read piece by piece, with the one version that all pieces belong to.

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::{
    Root,
    error::{FilesError, shown},
    facts::Facts,
    path::RelativePath,
    version::Version,
};

/// An open file. What is at its path later does not matter to it.
pub struct OpenFile {
    pub version: Version,
    /// Bytes.
    pub size: u64,
    pub modified: SystemTime,
    root: Root,
    path: RelativePath,
    content: Content,
}

#[derive(Clone)]
enum Content {
    /// What is versioned by its content has been read for that, and exactly this is given.
    Read(Bytes),
    /// As large as it was then; one that is written over meanwhile ends with an error.
    Open(Arc<File>, Facts),
}

impl Root {
    /// Opens a file for reading in pieces.
    ///
    /// # Errors
    /// As [`Root::read`], but for the size.
    pub async fn open_file(&self, path: &RelativePath) -> Result<OpenFile, FilesError> {
        let path = path.clone();
        self.run(move |root| {
            let (file, facts) =
                root.jail.open_file(&path).map_err(|errno| FilesError::from_errno("read", &path, errno))?;
            let (version, read) =
                Version::of_file(&file, &facts).map_err(|error| FilesError::from_io("read", &path, error))?;
            let (size, content) = match read {
                Some(bytes) => (bytes.len() as u64, Content::Read(bytes.into())),
                None => (facts.size, Content::Open(Arc::new(file), facts)),
            };
            Ok(OpenFile { version, size, modified: facts.modified(), root: root.clone(), path, content })
        })
        .await
    }
}

impl OpenFile {
    /// Up to `length` bytes from `offset` on; none at the end.
    ///
    /// # Errors
    /// `precondition_failed` when the file is no longer what was opened; those of reading.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, FilesError> {
        let (file, opened) = match self.content.clone() {
            Content::Read(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                return Ok(bytes.slice(start..bytes.len().min(start.saturating_add(length))));
            }
            Content::Open(file, facts) => (file, facts),
        };
        let path = self.path.clone();
        let length = usize::try_from(opened.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(length);
        self.root
            .run(move |_| {
                let mut bytes = vec![0; length];
                let fail = |error| FilesError::from_io("read", &path, error);
                let stale = || FilesError::Stale { path: shown(&path), current: None };
                match file.read_exact_at(&mut bytes, offset) {
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(stale()),
                    read => read.map_err(fail)?,
                }
                let now = Facts::of(&*file).map_err(|errno| fail(errno.into()))?;
                // A new name, or none, changes nothing of what is read; new bytes do.
                match (now.size, now.mtime_ns) == (opened.size, opened.mtime_ns) {
                    true => Ok(bytes.into()),
                    false => Err(stale()),
                }
            })
            .await
    }
}
