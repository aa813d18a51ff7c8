//! Output as fast as it comes: time, and processor time, for each MB.

use std::time::{Duration, Instant};

use anyhow::Result;
use midplane_tests::Host;
use serde_json::json;

use super::{cpu, lines, open, peers::Peer, shell, way::Way};

const BYTES: usize = 100_000_000;

struct Run {
    time: Duration,
    cpu: Duration,
}

pub async fn throughput(host: &Host, peers: &[Peer]) -> Result<()> {
    let file = lines(host, BYTES)?;
    let host_cpu = || cpu::of_process(host.pid());
    let limit = run(Way::raw()?, &file, cpu::of_thread).await?;
    row("lossless channel", &run(shell(host, true).await?, &file, host_cpu).await?, &limit);
    row("channel that may lag", &run(shell(host, false).await?, &file, host_cpu).await?, &limit);
    let id = open(&mut host.connect().await?).await?;
    row("plain socket", &run(Way::plain(host, &id).await?, &file, host_cpu).await?, &limit);
    for peer in peers {
        let shell = peer.shell("throughput").await?;
        row(peer.name, &run(shell, &file, || cpu::of_process(peer.pid())).await?, &limit);
    }
    // What the host does where nobody looks.
    let mut client = host.connect().await?;
    let (begin, before) = (Instant::now(), host_cpu()?);
    let params = json!({ "shell": "cat", "args": [file] });
    let id = client.call("terminals.open", params).await?["id"].clone();
    client.call("terminals.wait", json!({ "id": id, "until": "exit", "timeout_ms": 60_000 })).await?;
    row("nobody", &Run { time: begin.elapsed(), cpu: host_cpu()?.saturating_sub(before) }, &limit);
    Ok(())
}

/// From the command to the end of its output.
async fn run(mut way: Way, file: &str, cpu: impl Fn() -> Result<Duration>) -> Result<Run> {
    way.type_in("\r").await?;
    way.until("ready> ").await?;
    let (begin, before) = (Instant::now(), cpu()?);
    way.type_in(&format!("cat {file}; echo o''ver\r")).await?;
    way.until("over").await?;
    Ok(Run { time: begin.elapsed(), cpu: cpu()?.saturating_sub(before) })
}

fn row(what: &str, run: &Run, limit: &Run) {
    let rate = |run: &Run| BYTES as f64 / 1e6 / run.time.as_secs_f64();
    let each = |run: &Run| run.cpu.as_secs_f64() * 1e3 / (BYTES as f64 / 1e6);
    let ratio = run.time.as_secs_f64() / limit.time.as_secs_f64();
    println!("| 100 MB of lines to {what} | {:.0} MB/s | bare read: {:.0} MB/s | {ratio:.1} |", rate(run), rate(limit));
    let ratio = each(run) / each(limit).max(1e-9);
    println!(
        "| the same, processor time | {:.1} ms/MB | bare read: {:.1} ms/MB | {ratio:.1} |",
        each(run),
        each(limit)
    );
}
