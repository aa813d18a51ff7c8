//! What connections cost that do nothing.

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use midplane_tests::{Client, Host, Options};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async_with_config, client_async, tungstenite::protocol::WebSocketConfig};

use crate::machine::resident_kib;

/// Connections where the environment names no other number (`MIDPLANE_CONNECTIONS`).
const CONNECTIONS: usize = 10_000;
/// Patterns that nothing matches, subscribed on some of them.
const SUBSCRIPTIONS: usize = 10_000;
const PUBLISHES: usize = 2_000;
/// Bare sockets to compare with: both ends of each are files of this process.
const BARE: usize = 2_000;

/// Resident bytes of the host for each idle connection, beside a task with a bare socket; then the cost of publishing beside
/// subscriptions that do not match.
pub async fn idle() -> Result<()> {
    let wanted = std::env::var("MIDPLANE_CONNECTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(CONNECTIONS);
    // One token has three quarters of all.
    let arguments = ["--max-connections".to_owned(), (wanted / 3 * 4 + 100).to_string()];
    let host = Host::start_with(Options { arguments: arguments.into(), ..Options::default() }, |_| Ok(())).await?;
    let before = resident_kib(host.pid())?;
    let mut open: Vec<Client> = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        open.push(host.connect().await?);
    }
    let ours = (resident_kib(host.pid())?.saturating_sub(before)) * 1024 / wanted as u64;
    drop(open);
    let bare = bare(wanted.min(BARE)).await?;
    let ratio = ours as f64 / bare as f64;
    println!(
        "| resident bytes of an idle connection, of {wanted} | {ours} | a bare WebSocket in a task: {bare} | {ratio:.1} |"
    );
    publishing(&host).await
}

async fn publishing(host: &Host) -> Result<()> {
    let mut publisher = host.connect().await?;
    let alone = publish(&mut publisher).await?;
    let mut others = Vec::new();
    for connection in 0..SUBSCRIPTIONS / 500 {
        let mut client = host.connect().await?;
        for index in 0..500 {
            client.subscribe(&[&format!("other.c{connection}.s{index}.*")]).await?;
        }
        others.push(client);
    }
    let beside = publish(&mut publisher).await?;
    crate::report::line("publish beside 10,000 subscriptions that do not match", beside, "beside none", alone);
    Ok(())
}

/// The mean of one publish after the other.
async fn publish(client: &mut Client) -> Result<std::time::Duration> {
    let begin = std::time::Instant::now();
    for index in 0..PUBLISHES {
        client.call("event.publish", json!({ "topic": "tick.tock", "payload": index })).await?;
    }
    Ok(begin.elapsed() / PUBLISHES as u32)
}

/// Bytes that this process grows by for each accepted WebSocket with the same buffers, and for its client's end beside it.
async fn bare(wanted: usize) -> Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // The clients' side is there in both measurements, so it is measured first, by itself.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(16 * 1024);
    let mut clients = Vec::with_capacity(wanted);
    let mut servers = Vec::with_capacity(wanted);
    let pid = std::process::id();
    let before = resident_kib(pid)?;
    for _ in 0..wanted {
        let client = tokio::spawn(async move {
            let stream = TcpStream::connect(address).await?;
            anyhow::Ok(client_async(format!("ws://{address}"), stream).await?.0.into_inner().into_std()?)
        });
        let mut server = accept_async_with_config(listener.accept().await?.0, Some(config)).await?;
        servers.push(tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} }));
        // As a bare socket of the kernel, which costs this process nothing to speak of.
        clients.push(client.await?.context("a client")?);
    }
    let grown = (resident_kib(pid)?.saturating_sub(before)) * 1024 / wanted as u64;
    drop(clients);
    for server in servers {
        server.await?;
    }
    Ok(grown.max(1))
}
