//! One file of a journal: a header that names its epoch and its predecessor, then frames.
//!
//! Segments form a chain from the newest back, each naming the file before it and how many bytes of that count. So a file
//! whose last commit failed needs no repair: what stands behind its last good frame is simply not in the chain.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use midplane_durable::sync_folder;
use midplane_model::Event;

use super::record::{Clocks, Reader, contains_frame, read_frame, read_records};

const MAGIC: [u8; 4] = *b"MPES";
/// Raised when older hosts could not read the files any more.
pub(super) const FORMAT: u32 = 1;
/// Bytes of an epoch: 64 bits in hexadecimal.
const EPOCH_BYTES: usize = 16;
/// Magic, format, epoch, predecessor's base and length, checksum.
pub(super) const HEADER_BYTES: usize = 4 + 4 + EPOCH_BYTES + 8 + 8 + 4;

/// The file before a segment: the `seq` in its name, and the bytes of it that count. The first segment has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predecessor {
    pub base: u64,
    pub length: u64,
}

/// What a segment's first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub format: u32,
    pub epoch: Arc<str>,
    pub predecessor: Option<Predecessor>,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let none = Predecessor { base: 0, length: 0 };
        let Predecessor { base, length } = self.predecessor.unwrap_or(none);
        let mut bytes = [&MAGIC[..], &self.format.to_le_bytes(), self.epoch.as_bytes()].concat();
        bytes.extend(base.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.get(..HEADER_BYTES)?);
        if reader.take(4)? != MAGIC {
            return None;
        }
        let format = reader.u32()?;
        let epoch = std::str::from_utf8(reader.take(EPOCH_BYTES)?).ok()?.into();
        let (base, length) = (reader.u64()?, reader.u64()?);
        let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        let predecessor = (base > 0).then_some(Predecessor { base, length });
        (reader.u32()? == checksum).then_some(Self { format, epoch, predecessor })
    }
}

/// The events in the first bytes of a segment, and how many of the bytes are good.
pub(super) struct Scanned {
    pub events: Vec<Arc<Event>>,
    pub length: usize,
    /// A whole frame stands behind the first broken one: not a torn end, but damage.
    pub damaged: bool,
}

/// Reads the frames of a segment whose header is good.
pub(super) fn scan(bytes: &[u8], stream: &Arc<str>, epoch: &Arc<str>, clocks: Clocks) -> Scanned {
    let mut scanned = Scanned { events: Vec::new(), length: HEADER_BYTES, damaged: false };
    while let Some((records, length)) = read_frame(&bytes[scanned.length..]) {
        let Some(events) = read_records(records, stream, epoch, clocks) else {
            scanned.damaged = true;
            return scanned;
        };
        scanned.events.extend(events);
        scanned.length += length;
    }
    scanned.damaged = contains_frame(&bytes[scanned.length..]);
    scanned
}

/// The segment that is written to.
pub(super) struct Segment {
    pub base: u64,
    /// Bytes that are committed.
    pub length: u64,
    file: File,
}

impl Segment {
    /// Makes the file with its first frame, durable when this returns.
    pub(super) fn create(folder: &Path, base: u64, header: &Header, frame: &[u8]) -> io::Result<Self> {
        let path = folder.join(name(base));
        let mut file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
        let bytes = [&header.encode(), frame].concat();
        let written = file.write_all(&bytes).and_then(|()| file.sync_data()).and_then(|()| sync_folder(folder));
        if let Err(error) = written {
            // Not in the chain, so it does not count even where it stays.
            _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { base, length: bytes.len() as u64, file })
    }

    /// Opens the newest segment to write on behind its good bytes.
    pub(super) fn open(folder: &Path, base: u64, length: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(folder.join(name(base)))?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_data()?;
        }
        Ok(Self { base, length, file })
    }

    /// Appends a frame, durable when this returns. After an error the file must not be written to any more: what the
    /// kernel still holds of it is unknown.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.file.write_all(frame)?;
        self.file.sync_data()?;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Takes back what a failed append may have left. If that fails too, the next segment says that it does not count; only
    /// where the disk takes nothing more before the host ends might it be read back.
    pub(super) fn cut(&self) {
        if let Err(error) = self.file.set_len(self.length).and_then(|()| self.file.sync_data()) {
            tracing::warn!(%error, "what is left of a failed commit could not be cut off");
        }
    }

    /// As a disk that takes no more.
    #[cfg(test)]
    pub(super) fn break_file(&mut self, folder: &Path) {
        self.file = File::open(folder.join(name(self.base))).expect("open read-only");
    }
}

pub(super) fn name(base: u64) -> String {
    format!("{base:020}.log")
}

/// The `seq` in a segment's name.
pub(super) fn base(path: &Path) -> Option<u64> {
    (path.extension()? == "log").then(|| path.file_stem()?.to_str()?.parse().ok()).flatten()
}
