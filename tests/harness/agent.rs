//! An agent at `/mcp`, by hand: what a client of the Model Context Protocol puts on the wire, in both eras.

use std::collections::VecDeque;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Answering, Host, Unanswered};

const SESSION: &str = "mcp-session-id";

/// Which era it speaks.
enum Era {
    /// 2025-11-25: a session, and a stream of what nobody asked for.
    Session(String),
    /// 2026-07-28: everything is in each request.
    Alone,
}

pub struct Agent<'a> {
    host: &'a Host,
    era: Era,
    next: u64,
}

/// An answer as it comes: messages, the last of which is the answer itself.
pub struct Told {
    answer: Answering,
    text: String,
    ready: VecDeque<Value>,
    /// The id of the request.
    pub id: u64,
}

impl<'a> Agent<'a> {
    /// Opens a session.
    pub async fn open(host: &'a Host) -> Result<Self> {
        let mut agent = Self { host, era: Era::Session(String::new()), next: 1 };
        let client = json!({"name": "journey", "version": "1.0.0"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let mut told = agent.begin("initialize", params).await?;
        let id = told.answer.header(SESSION).first().context("a session")?.to_string();
        let answer = told.answer().await?;
        ensure!(answer["result"]["protocolVersion"] == "2025-11-25", "{answer}");
        agent.era = Era::Session(id);
        agent.notify("notifications/initialized", json!({})).await?;
        Ok(agent)
    }

    /// Needs no opening.
    pub fn alone(host: &'a Host) -> Self {
        Self { host, era: Era::Alone, next: 1 }
    }

    /// Sends a request; what follows is read from what this returns. Dropping that breaks the connection.
    pub async fn begin(&mut self, method: &str, params: Value) -> Result<Told> {
        let id = self.next;
        self.next += 1;
        let answer = self.post(method, params, Some(id)).await?;
        ensure!(answer.status == 200, "{method}: {}", answer.status);
        Ok(Told { answer, text: String::new(), ready: VecDeque::new(), id })
    }

    /// The answer to a request.
    pub async fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.begin(method, params).await?.answer().await
    }

    /// The result of a tool.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await?;
        answer.get("result").cloned().with_context(|| answer.to_string())
    }

    /// The names of the tools there are.
    pub async fn tools(&mut self) -> Result<Vec<String>> {
        let answer = self.ask("tools/list", json!({})).await?;
        let tools = answer["result"]["tools"].as_array().with_context(|| answer.to_string())?;
        Ok(tools.iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect())
    }

    pub async fn notify(&mut self, method: &str, params: Value) -> Result<()> {
        let answer = self.post(method, params, None).await?;
        ensure!(answer.status == 202, "{method}: {}", answer.status);
        Ok(())
    }

    /// The stream of news: of the session, or of a request that listens, which has been acknowledged.
    pub async fn listen(&mut self) -> Result<Told> {
        let Era::Session(id) = &self.era else {
            let notifications = json!({"toolsListChanged": true});
            let mut told = self.begin("subscriptions/listen", json!({"notifications": notifications})).await?;
            let first = told.next().await?.context("an acknowledgement")?;
            ensure!(first["method"] == "notifications/subscriptions/acknowledged", "{first}");
            return Ok(told);
        };
        let headers = [(SESSION, id.as_str()), ("accept", "text/event-stream")];
        let answer = self.host.ask("GET", "/mcp", &headers).await?.1.head().await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(Told { answer, text: String::new(), ready: VecDeque::new(), id: 0 })
    }

    /// Ends its session, if it has one.
    pub async fn end(self) -> Result<()> {
        let Era::Session(id) = &self.era else { return Ok(()) };
        let (mut asking, unanswered) = self.host.ask("DELETE", "/mcp", &[(SESSION, id.as_str())]).await?;
        asking.end(&[]).await?;
        let answer = unanswered.head().await?;
        ensure!((200..300).contains(&answer.status), "{}", answer.status);
        Ok(())
    }

    /// Sends a request and waits for nothing. Dropping what this returns breaks the connection.
    pub async fn send(&mut self, method: &str, params: Value) -> Result<Unanswered> {
        let id = self.next;
        self.next += 1;
        self.write(method, params, Some(id)).await
    }

    async fn post(&self, method: &str, params: Value, id: Option<u64>) -> Result<Answering> {
        self.write(method, params, id).await?.head().await
    }

    async fn write(&self, method: &str, mut params: Value, id: Option<u64>) -> Result<Unanswered> {
        let mut headers = vec![("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
        let name = params["name"].as_str().map(str::to_owned);
        match &self.era {
            Era::Session(session) if session.is_empty() => {}
            Era::Session(session) => headers.push((SESSION, session)),
            Era::Alone => {
                params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
                params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
                headers.extend([("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)]);
                headers.extend(name.iter().map(|name| ("mcp-name", name.as_str())));
            }
        }
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            message["id"] = id.into();
        }
        let (mut asking, unanswered) = self.host.ask("POST", "/mcp", &headers).await?;
        asking.chunk(message.to_string().as_bytes()).await?;
        asking.end(&[]).await?;
        Ok(unanswered)
    }
}

impl Told {
    /// The next message; none when the stream has ended.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if self.answer.header("transfer-encoding").is_empty() {
                let text = self.answer.rest().await?;
                self.answer.headers.clear();
                return Ok(serde_json::from_str(&text).ok());
            }
            let Some(piece) = self.answer.chunk().await? else { return Ok(None) };
            self.text.push_str(&String::from_utf8(piece)?);
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
                self.ready.extend(data.filter_map(|data| serde_json::from_str(data.trim()).ok()));
                self.text = rest.to_owned();
            }
        }
    }

    /// The answer, which is the last message.
    pub async fn answer(&mut self) -> Result<Value> {
        while let Some(message) = self.next().await? {
            if message["id"] == self.id {
                return Ok(message);
            }
        }
        anyhow::bail!("no answer came")
    }
}
