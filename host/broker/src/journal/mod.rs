//! A home in files: the events of one stream, append-only, in a folder of their own.
//!
//! Each commit is one frame with a checksum, synced before anybody hears of it (`record`, `segment`). `opening` reads it all
//! back: a torn end is cut off and reported, anything else that is wrong means a new epoch, and the files are set aside. The
//! `fence` keeps numbers from being given out twice.

mod fence;
mod opening;
mod record;
mod segment;

use std::{
    collections::VecDeque,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use midplane_model::{
    Event,
    limits::{FENCE_SEQS, SEGMENT_BYTES_MAX},
};

use self::{
    fence::Fence,
    opening::Reopened,
    record::{Clocks, write_frame},
    segment::{FORMAT, Header, Predecessor, Segment},
};
use crate::{
    clock,
    home::{Home, HomeError, Opened},
};

/// The files of one stream.
pub struct Journal {
    folder: PathBuf,
    fence: Fence,
    /// The segment that is written to; none before the first commit and after a failed one.
    current: Option<Segment>,
    /// Where the chain ends when there is none.
    end: Option<Predecessor>,
    /// Segments before the current one, the oldest first.
    older: VecDeque<u64>,
    newest: u64,
    /// Reused for every frame.
    buffer: Vec<u8>,
    /// Held: another host finds the folder locked.
    _lock: File,
}

impl Journal {
    /// Opens or makes the folder, readable by its owner only, and reads what it holds. Blocks on the disk.
    ///
    /// # Errors
    /// `InUse`, `Format`, `Read`, `Write`, `DrawEpoch`. Damage is no error: it is a new epoch, and logged.
    pub fn open(folder: &Path, stream: &Arc<str>) -> Result<Opened, HomeError> {
        let Reopened { journal, events, head, next, lost_until } = opening::open(folder, stream)?;
        let epoch = Arc::clone(&journal.fence.epoch);
        Ok(Opened { home: Box::new(journal), epoch, events, head, next, lost_until })
    }

    /// Makes sure that no `seq` up to this one can ever be given out again.
    fn raise_fence(&mut self, seq: u64) -> Result<(), HomeError> {
        if seq <= self.fence.ceiling {
            return Ok(());
        }
        self.set_fence(seq + FENCE_SEQS)
    }

    fn set_fence(&mut self, ceiling: u64) -> Result<(), HomeError> {
        let fence = Fence { ceiling, ..self.fence.clone() };
        fence.write(&self.folder).map_err(|source| HomeError::Write { path: self.folder.clone(), source })?;
        self.fence = fence;
        Ok(())
    }

    fn write(&mut self, first: u64) -> std::io::Result<()> {
        if let Some(full) = self.current.take_if(|segment| segment.length >= SEGMENT_BYTES_MAX) {
            self.leave(&full);
        }
        if let Some(segment) = &mut self.current {
            let written = segment.append(&self.buffer);
            if written.is_err()
                && let Some(broken) = self.current.take()
            {
                broken.cut();
                self.leave(&broken);
            }
            return written;
        }
        let header = Header { format: FORMAT, epoch: Arc::clone(&self.fence.epoch), predecessor: self.end };
        self.current = Some(Segment::create(&self.folder, first, &header, &self.buffer)?);
        Ok(())
    }

    /// The next segment follows on the committed bytes of this one.
    fn leave(&mut self, segment: &Segment) {
        self.end = Some(Predecessor { base: segment.base, length: segment.length });
        self.older.push_back(segment.base);
    }
}

impl Home for Journal {
    fn commit(&mut self, events: &[Arc<Event>]) -> Result<(), HomeError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        self.raise_fence(last.seq)?;
        self.buffer.clear();
        write_frame(&mut self.buffer, events, Clocks { wall: SystemTime::now(), monotonic: clock::now() });
        self.write(first.seq).map_err(|source| HomeError::Write { path: self.folder.clone(), source })?;
        self.newest = last.seq;
        Ok(())
    }

    fn release(&mut self, below: u64) {
        // All of a segment is below the base of the next one.
        while let Some(next) = self.older.get(1).copied().or(self.current.as_ref().map(|segment| segment.base))
            && next <= below
            && let Some(oldest) = self.older.pop_front()
        {
            let path = self.folder.join(segment::name(oldest));
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "a file of old events could not be removed");
            }
        }
    }

    fn close(&mut self) -> Result<(), HomeError> {
        if self.fence.ceiling <= self.newest {
            return Ok(());
        }
        self.set_fence(self.newest)
    }
}

#[cfg(test)]
mod tests;
