//! Many subscribers on one topic, some of whom never read.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host};
use serde_json::json;

const CONNECTIONS: usize = 99;
/// With those that never read: a thousand subscriptions.
const SUBSCRIPTIONS: usize = 10;
const NEVER_READ: usize = 10;
const EVENTS: u64 = 200;
/// More than a socket's buffers hold, for those that never read.
const FILLER_BYTES: usize = 256 * 1024;
const FILLERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_subscribers_ten_never_read_and_the_others_get_everything_in_order() -> Result<()> {
    let host = Host::start().await?;
    let mut stalled = Vec::new();
    for _ in 0..NEVER_READ {
        let mut client = host.connect().await?;
        client.subscribe(&["crowd.*", "filler.*"]).await?;
        stalled.push(client);
    }
    let mut readers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = host.connect().await?;
        for _ in 0..SUBSCRIPTIONS {
            client.subscribe(&["crowd.*"]).await?;
        }
        readers.push(tokio::spawn(read(client)));
    }
    let mut publisher = host.connect().await?;
    let filler = "x".repeat(FILLER_BYTES);
    for _ in 0..FILLERS {
        publisher.call("event.publish", json!({ "topic": "filler.a", "payload": filler })).await?;
    }
    for index in 1..=EVENTS {
        publisher.call("event.publish", json!({ "topic": "crowd.a", "payload": index })).await?;
    }
    for reader in readers {
        reader.await??;
    }
    drop(stalled);
    Ok(())
}

/// Reads every event of every subscription of the connection.
async fn read(mut client: Client) -> Result<()> {
    let mut next = [1; SUBSCRIPTIONS];
    while next.iter().any(|next| *next <= EVENTS) {
        let event = client.event(|_| true).await?;
        let number = event["subscription"].as_u64().context("subscription")?;
        let next = next.get_mut(usize::try_from(number)? - 1).context("one of ours")?;
        ensure!(event["payload"] == *next && event["n"] == *next, "expected {next}, got {event}");
        *next += 1;
    }
    Ok(())
}
