//! Reading a journal back, and what to make of what is not as it should be.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use midplane_durable::sync_folder;
use midplane_model::Event;

use super::{
    Journal,
    fence::Fence,
    record::{Clocks, contains_frame},
    segment::{self, FORMAT, HEADER_BYTES, Header, Predecessor, Segment, scan},
};
use crate::{clock, epoch::draw_epoch, home::HomeError};

/// The subfolder for files that cannot be trusted. There is one; the next damage replaces it.
const DAMAGED: &str = "damaged";

/// A journal, and what else `Opened` says.
pub(super) struct Reopened {
    pub journal: Journal,
    pub events: Vec<Arc<Event>>,
    pub head: u64,
    pub next: u64,
    pub lost_until: u64,
}

pub(super) fn open(folder: &Path, stream: &Arc<str>) -> Result<Reopened, HomeError> {
    let failed = |source| HomeError::Read { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let lock = lock(folder)?;
    let fence = Fence::read(folder).map_err(failed)?;
    let segments = segments(folder).map_err(failed)?;
    let kept = match &fence {
        Some(fence) => read(folder, &segments, fence, stream)?,
        None if segments.is_empty() => Ok(Kept::default()),
        None => Err("the fence is missing or damaged"),
    };
    match (kept, fence) {
        (Ok(kept), Some(fence)) if kept.newest().is_some() || fence.ceiling == 0 => {
            resume(folder, lock, fence, kept).map_err(failed)
        }
        // Numbers were given out and none of their events is there: the first commit failed, or the files are gone.
        (Ok(_), _) => begin(folder, lock),
        (Err(why), _) => {
            set_aside(folder, &segments).map_err(failed)?;
            tracing::error!(stream = %stream, why, folder = %folder.join(DAMAGED).display(),
                "the events of earlier runs are damaged: they are set aside, and the stream begins a new epoch");
            begin(folder, lock)
        }
    }
}

/// What the segments hold, the oldest first.
#[derive(Default)]
struct Kept {
    events: Vec<Arc<Event>>,
    bases: VecDeque<u64>,
    /// Committed bytes of the newest segment.
    length: u64,
}

impl Kept {
    fn newest(&self) -> Option<u64> {
        self.events.last().map(|event| event.seq)
    }
}

/// Follows the chain from the newest segment back. The inner error is damage.
fn read(
    folder: &Path,
    segments: &BTreeMap<u64, PathBuf>,
    fence: &Fence,
    stream: &Arc<str>,
) -> Result<Result<Kept, &'static str>, HomeError> {
    let clocks = Clocks { wall: SystemTime::now(), monotonic: clock::now() };
    let mut chain: Vec<(u64, u64, Vec<Arc<Event>>)> = Vec::new();
    let mut leftovers = Vec::new();
    let mut expected: Option<Predecessor> = None;
    for (&base, path) in segments.iter().rev() {
        let in_chain = expected.is_none_or(|expected| expected.base == base);
        let bytes = fs::read(path).map_err(|source| HomeError::Read { path: path.clone(), source })?;
        let header = Header::decode(&bytes);
        if let Some(header) = header.as_ref().filter(|header| header.format != FORMAT) {
            return Err(HomeError::Format { path: path.clone(), found: header.format, expected: FORMAT });
        }
        if !in_chain {
            // A segment whose first commit failed is newer than the one that was expected; an older one is a missing link.
            if expected.is_some_and(|expected| base < expected.base) {
                return Ok(Err("a file of events is missing"));
            }
            leftovers.push(path);
            continue;
        }
        let Some(header) = header.filter(|header| header.epoch == fence.epoch) else {
            if expected.is_some() || contains_frame(&bytes) {
                return Ok(Err("a file of events has no valid beginning"));
            }
            leftovers.push(path);
            continue;
        };
        let counted = match expected {
            None => &bytes[..],
            Some(expected) => match usize::try_from(expected.length).ok().and_then(|length| bytes.get(..length)) {
                Some(counted) if counted.len() >= HEADER_BYTES => counted,
                _ => return Ok(Err("a file of events is too short")),
            },
        };
        let scanned = scan(counted, stream, &fence.epoch, clocks);
        if scanned.damaged || (expected.is_some() && scanned.length != counted.len()) {
            return Ok(Err("an event has changed on the disk"));
        }
        report_cut(path, counted.len() - scanned.length);
        if scanned.events.is_empty() {
            leftovers.push(path);
        } else {
            chain.push((base, scanned.length as u64, scanned.events));
        }
        expected = header.predecessor;
        if expected.is_none() {
            break;
        }
    }
    remove(folder, &leftovers)?;
    let length = chain.first().map_or(0, |(_, length, _)| *length);
    let mut kept = Kept { length, ..Kept::default() };
    for (base, _, events) in chain.into_iter().rev() {
        kept.bases.push_back(base);
        kept.events.extend(events);
    }
    let ascending = kept.events.is_sorted_by(|a, b| a.seq < b.seq);
    let fenced = kept.newest().is_none_or(|newest| newest <= fence.ceiling);
    Ok(if ascending && fenced { Ok(kept) } else { Err("the numbers of the events contradict each other") })
}

fn report_cut(path: &Path, bytes: usize) {
    if bytes > 0 {
        tracing::warn!(bytes, path = %path.display(), "a torn end of the event journal was cut off; nobody had been told of it");
    }
}

fn remove(folder: &Path, leftovers: &[&PathBuf]) -> Result<(), HomeError> {
    let removed = leftovers.iter().try_for_each(fs::remove_file).and_then(|()| sync_folder(folder));
    removed.map_err(|source| HomeError::Write { path: folder.to_owned(), source })
}

fn resume(folder: &Path, lock: File, fence: Fence, mut kept: Kept) -> io::Result<Reopened> {
    let head = kept.newest().unwrap_or_default();
    let current = match kept.bases.pop_back() {
        Some(base) => Some(Segment::open(folder, base, kept.length)?),
        None => None,
    };
    let oldest = kept.events.first().map_or(0, |event| event.seq);
    let next = fence.ceiling + 1;
    let (folder, older) = (folder.to_owned(), kept.bases);
    let journal = Journal { folder, fence, current, end: None, older, newest: head, buffer: Vec::new(), _lock: lock };
    Ok(Reopened { journal, events: kept.events, head, next, lost_until: oldest.saturating_sub(1) })
}

fn begin(folder: &Path, lock: File) -> Result<Reopened, HomeError> {
    let epoch = draw_epoch().map_err(|source| HomeError::DrawEpoch { source })?;
    let fence = Fence { epoch, ceiling: 0 };
    fence.write(folder).map_err(|source| HomeError::Write { path: folder.to_owned(), source })?;
    let journal = Journal {
        folder: folder.to_owned(),
        fence,
        current: None,
        end: None,
        older: VecDeque::new(),
        newest: 0,
        buffer: Vec::new(),
        _lock: lock,
    };
    Ok(Reopened { journal, events: Vec::new(), head: 0, next: 1, lost_until: 0 })
}

fn lock(folder: &Path) -> Result<File, HomeError> {
    let path = folder.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open.map_err(|source| HomeError::Write { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HomeError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(HomeError::Write { path, source }),
    }
}

fn segments(folder: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(base) = segment::base(&path) {
            segments.insert(base, path);
        }
    }
    Ok(segments)
}

fn set_aside(folder: &Path, segments: &BTreeMap<u64, PathBuf>) -> io::Result<()> {
    let damaged = folder.join(DAMAGED);
    if damaged.exists() {
        fs::remove_dir_all(&damaged)?;
    }
    DirBuilder::new().mode(0o700).create(&damaged)?;
    for (base, path) in segments {
        fs::rename(path, damaged.join(segment::name(*base)))?;
    }
    sync_folder(&damaged)?;
    sync_folder(folder)
}
