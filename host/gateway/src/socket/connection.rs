//! What belongs to one socket, and the [`Peer`] that calls see of it.

use std::sync::{Arc, Mutex, PoisonError};

use midplane_model::{Channel, Effects, ErrorCode, Fault, Peer, PeerId, Principal};
use tokio_util::task::TaskTracker;

use super::{
    calls::{Answered, Calls},
    channels::Channels,
    closing::{CloseReason, Closing},
    lanes::Lanes,
    subscriptions::Subscriptions,
};

/// One socket's state. Its tasks hold it; it ends when they have been joined.
pub(crate) struct Connection {
    pub id: PeerId,
    pub principal: Arc<Principal>,
    pub lanes: Lanes,
    pub closing: Closing,
    pub calls: Arc<Calls>,
    pub channels: Channels,
    pub subscriptions: Subscriptions,
    /// Calls, pumps and subscriptions; bounded by their own limits.
    pub tasks: TaskTracker,
    session: Mutex<Session>,
}

/// What the client told about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// Name and version.
    pub client: Option<(String, Option<String>)>,
}

impl Connection {
    pub(crate) fn new(id: PeerId, principal: Arc<Principal>, lanes: Lanes, calls_in_flight: usize) -> Self {
        Self {
            id,
            principal,
            lanes,
            closing: Closing::default(),
            calls: Calls::new(calls_in_flight),
            channels: Channels::default(),
            subscriptions: Subscriptions::default(),
            tasks: TaskTracker::new(),
            session: Mutex::default(),
        }
    }

    pub(crate) fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_session(&self, session: Session) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
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
