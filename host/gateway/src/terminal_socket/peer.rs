//! A connection that carries one channel, without numbers.

use std::sync::{Mutex, PoisonError};

use midplane_model::{Channel, ErrorCode, Fault, Peer, PeerId};

/// The number under which the call that opens the channel knows it.
const NUMBER: u32 = 1;

/// Keeps the channel that a call opens for whoever made the call.
pub(super) struct OneChannel {
    id: PeerId,
    channel: Mutex<Option<Channel>>,
}

impl OneChannel {
    pub(super) fn new(id: PeerId) -> Self {
        Self { id, channel: Mutex::default() }
    }

    pub(super) fn take(&self) -> Option<Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Peer for OneChannel {
    fn id(&self) -> PeerId {
        self.id
    }

    fn open_channel(&self, channel: Channel) -> Result<u32, Fault> {
        let mut place = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return Err(Fault::new(ErrorCode::QuotaExceeded, "this connection carries one channel").with("limit", 1));
        }
        *place = Some(channel);
        Ok(NUMBER)
    }

    fn close_channel(&self, _: u32) {
        self.take();
    }
}
