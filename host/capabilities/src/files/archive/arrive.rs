//! An archive that comes as a stream, to be unpacked when all of it is there.

use std::{
    fs::File,
    io::{self, Write as _},
    sync::Arc,
};

use bytes::Bytes;
use midplane_model::limits::STREAM_BYTES_MAX;
use tokio_util::sync::DropGuard;

use super::{
    super::{
        Root,
        error::{FilesError, shown},
        path::RelativePath,
        staging::Staging,
    },
    UnpackOptions, Unpacked,
};

/// An archive on its way. Dropped before its end it leaves nothing.
pub struct ArchiveArriving {
    root: Root,
    to: RelativePath,
    options: UnpackOptions,
    file: Arc<Gathered>,
    size: u64,
    /// Ends the unpacking with whoever waits for it.
    _over: DropGuard,
}

struct Gathered {
    _staging: Staging,
    file: File,
}

impl Root {
    /// Begins to receive an archive.
    ///
    /// # Errors
    /// `no_space`, `forbidden`.
    pub async fn receive_archive(
        &self,
        to: &RelativePath,
        options: UnpackOptions,
    ) -> Result<ArchiveArriving, FilesError> {
        let path = to.clone();
        let gathered = self
            .run(move |root| {
                let fail = |errno| FilesError::from_errno("unpack into", &path, errno);
                let staging = Staging::create(&root.jail.whole()).map_err(fail)?;
                let file = staging.file("archive").map_err(fail)?;
                Ok(Gathered { _staging: staging, file })
            })
            .await?;
        let over = options.cancel.clone().drop_guard();
        Ok(ArchiveArriving {
            root: self.clone(),
            to: to.clone(),
            options,
            file: Arc::new(gathered),
            size: 0,
            _over: over,
        })
    }
}

impl ArchiveArriving {
    /// The next bytes. Dropping the future leaves the archive unusable.
    ///
    /// # Errors
    /// `too_large` beyond `STREAM_BYTES_MAX`, `no_space`.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), FilesError> {
        self.size += bytes.len() as u64;
        if self.size > STREAM_BYTES_MAX {
            return Err(FilesError::TooLarge { path: shown(&self.to), limit_bytes: STREAM_BYTES_MAX });
        }
        let (gathered, to) = (self.file.clone(), self.to.clone());
        let written = move |_: &Root| {
            let written: io::Result<()> = (&gathered.file).write_all(&bytes);
            written.map_err(|error| FilesError::from_io("unpack into", &to, error))
        };
        self.root.run(written).await
    }

    /// All is there: it is unpacked.
    ///
    /// # Errors
    /// As [`Root::unpack`].
    pub async fn finish(self) -> Result<Unpacked, FilesError> {
        let Self { root, to, options, file, _over, .. } = self;
        let archive = file.file.try_clone().map_err(|error| FilesError::from_io("unpack into", &to, error))?;
        root.unpack_file(archive, &to, options).await
    }
}
