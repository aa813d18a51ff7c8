//! Reads a socket and hands each message on, without waiting for what it starts: whatever is in flight, a cancel, an ack or a
//! pong is read. Notices when nobody is there any more.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{StreamExt as _, stream::SplitStream};
use midplane_model::limits::CLOSE_WAIT_MAX;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as SocketError;

use super::{Connection, channels, closing::CloseReason, confirming, dispatch};
use crate::shared::Shared;

/// Reads until the socket ends, then until the other side has closed too, for at most `CLOSE_WAIT_MAX`.
pub(crate) async fn run(shared: &Arc<Shared>, connection: &Arc<Connection>, mut stream: SplitStream<WebSocket>) {
    let reason = read(shared, connection, &mut stream).await;
    connection.closing.request(reason);
    let closed = async { while let Some(Ok(_)) = stream.next().await {} };
    if timeout(CLOSE_WAIT_MAX, closed).await.is_err() {
        tracing::debug!("the client did not close in time");
    }
}

async fn read(shared: &Arc<Shared>, connection: &Arc<Connection>, stream: &mut SplitStream<WebSocket>) -> CloseReason {
    loop {
        let message = tokio::select! {
            biased;
            () = connection.closing.requested() => return CloseReason::ClientGone,
            () = shared.shutdown.cancelled() => return CloseReason::GoingAway,
            message = timeout(shared.config.limits.silence_max, stream.next()) => message,
        };
        if matches!(message, Ok(Some(Ok(Message::Text(_) | Message::Binary(_)))))
            && connection.is_first_since_rotation()
        {
            shared.sessions.heard(connection);
        }
        let handled = match message {
            Err(_) => return CloseReason::Silent,
            Ok(None) => return CloseReason::ClientGone,
            Ok(Some(Err(error))) => return reason_of(error),
            Ok(Some(Ok(Message::Text(text)))) => dispatch::receive(shared, connection, &text).await,
            Ok(Some(Ok(Message::Binary(frame)))) => match channels::receive(connection, frame).await {
                Ok(handled) => handled,
                Err(reason) => return reason,
            },
            Ok(Some(Ok(Message::Pong(payload)))) => {
                confirming::answered(connection, &payload);
                Ok(())
            }
            // The library answers pings and closes; that something came is all that counts here.
            Ok(Some(Ok(Message::Ping(_) | Message::Close(_)))) => Ok(()),
        };
        if handled.is_err() {
            return CloseReason::ClientGone;
        }
    }
}

fn reason_of(error: axum::Error) -> CloseReason {
    match error.into_inner().downcast_ref::<SocketError>() {
        Some(SocketError::Capacity(_)) => CloseReason::MessageTooLarge,
        Some(SocketError::Utf8(_)) => CloseReason::InvalidUtf8,
        Some(SocketError::Protocol(_)) => CloseReason::ProtocolError,
        _ => CloseReason::ClientGone,
    }
}
