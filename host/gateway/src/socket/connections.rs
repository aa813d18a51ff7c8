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

use super::{Connection, closing::CloseReason};

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

/// A connection in the table. Dropped, whether its task ended or panicked, it leaves the table and ends its tasks.
pub(crate) struct Registration {
    connections: Arc<Connections>,
    pub connection: Arc<Connection>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connection.closing.request(CloseReason::ClientGone);
        self.connections.lock().remove(&self.connection.id);
    }
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

    /// Enters a new connection in the table.
    pub(crate) fn open(self: &Arc<Self>, slot: Slot, make: impl FnOnce(PeerId) -> Connection) -> Registration {
        // Only uniqueness is asked of the id.
        let connection = Arc::new(make(PeerId(self.next.fetch_add(1, Ordering::Relaxed))));
        let entry = Entry { connection: Arc::downgrade(&connection), _slot: slot };
        self.lock().insert(connection.id, entry);
        Registration { connections: self.clone(), connection }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The connection a call came from, for what is made or changed there.
    ///
    /// # Errors
    /// `not_supported` for a call that has none.
    pub(crate) fn of(&self, context: &CallContext) -> Result<Arc<Connection>, Fault> {
        context.effects.tie();
        let id = context.peer.as_ref().map(|peer| peer.id());
        let connection = id.and_then(|id| self.lock().get(&id).and_then(|entry| entry.connection.upgrade()));
        connection.ok_or_else(|| Fault::new(ErrorCode::NotSupported, "this method needs a WebSocket; connect to /ws"))
    }

    /// Under whose name a call of a connection publishes.
    pub(crate) fn voice(&self, context: &CallContext) -> Option<PeerId> {
        let id = context.peer.as_ref()?.id();
        self.lock().get(&id).and_then(|entry| entry.connection.upgrade()).map(|connection| connection.voice())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
