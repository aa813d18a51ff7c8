//! Ways to a shell: a bare pseudo-terminal, this host, and other programs that bring a terminal to a page.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use midplane_tests::{Host, Socket};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Bytes, Message, client::IntoClientRequest as _},
};

/// A client of ours acknowledges so many bytes at once.
const ACK_BYTES: u64 = 64 * 1024;
/// Bytes that are read from a bare pseudo-terminal at once, as the host does.
const READ_BYTES: usize = 16 * 1024;

/// What every shell is told: the prompt that scenarios wait for.
pub const ENVIRONMENT: [(&str, &str); 1] = [("PS1", "ready> ")];

pub enum Way {
    Raw(Raw),
    /// `terminals.attach` on `/ws`.
    Channel(Channel),
    /// `/ws/terminals/{id}`.
    Plain(Socket),
    Ttyd(Socket),
    Terminado(Socket),
}

/// Read by a thread that does nothing else.
pub struct Raw {
    reader: Box<dyn std::io::Read + Send>,
    writer: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    buffer: Vec<u8>,
    _master: Box<dyn MasterPty + Send>,
}

pub struct Channel {
    socket: Socket,
    channel: u32,
    typed: u64,
    offset: u64,
    acknowledged: u64,
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Way {
    pub fn raw() -> Result<Self> {
        let pair = native_pty_system().openpty(PtySize { cols: 80, rows: 24, pixel_width: 0, pixel_height: 0 })?;
        let mut shell = CommandBuilder::new("/bin/sh");
        for (name, value) in ENVIRONMENT {
            shell.env(name, value);
        }
        let child = pair.slave.spawn_command(shell)?;
        let (reader, writer) = (pair.master.try_clone_reader()?, pair.master.take_writer()?);
        Ok(Self::Raw(Raw { reader, writer, child, buffer: vec![0; READ_BYTES], _master: pair.master }))
    }

    /// A terminal of the host, which somebody has opened.
    pub async fn channel(host: &Host, id: &Value, lossless: bool) -> Result<Self> {
        Ok(Self::Channel(Channel::attach(host, id, lossless).await?))
    }

    pub async fn plain(host: &Host, id: &Value) -> Result<Self> {
        let path = format!("/ws/terminals/{}", id.as_str().context("id")?);
        let mut request = format!("{}{path}", host.url.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {}", host.token).parse()?);
        Ok(Self::Plain(connect_async(request).await?.0))
    }

    /// Every connection has a shell of its own.
    pub async fn ttyd(url: &str) -> Result<Self> {
        let mut request = format!("{url}/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "tty".parse()?);
        let mut socket = connect_async(request).await?.0;
        let size = json!({ "AuthToken": "", "columns": 80, "rows": 24 });
        socket.send(Message::binary(size.to_string())).await?;
        Ok(Self::Ttyd(socket))
    }

    /// Connections of one name share a shell.
    pub async fn terminado(url: &str, name: &str) -> Result<Self> {
        Ok(Self::Terminado(connect_async(format!("{url}/terminals/{name}")).await?.0))
    }

    pub async fn type_in(&mut self, keys: &str) -> Result<()> {
        match self {
            Self::Raw(raw) => {
                raw.writer.write_all(keys.as_bytes())?;
                raw.writer.flush()?;
            }
            Self::Channel(channel) => channel.type_in(keys).await?,
            Self::Plain(socket) => socket.send(Message::binary(keys.to_owned())).await?,
            Self::Ttyd(socket) => socket.send(Message::binary(format!("0{keys}"))).await?,
            Self::Terminado(socket) => socket.send(Message::text(json!(["stdin", keys]).to_string())).await?,
        }
        Ok(())
    }

    /// The next piece of output.
    pub async fn read(&mut self) -> Result<Bytes> {
        let socket = match self {
            // This is the task that `main` waits for, which keeps nobody else from running.
            Self::Raw(raw) => {
                let count = raw.reader.read(&mut raw.buffer)?;
                return Ok(Bytes::copy_from_slice(&raw.buffer[..count]));
            }
            Self::Channel(channel) => return channel.read().await,
            Self::Plain(socket) | Self::Ttyd(socket) | Self::Terminado(socket) => socket,
        };
        let message = loop {
            match socket.next().await.context("the socket ended")?? {
                message @ (Message::Binary(_) | Message::Text(_)) => break message,
                Message::Close(frame) => bail!("closed: {frame:?}"),
                _ => {}
            }
        };
        Ok(match (self, message) {
            (Self::Ttyd(_), Message::Binary(bytes)) if bytes.first() == Some(&b'0') => bytes.slice(1..),
            (Self::Ttyd(_), _) => Bytes::new(),
            (Self::Terminado(_), Message::Text(text)) => {
                let said: Vec<Value> = serde_json::from_str(&text)?;
                match said.as_slice() {
                    [kind, output] if kind == "stdout" => Bytes::from(output.as_str().context("text")?.to_owned()),
                    _ => Bytes::new(),
                }
            }
            (_, message) => message.into_data(),
        })
    }

    /// Reads until the output contains `text`; says how much came up to then.
    pub async fn until(&mut self, text: &str) -> Result<usize> {
        let (mut count, mut tail) = (0, Vec::new());
        loop {
            let piece = self.read().await?;
            count += piece.len();
            // Only the end can be new, and the text may have come in two pieces.
            tail.extend_from_slice(&piece);
            if tail.windows(text.len()).any(|window| window == text.as_bytes()) {
                return Ok(count);
            }
            tail.drain(..tail.len().saturating_sub(text.len()));
        }
    }
}

impl Channel {
    async fn attach(host: &Host, id: &Value, lossless: bool) -> Result<Self> {
        let mut request = format!("{}/ws", host.url.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "midplane.v1".parse()?);
        request.headers_mut().insert("authorization", format!("Bearer {}", host.token).parse()?);
        let socket = connect_async(request).await?.0;
        let mut channel = Self { socket, channel: 0, typed: 0, offset: 0, acknowledged: 0 };
        channel.begin(id, lossless).await?;
        Ok(channel)
    }

    async fn begin(&mut self, id: &Value, lossless: bool) -> Result<()> {
        let params = json!({ "id": id, "role": "drive", "lossless": lossless });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "terminals.attach", "params": params });
        self.socket.send(Message::text(call.to_string())).await?;
        loop {
            let Message::Text(text) = self.socket.next().await.context("the socket ended")?? else { continue };
            let answer: Value = serde_json::from_str(&text)?;
            self.channel = u32::try_from(answer["result"]["channel"].as_u64().context(answer.to_string())?)?;
            return Ok(());
        }
    }

    async fn type_in(&mut self, keys: &str) -> Result<()> {
        self.send(0x10, self.typed, keys.as_bytes()).await?;
        self.typed += keys.len() as u64;
        Ok(())
    }

    async fn send(&mut self, op: u8, offset: u64, payload: &[u8]) -> Result<()> {
        let frame = midplane_tests::Frame { kind: 1, op, channel: self.channel, offset, payload: payload.to_vec() };
        Ok(self.socket.send(Message::binary(frame.encode())).await?)
    }

    async fn read(&mut self) -> Result<Bytes> {
        loop {
            let Message::Binary(frame) = self.socket.next().await.context("the socket ended")?? else { continue };
            let offset = u64::from_be_bytes(frame[8..16].try_into()?);
            let output = match frame[1] {
                0x01 => frame.slice(16..),
                // After its size and flags a snapshot is output that draws the screen.
                0x02 => frame.slice(24..),
                _ => continue,
            };
            self.offset = if frame[1] == 0x01 { offset + output.len() as u64 } else { offset };
            if self.offset.saturating_sub(self.acknowledged) >= ACK_BYTES {
                self.acknowledged = self.offset;
                self.send(0x11, self.offset, &[]).await?;
            }
            return Ok(output);
        }
    }
}
