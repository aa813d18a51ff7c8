//! What belongs to one socket, and the [`Peer`] that calls see of it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use midplane_model::{Channel, Effects, ErrorCode, Fault, Peer, PeerId, Principal};
use tokio_util::task::TaskTracker;

use super::{
    calls::{Answered, Calls},
    channels::Channels,
    closing::{CloseReason, Closing},
    lanes::Lanes,
    subscriptions::Subscriptions,
};
use crate::tokens::Identity;

/// One socket's state. Its tasks hold it; it ends when they have been joined.
pub(crate) struct Connection {
    pub id: PeerId,
    pub identity: Arc<Identity>,
    pub principal: Arc<Principal>,
    pub lanes: Lanes,
    pub closing: Closing,
    pub calls: Arc<Calls>,
    pub channels: Channels,
    pub subscriptions: Subscriptions,
    /// Calls, pumps and subscriptions; bounded by their own limits.
    pub tasks: TaskTracker,
    /// Id of the session that is on this connection.
    session: Mutex<Option<Arc<str>>>,
    /// Under whose name its events are published: the connection's own, or that of the first one of its session.
    voice: AtomicU64,
    /// Calls that were refused for their rate, one after the other.
    refused: AtomicU32,
    /// The next message of the client shows that it has the new token of its session.
    rotated: AtomicBool,
}

impl Connection {
    pub(crate) fn new(id: PeerId, identity: Arc<Identity>, lanes: Lanes, calls_in_flight: usize) -> Self {
        Self {
            id,
            principal: identity.principal.clone(),
            identity,
            lanes,
            closing: Closing::default(),
            calls: Calls::new(calls_in_flight),
            channels: Channels::default(),
            subscriptions: Subscriptions::default(),
            tasks: TaskTracker::new(),
            session: Mutex::default(),
            voice: AtomicU64::new(id.0),
            refused: AtomicU32::new(0),
            rotated: AtomicBool::new(false),
        }
    }

    pub(crate) fn session(&self) -> Option<Arc<str>> {
        self.lock_session().clone()
    }

    /// # Errors
    /// `conflict`: it has one.
    pub(crate) fn begin_session(&self, id: &Arc<str>) -> Result<(), Fault> {
        let mut session = self.lock_session();
        if let Some(own) = &*session {
            let message = format!("this connection has the session {own}; close it first, or take another connection");
            return Err(Fault::new(ErrorCode::Conflict, message).with("session_id", &**own));
        }
        *session = Some(id.clone());
        Ok(())
    }

    pub(crate) fn end_session(&self) {
        *self.lock_session() = None;
    }

    pub(crate) fn voice(&self) -> PeerId {
        PeerId(self.voice.load(Ordering::Relaxed))
    }

    pub(crate) fn speak_as(&self, voice: PeerId) {
        self.voice.store(voice.0, Ordering::Relaxed);
    }

    /// The client was sent a new token.
    pub(crate) fn rotate(&self) {
        self.rotated.store(true, Ordering::Release);
    }

    /// Whether this message is the first one since.
    pub(crate) fn is_first_since_rotation(&self) -> bool {
        self.rotated.load(Ordering::Relaxed) && self.rotated.swap(false, Ordering::AcqRel)
    }

    fn lock_session(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a call ended: one socket may be told to wait `most` times in a row, then it is closed.
    pub(crate) fn note(&self, refused_for_rate: bool, most: u32) {
        if !refused_for_rate {
            self.refused.store(0, Ordering::Relaxed);
        } else if self.refused.fetch_add(1, Ordering::Relaxed) + 1 >= most {
            self.closing.request(CloseReason::RateLimited);
        }
    }

    /// Ends everything of this socket and joins it.
    pub(crate) async fn end(&self) {
        self.closing.request(CloseReason::ClientGone);
        self.tasks.close();
        self.tasks.wait().await;
        // A sink may hold a peer, and a peer this connection.
        self.channels.clear();
    }
}

/// The connection as one of its calls sees it: what the call opens waits for the call's answer.
pub(crate) struct CallPeer {
    pub connection: Arc<Connection>,
    pub answered: Answered,
    pub effects: Effects,
}

impl Peer for CallPeer {
    fn id(&self) -> PeerId {
        self.connection.id
    }

    fn open_channel(&self, channel: Channel) -> Result<u32, Fault> {
        if self.connection.closing.reason().is_some() {
            return Err(Fault::new(ErrorCode::Unavailable, "the connection is closing"));
        }
        self.effects.tie();
        super::channels::open(&self.connection, channel, self.answered.clone())
    }

    fn close_channel(&self, channel: u32) {
        self.connection.channels.close(channel);
    }
}
