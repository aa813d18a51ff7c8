//! What waits for the writer of one socket, by urgency: replies before events before bulk. (Control needs no lane: pings and
//! the close are the writer's own.)
//!
//! Each lane is bounded in messages and in bytes. Strict order would let a faster lane keep a slower one silent, so after
//! `EVENT_TURN_MESSAGES` replies a waiting event has its turn, and after `BULK_TURN_MESSAGES` of either a waiting binary frame.
//! Within a lane those who wait are served in turn, one message each: no channel can keep another from its own.

use std::sync::Arc;

use axum::extract::ws::Message;
use bytes::Bytes;
use midplane_model::limits::{
    BULK_BYTES_QUEUED_MAX, BULK_FRAMES_QUEUED_MAX, BULK_TURN_MESSAGES, EVENT_TURN_MESSAGES, EVENTS_BYTES_QUEUED_MAX,
    EVENTS_QUEUED_MAX, REPLIES_BYTES_QUEUED_MAX, REPLIES_QUEUED_MAX,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A message on its way out. A reply holds its call's place until it is written: a client that does not read its answers
/// runs out of calls, not the host out of memory.
pub(crate) struct Outgoing {
    pub message: Message,
    held: Held,
}

/// What is given back when a message is written.
#[derive(Default)]
pub(crate) struct Held {
    #[expect(dead_code, reason = "held, never read")]
    place: Option<OwnedSemaphorePermit>,
    #[expect(dead_code, reason = "held, never read")]
    room: Option<OwnedSemaphorePermit>,
}

impl Outgoing {
    pub(crate) fn into_parts(self) -> (Message, Held) {
        (self.message, self.held)
    }
}

impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self { message, held: Held::default() }
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
    replies: Lane,
    events: Lane,
    bulk: Lane,
}

#[derive(Clone)]
struct Lane {
    queue: mpsc::Sender<Outgoing>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Lane {
    fn new(messages_max: usize, bytes_max: usize) -> (Self, mpsc::Receiver<Outgoing>) {
        let (queue, waiting) = mpsc::channel(messages_max);
        (Self { queue, bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }, waiting)
    }

    /// Waits for room. One message larger than the whole lane still fits, alone. Cancel safe: dropped, it is not sent.
    async fn send(&self, message: Message, place: Option<OwnedSemaphorePermit>) -> Result<(), Ended> {
        let size = u32::try_from(size(&message).clamp(1, self.bytes_max)).unwrap_or(u32::MAX);
        let room = self.bytes.clone().acquire_many_owned(size).await.map_err(|_| Ended)?;
        let held = Held { place, room: Some(room) };
        self.queue.send(Outgoing { message, held }).await.map_err(|_| Ended)
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

/// The writer's side.
pub(crate) struct Waiting {
    replies: mpsc::Receiver<Outgoing>,
    events: mpsc::Receiver<Outgoing>,
    bulk: mpsc::Receiver<Outgoing>,
    /// Replies since an event had its turn.
    since_event: u32,
    /// Messages since a binary frame had its turn.
    since_bulk: u32,
}

pub(crate) fn lanes() -> (Lanes, Waiting) {
    let (replies, waiting_replies) = Lane::new(REPLIES_QUEUED_MAX, REPLIES_BYTES_QUEUED_MAX);
    let (events, waiting_events) = Lane::new(EVENTS_QUEUED_MAX, EVENTS_BYTES_QUEUED_MAX);
    let (bulk, waiting_bulk) = Lane::new(BULK_FRAMES_QUEUED_MAX, BULK_BYTES_QUEUED_MAX);
    let (replied, happened, flowed) = (waiting_replies, waiting_events, waiting_bulk);
    let waiting = Waiting { replies: replied, events: happened, bulk: flowed, since_event: 0, since_bulk: 0 };
    (Lanes { replies, events, bulk }, waiting)
}

/// Room that is held for one message.
pub(crate) struct Room<'a>(mpsc::Permit<'a, Outgoing>);

impl Room<'_> {
    /// `place` is held until the message is written.
    pub(crate) fn fill(self, text: String, place: Option<OwnedSemaphorePermit>) {
        self.0.send(Outgoing { message: Message::Text(text.into()), held: Held { place, room: None } });
    }
}

impl Lanes {
    /// An answer, with the call's place. Cancel safe: dropped before it is queued, it is not sent.
    pub(crate) async fn reply(&self, text: String, place: Option<OwnedSemaphorePermit>) -> Result<(), Ended> {
        self.replies.send(Message::Text(text.into()), place).await
    }

    /// Room for one message beside the answers, whose sender keeps to one at a time; its bytes are not counted. Cancel safe.
    pub(crate) async fn room_for_reply(&self) -> Result<Room<'_>, Ended> {
        self.replies.queue.reserve().await.map(Room).map_err(|_| Ended)
    }

    /// A binary frame that answers one of the client's.
    pub(crate) async fn frame_reply(&self, frame: Bytes) -> Result<(), Ended> {
        self.replies.send(Message::Binary(frame), None).await
    }

    pub(crate) async fn event(&self, text: String) -> Result<(), Ended> {
        self.events.send(Message::Text(text.into()), None).await
    }

    /// A ping behind all events that are queued.
    pub(crate) async fn ping(&self, payload: Bytes) -> Result<(), Ended> {
        self.events.send(Message::Ping(payload), None).await
    }

    pub(crate) async fn bulk(&self, frame: Bytes) -> Result<(), Ended> {
        self.bulk.send(Message::Binary(frame), None).await
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
        if let Some(outgoing) = self.overdue() {
            return outgoing;
        }
        tokio::select! {
            biased;
            Some(reply) = self.replies.recv() => {
                (self.since_event, self.since_bulk) = (self.since_event + 1, self.since_bulk + 1);
                reply
            }
            Some(event) = self.events.recv() => {
                (self.since_event, self.since_bulk) = (0, self.since_bulk + 1);
                event
            }
            Some(frame) = self.bulk.recv() => {
                self.since_bulk = 0;
                frame
            }
            else => std::future::pending().await,
        }
    }

    /// What faster lanes have kept waiting for long enough.
    fn overdue(&mut self) -> Option<Outgoing> {
        if self.since_bulk >= BULK_TURN_MESSAGES {
            self.since_bulk = 0;
            if let Ok(frame) = self.bulk.try_recv() {
                return Some(frame);
            }
        }
        if self.since_event >= EVENT_TURN_MESSAGES {
            self.since_event = 0;
            if let Ok(event) = self.events.try_recv() {
                self.since_bulk += 1;
                return Some(event);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

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

    #[tokio::test]
    async fn replies_cannot_silence_events() {
        let (lanes, mut waiting) = lanes();
        lanes.event("event".into()).await.unwrap();
        for _ in 0..2 * EVENT_TURN_MESSAGES {
            lanes.reply("reply".into(), None).await.unwrap();
        }
        let mut before = 0;
        while text(waiting.next().await) == "reply" {
            before += 1;
        }
        assert_eq!(before, EVENT_TURN_MESSAGES);
    }

    #[tokio::test]
    async fn a_lane_is_full_when_its_bytes_are_and_one_larger_message_fits_alone() {
        let (lanes, mut waiting) = lanes();
        lanes.event("x".repeat(2 * EVENTS_BYTES_QUEUED_MAX)).await.unwrap();
        assert!(lanes.event("x".into()).now_or_never().is_none(), "even one byte more waits");
        assert!(lanes.reply("x".into(), None).now_or_never().is_some(), "other lanes do not");
        drop(waiting.next().await);
        let (message, held) = waiting.next().await.into_parts();
        assert!(lanes.event("x".into()).now_or_never().is_none(), "taken is not yet written");
        drop((message, held));
        assert!(lanes.event("x".into()).now_or_never().is_some());
    }

    #[tokio::test]
    async fn channels_take_turns_however_much_one_of_them_has() {
        let (lanes, mut waiting) = lanes();
        let flood = async {
            for _ in 0..1000 {
                lanes.bulk(Bytes::from_static(b"flood")).await.unwrap();
            }
        };
        let mut flood = std::pin::pin!(flood);
        assert!(flood.as_mut().now_or_never().is_none(), "the lane is full");
        let mut quiet = std::pin::pin!(lanes.bulk(Bytes::from_static(b"quiet")));
        assert!(quiet.as_mut().now_or_never().is_none());
        let (mut before, mut queued) = (0, false);
        loop {
            let frame = waiting.next().await;
            if matches!(&frame.message, Message::Binary(bytes) if &**bytes == b"quiet") {
                break;
            }
            drop(frame);
            before += 1;
            assert!(flood.as_mut().now_or_never().is_none(), "the flood goes on");
            queued = queued || quiet.as_mut().now_or_never().is_some();
        }
        assert!(before <= BULK_FRAMES_QUEUED_MAX + 1, "{before} frames of the other came first");
    }
}
