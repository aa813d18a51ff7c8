//! Archives, out and in: a tree as a `.tar.gz` or `.zip` that is made while it is sent ([`pack`]), and one that becomes a tree
//! ([`unpack`]), whole or not at all.
//!
//! What comes in is from strangers: [`names`] says which names and links are taken, [`tar_in`] and [`zip_in`] read the two
//! formats within bounds, [`unpack`] writes into the host's own folder, where nothing can lead out, and brings all into place
//! by the recorded steps of a set of changes.

mod arrive;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod metered;
mod names;
mod pack;
mod tar_in;
#[cfg(test)]
mod tests;
mod unpack;
mod zip_in;

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    sync::Arc,
};

pub use arrive::ArchiveArriving;
use midplane_model::limits::ARCHIVES_MAX;
pub use pack::Packing;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
pub use unpack::{UnpackOptions, Unpacked};

use super::error::FilesError;

/// How entries are put together in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    TarGz,
    /// With names in UTF-8, sizes beyond 4 GiB, and times to two seconds in UTC.
    Zip,
}

impl ArchiveFormat {
    /// By the first bytes; none for any other file. The file stands at its beginning afterwards.
    fn of(mut file: &File) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        file.rewind()?;
        file.take(4).read_to_end(&mut start)?;
        file.rewind()?;
        Ok(match &start[..] {
            [0x1f, 0x8b, ..] => Some(Self::TarGz),
            // The second is that of an archive without entries.
            [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => Some(Self::Zip),
            _ => None,
        })
    }
}

/// Archives that are made or unpacked at the same time; each keeps a thread.
pub(super) struct Archives(Arc<Semaphore>);

impl Default for Archives {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ARCHIVES_MAX)))
    }
}

impl Archives {
    fn enter(&self) -> Result<OwnedSemaphorePermit, FilesError> {
        self.0.clone().try_acquire_owned().map_err(|_| FilesError::TooManyArchives)
    }
}
