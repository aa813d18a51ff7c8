//! All open sockets of the gateway, by the id that calls carry.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use midplane_model::{CallContext, ErrorCode, Fault, PeerId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Connection;

/// The table. Its entries keep no connection alive.
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    next: AtomicU64,
    open: Mutex<HashMap<PeerId, Entry>>,
}

struct Entry {
    connection: Weak<Connection>,
    _slot: Slot,
}

/// A place for one connection, taken before its upgrade.
pub(crate) struct Slot(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Connections {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), next: AtomicU64::new(1), open: Mutex::default() }
    }

    /// # Errors
    /// `unavailable` when there are as many connections as there may be.
    pub(crate) fn reserve(&self) -> Result<Slot, Fault> {
        let slot = self.places.clone().try_acquire_owned();
        slot.map(Slot)
            .map_err(|_| Fault::new(ErrorCode::Unavailable, "too many connections are open").with("busy", true))
    }

    pub(crate) fn open(&self, slot: Slot, make: impl FnOnce(PeerId) -> Connection) -> Arc<Connection> {
        // Only uniqueness is asked of the id.
        let connection = Arc::new(make(PeerId(self.next.fetch_add(1, Ordering::Relaxed))));
        let entry = Entry { connection: Arc::downgrade(&connection), _slot: slot };
        self.lock().insert(connection.id, entry);
        connection
    }

    pub(crate) fn remove(&self, id: PeerId) {
        self.lock().remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The connection a call came from.
    ///
    /// # Errors
    /// `not_supported` for a call that has none.
    pub(crate) fn of(&self, context: &CallContext) -> Result<Arc<Connection>, Fault> {
        let id = context.peer.as_ref().map(|peer| peer.id());
        let connection = id.and_then(|id| self.lock().get(&id).and_then(|entry| entry.connection.upgrade()));
        connection.ok_or_else(|| Fault::new(ErrorCode::NotSupported, "this method needs a WebSocket; connect to /ws"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
