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

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use midplane_model::{
    Channel, ErrorCode, Fault, Frame,
    channel::op,
    limits::{CLOSE_WAIT_MAX, TERMINAL_PASTE_BYTES_MAX},
};
use midplane_protocol::{Invocation, Meta};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use crate::{
    problem::Problem,
    shared::Shared,
    socket::{CloseReason, drain, handshake},
    tokens::Identity,
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
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    role: Option<String>,
    cols: Option<u16>,
    rows: Option<u16>,
    scrollback_lines: Option<u32>,
    /// Looked at where the request came in.
    #[serde(rename = "ticket")]
    _ticket: Option<IgnoredAny>,
}

pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = handshake(upgrade, TERMINAL_PASTE_BYTES_MAX)?.protocols([PROTOCOL]);
    let Path(id) =
        id.map_err(|_| Fault::new(ErrorCode::InvalidRequest, "the terminal's id in the path is not UTF-8"))?;
    let Query(asked) = asked.map_err(|rejection| {
        let reason = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
        Fault::invalid_params("params", format!("params: {reason}"))
    })?;
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

/// Until either side ends: for what is said about the terminal, or for what ends any socket.
async fn serve(shared: &Shared, identity: &Identity, socket: WebSocket, channel: Channel, speaks_json: bool) {
    let Channel { mut source, sink, .. } = channel;
    let (mut out, mut from_client) = socket.split();
    let mut client = Client { speaks_json, input: Input::new(sink), heard: Instant::now(), output_to: None };
    let limits = &shared.config.limits;
    let mut pings = tokio::time::interval(limits.ping_interval);
    let (reason, said) = loop {
        let message = tokio::select! {
            frame = source.next() => match frame {
                Some(frame) => match client.told(&frame) {
                    Told::Message(message) => message,
                    Told::Nothing => continue,
                    Told::End(first, close) => {
                        if let Some(message) = first {
                            _ = send(&mut out, message, limits.write_stall_max).await;
                        }
                        break (CloseReason::TerminalEnded, Some(close));
                    }
                },
                None => break (CloseReason::TerminalEnded, None),
            },
            message = from_client.next(), if client.input.has_room() => match message {
                Some(Ok(message)) => match client.received(message) {
                    Ok(()) => continue,
                    Err(fault) => break (CloseReason::ProtocolError, Some(closing(1007, &fault.message))),
                },
                Some(Err(error)) => break (error.into(), None),
                None => break (CloseReason::ClientGone, None),
            },
            _ = pings.tick() => {
                if client.heard.elapsed() > limits.silence_max && client.input.has_room() {
                    break (CloseReason::Silent, None);
                }
                Message::Ping(Bytes::new())
            }
            end = identity.ended() => break (end.into(), None),
            () = shared.shutdown.cancelled() => break (CloseReason::GoingAway, None),
        };
        let sent = tokio::select! {
            biased;
            sent = send(&mut out, message, limits.write_stall_max) => sent,
            end = identity.ended() => Err(end.into()),
            () = shared.shutdown.cancelled() => Err(CloseReason::GoingAway),
        };
        if let Err(reason) = sent {
            break (reason, None);
        }
        client.taken();
    };
    shared.metrics.closed(reason);
    // The attachment ends now, however long the client takes to close.
    drop((source, client));
    if let Some(close) = said.or_else(|| reason.frame()) {
        // A client that does not read gets none, and nobody waits for it.
        _ = send(&mut out, Message::Close(Some(close)), CLOSE_WAIT_MAX).await;
    }
    drain(from_client, reason).await;
}

/// A client that takes nothing for so long is too slow.
async fn send(
    out: &mut SplitSink<WebSocket, Message>,
    message: Message,
    stall_max: Duration,
) -> Result<(), CloseReason> {
    match tokio::time::timeout(stall_max, out.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseReason::ClientGone),
        Err(_) => Err(CloseReason::SlowConsumer),
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
