//! Byte channels of one socket: numbers, and a pump for each.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use midplane_model::{
    Channel, ChannelKind, ErrorCode, Fault, Frame, FrameSink, FrameSource, channel::op, limits::CHANNELS_MAX,
};
use midplane_protocol::{decode_frame, encode_frame};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Connection, calls::Answered, closing::CloseReason, lanes::Ended};

/// Open channels by number; at most `CHANNELS_MAX`, one more is `quota_exceeded`.
#[derive(Default)]
pub(crate) struct Channels {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The number given last. A number is not given again before all others were, so that a late frame of a closed
    /// channel cannot reach its successor.
    last: u32,
    open: HashMap<u32, Open>,
}

struct Open {
    kind: ChannelKind,
    sink: Arc<dyn FrameSink>,
    cancel: CancellationToken,
}

impl Channels {
    pub(crate) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Ends a channel. One that is not there is no error.
    pub(crate) fn close(&self, number: u32) {
        if let Some(open) = self.lock().open.remove(&number) {
            open.cancel.cancel();
        }
    }

    pub(crate) fn clear(&self) {
        let open = std::mem::take(&mut self.lock().open);
        // Dropped after the lock: a sink may close its channel when it ends.
        drop(open);
    }

    fn add(&self, kind: ChannelKind, sink: Arc<dyn FrameSink>, cancel: CancellationToken) -> Result<u32, Fault> {
        let mut table = self.lock();
        if table.open.len() >= CHANNELS_MAX {
            let message = format!("a connection has at most {CHANNELS_MAX} channels; detach from one");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", CHANNELS_MAX));
        }
        loop {
            table.last = table.last.wrapping_add(1).max(1);
            let number = table.last;
            if let Entry::Vacant(place) = table.open.entry(number) {
                place.insert(Open { kind, sink, cancel });
                return Ok(number);
            }
        }
    }

    fn sink(&self, number: u32, kind: ChannelKind) -> Option<Arc<dyn FrameSink>> {
        self.lock().open.get(&number).filter(|open| open.kind == kind).map(|open| open.sink.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the channel a number and starts its pump.
///
/// # Errors
/// `quota_exceeded`.
pub(crate) fn open(connection: &Arc<Connection>, channel: Channel, answered: Answered) -> Result<u32, Fault> {
    let Channel { kind, source, sink } = channel;
    let cancel = connection.closing.child_token();
    let number = connection.channels.add(kind, sink, cancel.clone())?;
    let pump = Pump { connection: connection.clone(), kind, number, source };
    connection.tasks.spawn(async move { pump.run(answered, cancel).await });
    Ok(number)
}

/// Moves frames from a source to the socket, at the socket's pace.
struct Pump {
    connection: Arc<Connection>,
    kind: ChannelKind,
    number: u32,
    source: Box<dyn FrameSource>,
}

impl Pump {
    async fn run(mut self, answered: Answered, cancel: CancellationToken) {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            // Without the call's success the client does not know the channel's number.
            () = async { if answered.delivered().await { self.pump().await } } => {}
        }
        self.connection.channels.close(self.number);
    }

    async fn pump(&mut self) {
        while let Some(frame) = self.source.next().await {
            let wire = match encode_frame(self.kind, self.number, &frame) {
                Ok(wire) => wire,
                Err(error) => {
                    tracing::error!(%error, channel = self.number, "a source made a frame that cannot be sent");
                    return;
                }
            };
            if self.connection.lanes.bulk(wire).await.is_err() {
                return;
            }
        }
    }
}

/// Hands a binary message to its channel. What the channel refuses is answered with a META frame `{"error": …}`.
///
/// # Errors
/// `ProtocolError` for what is no frame: its sender and this host do not speak the same protocol.
pub(crate) async fn receive(connection: &Connection, wire: Bytes) -> Result<Result<(), Ended>, CloseReason> {
    let (kind, number, frame) = decode_frame(wire).map_err(|error| {
        tracing::debug!(%error, "a binary message that is no frame");
        CloseReason::ProtocolError
    })?;
    let received = match connection.channels.sink(number, kind) {
        Some(sink) => sink.receive(frame),
        None => Err(Fault::not_found(format!("there is no channel {number} of this kind"))),
    };
    match received {
        Ok(()) => Ok(Ok(())),
        Err(fault) => Ok(connection.lanes.frame_reply(refusal(kind, number, &fault)).await),
    }
}

fn refusal(kind: ChannelKind, number: u32, fault: &Fault) -> Bytes {
    let error = json!({"error": {"code": fault.code.as_str(), "message": fault.message, "details": fault.details}});
    let frame = Frame { op: op::META, flags: 0, offset: 0, payload: error.to_string().into() };
    encode_frame(kind, number, &frame).unwrap_or_else(|error| {
        tracing::error!(%error, "a refusal that is longer than a frame");
        Bytes::new()
    })
}
