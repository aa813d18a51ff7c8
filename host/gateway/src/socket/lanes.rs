//! What waits for the writer of one socket, by urgency: replies before events before bulk. (Control needs no lane: pings and
//! the close are the writer's own.)
//!
//! Strict order would let a stream of events keep a terminal silent, so after `BULK_TURN_MESSAGES` messages a waiting binary
//! frame has its turn.

use axum::extract::ws::Message;
use bytes::Bytes;
use midplane_model::limits::{BULK_FRAMES_QUEUED_MAX, BULK_TURN_MESSAGES, EVENTS_QUEUED_MAX, REPLIES_QUEUED_MAX};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A message on its way out. A reply holds its call's place until it is written: a client that does not read its answers
/// runs out of calls, not the host out of memory.
pub(crate) struct Outgoing {
    pub message: Message,
    place: Option<OwnedSemaphorePermit>,
}

impl Outgoing {
    pub(crate) fn into_parts(self) -> (Message, Option<OwnedSemaphorePermit>) {
        (self.message, self.place)
    }
}

impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self { message, place: None }
    }
}

/// The socket has ended; nobody will write this.
#[derive(Debug)]
pub(crate) struct Ended;

/// The sending side. Every lane is bounded, and whoever finds it full waits: a call with its reply, the reader with a
/// refusal (it stops reading then), a subscription at its position, a channel at its offset. The writer moves on within
/// `WRITE_STALL_MAX` or ends the socket, so nobody waits for ever.
#[derive(Clone)]
pub(crate) struct Lanes {
    replies: mpsc::Sender<Outgoing>,
    events: mpsc::Sender<Outgoing>,
    bulk: mpsc::Sender<Outgoing>,
}

/// The writer's side.
pub(crate) struct Waiting {
    replies: mpsc::Receiver<Outgoing>,
    events: mpsc::Receiver<Outgoing>,
    bulk: mpsc::Receiver<Outgoing>,
    /// Messages since a binary frame had its turn.
    since_bulk: u32,
}

pub(crate) fn lanes() -> (Lanes, Waiting) {
    let (replies, waiting_replies) = mpsc::channel(REPLIES_QUEUED_MAX);
    let (events, waiting_events) = mpsc::channel(EVENTS_QUEUED_MAX);
    let (bulk, waiting_bulk) = mpsc::channel(BULK_FRAMES_QUEUED_MAX);
    let waiting = Waiting { replies: waiting_replies, events: waiting_events, bulk: waiting_bulk, since_bulk: 0 };
    (Lanes { replies, events, bulk }, waiting)
}

/// Room that is held for one message.
pub(crate) struct Room<'a>(mpsc::Permit<'a, Outgoing>);

impl Room<'_> {
    /// `place` is held until the message is written.
    pub(crate) fn fill(self, text: String, place: Option<OwnedSemaphorePermit>) {
        self.0.send(Outgoing { message: Message::Text(text.into()), place });
    }
}

impl Lanes {
    /// An answer, with the call's place. Cancel safe: dropped before it is queued, it is not sent.
    pub(crate) async fn reply(&self, text: String, place: Option<OwnedSemaphorePermit>) -> Result<(), Ended> {
        let outgoing = Outgoing { message: Message::Text(text.into()), place };
        self.replies.send(outgoing).await.map_err(|_| Ended)
    }

    /// Room for one message beside the answers. Cancel safe.
    pub(crate) async fn room_for_reply(&self) -> Result<Room<'_>, Ended> {
        self.replies.reserve().await.map(Room).map_err(|_| Ended)
    }

    /// A binary frame that answers one of the client's.
    pub(crate) async fn frame_reply(&self, frame: Bytes) -> Result<(), Ended> {
        self.replies.send(Message::Binary(frame).into()).await.map_err(|_| Ended)
    }

    pub(crate) async fn event(&self, text: String) -> Result<(), Ended> {
        self.events.send(Message::Text(text.into()).into()).await.map_err(|_| Ended)
    }

    /// A ping behind all events that are queued.
    pub(crate) async fn ping(&self, payload: Bytes) -> Result<(), Ended> {
        self.events.send(Message::Ping(payload).into()).await.map_err(|_| Ended)
    }

    pub(crate) async fn bulk(&self, frame: Bytes) -> Result<(), Ended> {
        self.bulk.send(Message::Binary(frame).into()).await.map_err(|_| Ended)
    }
}

impl Waiting {
    /// Whether nothing waits now: the moment to flush.
    pub(crate) fn is_idle(&self) -> bool {
        self.replies.is_empty() && self.events.is_empty() && self.bulk.is_empty()
    }

    /// An answer that is ready already.
    pub(crate) fn ready_reply(&mut self) -> Option<Outgoing> {
        self.replies.try_recv().ok()
    }

    /// The next message. Cancel safe. Waits for ever when all senders are gone.
    pub(crate) async fn next(&mut self) -> Outgoing {
        if self.since_bulk >= BULK_TURN_MESSAGES {
            self.since_bulk = 0;
            if let Ok(frame) = self.bulk.try_recv() {
                return frame;
            }
        }
        let (outgoing, bulk) = tokio::select! {
            biased;
            Some(reply) = self.replies.recv() => (reply, false),
            Some(event) = self.events.recv() => (event, false),
            Some(frame) = self.bulk.recv() => (frame, true),
            else => std::future::pending().await,
        };
        self.since_bulk = if bulk { 0 } else { self.since_bulk + 1 };
        outgoing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outgoing: Outgoing) -> String {
        match outgoing.message {
            Message::Text(text) => text.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn replies_overtake_events_and_events_overtake_bulk() {
        let (lanes, mut waiting) = lanes();
        lanes.bulk(Bytes::from_static(b"bulk")).await.unwrap();
        lanes.event("event".into()).await.unwrap();
        lanes.reply("reply".into(), None).await.unwrap();
        assert_eq!(text(waiting.next().await), "reply");
        assert_eq!(text(waiting.next().await), "event");
        assert!(matches!(waiting.next().await.message, Message::Binary(_)));
        assert!(waiting.is_idle());
    }

    #[tokio::test]
    async fn events_cannot_silence_a_channel() {
        let (lanes, mut waiting) = lanes();
        lanes.bulk(Bytes::from_static(b"bulk")).await.unwrap();
        for _ in 0..EVENTS_QUEUED_MAX {
            lanes.event("event".into()).await.unwrap();
        }
        let mut before = 0;
        while matches!(waiting.next().await.message, Message::Text(_)) {
            before += 1;
        }
        assert_eq!(before, BULK_TURN_MESSAGES);
    }
}
