//! A `.tar.gz` that becomes a tree.

use std::{
    fs::File,
    io::{self, BufReader},
};

use flate2::bufread::MultiGzDecoder;
use midplane_model::limits::ARCHIVE_HEADER_BYTES_MAX;
use tar::EntryType;

use super::{
    super::error::FilesError,
    metered::Metered,
    names::bad,
    unpack::{About, Tree},
};

/// # Errors
/// As [`Root::unpack`](super::super::Root::unpack).
pub(super) fn unpack(file: File, tree: &mut Tree) -> Result<(), FilesError> {
    let (reader, left) = Metered::new(MultiGzDecoder::new(BufReader::new(file)), 0);
    let mut archive = tar::Archive::new(reader);
    let damaged = |_| bad(b"", "is damaged, or says more about an entry than is sensible");
    {
        let mut entries = archive.entries().map_err(damaged)?;
        loop {
            // Names of any length are read into memory.
            left.set(ARCHIVE_HEADER_BYTES_MAX);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(damaged)?;
            left.set(u64::MAX);
            tree.count()?;
            take(&mut entry, tree)?;
        }
    }
    // To the end, so that the checksum is looked at.
    left.set(ARCHIVE_HEADER_BYTES_MAX);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(damaged)
}

fn take(
    entry: &mut tar::Entry<'_, Metered<MultiGzDecoder<BufReader<File>>>>,
    tree: &mut Tree,
) -> Result<(), FilesError> {
    let raw = entry.path_bytes().into_owned();
    let header = entry.header();
    let about = About {
        mode: header.mode().unwrap_or(0o644),
        modified: header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok()),
    };
    let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    match header.entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => tree.file(&raw, about, entry),
        EntryType::Directory => tree.directory(&raw, about),
        EntryType::Symlink => tree.link(&raw, &target),
        EntryType::Link => tree.second_name(&raw, &target),
        // About the archive as a whole.
        EntryType::XGlobalHeader => Ok(()),
        _ => Err(bad(&raw, "is a device, a pipe, or something else that is no file")),
    }
}
