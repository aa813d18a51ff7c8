//! Calls a second of a trivial component, against servers that do nothing but answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use midplane_tests::{Host, said};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{accept_async, connect_async, tungstenite::Message};

use crate::{report::rate, wire::head_of};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"echo.add","params":{"a":1,"b":2}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":3}"#;
/// Calls over one WebSocket; below the 64 that the host allows, so many wait for their answers.
const CALLS: usize = 20_000;
const IN_FLIGHT: usize = 50;
/// Calls over HTTP, on connections that stay open.
const REQUESTS: usize = 8_000;

pub async fn calls(host: &Host) -> Result<()> {
    let ours = pipelined(host.connect().await?.into_socket()).await?;
    let echo = echo().await?;
    rate(&format!("calls over one WebSocket, {IN_FLIGHT} in flight"), CALLS, ours, "WebSocket echo", echo);
    let authority = host.url.trim_start_matches("http://");
    for connections in [1, 16] {
        let ours = requests(authority, &host.token, connections).await?;
        let raw = answering(connections).await?;
        let what = format!("calls over HTTP, connections: {connections}");
        rate(&what, REQUESTS, ours, "an HTTP server with one answer", raw);
    }
    Ok(())
}

async fn pipelined(mut socket: midplane_tests::Socket) -> Result<Duration> {
    let begin = Instant::now();
    for _ in 0..CALLS / IN_FLIGHT {
        for _ in 0..IN_FLIGHT {
            socket.feed(Message::text(CALL)).await?;
        }
        socket.flush().await?;
        let mut answered = 0;
        while answered < IN_FLIGHT {
            answered += usize::from(said(&mut socket).await.context("no answer came")?.is_text());
        }
    }
    Ok(begin.elapsed())
}

async fn echo() -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        let stream = listener.accept().await?.0;
        // Answers go out one by one; none of them waits for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        let mut socket = accept_async(stream).await?;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await?;
            }
        }
        anyhow::Ok(())
    });
    let took = pipelined(connect_async(url).await?.0).await?;
    server.await??;
    Ok(took)
}

/// Requests one after the other on each connection.
async fn requests(authority: &str, token: &str, connections: usize) -> Result<Duration> {
    let request = format!(
        "POST /rpc HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{CALL}",
        CALL.len()
    );
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..connections {
        let (authority, request) = (authority.to_owned(), request.clone());
        tasks.spawn(async move {
            let mut stream = BufReader::new(TcpStream::connect(&authority).await?);
            stream.get_ref().set_nodelay(true)?;
            for _ in 0..REQUESTS / connections {
                stream.get_mut().write_all(request.as_bytes()).await?;
                let head = message(&mut stream).await?.context("an answer")?;
                ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(begin.elapsed())
}

/// The same requests, to a server that reads them and says one thing.
async fn answering(connections: usize) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = tokio::spawn(async move {
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let stream = listener.accept().await?.0;
            stream.set_nodelay(true)?;
            tasks.spawn(answer_all(BufReader::new(stream)));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    // A token as long as the host's.
    let took = requests(&address, &"t".repeat(43), connections).await?;
    server.await??;
    Ok(took)
}

async fn answer_all(mut stream: BufReader<TcpStream>) -> Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    while message(&mut stream).await?.is_some() {
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// One message of HTTP/1.1 with `content-length`: its first line; none at the end.
async fn message(stream: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let Some((first, length)) = head_of(stream).await? else { return Ok(None) };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(first))
}
