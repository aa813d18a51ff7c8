//! The command line's side of the protocol: one WebSocket, JSON-RPC, exit codes.

use std::{env, fs, io::Write, ops::ControlFlow, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    cli::Target,
    data::{self, DATA_VARIABLE, Found},
    reach::{Stream, reach},
};

/// Ends of a command, as the contract's section 11 numbers them.
pub mod exit {
    pub const FAILURE: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const UNAUTHENTICATED: u8 = 3;
    pub const NOT_FOUND: u8 = 4;
    pub const CONFLICT: u8 = 5;
    pub const UNAVAILABLE: u8 = 6;
    pub const TIMEOUT: u8 = 124;
}

/// Why a command did not succeed.
pub enum Failure {
    /// The host's own error object.
    Answer(Value),
    Unreachable(anyhow::Error),
    Unauthenticated(String),
    Usage(String),
    /// Whoever was asked said no.
    Declined(String),
    /// There is nothing of what was sought; nothing went wrong, and nothing is said.
    Nothing,
    Timeout,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Unreachable(error)
    }
}

/// Calls a method with parameters as JSON text and prints the result.
pub fn call(target: &Target, method: &str, params: Option<&str>) -> ExitCode {
    let params = match params.map(serde_json::from_str::<Value>).transpose() {
        Ok(params) => params,
        Err(error) => return fail(&Failure::Usage(format!("the parameters are no JSON: {error}"))),
    };
    show(target, method, params, pretty)
}

/// Calls a method and prints the result.
pub fn call_with(target: &Target, method: &str, params: Value) -> ExitCode {
    show(target, method, Some(params), pretty)
}

/// Calls a method and prints the result, for people as `text` makes it.
pub fn show(target: &Target, method: &str, params: Option<Value>, text: impl Fn(&Value) -> String) -> ExitCode {
    finish(target, async {
        // The time for connecting counts, too.
        let work = async {
            let mut connection = Connection::open(target).await?;
            connection.call(method, params, timeout_ms(target)).await
        };
        let result = in_time(target, work).await?;
        print(target, &result, text);
        Ok(())
    })
}

/// Calls a method on an open connection, within the time that the command has for an answer.
pub async fn call_within(
    target: &Target,
    connection: &mut Connection,
    method: &str,
    params: Value,
) -> Result<Value, Failure> {
    in_time(target, connection.call(method, Some(params), timeout_ms(target))).await
}

fn timeout_ms(target: &Target) -> u64 {
    u64::try_from(target.timeout().as_millis()).unwrap_or(u64::MAX)
}

async fn in_time<T>(target: &Target, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // A little longer than the host waits, so that its own answer about the time arrives.
    let limit = target.timeout() + Duration::from_secs(1);
    tokio::time::timeout(limit, work).await.map_err(|_| Failure::Timeout)?
}

/// Prints a result: one line of JSON, or what `text` makes of it.
pub fn print(target: &Target, result: &Value, text: impl Fn(&Value) -> String) {
    if target.json {
        print_line(result);
    } else {
        print_text(&text(result));
    }
}

fn pretty(result: &Value) -> String {
    format!("{result:#}")
}

/// Prints events, one a line, until `count` or the end of the connection.
pub fn events(target: &Target, patterns: &[String], from: Option<Value>, count: Option<u64>) -> ExitCode {
    finish(target, print_events(target, patterns, from, count))
}

/// Runs a command to its end and gives its exit code.
pub fn finish(target: &Target, work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Unreachable(error.into())),
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let (true, Failure::Answer(error)) = (target.json, &failure) {
                print_line(error);
            }
            fail(&failure)
        }
    }
}

impl Failure {
    /// What went wrong, for a person.
    pub fn text(&self) -> String {
        self.describe().1
    }

    fn describe(&self) -> (u8, String) {
        match self {
            Self::Answer(error) => {
                let code = error["data"]["code"].as_str().unwrap_or_default();
                let number = match code {
                    "unauthenticated" | "forbidden" => exit::UNAUTHENTICATED,
                    "not_found" | "method_not_found" => exit::NOT_FOUND,
                    "conflict" | "already_exists" | "precondition_failed" => exit::CONFLICT,
                    "unavailable" | "plugin_unavailable" | "no_responder" => exit::UNAVAILABLE,
                    "timeout" => exit::TIMEOUT,
                    _ => exit::FAILURE,
                };
                (number, format!("{code}: {}", error["message"].as_str().unwrap_or_default()))
            }
            Self::Unreachable(error) => (exit::UNAVAILABLE, format!("{error:#}")),
            Self::Unauthenticated(why) => (exit::UNAUTHENTICATED, why.clone()),
            Self::Usage(why) => (exit::USAGE, why.clone()),
            Self::Declined(why) => (exit::FAILURE, why.clone()),
            Self::Nothing => (exit::FAILURE, String::new()),
            Self::Timeout => (exit::TIMEOUT, "no answer in time".to_owned()),
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let (code, text) = failure.describe();
    if !text.is_empty() {
        eprintln!("midplane: {text}");
    }
    ExitCode::from(code)
}

async fn print_events(
    target: &Target,
    patterns: &[String],
    from: Option<Value>,
    count: Option<u64>,
) -> Result<(), Failure> {
    let mut connection = Connection::open(target).await?;
    let mut params = json!({ "patterns": patterns });
    if let Some(from) = from {
        params["since"] = from;
        params["on_gap"] = "partial".into();
    }
    connection.call("event.subscribe", Some(params), 30_000).await?;
    let mut seen = 0;
    while count.is_none_or(|count| seen < count) {
        let message = connection.next().await?;
        match message["method"].as_str() {
            Some("event") => {
                seen += 1;
                print_line(&message["params"]);
            }
            Some("event.gap") => print_line(&message),
            _ => {}
        }
    }
    Ok(())
}

fn print_line(value: &Value) {
    print_text(&value.to_string());
}

/// False where nobody reads: a closed pipe (`| head`) is how a reader says that it has enough.
pub fn print_text(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// A connection to the host.
pub struct Connection(WebSocketStream<Box<dyn Stream>>);

impl Connection {
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        let Found { url, token, socket, .. } = locate(target)?;
        let address = format!("{}/ws", url.trim_end_matches('/').replacen("http", "ws", 1));
        let mut request = address.into_client_request().with_context(|| format!("{url:?} is no address"))?;
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("midplane.v1"));
        if let Some(token) = token {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}"))
                .context("the token has characters that no token has")?;
            headers.insert("authorization", bearer);
        }
        let stream = reach(&url, socket.as_deref(), target.tls_ca.as_deref())
            .await
            .with_context(|| format!("no host answers at {url}"))?;
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(response)) if response.status() == 401 => {
                Err(Failure::Unauthenticated(format!("{url} wants a token; give --token-file or set MIDPLANE_TOKEN")))
            }
            Err(error) => Err(anyhow!(error).context(format!("no host answers at {url}")).into()),
        }
    }

    pub async fn call(&mut self, method: &str, params: Option<Value>, timeout_ms: u64) -> Result<Value, Failure> {
        let mut request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "meta": { "timeout_ms": timeout_ms } });
        if let Some(params) = params {
            request["params"] = params;
        }
        let answer = self.answer(request, |_| ControlFlow::Continue(())).await?;
        answer.ok_or_else(|| anyhow!("the call was given up").into())
    }

    /// As [`call_within`], with what is told while the call runs. None when `told` has enough before the end.
    pub async fn call_told(
        &mut self,
        target: &Target,
        method: &str,
        params: Value,
        told: impl FnMut(&Value) -> ControlFlow<()>,
    ) -> Result<Option<Value>, Failure> {
        let meta = json!({ "timeout_ms": timeout_ms(target), "progress_token": 1 });
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params, "meta": meta });
        in_time(target, self.answer(request, told)).await
    }

    async fn answer(
        &mut self,
        request: Value,
        mut told: impl FnMut(&Value) -> ControlFlow<()>,
    ) -> Result<Option<Value>, Failure> {
        self.0.send(Message::text(request.to_string())).await.context("the host closed the connection")?;
        loop {
            let mut message = self.next().await?;
            if message["method"] == "$/progress" && told(&message["params"]["value"]).is_break() {
                return Ok(None);
            }
            if message["id"] == 1 {
                return match message.get_mut("error") {
                    Some(error) => Err(Failure::Answer(error.take())),
                    None => Ok(Some(message["result"].take())),
                };
            }
        }
    }

    async fn next(&mut self) -> Result<Value, Failure> {
        loop {
            if let Incoming::Json(value) = self.receive().await? {
                return Ok(value);
            }
        }
    }

    /// The next message, whatever it is. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Unreachable` when the connection has ended.
    pub async fn receive(&mut self) -> Result<Incoming, Failure> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(Incoming::Json(serde_json::from_str(&text).context("the host sent no JSON")?));
                }
                Some(Ok(Message::Binary(bytes))) => return Ok(Incoming::Frame(bytes)),
                Some(Ok(Message::Close(frame))) => {
                    let why =
                        frame.map(|frame| format!(" ({} {})", u16::from(frame.code), frame.reason)).unwrap_or_default();
                    return Err(anyhow!("the host closed the connection{why}").into());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(anyhow!(error).context("the connection broke").into()),
                None => return Err(anyhow!("the host closed the connection").into()),
            }
        }
    }

    /// Calls without waiting: the answer comes as [`Incoming::Json`].
    ///
    /// # Errors
    /// `Unreachable` when the connection has ended.
    pub async fn send(&mut self, method: &str, params: Value) -> Result<(), Failure> {
        let request = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        Ok(self.0.send(Message::text(request.to_string())).await.context("the host closed the connection")?)
    }

    /// # Errors
    /// `Unreachable` when the connection has ended.
    pub async fn send_frame(&mut self, frame: Bytes) -> Result<(), Failure> {
        Ok(self.0.send(Message::Binary(frame)).await.context("the host closed the connection")?)
    }
}

/// What comes from the host.
pub enum Incoming {
    Json(Value),
    /// A binary frame of a channel.
    Frame(Bytes),
}

/// As given, else the host whose terminal this is, else the one that serves this directory.
pub fn locate(target: &Target) -> Result<Found> {
    let given = match (&target.token, &target.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(path)) => {
            let token = fs::read_to_string(path).with_context(|| format!("the token file {}", path.display()))?;
            Some(token.trim().to_owned())
        }
        (None, None) => None,
    };
    // Inside a terminal of a host that host comes first, wherever its shell has gone.
    let inside = || env::var_os(DATA_VARIABLE).and_then(|data| data::find_in(Path::new(&data)));
    let found = inside().or_else(|| env::current_dir().ok().and_then(|directory| data::discover(&directory)));
    match (&target.url, found) {
        (Some(url), found) => {
            let found = found.filter(|found| found.url == url.trim_end_matches('/'));
            let (token, data) = found.map(|found| (found.token, found.data)).unwrap_or_default();
            Ok(Found { url: url.clone(), token: given.or(token), socket: None, data })
        }
        (None, Some(found)) => Ok(Found { token: given.or(found.token), ..found }),
        (None, None) => bail!("no host serves this directory; start one with `midplane serve`, or give --url"),
    }
}
