//! What a killed host would leave behind: each temporary file is written down before it is made and crossed out when it is
//! gone, so that the next start removes what is left.
//!
//! The list is a file of slots in the data directory. It is not synced: a killed process leaves what it wrote to the kernel,
//! and after a loss of power a temporary file that stays is no harm but its name.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use midplane_model::limits::PATH_BYTES_MAX;

use super::path::RelativePath;

/// A length, the longest path, and the name of the temporary file below it.
const SLOT_BYTES: u64 = 2 + PATH_BYTES_MAX as u64 + 256;

/// The list; without a file nothing is written down.
#[derive(Default)]
pub(super) struct Strays(Option<List>);

struct List {
    file: File,
    slots: Mutex<Slots>,
}

/// Which slots are free; as many exist as writers were at work at the same time.
#[derive(Default)]
struct Slots {
    free: Vec<u64>,
    next: u64,
}

impl Strays {
    /// Opens the list of a host that has ended, and gives what it left.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<RelativePath>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let slots = file.metadata()?.len().div_ceil(SLOT_BYTES);
        let left = (0..slots).filter_map(|slot| read(&file, slot).transpose()).collect::<io::Result<_>>()?;
        Ok((Self(Some(List { file, slots: Mutex::default() })), left))
    }

    /// Forgets what the former host left, which is gone now.
    pub fn clear(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |list| list.file.set_len(0))
    }

    /// Writes down what is going to be made. An error is the disk's: then nothing may be made.
    pub fn expect(&self, path: &RelativePath) -> io::Result<Stray<'_>> {
        let Some(list) = &self.0 else { return Ok(Stray(None)) };
        let slot = list.take();
        let stray = Stray(Some((list, slot)));
        let text = path.as_str().as_bytes();
        let mut bytes = u16::try_from(text.len()).map_err(io::Error::other)?.to_le_bytes().to_vec();
        bytes.extend(text);
        list.file.write_all_at(&bytes, slot * SLOT_BYTES)?;
        Ok(stray)
    }
}

fn read(file: &File, slot: u64) -> io::Result<Option<RelativePath>> {
    let mut bytes = vec![0; SLOT_BYTES as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], slot * SLOT_BYTES + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    let length = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let text = bytes.get(2..2 + length).and_then(|text| std::str::from_utf8(text).ok());
    Ok(text.filter(|text| !text.is_empty()).and_then(|text| RelativePath::parse(text).ok()))
}

impl List {
    fn take(&self) -> u64 {
        let mut slots = self.lock();
        slots.free.pop().unwrap_or_else(|| {
            slots.next += 1;
            slots.next - 1
        })
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of the list, crossed out when this is dropped: after the file is gone or has its name.
pub(super) struct Stray<'a>(Option<(&'a List, u64)>);

impl Drop for Stray<'_> {
    fn drop(&mut self) {
        let Some((list, slot)) = self.0 else { return };
        // A line that cannot be crossed out keeps its slot; the next start looks for a file that is not there.
        if list.file.write_all_at(&[0, 0], slot * SLOT_BYTES).is_ok() {
            list.lock().free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_crossed_out_is_told_to_the_next_host() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let file = folder.path().join("strays");
        let path = |text| RelativePath::parse(text).expect("path");
        let (strays, left) = Strays::open(&file).expect("open");
        assert!(left.is_empty());
        let first = strays.expect(&path("d/one")).expect("expect");
        let second = strays.expect(&path("two")).expect("expect");
        drop(first);
        let third = strays.expect(&path("three")).expect("expect");
        // As a killed process does.
        std::mem::forget((second, third));
        let (strays, mut left) = Strays::open(&file).expect("open");
        left.sort();
        assert_eq!(left, [path("three"), path("two")]);
        strays.clear().expect("clear");
        assert!(Strays::open(&file).expect("open").1.is_empty());
    }
}
