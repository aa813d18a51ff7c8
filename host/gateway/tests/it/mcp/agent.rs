//! An agent: requests of both eras by hand, and the streams that answer them.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{
    http_client::{Answer, send},
    support::{BEARER, Host},
};

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");
const SESSION: &str = "mcp-session-id";

pub type Header = (String, String);

/// `POST /mcp` with a text that may be anything.
pub async fn post_text(host: &Host, headers: &[(&str, &str)], text: &str) -> Answer {
    let all: Vec<_> = [ACCEPT, JSON].into_iter().chain(headers.iter().copied()).collect();
    send(host.addr, "POST", "/mcp", &all, text).await
}

/// The messages of an answer, whether it came at once or as a stream.
pub fn messages(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.lines().map(|line| line.strip_prefix("data:").unwrap_or(line).trim());
    lines.filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect()
}

pub fn initialize() -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

/// A session of 2025-11-25.
pub struct Session<'a> {
    host: &'a Host,
    pub id: String,
    bearer: (&'a str, &'a str),
}

impl<'a> Session<'a> {
    pub async fn open(host: &'a Host, bearer: (&'a str, &'a str)) -> Self {
        let answer = post_text(host, &[bearer], &initialize().to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let session = Self { id: answer.raw_header(SESSION).to_owned(), host, bearer };
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(session.post(&initialized).await.status, 202);
        session
    }

    pub async fn post(&self, message: &Value) -> Answer {
        self.post_as(self.bearer, message).await
    }

    pub async fn post_as(&self, bearer: (&str, &str), message: &Value) -> Answer {
        post_text(self.host, &[bearer, (SESSION, &self.id)], &message.to_string()).await
    }

    pub async fn delete_as(&self, bearer: (&str, &str)) -> u16 {
        send(self.host.addr, "DELETE", "/mcp", &[bearer, (SESSION, &self.id)], "").await.status
    }

    /// The answer to a request, and what was told before it.
    pub async fn ask(&self, method: &str, params: Value) -> Vec<Value> {
        messages(&self.post(&request(1, method, params)).await)
    }

    /// The stream of what nobody asked for.
    pub async fn listen(&self) -> Stream {
        let headers = [self.bearer, (SESSION, &self.id), ("accept", "text/event-stream")];
        Stream::open(self.host, "GET", &headers, "").await
    }

    /// Asks, and leaves the stream of the answer open.
    pub async fn begin(&self, id: u64, method: &str, params: Value) -> Stream {
        let headers = [self.bearer, (SESSION, self.id.as_str()), ACCEPT, JSON];
        Stream::open(self.host, "POST", &headers, &request(id, method, params).to_string()).await
    }
}

pub fn request(id: u64, method: &str, params: Value) -> Value {
    let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
    message["params"] = params;
    message
}

/// A request of 2026-07-28, with everything that it says about itself.
pub fn alone(method: &str, mut params: Value) -> (Vec<Header>, Value) {
    let version = "2026-07-28";
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = version.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let mut headers = vec![("mcp-protocol-version".into(), version.into()), ("mcp-method".into(), method.into())];
    if let Some(name) = params["name"].as_str() {
        headers.push(("mcp-name".into(), name.into()));
    }
    (headers, request(1, method, params))
}

fn with_token(headers: &[Header]) -> Vec<(&str, &str)> {
    let own = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    [BEARER, ACCEPT, JSON].into_iter().chain(own).collect()
}

/// The answer to a request of 2026-07-28, and what was told before it.
pub async fn ask_alone(host: &Host, method: &str, params: Value) -> Vec<Value> {
    let (headers, message) = alone(method, params);
    messages(&send(host.addr, "POST", "/mcp", &with_token(&headers), &message.to_string()).await)
}

/// The same, with the stream of the answer left open.
pub async fn begin_alone(host: &Host, method: &str, params: Value) -> Stream {
    let (headers, message) = alone(method, params);
    Stream::open(host, "POST", &with_token(&headers), &message.to_string()).await
}

/// An answer that is still being given.
pub struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(host: &Host, method: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("{method} /mcp HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", host.addr, body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(host.addr).await.unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The next message; none when the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line).await {
                Ok(0) | Err(_) => return None,
                // The end of a body in chunks.
                Ok(_) if line == "0\r\n" => return None,
                Ok(_) => {}
            }
            let text = line.strip_prefix("data:").unwrap_or(&line).trim();
            if let Ok(message @ Value::Object(_)) = serde_json::from_str(text) {
                return Some(message);
            }
        }
    }

    /// Skips the head: the host has begun to answer.
    pub async fn begun(&mut self) {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "an answer begins");
        }
    }
}
