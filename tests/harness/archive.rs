//! Archives as people make them, and as nobody should.

use std::path::Path;

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
pub use tar::EntryType;
use tar::{Builder, Header};

/// One entry of an archive, with its name exactly as given.
pub struct Entry<'a> {
    pub name: &'a str,
    pub kind: EntryType,
    pub content: &'a [u8],
}

/// Writes a `.tar.gz` of these entries, also such as no archiver would make.
pub fn pack(path: &Path, entries: &[Entry<'_>]) -> Result<()> {
    let mut builder = Builder::new(GzEncoder::new(std::fs::File::create(path)?, Compression::fast()));
    for Entry { name, kind, content } in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content)?;
    }
    builder.into_inner()?.finish()?;
    Ok(())
}

/// Writes a `.tar.gz` of a folder, below a folder named `top` if that is not empty.
pub fn pack_folder(path: &Path, folder: &Path, top: &str) -> Result<()> {
    let mut builder = Builder::new(GzEncoder::new(std::fs::File::create(path)?, Compression::fast()));
    builder.append_dir_all(top, folder)?;
    builder.into_inner()?.finish()?;
    Ok(())
}
