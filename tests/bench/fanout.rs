//! One event to many: each subscriber on a connection of its own, against a server that sends every message to every socket and
//! knows no topics, positions or limits.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use midplane_tests::{Host, Options, Socket, said};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinSet,
};
use tokio_tungstenite::{accept_async, connect_async, tungstenite::Message};

use crate::report::{Samples, line};

const EVENTS: usize = 200;
/// More than the buffers of a socket hold, for those that never read.
const FILLER_BYTES: usize = 256 * 1024;
const FILLERS: usize = 60;

/// What a fan-out took.
struct Took {
    /// From a publish to its acknowledgement.
    publish: Samples,
    /// From the first publish until every reader had every event, for each event.
    each: Duration,
}

pub async fn fan_out() -> Result<()> {
    for (readers, never_read) in [(1, 0), (100, 0), (1_000, 0), (990, 10)] {
        let ours = ours(readers, never_read).await?;
        let raw = raw(readers).await?;
        let beside = if never_read == 0 { String::new() } else { format!(", beside {never_read} that never read") };
        let what = format!("an event to {readers}{beside}");
        line(&format!("{what}: until all have it"), ours.each, "raw broadcast", raw.each);
        for (name, part) in [("median", 0.5), ("p99", 0.99)] {
            let (ours, raw) = (ours.publish.quantile(part), raw.publish.quantile(part));
            line(&format!("{what}: its publisher, {name}"), ours, "raw broadcast", raw);
        }
    }
    Ok(())
}

async fn ours(readers: usize, never_read: usize) -> Result<Took> {
    let arguments = ["--max-connections".to_owned(), "2000".to_owned()];
    let host = Host::start_with(Options { arguments: arguments.into(), ..Options::default() }, |_| Ok(())).await?;
    let mut stalled = Vec::new();
    for _ in 0..never_read {
        let mut client = host.connect().await?;
        client.subscribe(&["crowd.*", "filler.*"]).await?;
        stalled.push(client);
    }
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let mut client = host.connect().await?;
        client.subscribe(&["crowd.*"]).await?;
        reading.spawn(read(client.into_socket()));
    }
    let mut publisher = host.connect().await?;
    if never_read > 0 {
        let filler = "x".repeat(FILLER_BYTES);
        for _ in 0..FILLERS {
            publisher.call("event.publish", json!({ "topic": "filler.a", "payload": filler })).await?;
        }
    }
    let (mut publish, begin) = (Samples::default(), Instant::now());
    for index in 0..EVENTS {
        let begin = Instant::now();
        publisher.call("event.publish", json!({ "topic": "crowd.a", "payload": index })).await?;
        publish.push(begin.elapsed());
    }
    all(reading).await?;
    let each = begin.elapsed() / EVENTS as u32;
    drop(stalled);
    Ok(Took { publish, each })
}

/// The same with a task for each socket and a channel that all of them read.
async fn raw(readers: usize) -> Result<Took> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}", listener.local_addr()?);
    let (sender, _) = broadcast::channel::<Message>(2 * EVENTS);
    let (mut reading, mut serving) = (JoinSet::new(), JoinSet::new());
    for _ in 0..readers {
        let connecting = tokio::spawn(connect_async(url.clone()));
        let mut socket = accept(&listener).await?;
        let mut messages = sender.subscribe();
        serving.spawn(async move {
            while let Ok(message) = messages.recv().await {
                socket.send(message).await?;
            }
            anyhow::Ok(())
        });
        reading.spawn(read(connecting.await??.0));
    }
    let connecting = tokio::spawn(connect_async(url));
    let mut socket = accept(&listener).await?;
    serving.spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            // Every reader has a place; without any, there is nobody to tell.
            _ = sender.send(message);
            socket.send(Message::text(r#"{"jsonrpc":"2.0","id":1,"result":{"seq":1}}"#)).await?;
        }
        anyhow::Ok(())
    });
    let (mut publisher, _) = connecting.await??;
    let (mut publish, begin) = (Samples::default(), Instant::now());
    for index in 0..EVENTS {
        let begin = Instant::now();
        publisher.send(Message::text(event(index))).await?;
        publisher.next().await.context("an acknowledgement")??;
        publish.push(begin.elapsed());
    }
    all(reading).await?;
    let each = begin.elapsed() / EVENTS as u32;
    drop(publisher);
    all(serving).await?;
    Ok(Took { publish, each })
}

async fn accept(listener: &TcpListener) -> Result<tokio_tungstenite::WebSocketStream<TcpStream>> {
    let stream = listener.accept().await?.0;
    stream.set_nodelay(true)?;
    Ok(accept_async(stream).await?)
}

/// As long as the host's.
fn event(index: usize) -> String {
    let origin = r#""origin":{"principal":"owner","request_id":"r-0123456789abcdef"}"#;
    format!(
        r#"{{"jsonrpc":"2.0","method":"event","params":{{"subscription":1,"stream":"log","epoch":"0123456789abcdef","seq":{index},"n":{index},"topic":"crowd.a","time":"2026-01-01T00:00:00.000Z","payload":{index},{origin}}}}}"#
    )
}

/// Reads every event, each in its turn.
async fn read(mut socket: Socket) -> Result<()> {
    let mut next = 0;
    while next < EVENTS {
        let Message::Text(text) = said(&mut socket).await.context("no event came")? else { continue };
        let Some((_, rest)) = text.split_once(r#""payload":"#) else { continue };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let index: usize = rest[..digits].parse()?;
        ensure!(index == next, "expected {next}, got {text}");
        next += 1;
    }
    Ok(())
}

async fn all(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
