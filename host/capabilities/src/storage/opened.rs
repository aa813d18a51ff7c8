//! The open file. A disk that fails once, and be it because it is full for a while, makes the database refuse everything from then
//! on. So it is closed, and whoever asks next opens it again.

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::Database;

use super::{error::StorageError, table};

pub struct Opened {
    path: PathBuf,
    /// None from a failure of the disk until somebody asks again.
    database: RwLock<Option<Database>>,
}

impl Opened {
    /// As [`table::open`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Ok(Self { path: path.to_owned(), database: RwLock::new(Some(table::open(path)?)) })
    }

    /// Works with the database; blocks on the disk. What was not committed when the disk failed has not happened.
    ///
    /// # Errors
    /// What `failed` makes of an error of the work; [`StorageError::Open`] while the file cannot be opened again.
    pub fn with<T>(
        &self,
        failed: fn(redb::Error) -> StorageError,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        loop {
            let open = self.read();
            if let Some(database) = &*open {
                let done = work(database);
                drop(open);
                if matches!(done, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
                    *self.write() = None;
                }
                return done.map_err(failed);
            }
            drop(open);
            let mut closed = self.write();
            if closed.is_none() {
                *closed = Some(table::open(&self.path)?);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database.write().unwrap_or_else(PoisonError::into_inner)
    }
}
