//! Compiled functions, shared by all components: two JavaScript plugins differ in a few of their ten thousand functions.
//!
//! Each session of compiles writes the functions that nobody had compiled before into one entry of the private directory, a
//! **segment**: records of key, length and code. A segment is read for its MAC and its keys when a session begins, and again
//! function by function; it is never changed. The longest unused segments are evicted.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use midplane_model::limits::FUNCTION_CACHE_BYTES_MAX;
use wasmtime::CacheStore;

use super::private::{Entry, PrivateDirectory, Writer};

/// What the names of segments end with.
const ENDING: &str = ".functions";

type Key = [u8; 32];

/// The store that the compiler asks for every function. Outside of a session it has nothing and keeps nothing.
pub struct Functions {
    directory: Option<Arc<PrivateDirectory>>,
    /// What the names of segments of these settings begin with.
    settings: String,
    /// Compiles in progress; the first opens the session, the last closes it.
    users: Mutex<usize>,
    session: RwLock<Option<Arc<Session>>>,
    /// The host is stopping: a compile that asks for its next function ends.
    interrupted: AtomicBool,
}

/// What an interrupted compile unwinds with.
pub struct Interrupted;

/// Takes part in a session while it lives.
pub struct Part<'a>(&'a Functions);

struct Session {
    segments: Vec<Segment>,
    index: HashMap<Key, Place>,
    fresh: Mutex<Fresh>,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Segment {
    entry: Entry,
    used: AtomicBool,
}

/// Where a function's code is.
#[derive(Clone, Copy)]
struct Place {
    segment: usize,
    offset: u64,
    bytes: u32,
}

/// What this session compiled itself.
enum Fresh {
    Nothing,
    Segment {
        name: String,
        writer: Box<Writer>,
    },
    /// The disk refused.
    NoMore,
}

impl Functions {
    pub fn new(directory: Option<Arc<PrivateDirectory>>, settings: &[u8; 32]) -> Arc<Self> {
        let settings = settings[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Arc::new(Self {
            directory,
            settings,
            users: Mutex::default(),
            session: RwLock::default(),
            interrupted: AtomicBool::new(false),
        })
    }

    /// Begins to take part. Blocks while the first one reads what is there: a second or so for a full cache.
    pub fn join(&self) -> Part<'_> {
        let mut users = self.users();
        if *users == 0
            && let Some(directory) = &self.directory
        {
            *self.session.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(self.open(directory)));
        }
        *users += 1;
        Part(self)
    }

    /// Ends every compile that takes its functions from here, at its next function.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    fn users(&self) -> MutexGuard<'_, usize> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn open(&self, directory: &PrivateDirectory) -> Session {
        let mut session = Session {
            segments: Vec::new(),
            index: HashMap::new(),
            fresh: Mutex::new(Fresh::Nothing),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        let listed = directory.list(ENDING).unwrap_or_default();
        for name in listed.into_iter().map(|listed| listed.name).filter(|name| name.starts_with(&self.settings)) {
            match directory.read(&name) {
                Ok(Some(entry)) => session.add(entry),
                Ok(None) => {}
                Err(distrust) => {
                    tracing::warn!(name, %distrust, "functions of the cache of compiled code are not used");
                    directory.remove(&name);
                }
            }
        }
        session
    }

    fn begin_segment(&self, directory: &Arc<PrivateDirectory>) -> io::Result<Fresh> {
        let name = format!("{}-{:016x}{ENDING}", self.settings, getrandom::u64().map_err(io::Error::other)?);
        Ok(Fresh::Segment { writer: Box::new(directory.write(&name)?), name })
    }

    /// Keeps what the session compiled, and evicts what has been unused for longest when there is too much.
    fn close(&self, session: &Session) {
        let (hits, misses) = (session.hits.load(Ordering::Relaxed), session.misses.load(Ordering::Relaxed));
        tracing::debug!(hits, misses, "functions taken from the cache, and compiled");
        for segment in session.segments.iter().filter(|segment| segment.used.load(Ordering::Relaxed)) {
            segment.entry.touch();
        }
        let fresh = std::mem::replace(&mut *session.fresh(), Fresh::NoMore);
        let (Fresh::Segment { name, writer }, Some(directory)) = (fresh, &self.directory) else { return };
        let kept = writer.commit().and_then(|()| directory.evict(ENDING, FUNCTION_CACHE_BYTES_MAX, &name));
        if let Err(error) = kept {
            tracing::warn!(%error, "compiled functions could not be cached");
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let mut users = self.0.users();
        *users -= 1;
        if *users == 0
            && let Some(session) = self.0.session.write().unwrap_or_else(PoisonError::into_inner).take()
        {
            self.0.close(&session);
        }
    }
}

impl Session {
    /// Puts the functions of a segment into the index. The content has our MAC; a length that does not fit ends it all the
    /// same.
    fn add(&mut self, entry: Entry) {
        let mut file = BufReader::new(&entry.file);
        let mut offset = 0;
        while let Some((key, bytes)) = next_record(&mut file) {
            offset += RECORD_HEAD_BYTES;
            if offset + u64::from(bytes) > entry.content_bytes || file.seek_relative(bytes.into()).is_err() {
                break;
            }
            self.index.insert(key, Place { segment: self.segments.len(), offset, bytes });
            offset += u64::from(bytes);
            if offset == entry.content_bytes {
                break;
            }
        }
        self.segments.push(Segment { entry, used: AtomicBool::new(false) });
    }

    fn find(&self, key: &Key) -> Option<Vec<u8>> {
        let place = self.index.get(key)?;
        let segment = self.segments.get(place.segment)?;
        let mut code = vec![0; place.bytes as usize];
        segment.entry.file.read_exact_at(&mut code, place.offset).ok()?;
        segment.used.store(true, Ordering::Relaxed);
        Some(code)
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const RECORD_HEAD_BYTES: u64 = 36;

fn next_record(file: &mut impl Read) -> Option<(Key, u32)> {
    let (mut key, mut bytes) = ([0; 32], [0; 4]);
    file.read_exact(&mut key).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some((key, u32::from_le_bytes(bytes)))
}

fn append(writer: &mut Writer, key: &Key, bytes: u32, code: &[u8]) -> io::Result<()> {
    writer.append(key)?;
    writer.append(&bytes.to_le_bytes())?;
    writer.append(code)
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        if self.interrupted.load(Ordering::Relaxed) {
            // The compiler offers no other way out, and a shutdown does not wait for seconds of work that nobody needs.
            // Like a panic, but nobody is told; whoever compiles catches it.
            resume_unwind(Box::new(Interrupted));
        }
        let session = self.session()?;
        let found = key.try_into().ok().and_then(|key| session.find(key));
        let counter = if found.is_some() { &session.hits } else { &session.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        let (Some(session), Some(directory)) = (self.session(), &self.directory) else { return false };
        let (Ok(key), Ok(bytes)) = (key.try_into(), u32::try_from(code.len())) else { return false };
        let mut fresh = session.fresh();
        if matches!(*fresh, Fresh::Nothing) {
            *fresh = self.begin_segment(directory).unwrap_or(Fresh::NoMore);
        }
        let Fresh::Segment { writer, .. } = &mut *fresh else { return false };
        if writer.bytes + u64::from(bytes) > FUNCTION_CACHE_BYTES_MAX {
            return false;
        }
        let kept = append(writer, key, bytes, &code).is_ok();
        if !kept {
            *fresh = Fresh::NoMore;
        }
        kept
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Functions").field("settings", &self.settings).finish_non_exhaustive()
    }
}
