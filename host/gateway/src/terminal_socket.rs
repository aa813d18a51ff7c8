//! `GET /ws/terminals/{id}`: one terminal for clients that know nothing of channels, such as the attach addon of xterm.js.
//!
//! Binary messages are bytes, both ways. Text is input, too; with the subprotocol `midplane.terminal.v1` it is JSON control
//! instead: `{"resize": {"cols", "rows", "visible"?}}` from the client, what META frames tell and `{"exit": {"code", "signal"}}`
//! from the host. The query may say `role` (`drive` where nothing is said), `cols`, `rows` and `scrollback_lines`.
//!
//! It is an attachment like any other: `terminals.attach` decides, and opens its channel on the connection that this makes.
//! Such a client cannot acknowledge, so what the socket has taken counts as seen; one that does not read lags, and gets the
//! present screen later.

mod input;
mod peer;

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    extract::{
        Path, Query, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use midplane_model::{
    Channel, ErrorCode, Fault, Frame,
    channel::op,
    limits::{PING_INTERVAL, SILENCE_MAX, TERMINAL_PASTE_BYTES_MAX, WRITE_STALL_MAX},
};
use midplane_protocol::{Invocation, Meta};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    problem::Problem,
    shared::Shared,
    socket::handshake,
    tokens::{End, Identity},
};
use input::Input;
use peer::OneChannel;

/// The path's beginning, for credentials that only sockets may carry.
pub(crate) const PREFIX: &str = "/ws/terminals/";
/// With it, text is JSON.
const PROTOCOL: &str = "midplane.terminal.v1";
/// In a SNAPSHOT, before the bytes.
const SNAPSHOT_HEAD_BYTES: usize = 8;

#[derive(Deserialize)]
pub(crate) struct Asked {
    role: Option<String>,
    cols: Option<u16>,
    rows: Option<u16>,
    scrollback_lines: Option<u32>,
}

pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = handshake(upgrade, TERMINAL_PASTE_BYTES_MAX)?.protocols([PROTOCOL]);
    let slot = shared.connections.reserve(&identity.principal)?;
    let channel = attach(&shared, &identity, &id, &asked).await?;
    let joined = shared.sockets.token();
    let speaks_json = upgrade.selected_protocol().is_some();
    Ok(upgrade.on_upgrade(async move |socket| {
        serve(&shared, &identity, socket, channel, speaks_json).await;
        drop((slot, joined));
    }))
}

/// Refusals are the answer to the handshake: such clients could not read them later.
async fn attach(shared: &Arc<Shared>, identity: &Identity, id: &str, asked: &Asked) -> Result<Channel, Fault> {
    let peer = Arc::new(OneChannel::new(shared.connections.next_id()));
    let mut params = json!({ "id": id });
    let members = [
        ("role", asked.role.clone().map(Value::from)),
        ("cols", asked.cols.map(Value::from)),
        ("rows", asked.rows.map(Value::from)),
        ("scrollback_lines", asked.scrollback_lines.map(Value::from)),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            params[name] = value;
        }
    }
    let meta = Meta::default();
    let context = shared.context(&identity.principal, Some(peer.clone()), &meta, shared.abort.child_token());
    shared.run(Invocation { method: "terminals.attach".into(), params, meta }, context).await?;
    peer.take().ok_or_else(Fault::internal)
}

/// Until either side ends.
async fn serve(shared: &Shared, identity: &Identity, socket: WebSocket, channel: Channel, speaks_json: bool) {
    let Channel { mut source, sink, .. } = channel;
    let (mut out, mut from_client) = socket.split();
    let mut client = Client { speaks_json, input: Input::new(sink), heard: Instant::now(), output_to: None };
    let mut pings = tokio::time::interval(PING_INTERVAL);
    let close = loop {
        let message = tokio::select! {
            frame = source.next() => match frame {
                Some(frame) => match client.told(&frame) {
                    Told::Message(message) => message,
                    Told::Nothing => continue,
                    Told::End(first, close) => {
                        if let Some(message) = first {
                            _ = send(&mut out, message).await;
                        }
                        break Some(close);
                    }
                },
                None => break Some(closing(1000, "the terminal was closed")),
            },
            message = from_client.next(), if client.input.has_room() => match message {
                Some(Ok(message)) => match client.received(message) {
                    Ok(()) => continue,
                    Err(fault) => break Some(closing(1007, &fault.message)),
                },
                _ => break None,
            },
            _ = pings.tick() => {
                if client.heard.elapsed() > SILENCE_MAX && client.input.has_room() {
                    break None;
                }
                Message::Ping(Bytes::new())
            }
            end = identity.ended() => break Some(match end {
                End::Invalid => closing(4001, "the token has ended"),
                End::Unconfirmed => closing(4012, "the token cannot be confirmed now"),
            }),
            () = shared.shutdown.cancelled() => break Some(closing(4012, "the host is stopping")),
        };
        if send(&mut out, message).await.is_err() {
            break None;
        }
        client.taken();
    };
    if let Some(close) = close {
        _ = send(&mut out, Message::Close(Some(close))).await;
    }
}

/// A client that takes nothing for too long is gone.
async fn send(out: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), ()> {
    match tokio::time::timeout(WRITE_STALL_MAX, out.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

fn closing(code: u16, reason: &str) -> CloseFrame {
    // A close frame has room for 123 bytes.
    let end = reason.char_indices().map(|(at, _)| at).take_while(|at| *at <= 120).last().unwrap_or(0);
    let reason = if reason.len() <= 120 { reason } else { &reason[..end] };
    CloseFrame { code, reason: reason.into() }
}

struct Client {
    speaks_json: bool,
    input: Input,
    heard: Instant,
    /// Where the output ends that is being sent.
    output_to: Option<u64>,
}

enum Told {
    Message(Message),
    Nothing,
    End(Option<Message>, CloseFrame),
}

impl Client {
    /// What a frame is for a client without channels.
    fn told(&mut self, frame: &Frame) -> Told {
        match frame.op {
            op::OUTPUT => {
                self.output_to = Some(frame.offset + frame.payload.len() as u64);
                Told::Message(Message::Binary(frame.payload.clone()))
            }
            op::SNAPSHOT => Told::Message(Message::Binary(frame.payload.slice(SNAPSHOT_HEAD_BYTES..))),
            op::INPUT_ACK => {
                self.input.accepted(frame.offset);
                Told::Nothing
            }
            op::META if self.speaks_json => match std::str::from_utf8(&frame.payload) {
                Ok(text) => Told::Message(Message::Text(text.into())),
                Err(_) => Told::Nothing,
            },
            op::EXIT => {
                let code = frame.payload.first_chunk().map_or(-1, |code| i32::from_be_bytes(*code));
                let signal = frame.payload.get(4).copied().filter(|signal| *signal != 0);
                let told = json!({ "exit": { "code": code, "signal": signal } });
                let message = self.speaks_json.then(|| Message::Text(told.to_string().into()));
                Told::End(message, closing(1000, &format!("the program has exited with code {code}")))
            }
            _ => Told::Nothing,
        }
    }

    /// The socket has taken what was sent.
    fn taken(&mut self) {
        if let Some(offset) = self.output_to.take() {
            self.input.frame(op::ACK, offset, Bytes::new());
        }
    }

    /// # Errors
    /// For control that is none.
    fn received(&mut self, message: Message) -> Result<(), Fault> {
        self.heard = Instant::now();
        match message {
            Message::Binary(bytes) => self.input.typed(&bytes),
            Message::Text(text) if self.speaks_json => return self.control(text.as_str()),
            Message::Text(text) => self.input.typed(text.as_bytes()),
            _ => {}
        }
        Ok(())
    }

    fn control(&self, text: &str) -> Result<(), Fault> {
        let wrong =
            || Fault::new(ErrorCode::InvalidRequest, "control is {\"resize\": {\"cols\", \"rows\", \"visible\"?}}");
        #[derive(Deserialize)]
        struct Control {
            resize: Resize,
        }
        #[derive(Deserialize)]
        struct Resize {
            cols: u16,
            rows: u16,
            visible: Option<bool>,
        }
        let Control { resize } = serde_json::from_str(text).map_err(|_| wrong())?;
        let mut payload = BytesMut::with_capacity(5);
        payload.put_u16(resize.cols);
        payload.put_u16(resize.rows);
        payload.put_u8(resize.visible.unwrap_or(true).into());
        self.input.frame(op::RESIZE, 0, payload.freeze());
        Ok(())
    }
}
