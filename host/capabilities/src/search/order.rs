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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ignore::overrides::Override;
    use tokio_util::sync::CancellationToken;

    use super::{
        super::{FileHits, scan::Room, walk::Choice},
        *,
    };
    use crate::files::{RelativePath, Root};

    fn stop(after: Duration) -> Stop {
        Stop::new(CancellationToken::new(), after)
    }

    fn line(files: u64) -> (tempfile::TempDir, Line) {
        let dir = tempfile::tempdir().expect("temporary directory");
        for n in 0..files {
            std::fs::write(dir.path().join(n.to_string()), "").expect("write");
        }
        let root = Root::open(dir.path()).expect("root");
        let choice = Choice { overrides: Override::empty(), hidden: false, ignored: true };
        let never = stop(Duration::from_secs(3600));
        let walk = Walk::new(root.jail(), &RelativePath::root(), choice, never).expect("walk");
        (dir, Line::new(walk))
    }

    /// Whether there is room for another file. The walk itself has not stopped.
    fn has_room(line: &Line) -> bool {
        !line.take(&stop(Duration::ZERO)).is_empty()
    }

    #[test]
    fn workers_are_ahead_by_so_many_files_and_no_more() {
        let (_dir, line) = line(SEARCH_AHEAD_FILES_MAX + 100);
        let never = stop(Duration::from_secs(3600));
        let mut taken = 0;
        while taken < SEARCH_AHEAD_FILES_MAX {
            taken += line.take(&never).len() as u64;
        }
        assert!(!has_room(&line));
        let mut waiting = Waiting::default();
        assert!(waiting.add(vec![(1, Scanned::Nothing)], &line).is_empty(), "0 is told first");
        assert!(!has_room(&line));
        assert_eq!(waiting.add(vec![(0, Scanned::Nothing)], &line).len(), 2);
        assert!(has_room(&line));
    }

    #[test]
    fn what_waits_for_its_turn_is_bounded_in_bytes() {
        let (_dir, line) = line(100);
        let never = stop(Duration::from_secs(3600));
        assert!(!line.take(&never).is_empty());
        let found = |bytes| {
            let hits = FileHits { path: RelativePath::root(), version: None, hits: Vec::new() };
            Scanned::Found(hits, Room { results: 1, bytes })
        };
        let mut waiting = Waiting::default();
        waiting.add(vec![(1, found(SEARCH_AHEAD_BYTES_MAX))], &line);
        assert!(!has_room(&line));
        assert_eq!(waiting.add(vec![(0, found(SEARCH_AHEAD_BYTES_MAX))], &line).len(), 2);
        assert!(has_room(&line));
    }
}
