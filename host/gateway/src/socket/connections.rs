//! All open sockets of the gateway, by the id that calls carry.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use midplane_model::{CallContext, ErrorCode, Fault, PeerId, Principal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Connection, closing::CloseReason};
use crate::{config::GatewayLimits, owner::Owner};

/// The table. Its entries keep no connection alive.
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    places_per_principal: usize,
    by_principal: Mutex<HashMap<Owner, usize>>,
    next: AtomicU64,
    open: Mutex<HashMap<PeerId, Open>>,
}

struct Open {
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
pub(crate) struct Slot {
    connections: Arc<Connections>,
    owner: Owner,
    _place: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut by_principal = self.connections.lock_principals();
        if let Entry::Occupied(mut own) = by_principal.entry(self.owner.clone()) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

impl Connections {
    pub(crate) fn new(limits: &GatewayLimits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections)),
            places_per_principal: limits.connections_per_principal,
            by_principal: Mutex::default(),
            next: AtomicU64::new(1),
            open: Mutex::default(),
        }
    }

    /// An id that no other connection has.
    pub(crate) fn next_id(&self) -> PeerId {
        PeerId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// # Errors
    /// `unavailable` when there are as many connections as there may be; `quota_exceeded` when the principal has its share.
    pub(crate) fn reserve(self: &Arc<Self>, principal: &Arc<Principal>) -> Result<Slot, Fault> {
        let place = self.places.clone().try_acquire_owned();
        let full = |_| Fault::new(ErrorCode::Unavailable, "too many connections are open").with("busy", true);
        let place = place.map_err(full)?;
        let owner = Owner(principal.clone());
        let mut by_principal = self.lock_principals();
        let own = by_principal.entry(owner.clone()).or_default();
        let limit = self.places_per_principal;
        if *own >= limit {
            let message = format!("{limit} connections of yours are open; close one");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", limit));
        }
        *own += 1;
        drop(by_principal);
        Ok(Slot { connections: self.clone(), owner, _place: place })
    }

    fn lock_principals(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.by_principal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a new connection in the table.
    pub(crate) fn open(self: &Arc<Self>, slot: Slot, make: impl FnOnce(PeerId) -> Connection) -> Registration {
        // Only uniqueness is asked of the id.
        let connection = Arc::new(make(self.next_id()));
        let entry = Open { connection: Arc::downgrade(&connection), _slot: slot };
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

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
