//! The only one to write to a socket: draws from the lanes, pings, and says goodbye.

use std::{future::Future, pin::pin};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt as _, stream::SplitSink};
use midplane_model::limits::CLOSE_WAIT_MAX;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{
    closing::{CloseReason, Closing},
    lanes::Waiting,
};
use crate::config::GatewayLimits;

pub(crate) struct Writer {
    sink: SplitSink<WebSocket, Message>,
    waiting: Waiting,
    closing: Closing,
    limits: GatewayLimits,
}

impl Writer {
    pub(crate) fn new(
        sink: SplitSink<WebSocket, Message>,
        waiting: Waiting,
        closing: Closing,
        limits: GatewayLimits,
    ) -> Self {
        Self { sink, waiting, closing, limits }
    }

    /// Writes until the socket is to end, then the close frame.
    pub(crate) async fn run(mut self) {
        if let Err(reason) = self.write().await {
            self.closing.request(reason);
        }
        // A client that does not read gets no close frame either: nobody waits for it longer than this.
        if timeout(CLOSE_WAIT_MAX, self.say_goodbye()).await.is_err() {
            tracing::debug!("the close frame could not be written in time");
        }
    }

    async fn write(&mut self) -> Result<(), CloseReason> {
        let period = self.limits.ping_interval;
        let mut ping = interval_at(Instant::now() + period, period);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.waiting.is_idle() {
                self.in_time(|sink| sink.flush()).await?;
            }
            let outgoing = tokio::select! {
                biased;
                () = self.closing.requested() => return Ok(()),
                _ = ping.tick() => Message::Ping(Bytes::new()).into(),
                outgoing = self.waiting.next() => outgoing,
            };
            let (message, held) = outgoing.into_parts();
            self.in_time(|sink| sink.feed(message)).await?;
            // Only now does a reply's call lose its place, and its lane the bytes.
            drop(held);
        }
    }

    /// One step of the sink. A client that accepts nothing for `write_stall_max` is too slow; when the socket is to end
    /// anyway, the step gets no more than `CLOSE_WAIT_MAX`.
    async fn in_time<'a, F>(
        &'a mut self,
        step: impl FnOnce(&'a mut SplitSink<WebSocket, Message>) -> F,
    ) -> Result<(), CloseReason>
    where
        F: Future<Output = Result<(), axum::Error>> + 'a,
    {
        let mut step = pin!(step(&mut self.sink));
        let result = tokio::select! {
            biased;
            result = &mut step => Some(result),
            () = tokio::time::sleep(self.limits.write_stall_max) => None,
            () = self.closing.requested() => timeout(CLOSE_WAIT_MAX, step).await.ok(),
        };
        match result {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(CloseReason::ClientGone),
            None => Err(CloseReason::SlowConsumer),
        }
    }

    async fn say_goodbye(&mut self) {
        let Some(frame) = self.closing.reason().and_then(CloseReason::frame) else { return };
        // Answers that are ready are still worth having; errors mean that nobody is there.
        while let Some(reply) = self.waiting.ready_reply() {
            if self.sink.feed(reply.message).await.is_err() {
                return;
            }
        }
        let _ = self.sink.send(Message::Close(Some(frame))).await;
    }
}
