//! The bounded line of writes between callers and the writer thread.
//!
//! A mutex with a condition variable rather than a channel, because closing has to work from `Drop`, on any thread, with
//! callers still waiting for room. The bound counts bytes: at most `STORAGE_QUEUE_BYTES_MAX`; when full, callers wait.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use midplane_model::limits::{STORAGE_GROUP_WRITES_MAX, STORAGE_QUEUE_BYTES_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{error::StorageError, namespace::Op};

/// Room is counted in units of this many bytes, so that empty values take room too and the number of writes is bounded.
const UNIT_BYTES: usize = 1024;
const UNITS: usize = STORAGE_QUEUE_BYTES_MAX / UNIT_BYTES;

/// What a caller wants written.
pub enum Write {
    /// All or none, in order; the answer is whether the last step found a value under its key.
    Apply(Vec<Op>),
    /// One step, if the present value of its key is as expected; the answer is whether it was.
    CompareAndSet { expected: Option<Vec<u8>>, op: Op },
}

impl Write {
    pub fn ops(&self) -> &[Op] {
        match self {
            Self::Apply(ops) => ops,
            Self::CompareAndSet { op, .. } => std::slice::from_ref(op),
        }
    }
}

/// A write in line, with the room it takes and the caller who waits.
pub struct Request {
    pub plugin: Arc<str>,
    /// What the plugin may hold afterwards, unless it holds less than before.
    pub quota_bytes: u64,
    pub write: Write,
    pub answer: oneshot::Sender<Result<bool, StorageError>>,
    _room: OwnedSemaphorePermit,
}

pub struct Queue {
    room: Arc<Semaphore>,
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    pub fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(UNITS)), line: Mutex::default(), changed: Condvar::new() }
    }

    /// Queues a write of about `bytes`, waiting for room; the receiver resolves after the commit.
    pub async fn push(
        &self,
        plugin: Arc<str>,
        quota_bytes: u64,
        write: Write,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<bool, StorageError>>, StorageError> {
        let units = u32::try_from((bytes / UNIT_BYTES + 1).min(UNITS)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(units).await.map_err(|_| StorageError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let mut line = self.lock();
        if line.closed {
            return Err(StorageError::Closed);
        }
        line.requests.push_back(Request { plugin, quota_bytes, write, answer, _room: room });
        drop(line);
        self.changed.notify_one();
        Ok(answered)
    }

    /// The next writes to commit together, waiting for the first; none when closed and empty.
    pub fn take_group(&self) -> Option<Vec<Request>> {
        let mut line = self.lock();
        while line.requests.is_empty() && !line.closed {
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        let count = line.requests.len().min(STORAGE_GROUP_WRITES_MAX);
        let group: Vec<Request> = line.requests.drain(..count).collect();
        (!group.is_empty()).then_some(group)
    }

    /// Refuses new writes, those that wait for room included. What is in line will still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.changed.notify_one();
    }

    /// Forgets what is in line, which tells its callers that the store is closed.
    pub fn abandon(&self) {
        self.close();
        self.lock().requests.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
