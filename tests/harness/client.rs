//! A WebSocket client that keeps everything it receives until somebody asks for it.

use std::collections::VecDeque;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::said;

/// A binary frame (contract, section 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub op: u8,
    pub channel: u32,
    pub offset: u64,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind << 4 | 1, self.op, 0, 0];
        bytes.extend(self.channel.to_be_bytes());
        bytes.extend(self.offset.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (header, payload) = bytes.split_at_checked(16).context("a frame has a header of 16 bytes")?;
        Ok(Self {
            kind: header[0] >> 4,
            op: header[1],
            channel: u32::from_be_bytes(header[4..8].try_into()?),
            offset: u64::from_be_bytes(header[8..16].try_into()?),
            payload: payload.to_vec(),
        })
    }
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket that speaks `midplane.v1`.
pub async fn open(url: &str, token: &str) -> Result<Socket> {
    let mut request = format!("{}/ws", url.replacen("http", "ws", 1)).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "midplane.v1".parse()?);
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(connect_async(request).await?.0)
}

pub struct Client {
    socket: Socket,
    next_id: u64,
    messages: VecDeque<Value>,
    frames: VecDeque<Frame>,
}

impl Client {
    pub async fn connect(url: &str, token: &str) -> Result<Self> {
        Ok(Self { socket: open(url, token).await?, next_id: 0, messages: VecDeque::new(), frames: VecDeque::new() })
    }

    /// The socket alone, for who reads more quickly than this. What was received and not asked for is gone.
    #[must_use]
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// Sends a request without waiting for its answer; returns the id.
    pub async fn send(&mut self, method: &str, params: Value) -> Result<u64> {
        self.next_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params });
        self.send_text(&request.to_string()).await?;
        Ok(self.next_id)
    }

    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    pub async fn send_frame(&mut self, frame: &Frame) -> Result<()> {
        Ok(self.socket.send(Message::binary(frame.encode())).await?)
    }

    /// Calls and returns the whole response.
    pub async fn response(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.send(method, params).await?;
        self.wait_for(|message| message["id"] == id).await
    }

    /// Calls and returns the result; an error response is an error.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let mut response = self.response(method, params).await?;
        match response.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(response["result"].take()),
        }
    }

    /// Calls and returns `error.data.code`, or an error if the call succeeded.
    pub async fn fault(&mut self, method: &str, params: Value) -> Result<(String, Value)> {
        let mut response = self.response(method, params).await?;
        let error = response.get_mut("error").map(Value::take).ok_or_else(|| anyhow!("{method} succeeded"))?;
        Ok((error["data"]["code"].as_str().unwrap_or_default().to_owned(), error))
    }

    pub async fn subscribe(&mut self, patterns: &[&str]) -> Result<Value> {
        self.call("event.subscribe", json!({ "patterns": patterns })).await
    }

    /// The parameters of the next event that fits; others before it are dropped.
    pub async fn event(&mut self, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let message = self.wait_for(|message| message["method"] == "event" && fits(&message["params"])).await?;
        Ok(message["params"].clone())
    }

    pub async fn event_on(&mut self, topic: &str) -> Result<Value> {
        self.event(|event| event["topic"] == topic).await.with_context(|| format!("waiting for {topic}"))
    }

    /// The next message that fits, kept or new. Messages that do not fit stay for others.
    pub async fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        if let Some(index) = self.messages.iter().position(&fits) {
            return self.messages.remove(index).context("index");
        }
        loop {
            self.receive().await?;
            if self.messages.back().is_some_and(&fits) {
                return self.messages.pop_back().context("message");
            }
        }
    }

    /// The next message, whatever it is.
    pub async fn message(&mut self) -> Result<Value> {
        while self.messages.is_empty() {
            self.receive().await?;
        }
        self.messages.pop_front().context("message")
    }

    /// The next frame of a channel.
    pub async fn frame(&mut self, channel: u32) -> Result<Frame> {
        loop {
            if let Some(index) = self.frames.iter().position(|frame| frame.channel == channel) {
                return self.frames.remove(index).context("index");
            }
            self.receive().await?;
        }
    }

    /// Reads frames of a channel until the collected payload of OUTPUT and SNAPSHOT frames contains `text`.
    pub async fn output_until(&mut self, channel: u32, text: &str) -> Result<Vec<Frame>> {
        let (mut frames, mut output) = (Vec::new(), Vec::new());
        loop {
            let frame = self
                .frame(channel)
                .await
                .with_context(|| format!("waiting for {text:?}, had {:?}", String::from_utf8_lossy(&output)))?;
            match frame.op {
                0x01 => output.extend(&frame.payload),
                0x02 => output.extend(&frame.payload[8..]),
                _ => {}
            }
            frames.push(frame);
            if String::from_utf8_lossy(&output).contains(text) {
                return Ok(frames);
            }
        }
    }

    async fn receive(&mut self) -> Result<()> {
        match said(&mut self.socket).await? {
            Message::Text(text) => self.messages.push_back(serde_json::from_str(&text)?),
            Message::Binary(bytes) => self.frames.push_back(Frame::decode(&bytes)?),
            Message::Close(frame) => bail!("closed: {frame:?}"),
            _ => {}
        }
        Ok(())
    }

    /// Reads until the host closes and returns the close code.
    pub async fn closed(&mut self) -> Result<u16> {
        loop {
            if let Message::Close(Some(frame)) = said(&mut self.socket).await? {
                return Ok(frame.code.into());
            }
        }
    }
}
