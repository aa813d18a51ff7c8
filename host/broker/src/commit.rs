//! The way of events into a stream's home: a bounded line, and the thread that commits it group by group.
//!
//! An event in the line has its number and nothing else: it is delivered, counted as applied and acknowledged after its commit, so
//! whatever a crash undoes was never seen. There is no timer: while one group syncs, the next gathers by itself, so nothing waits
//! longer than the commit before its own.

use std::{collections::VecDeque, sync::Arc};

use midplane_model::{
    Event, Topic,
    limits::{COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, LINE_BYTES_MAX, LINE_EVENTS_MAX},
};

use crate::{error::BrokerError, home::Home, stream::Stream};

/// Failed commits that are remembered for those who have not asked yet.
const FAILURES_MAX: usize = 1024;

/// Events that have a number and are not committed. At most `LINE_EVENTS_MAX` of them, and `LINE_BYTES_MAX` of payload; one more
/// is refused, because publishing never waits.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Arc<Event>>,
    bytes: usize,
    failed: VecDeque<Failure>,
    pub(crate) closed: bool,
}

/// A group that was not kept.
#[derive(Debug, Clone, Copy)]
struct Failure {
    first: u64,
    last: u64,
    full: bool,
}

impl Line {
    /// # Errors
    /// `Busy`, `Closed`.
    pub(crate) fn check_room(&self) -> Result<(), BrokerError> {
        if self.closed {
            return Err(BrokerError::Closed);
        }
        if self.waiting.len() >= LINE_EVENTS_MAX || self.bytes >= LINE_BYTES_MAX {
            return Err(BrokerError::Busy);
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.payload.get().len();
        self.waiting.push_back(event);
    }

    pub(crate) fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.waiting.iter().rev().find(|event| event.topic == *topic).map(|event| event.seq)
    }

    /// The events that are committed together next; they stay in line until it is known what became of them.
    pub(crate) fn group(&self) -> Vec<Arc<Event>> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        for event in self.waiting.iter().take(COMMIT_EVENTS_MAX) {
            bytes += event.payload.get().len();
            if !group.is_empty() && bytes > COMMIT_BYTES_MAX {
                break;
            }
            group.push(Arc::clone(event));
        }
        group
    }

    /// Takes a group out.
    pub(crate) fn remove(&mut self, group: &[Arc<Event>]) {
        self.waiting.drain(..group.len());
        self.bytes -= group.iter().map(|event| event.payload.get().len()).sum::<usize>();
    }

    pub(crate) fn note_failure(&mut self, group: &[Arc<Event>], full: bool) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
        if self.failed.len() == FAILURES_MAX {
            self.failed.pop_front();
        }
        self.failed.push_back(Failure { first: first.seq, last: last.seq, full });
    }

    /// Why the event with this number was given up, if it was.
    pub(crate) fn failure(&self, seq: u64) -> Option<BrokerError> {
        let failure = self.failed.iter().find(|failure| (failure.first..=failure.last).contains(&seq));
        failure.map(|failure| BrokerError::NotKept { full: failure.full })
    }

    /// Whether no further event will be committed.
    pub(crate) fn is_over(&self) -> bool {
        self.closed && self.waiting.is_empty()
    }

    /// Closes and forgets what waits.
    pub(crate) fn abandon(&mut self) {
        *self = Self { failed: std::mem::take(&mut self.failed), closed: true, ..Self::default() };
    }
}

/// Commits until the line is closed and empty.
pub(crate) fn run(stream: &Stream, mut home: Box<dyn Home>) {
    // If this thread ever panics, nobody shall wait for a commit that cannot come.
    let _guard = AbandonOnExit(stream);
    while let Some(group) = stream.next_group() {
        let outcome = home.commit(&group);
        if let Err(error) = &outcome {
            tracing::error!(error = error as &dyn std::error::Error, events = group.len(), stream = %stream.name,
                "events were not kept; their publishers are told, nobody has received them");
        }
        let needed = stream.settle(&group, outcome.map_err(|error| error.is_full()));
        home.release(needed);
    }
    if let Err(error) = home.close() {
        tracing::warn!(error = &error as &dyn std::error::Error, stream = %stream.name, "the end of the stream was not noted");
    }
}

struct AbandonOnExit<'a>(&'a Stream);

impl Drop for AbandonOnExit<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
