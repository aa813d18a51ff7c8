//! Archives out and in: the host makes and unpacks them, here are the defaults.

use midplane_sdk::host::archives as disk;

use crate::{
    Plugin,
    exports::midplane::files::archives::{Error, Format, Guest, Unpacked},
    midplane::host::archives_async,
};

impl Guest for Plugin {
    fn pack(path: String, format: Option<Format>) -> Result<(), Error> {
        let format = match format.unwrap_or(Format::TarGz) {
            Format::TarGz => disk::Format::TarGz,
            Format::Zip => disk::Format::Zip,
        };
        disk::pack(&path, format)
    }

    /// The host answers when the bytes have come; until then nothing is unpacked.
    fn upload(path: String, overwrite: Option<bool>) -> Result<Unpacked, Error> {
        disk::receive(&path, overwrite.unwrap_or(false))?;
        Ok(Unpacked { files: 0, directories: 0, links: 0, bytes: 0 })
    }

    async fn unpack(archive: String, to: String, overwrite: Option<bool>) -> Result<Unpacked, Error> {
        let done = archives_async::unpack(archive, to, overwrite.unwrap_or(false)).await?;
        let archives_async::Unpacked { files, directories, links, size_bytes: bytes } = done;
        Ok(Unpacked { files, directories, links, bytes })
    }
}
