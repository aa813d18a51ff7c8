//! What callers at a fixed pace notice of reloads, and of bad neighbours.

use std::time::Duration;

use anyhow::{Context, Result};
use midplane_tests::{Caller, Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

use crate::report::{Samples, spread};

/// Callers and calls per second, all together.
const CALLERS: u32 = 16;
const CALLS_PER_SECOND: u32 = 1_000;
/// How long the undisturbed load is measured.
const UNDISTURBED: Duration = Duration::from_secs(5);
const RELOADS: usize = 100;

async fn callers(host: &Host, method: &str, params: &serde_json::Value) -> Result<Vec<Caller>> {
    let every = Duration::from_secs(1) * CALLERS / CALLS_PER_SECOND;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(Caller::start(host, method, params.clone(), every).await?);
    }
    Ok(callers)
}

/// Latencies from the moment when each call was due. A refused call is an error.
async fn latencies(callers: Vec<Caller>) -> Result<Samples> {
    let mut samples = Samples::default();
    for caller in callers {
        for paced in caller.stop().await? {
            paced.response.get("result").with_context(|| paced.response.to_string())?;
            samples.push(paced.latency);
        }
    }
    Ok(samples)
}

async fn undisturbed(host: &Host, method: &str, params: &serde_json::Value) -> Result<Samples> {
    let callers = callers(host, method, params).await?;
    tokio::time::sleep(UNDISTURBED).await;
    latencies(callers).await
}

/// A hundred reloads of a stateful plugin under a thousand calls a second.
pub async fn of_reloads() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        set_in_manifest(&plugins.join("counter"), "description", "[limits]\nqueue = 1024")
    })
    .await?;
    let (method, params) = ("counter.increment", json!({}));
    let quiet = undisturbed(&host, method, &params).await?;
    let callers = callers(&host, method, &params).await?;
    let mut admin = host.connect().await?;
    let (mut pauses, mut reloads) = (Samples::default(), Samples::default());
    for _ in 0..RELOADS {
        let begin = std::time::Instant::now();
        admin.call("plugin.reload", json!({ "name": "counter" })).await?;
        reloads.push(begin.elapsed());
        let info = admin.call("plugin.get", json!({ "name": "counter" })).await?;
        let us = info["metrics"]["reloads"]["last_pause_us"].as_u64().context("last_pause_us")?;
        pauses.push(Duration::from_micros(us));
    }
    spread(
        "pause of a reload under 1,000 calls/s: nobody takes from the mailbox",
        &pauses,
        "call at that pace",
        &quiet,
    );
    spread("a call during 100 reloads", &latencies(callers).await?, "undisturbed", &quiet);
    spread("plugin.reload, from question to answer", &reloads, "call at that pace", &quiet);
    Ok(())
}

/// A good plugin beside four that spin, leak, flood and trap without end, as quickly as they are restarted.
pub async fn of_neighbours() -> Result<()> {
    let bad = [("spin", "spin.forever"), ("leak", "leak.forever"), ("flood", "flood.forever"), ("trap", "trap.deep")];
    let host = Host::start_with(Options::default(), |plugins| {
        bad.iter().try_for_each(|(name, _)| copy_folder(&guest(name)?, &plugins.join(name)))?;
        copy_folder(&guest("echo")?, &plugins.join("echo"))?;
        set_in_manifest(&plugins.join("echo"), "max_concurrency", "max_concurrency = 8\nqueue = 1024")
    })
    .await?;
    let (method, params) = ("echo.add", json!({ "a": 1, "b": 2 }));
    let quiet = undisturbed(&host, method, &params).await?;
    let mut neighbours = Vec::new();
    for (name, method) in bad {
        neighbours.push(tokio::spawn(misbehave(host.connect().await?, name, method)));
    }
    let beside = undisturbed(&host, method, &params).await?;
    for neighbour in neighbours {
        neighbour.abort();
        // What it would have said is of no interest: it was ended.
        _ = neighbour.await;
    }
    spread("a call of a good plugin beside four bad ones", &beside, "alone", &quiet);
    Ok(())
}

/// Until it is aborted. A plugin that has used up its restarts is enabled again.
async fn misbehave(mut client: Client, name: &'static str, method: &'static str) -> Result<()> {
    loop {
        let (code, _) = client.fault(method, json!({})).await?;
        if ["plugin_unavailable", "method_not_found"].contains(&code.as_str()) {
            client.call("plugin.enable", json!({ "name": name })).await?;
        }
    }
}
