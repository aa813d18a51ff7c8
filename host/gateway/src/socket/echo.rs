//! The socket without JSON-RPC: what comes goes back. For a client that judges the WebSocket itself (`cargo xtask conformance`);
//! no program has it.

use std::io::Read as _;

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    response::Response,
    routing::get,
};
use futures_util::{StreamExt as _, stream::SplitStream};
use midplane_model::limits::MESSAGE_BYTES_MAX;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    closing::{CloseReason, Closing},
    handshake,
    lanes::{Lanes, lanes},
    reader,
    writer::Writer,
};
use crate::{config::GatewayLimits, problem::Problem};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a server, for `cargo xtask conformance`"]
#[expect(clippy::print_stdout, reason = "whoever started it reads where it is")]
async fn echoes_until_its_input_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("echo at ws://{}/", listener.local_addr().unwrap());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let serving = axum::serve(listener, Router::new().route("/", get(upgrade)));
    serving.with_graceful_shutdown(async move { _ = ended.await }).await.unwrap();
}

async fn upgrade(upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Result<Response, Problem> {
    Ok(handshake(upgrade, MESSAGE_BYTES_MAX)?.on_upgrade(serve))
}

/// As `socket::run` does it, without a connection that anything else could know.
async fn serve(socket: WebSocket) {
    let (sink, mut stream) = socket.split();
    let ((lanes, waiting), closing) = (lanes(), Closing::default());
    let writer = Writer::new(sink, waiting, closing.clone(), GatewayLimits::default());
    let reading = async {
        let reason = echo(&mut stream, &lanes, &closing).await;
        closing.request(reason);
        reader::drain(stream, reason).await;
    };
    tokio::join!(writer.run(), reading);
}

async fn echo(stream: &mut SplitStream<WebSocket>, lanes: &Lanes, closing: &Closing) -> CloseReason {
    let (shutdown, silence_max) = (CancellationToken::new(), GatewayLimits::default().silence_max);
    loop {
        let sent = match reader::next(closing, &shutdown, silence_max, stream).await {
            Ok(Message::Text(text)) => lanes.reply(text.to_string(), None).await,
            Ok(Message::Binary(bytes)) => lanes.frame_reply(bytes).await,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => Ok(()),
            Err(reason) => return reason,
        };
        if sent.is_err() {
            return CloseReason::ClientGone;
        }
    }
}
