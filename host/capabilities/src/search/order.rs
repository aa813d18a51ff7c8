//! Who searches which file, and in which order their answers are told: that of the walk, whoever is done first.
//!
//! Workers take the next few files of the walk, so there is one order and no list of the files; a few, because to take and to answer
//! costs as much as to search a small file. They run ahead of what has been
//! told by a bounded number of files and bytes; then they wait. The file that is to be told next never waits.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use midplane_model::limits::{SEARCH_AHEAD_BYTES_MAX, SEARCH_AHEAD_FILES_MAX, SEARCH_SHARE_FILES};

use super::{
    scan::Scanned,
    stop::Stop,
    walk::{Candidate, Walk},
};

/// How often a worker that waits for room looks whether to stop.
const LOOK: Duration = Duration::from_millis(10);

/// The walk, shared by the workers.
pub(super) struct Line {
    state: Mutex<State>,
    room: Condvar,
}

struct State {
    walk: Walk,
    /// Number of the next file that is given out.
    next: u64,
    /// Number of the next file that is told.
    told: u64,
    /// Bytes that wait to be told.
    waiting_bytes: usize,
}

impl Line {
    pub fn new(walk: Walk) -> Self {
        let state = State { walk, next: 0, told: 0, waiting_bytes: 0 };
        Self { state: Mutex::new(state), room: Condvar::new() }
    }

    /// The next `SEARCH_SHARE_FILES` files, when there is room for their answers; none at the end and when the search stops.
    pub fn take(&self, stop: &Stop) -> Vec<(u64, Candidate)> {
        let mut state = self.lock();
        while state.next - state.told >= SEARCH_AHEAD_FILES_MAX || state.waiting_bytes >= SEARCH_AHEAD_BYTES_MAX {
            if stop.is_set() {
                return Vec::new();
            }
            // When another worker has the file that is told next, it goes on; nobody waits for one who waits.
            state = self.room.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        let candidates: Vec<_> = state.walk.by_ref().take(SEARCH_SHARE_FILES).collect();
        let first = state.next;
        state.next += candidates.len() as u64;
        (first..).zip(candidates).collect()
    }

    /// Directories that the walk could not read.
    pub fn unreadable(&self) -> u64 {
        self.lock().walk.unreadable
    }

    fn told(&self, next: u64, waiting_bytes: usize) {
        let mut state = self.lock();
        (state.told, state.waiting_bytes) = (next, waiting_bytes);
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers that came before their turn.
#[derive(Default)]
pub(super) struct Waiting {
    next: u64,
    bytes: usize,
    by_number: BTreeMap<u64, Scanned>,
}

impl Waiting {
    /// Adds answers; gives those whose turn it is now.
    pub fn add(&mut self, answers: Vec<(u64, Scanned)>, line: &Line) -> Vec<Scanned> {
        for (number, scanned) in answers {
            self.bytes += bytes(&scanned);
            self.by_number.insert(number, scanned);
        }
        let mut due = Vec::new();
        while let Some(scanned) = self.by_number.remove(&self.next) {
            self.next += 1;
            self.bytes -= bytes(&scanned);
            due.push(scanned);
        }
        line.told(self.next, self.bytes);
        due
    }
}

fn bytes(scanned: &Scanned) -> usize {
    match scanned {
        Scanned::Found(_, spent) => spent.bytes,
        _ => 0,
    }
}
