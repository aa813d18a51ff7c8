//! The seam to wherever the events of a `log` stream outlive the process: files beside the host ([`crate::Journal`]), or a
//! server elsewhere.
//!
//! The broker numbers, orders, matches and decides; a home only keeps. Everything that it keeps within retention is read back
//! when it is opened, and served from memory from then on. What a home owes is written as tests that know the broker's door
//! only (`tests/broker/homes.rs`): every home passes them unchanged.

use std::{io, path::PathBuf, sync::Arc};

use midplane_model::Event;

/// Keeps the events of one stream. Called by one thread at a time, which may block.
pub trait Home: Send {
    /// Keeps the events, all of them or none, in their order; returns when no crash can undo it. Their `seq`s are higher
    /// than any before, not always by one.
    ///
    /// # Errors
    /// None of the events is kept, and none of them ever comes back. A later commit may succeed.
    fn commit(&mut self, events: &[Arc<Event>]) -> Result<(), HomeError>;

    /// Events below this `seq` are not needed any more. A home may keep them longer; the newest event stays, because it
    /// says how far the stream had come.
    fn release(&mut self, below: u64);

    /// A clean end: everything given out is committed, so the next `seq` may follow the last one.
    ///
    /// # Errors
    /// Then the next opening is as after a crash.
    fn close(&mut self) -> Result<(), HomeError>;
}

/// A home, and what it had kept.
pub struct Opened {
    pub home: Box<dyn Home>,
    /// Another one than before whenever something that was committed is not there any more.
    pub epoch: Arc<str>,
    /// What is kept, ascending by `seq`.
    pub events: Vec<Arc<Event>>,
    /// The newest `seq` that was committed; 0 for none.
    pub head: u64,
    /// Higher than every `seq` that was given out in this epoch, even if its commit was never finished.
    pub next: u64,
    /// Events up to this `seq` may have been there and are gone.
    pub lost_until: u64,
}

/// What can go wrong with a home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("the operating system gave no random bytes for an epoch")]
    DrawEpoch {
        #[source]
        source: getrandom::Error,
    },
    #[error("the events in {path} are in use by another process; stop that host or choose another data directory", path = path.display())]
    InUse { path: PathBuf },
    #[error("the events in {path} have format {found}, this host reads {expected}; start the host that wrote them, or use a new data directory", path = path.display())]
    Format { path: PathBuf, found: u32, expected: u32 },
    #[error("the events in {path} cannot be read", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("events cannot be written to {path}", path = path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl HomeError {
    /// Whether somebody who makes room helps.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}
