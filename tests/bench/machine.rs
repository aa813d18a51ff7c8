//! What the machine itself can do, measured with as little as possible in the way.

use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpListener, process::Command};
use tokio_tungstenite::{accept_async, connect_async, tungstenite::Message};

use crate::report::Samples;

/// Round trips of a text message of the size of a small call through a bare WebSocket server on a task of its own.
pub async fn socket_echo(count: usize) -> Result<Samples> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let mut socket = accept_async(listener.accept().await?.0).await?;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await?;
            }
        }
        anyhow::Ok(())
    });
    let (mut socket, _) = connect_async(format!("ws://{address}")).await?;
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"echo.add","params":{"a":1,"b":2}}"#;
    let mut samples = Samples::default();
    for index in 0..count + count / 10 {
        let begin = Instant::now();
        socket.send(Message::text(text)).await?;
        socket.next().await.context("echo")??;
        if index >= count / 10 {
            samples.push(begin.elapsed());
        }
    }
    socket.close(None).await?;
    drop(socket);
    server.await??;
    Ok(samples)
}

/// From spawning a process that does nothing to its end.
pub async fn process_start() -> Result<std::time::Duration> {
    let begin = Instant::now();
    Command::new("true").status().await?;
    Ok(begin.elapsed())
}

/// Resident memory of a process in KiB, as the kernel counts it.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("figure")?.parse()?)
}
