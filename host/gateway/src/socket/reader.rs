//! Reads a socket and hands each message on, without waiting for what it starts: whatever is in flight, a cancel, an ack or a
//! pong is read. Notices when nobody is there any more.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use futures_util::{StreamExt as _, stream::SplitStream};
use midplane_model::limits::CLOSE_WAIT_MAX;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Connection, channels,
    closing::{CloseReason, Closing},
    confirming, dispatch,
};
use crate::shared::Shared;

/// Reads until the socket ends, then until the other side has closed too, for at most `CLOSE_WAIT_MAX`.
pub(crate) async fn run(shared: &Arc<Shared>, connection: &Arc<Connection>, mut stream: SplitStream<WebSocket>) {
    let reason = read(shared, connection, &mut stream).await;
    connection.closing.request(reason);
    drain(stream, reason).await;
}

/// Reads what still comes until the other side has closed too, for at most `CLOSE_WAIT_MAX`.
pub(crate) async fn drain(mut stream: SplitStream<WebSocket>, reason: CloseReason) {
    if reason == CloseReason::MessageTooLarge {
        // The rest of it is never read, and a connection that is dropped with bytes unread takes along what was sent. So
        // whoever still sends gets the same time to see the close frame.
        return tokio::time::sleep(CLOSE_WAIT_MAX).await;
    }
    let closed = async { while let Some(Ok(_)) = stream.next().await {} };
    if timeout(CLOSE_WAIT_MAX, closed).await.is_err() {
        tracing::debug!("the client did not close in time");
    }
}

async fn read(shared: &Arc<Shared>, connection: &Arc<Connection>, stream: &mut SplitStream<WebSocket>) -> CloseReason {
    loop {
        let message = match next(&connection.closing, &shared.shutdown, shared.config.limits.silence_max, stream).await
        {
            Ok(message) => message,
            Err(reason) => return reason,
        };
        if matches!(message, Message::Text(_) | Message::Binary(_)) && connection.is_first_since_rotation() {
            shared.sessions.heard(connection);
        }
        let handled = match message {
            Message::Text(text) => dispatch::receive(shared, connection, &text).await,
            Message::Binary(frame) => match channels::receive(connection, frame).await {
                Ok(handled) => handled,
                Err(reason) => return reason,
            },
            Message::Pong(payload) => {
                confirming::answered(connection, &payload);
                Ok(())
            }
            // The library answers pings and closes; that something came is all that counts here.
            Message::Ping(_) | Message::Close(_) => Ok(()),
        };
        if handled.is_err() {
            return CloseReason::ClientGone;
        }
    }
}

/// The next message, or why there is none. Cancel safe.
pub(super) async fn next(
    closing: &Closing,
    shutdown: &CancellationToken,
    silence_max: Duration,
    stream: &mut SplitStream<WebSocket>,
) -> Result<Message, CloseReason> {
    let message = tokio::select! {
        biased;
        () = closing.requested() => return Err(CloseReason::ClientGone),
        () = shutdown.cancelled() => return Err(CloseReason::GoingAway),
        message = timeout(silence_max, stream.next()) => message,
    };
    match message {
        Err(_) => Err(CloseReason::Silent),
        Ok(None) => Err(CloseReason::ClientGone),
        Ok(Some(message)) => message.map_err(CloseReason::from),
    }
}
