//! One HTTP request to the host, for what is too large for a message.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, combinators::UnsyncBoxBody};
use hyper::{
    Method,
    body::Incoming,
    client::conn::http1,
    header::{AUTHORIZATION, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::{
    cli::Target,
    client::{Failure, locate},
    reach::reach,
};

pub struct Request {
    method: String,
    address: String,
    headers: Vec<(&'static str, String)>,
}

impl Request {
    /// `address` is path and query.
    pub fn new(method: &str, address: &str) -> Self {
        Self { method: method.to_owned(), address: address.to_owned(), headers: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The answer's length, if it says one, and its body.
///
/// # Errors
/// The host's own error for any answer but a success.
pub async fn send(
    target: &Target,
    request: Request,
    body: UnsyncBoxBody<Bytes, anyhow::Error>,
) -> Result<(Option<u64>, Incoming), Failure> {
    let found = locate(target)?;
    let authority = found.url.trim_end_matches('/').split_once("://").map_or(&*found.url, |(_, rest)| rest).to_owned();
    let stream = reach(&found.url, found.socket.as_deref(), target.tls_ca.as_deref())
        .await
        .with_context(|| format!("no host answers at {}", found.url))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("the host speaks no HTTP")?;
    // Ends with the program, or when the host closes.
    tokio::spawn(connection);
    let mut head = hyper::Request::builder()
        .method(Method::from_bytes(request.method.as_bytes()).context("the method")?)
        .uri(&request.address)
        .header(HOST, authority);
    if let Some(token) = &found.token {
        head = head.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in &request.headers {
        head = head.header(*name, value);
    }
    let message = head.body(body).context("the request")?;
    let answer = sender.send_request(message).await.context("the host closed the connection")?;
    let status = answer.status();
    let length = answer.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer.into_body();
    if status.is_success() {
        return Ok((length, body));
    }
    let text = body.collect().await.context("the host closed the connection")?.to_bytes();
    let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
    if status == hyper::StatusCode::UNAUTHORIZED {
        let url = found.url;
        return Err(Failure::Unauthenticated(format!("{url} wants a token; give --token-file or set MIDPLANE_TOKEN")));
    }
    let code = problem["code"].as_str().unwrap_or("internal");
    let message = problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    Err(Failure::Answer(json!({ "message": message, "data": { "code": code, "details": problem["details"] } })))
}

/// As [`send`], for an answer that is JSON.
///
/// # Errors
/// As [`send`].
pub async fn json(
    target: &Target,
    request: Request,
    body: UnsyncBoxBody<Bytes, anyhow::Error>,
) -> Result<Value, Failure> {
    let (_, answer) = send(target, request, body).await?;
    let answer = answer.collect().await.context("the host closed the connection")?.to_bytes();
    Ok(serde_json::from_slice(&answer).context("the host sent no JSON")?)
}

/// A body of its own for a request that has none.
pub fn empty() -> UnsyncBoxBody<Bytes, anyhow::Error> {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
