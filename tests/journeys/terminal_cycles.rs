//! What is opened and closed, attached and detached again and again leaves nothing behind in the host.

use std::fs;

use anyhow::{Context, Result, bail};
use midplane_tests::{Client, Host, Watcher};
use serde_json::{Value, json};

/// Cycles of one kind; `MIDPLANE_CYCLES` for more.
fn cycles(default: usize) -> usize {
    std::env::var("MIDPLANE_CYCLES").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    /// Those of terminals.
    threads: usize,
    children: usize,
}

fn held(pid: u32) -> Result<Held> {
    let count = |what: &str| Ok::<_, std::io::Error>(fs::read_dir(format!("/proc/{pid}/{what}"))?.count());
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
    let (mut threads, mut children) = (0, 0);
    for task in tasks {
        // A thread may end meanwhile.
        let read = |what: &str| fs::read_to_string(task.path().join(what)).unwrap_or_default();
        threads += usize::from(read("comm").starts_with("t-"));
        children += read("children").split_whitespace().count();
    }
    Ok(Held { descriptors: count("fd")?, threads, children })
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("figure")?.parse::<u64>()? * 1024)
}

/// Until the host holds no more than before: a connection that was closed here is forgotten there a little later.
async fn again(host: &Host, client: &mut Client, before: Held) -> Result<Held> {
    for _ in 0..10_000 {
        let now = held(host.pid())?;
        if now.descriptors <= before.descriptors && now.threads <= before.threads && now.children <= before.children {
            return Ok(now);
        }
        client.call("terminals.list", json!({})).await?;
    }
    bail!("{:?} instead of {before:?}", held(host.pid())?)
}

/// Runs a cycle until what it needs once is there, and then so often; what that leaves behind, in bytes. Some is meant to stay
/// for a while, and bounded: events of terminals in their log, sessions of connections that broke.
async fn leaves(
    host: &Host,
    client: &mut Client,
    count: usize,
    mut cycle: impl AsyncFnMut(&mut Client) -> Result<()>,
) -> Result<u64> {
    for _ in 0..count.min(50) {
        cycle(client).await?;
    }
    let (mut before, bytes) = (held(host.pid())?, resident_bytes(host.pid())?);
    loop {
        for turn in 0..count {
            cycle(client).await?;
            if turn == count / 2 {
                client.call("plugin.reload", json!({ "name": "terminals" })).await?;
            }
        }
        let after = again(host, client, before).await?;
        if after == before {
            return Ok(resident_bytes(host.pid())?.saturating_sub(bytes));
        }
        // Something else was open for a moment when it was counted, and could hide what is left now: once more from here.
        before = after;
    }
}

#[tokio::test]
async fn a_thousand_terminals_opened_and_closed_leave_nothing() -> Result<()> {
    let count = cycles(100);
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let cycle = async |client: &mut Client| {
        let id = client
            .call("terminals.open", json!({ "shell": "/bin/sh", "args": ["-c", "echo x; sleep 1000 & read go"] }))
            .await?["id"]
            .clone();
        client.call("terminals.close", json!({ "id": id })).await.map(drop)
    };
    let grown = leaves(&host, &mut client, count, cycle).await?;
    eprintln!("{count} terminals opened and closed: {} KiB more", grown / 1024);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    assert_eq!(held(host.pid())?.children + held(host.pid())?.threads, 0);
    Ok(())
}

#[tokio::test]
async fn recordings_made_and_played_leave_nothing() -> Result<()> {
    let count = cycles(50);
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let mut turn = 0;
    let cycle = async |client: &mut Client| {
        turn += 1;
        let path = format!("{turn}.cast");
        let open = json!({ "shell": "/bin/sh", "args": ["-c", "read go; seq 100"] });
        let id = client.call("terminals.open", open).await?["id"].clone();
        client.call("terminals.record", json!({ "id": id, "path": path, "input": true })).await?;
        client.call("terminals.write", json!({ "id": id, "content": "\n" })).await?;
        client.call("terminals.wait", json!({ "id": id, "until": "exit", "timeout_ms": 30000 })).await?;
        client.call("terminals.stop_recording", json!({ "id": id })).await?;
        let played = client.call("terminals.play", json!({ "path": path, "idle_limit_ms": 0 })).await?["id"].clone();
        client.call("terminals.wait", json!({ "id": played, "until": "exit", "timeout_ms": 30000 })).await?;
        client.call("terminals.close", json!({ "id": played })).await?;
        client.call("terminals.close", json!({ "id": id })).await.map(drop)
    };
    let grown = leaves(&host, &mut client, count, cycle).await?;
    eprintln!("{count} recordings made and played: {} KiB more", grown / 1024);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    Ok(())
}

#[tokio::test]
async fn five_hundred_clients_attached_and_detached_leave_nothing() -> Result<()> {
    let count = cycles(100);
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id: Value = client
        .call("terminals.open", json!({ "shell": "/bin/sh", "args": ["-c", "seq 20000; echo shown; read go"] }))
        .await?["id"]
        .clone();
    client.call("terminals.wait", json!({ "id": id, "until": { "text": "shown" }, "timeout_ms": 30000 })).await?;
    let mut turn = 0;
    let cycle = async |client: &mut Client| {
        // By turns: with a connection of its own that breaks, and properly on one that stays.
        turn += 1;
        if turn % 2 == 0 {
            return Watcher::attach(&host, &id, json!({ "role": "drive" })).await?.until_shows("shown").await;
        }
        let attached = client.call("terminals.attach", json!({ "id": id, "role": "view" })).await?;
        let channel = attached["channel"].clone();
        client.call("terminals.detach", json!({ "id": id, "channel": channel })).await.map(drop)
    };
    let grown = leaves(&host, &mut client, count, cycle).await?;
    eprintln!("{count} clients attached and detached: {} KiB more", grown / 1024);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    let attachments = || json!({ "id": id });
    while client.call("terminals.get", attachments()).await?["attachments"] != 0 {}
    client.call("terminals.close", json!({ "id": id })).await.map(drop)
}
