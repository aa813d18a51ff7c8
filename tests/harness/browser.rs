//! A real browser, driven over the Chrome DevTools Protocol: Chromium, headless, with a profile of its own.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::PATIENCE;

/// Names under which systems install it.
const PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

pub struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
    /// Of the page, once it is open.
    session: Option<String>,
    _child: Child,
    _profile: TempDir,
}

impl Browser {
    /// # Errors
    /// When there is no Chromium: the test that needs it fails, and says what to install.
    pub async fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut child = None;
        for program in PROGRAMS {
            let mut command = Command::new(program);
            command
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
                .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
                .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true);
            if let Ok(started) = command.spawn() {
                child = Some(started);
                break;
            }
        }
        let mut child = child.context("no browser: install Chromium (package chromium) to run this test")?;
        let mut lines = BufReader::new(child.stderr.take().context("stderr")?).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return Ok(address.to_owned());
                }
            }
            bail!("the browser ended before it was ready")
        })
        .await??;
        // Whatever else it complains about must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = connect_async(address).await?;
        Ok(Self { socket, next_id: 0, session: None, _child: child, _profile: profile })
    }

    /// Opens a page and begins to load it.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        self.session = None;
        let target = self.command("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.command("Target.attachToTarget", attach).await?;
        self.session = Some(attached["sessionId"].as_str().context("sessionId")?.to_owned());
        self.go(url).await
    }

    /// Loads another address in the open page.
    pub async fn go(&mut self, url: &str) -> Result<()> {
        let loaded = self.command("Page.navigate", json!({ "url": url })).await?;
        match loaded["errorText"].as_str() {
            Some(error) => bail!("{url}: {error}"),
            None => Ok(()),
        }
    }

    /// The value of an expression in the page, which may be a promise.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.command("Runtime.evaluate", params).await?;
        match answer.get("exceptionDetails") {
            Some(details) => bail!("{expression}: {details}"),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Types letters, each by a key that goes down and up.
    pub async fn type_text(&mut self, text: &str) -> Result<()> {
        for letter in text.chars() {
            self.key(json!({ "key": letter.to_string(), "text": letter.to_string() })).await?;
        }
        Ok(())
    }

    /// A key that writes nothing by itself: its name, the number that browsers know it by, and whether Ctrl is held.
    pub async fn press(&mut self, key: &str, code: u8, ctrl: bool) -> Result<()> {
        self.key(json!({ "key": key, "windowsVirtualKeyCode": code, "modifiers": if ctrl { 2 } else { 0 } })).await
    }

    async fn key(&mut self, mut event: Value) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            event["type"] = kind.into();
            self.command("Input.dispatchKeyEvent", event.clone()).await?;
        }
        Ok(())
    }

    /// Waits, without asking again and again, until the text of the page contains `text`.
    pub async fn shows(&mut self, text: &str) -> Result<()> {
        let expression = format!(
            "new Promise((resolve) => {{
                const shown = () => document.body?.innerText.includes({text:?});
                if (shown()) return resolve(true);
                const observer = new MutationObserver(() => shown() && (observer.disconnect(), resolve(true)));
                observer.observe(document, {{ childList: true, subtree: true, characterData: true, attributes: true }});
            }})"
        );
        let shown = tokio::time::timeout(PATIENCE, self.evaluate(&expression)).await;
        if shown.is_err() {
            let body = self.evaluate("document.documentElement.outerHTML").await?;
            bail!("{text:?} was never shown in {body}");
        }
        shown?.map(drop)
    }

    async fn command(&mut self, method: &str, params: Value) -> Result<Value> {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string())).await?;
        loop {
            let message = self.socket.next().await.context("the browser ended")??;
            let Message::Text(text) = message else { continue };
            let mut answer: Value = serde_json::from_str(&text)?;
            if answer["id"] == id {
                return match answer.get("error") {
                    Some(error) => bail!("{method}: {error}"),
                    None => Ok(answer["result"].take()),
                };
            }
        }
    }
}
