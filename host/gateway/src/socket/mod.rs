//! One WebSocket, from upgrade to close.
//!
//! Three parts share a [`Connection`]: the [`reader`] hands messages to [`dispatch`], which starts tasks and never waits for
//! one, so that a cancel can overtake; the [`writer`] is the only one to write, and draws from [`lanes`]; between them run
//! the calls, [`channels`] and [`subscriptions`], all joined before the socket's task ends. [`closing`] is how any of them
//! ends the rest.

mod calls;
mod channels;
mod closing;
mod confirming;
mod connection;
mod connections;
mod dispatch;
#[cfg(test)]
mod echo;
mod lanes;
mod place;
mod progress;
mod reader;
mod subscriptions;
mod writer;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        State,
        ws::{WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{StatusCode, header},
    response::Response,
};
use futures_util::StreamExt as _;
use midplane_model::{
    ErrorCode, Fault,
    limits::{SOCKET_READ_BUFFER_BYTES, SOCKET_WRITE_BUFFER_BYTES},
};

use crate::{problem::Problem, shared::Shared, tokens::Identity};
pub(crate) use closing::CloseReason;
pub(crate) use confirming::start as start_confirming;
pub(crate) use connection::Connection;
pub(crate) use connections::{Connections, Slot};
pub(crate) use place::{Away, Wish};
pub(crate) use progress::Telling;
pub(crate) use reader::drain;
pub(crate) use subscriptions::{Beginning, Recovery, open as open_subscription};

/// The subprotocol of this socket.
pub(crate) const PROTOCOL: &str = "midplane.v1";

/// `GET /ws`.
pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let message_bytes = shared.config.limits.message_bytes;
    let upgrade = handshake(upgrade, message_bytes)?.protocols([PROTOCOL]);
    if upgrade.requested_protocols().next().is_some() && upgrade.selected_protocol().is_none() {
        let fault = Fault::new(ErrorCode::UnsupportedVersion, "none of the subprotocols offered is spoken here");
        let detail = format!("{}; offer {PROTOCOL:?}", fault.message);
        return Err(Problem::with_status(StatusCode::BAD_REQUEST, fault.code, detail));
    }
    let slot = shared.connections.reserve(&identity.principal)?;
    // Taken now: between this answer and the upgrade the socket has no task that could be joined.
    let joined = shared.sockets.token();
    let upgrade = upgrade.on_failed_upgrade(|error| tracing::debug!(%error, "a WebSocket was not upgraded"));
    Ok(upgrade.on_upgrade(async move |socket| {
        run(&shared, socket, identity, slot).await;
        drop(joined);
    }))
}

/// What every socket begins with: a handshake, buffers of our size and a bound for messages. It holds for frames too: one is read
/// whole before its message is looked at.
pub(crate) fn handshake(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    message_bytes: usize,
) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|rejection| refused(&rejection))?;
    Ok(upgrade
        .read_buffer_size(SOCKET_READ_BUFFER_BYTES)
        .write_buffer_size(SOCKET_WRITE_BUFFER_BYTES)
        .max_message_size(message_bytes)
        .max_frame_size(message_bytes))
}

/// Says what of the handshake is missing (RFC 6455, section 4.2.1), and which version is spoken (4.2.2).
fn refused(rejection: &WebSocketUpgradeRejection) -> Problem {
    if matches!(rejection, WebSocketUpgradeRejection::MethodNotGet(_)) {
        return Problem::other_method("GET, OPTIONS");
    }
    let status = match rejection {
        WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_) => StatusCode::UPGRADE_REQUIRED,
        _ => rejection.status(),
    };
    let detail = format!("this path wants a WebSocket handshake: {}", rejection.body_text());
    Problem::with_status(status, ErrorCode::InvalidRequest, detail).with_header(header::SEC_WEBSOCKET_VERSION, "13")
}

/// Serves one socket to its end: whichever side closes it, everything that belongs to it has ended when this returns.
async fn run(shared: &Arc<Shared>, socket: WebSocket, identity: Arc<Identity>, slot: Slot) {
    let (lanes, waiting) = lanes::lanes();
    let (sink, stream) = socket.split();
    let limits = shared.config.limits;
    let make = |id| Connection::new(id, identity.clone(), lanes, limits.calls_in_flight);
    let registration = shared.connections.open(slot, make);
    let connection = &registration.connection;
    tracing::info!(connection = connection.id.0, principal = %connection.principal.name, "socket opened");
    let writer = writer::Writer::new(sink, waiting, connection.closing.clone(), limits);
    let ((), (), ()) =
        tokio::join!(writer.run(), reader::run(shared, connection, stream), watch_token(connection, &identity));
    connection.end().await;
    shared.sessions.leave(connection);
    let reason = connection.closing.reason().unwrap_or(CloseReason::ClientGone);
    shared.metrics.closed(reason);
    tracing::info!(connection = connection.id.0, ?reason, "socket closed");
}

/// Ends the socket when its token does.
async fn watch_token(connection: &Connection, identity: &Identity) {
    tokio::select! {
        end = identity.ended() => connection.closing.request(end.into()),
        () = connection.closing.requested() => {}
    }
}
