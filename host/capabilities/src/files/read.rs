//! Reading a file, or a range of it, with the version that it has.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use bytes::Bytes;
use midplane_model::limits::{FILE_BYTES_MAX, FILE_HASH_BYTES_MAX};

use super::{
    error::{FilesError, shown},
    facts::Facts,
    jail::Jail,
    path::RelativePath,
    version::Version,
};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub bytes: Bytes,
    /// Of the whole file.
    pub version: Version,
    /// Bytes of the whole file.
    pub size: u64,
}

/// How often a large file is read again because it changed meanwhile. A log that grows all the time is then given with
/// the version from before the read: too old rather than too new, so a write based on it is refused, not lost.
const ATTEMPTS_MAX: u32 = 3;

pub(super) fn read(
    jail: &Jail,
    path: &RelativePath,
    range: Option<Range<u64>>,
    bytes_max: u64,
) -> Result<Content, FilesError> {
    let (file, mut facts) = jail.open_file(path).map_err(|errno| FilesError::from_errno("read", path, errno))?;
    let fail = |error| FilesError::from_io("read", path, error);
    check_length(path, &clamp(range.clone(), facts.size), bytes_max)?;
    if let (version, Some(bytes)) = Version::of_file(&file, &facts).map_err(fail)? {
        let size = bytes.len() as u64;
        let part = clamp(range, size);
        // Both ends are within a file that is in memory, so they fit.
        let bytes = Bytes::from(bytes).slice(part.start as usize..part.end as usize);
        return Ok(Content { bytes, version, size });
    }
    for attempt in 1.. {
        let part = clamp(range.clone(), facts.size);
        check_length(path, &part, bytes_max)?;
        let bytes = read_at(&file, &part).map_err(fail)?;
        let after = Facts::of(&file).map_err(|errno| fail(errno.into()))?;
        if after == facts || attempt == ATTEMPTS_MAX {
            return Ok(Content { bytes: bytes.into(), version: Version::of_facts(&facts), size: facts.size });
        }
        facts = after;
    }
    unreachable!("the last attempt returns")
}

fn clamp(range: Option<Range<u64>>, size: u64) -> Range<u64> {
    let range = range.unwrap_or(0..size);
    let end = range.end.min(size);
    range.start.min(end)..end
}

fn check_length(path: &RelativePath, part: &Range<u64>, bytes_max: u64) -> Result<(), FilesError> {
    const { assert!(FILE_HASH_BYTES_MAX <= FILE_BYTES_MAX as u64, "hashed files are always read as a whole") };
    if part.end - part.start > bytes_max {
        return Err(FilesError::TooLarge { path: shown(path), limit_bytes: bytes_max });
    }
    Ok(())
}

fn read_at(file: &File, part: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(part.end - part.start).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], part.start + filled as u64) {
            // It was cut meanwhile.
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
