//! A `.zip` that becomes a tree, by the list at its end: what entries say about themselves elsewhere is not looked at.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use midplane_model::limits::{ARCHIVE_ENTRIES_MAX, COPY_DEPTH_MAX, PATH_BYTES_MAX, ZIP_LIST_BYTES_MAX};
use zip::{DateTime, ZipArchive, read::ZipFile};

use super::{
    super::error::FilesError,
    metered::Metered,
    names::bad,
    unpack::{About, Tree},
};

/// The kind of an entry in its Unix mode.
const KIND: u32 = 0o170_000;
const IS_DIRECTORY: u32 = 0o040_000;
const IS_FILE: u32 = 0o100_000;
const IS_LINK: u32 = 0o120_000;

/// # Errors
/// As [`Root::unpack`](super::super::Root::unpack).
pub(super) fn unpack(file: File, tree: &mut Tree) -> Result<(), FilesError> {
    let counted = entries(&mut &file).map_err(|_| bad(b"", "is damaged"))?;
    // The list is read into memory, whatever its length.
    let (reader, left) = Metered::new(BufReader::new(file), ZIP_LIST_BYTES_MAX);
    let opened = ZipArchive::new(reader);
    let mut archive = opened.map_err(|_| bad(b"", "is damaged, or in a form that is not read here"))?;
    left.set(u64::MAX);
    let length = archive.len();
    // What is named twice is in the library's list once, the last one.
    if counted != length as u64 {
        return Err(bad(b"", "has an entry that is there twice"));
    }
    if length > ARCHIVE_ENTRIES_MAX {
        let (entries, levels) = (ARCHIVE_ENTRIES_MAX, COPY_DEPTH_MAX);
        return Err(FilesError::TooMany { path: "the archive".into(), entries, levels });
    }
    for index in 0..length {
        tree.count()?;
        let entry = archive
            .by_index(index)
            .map_err(|_| bad(b"", "has an entry that is encrypted, damaged, or packed in another way"))?;
        take(entry, tree)?;
    }
    Ok(())
}

/// How many entries the record at the end counts (APPNOTE.TXT, sections 4.3.14 to 4.3.16).
fn entries(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    const RECORD: usize = 22;
    const LOCATOR: usize = 20;
    let end = file.seek(SeekFrom::End(0))?;
    let start = end.saturating_sub((RECORD + LOCATOR + usize::from(u16::MAX)) as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(end - start).read_to_end(&mut tail)?;
    let at = tail.windows(4).rposition(|four| four == b"PK\x05\x06").ok_or(io::ErrorKind::InvalidData)?;
    let number = |bytes: Option<&[u8]>| {
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok::<u64, io::Error>(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let count = number(tail.get(at + 10..at + 12))?;
    let locator = at.checked_sub(LOCATOR).and_then(|from| tail.get(from..at)).filter(|l| l.starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else { return Ok(count) };
    file.seek(SeekFrom::Start(number(locator.get(8..16))?))?;
    let mut record = [0; 40];
    file.read_exact(&mut record)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    number(record.get(32..40))
}

fn take(mut entry: ZipFile<'_, Metered<BufReader<File>>>, tree: &mut Tree) -> Result<(), FilesError> {
    let raw = entry.name_raw().to_vec();
    let name = entry.name().as_bytes().to_vec();
    let mode = entry.unix_mode();
    let modified = entry.last_modified().filter(DateTime::is_valid).map(|time| seconds(&time));
    let kind = mode.map_or(0, |mode| mode & KIND);
    if name.ends_with(b"/") || kind == IS_DIRECTORY {
        return tree.directory(&name, About { mode: mode.unwrap_or(0o755), modified });
    }
    match kind {
        IS_LINK => {
            let mut target = Vec::new();
            let read = entry.by_ref().take(PATH_BYTES_MAX as u64 + 1).read_to_end(&mut target);
            read.map_err(|_| bad(&raw, "is damaged"))?;
            if target.len() > PATH_BYTES_MAX {
                return Err(bad(&raw, "is a link that is too long"));
            }
            tree.link(&name, &target)
        }
        // Without a kind it comes from a system that has none.
        0 | IS_FILE => tree.file(&name, About { mode: mode.map_or(0o644, |mode| mode & 0o777), modified }, entry),
        _ => Err(bad(&raw, "is a device, a pipe, or something else that is no file")),
    }
}

/// Since 1970, taken as UTC: the format has no zone. Days by H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn seconds(time: &DateTime) -> i64 {
    let (month, day) = (i64::from(time.month()), i64::from(time.day()));
    let year = i64::from(time.year()) - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year / 400 * 146_097 + year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year - 719_468;
    days * 86_400 + i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
}
