//! `cargo xtask bench`: each figure beside the limit measured in the same run, and their ratio. Timing never fails anything.
//! With `files` as its argument only what has to do with files is measured; there other lines than ripgrep's, or a lost change, fail it.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on stdout")]

mod connections;
mod fanout;
mod machine;
mod pages;
mod pauses;
mod rates;
mod report;
mod searching;
mod terminals;
mod transfers;
mod watching;
mod wire;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

use report::{Samples, line};

/// Calls of one measurement, after a tenth of it as warm-up.
const CALLS: usize = 5_000;

/// In the order in which they run; `cargo xtask bench fanout` runs one of them.
const PARTS: [&str; 10] =
    ["start", "calls", "pauses", "pages", "connections", "fanout", "files", "terminals", "echo", "memory"];

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [print, rate] = arguments.as_slice()
        && print == "print"
    {
        return terminals::print_at(rate.parse()?);
    }
    let wanted = arguments.into_iter().next();
    if let Some(wanted) = &wanted {
        ensure!(PARTS.contains(&wanted.as_str()), "there is no part {wanted:?}; there are {}", PARTS.join(", "));
    }
    println!("| what | figure | limit in the same run | ratio |\n|---|---|---|---|");
    for part in PARTS.into_iter().filter(|part| wanted.as_ref().is_none_or(|wanted| wanted == part)) {
        match part {
            "start" => start_up().await?,
            "calls" => {
                let echo = |plugins: &Path| copy_folder(&guest("echo")?, &plugins.join("echo"));
                let host = Host::start_with(Options::default(), echo).await?;
                calls(&host).await?;
                rates::calls(&host).await?;
            }
            "pauses" => {
                pauses::of_reloads().await?;
                pauses::of_neighbours().await?;
            }
            "pages" => pages::pages().await?,
            "connections" => connections::idle().await?,
            "fanout" => fanout::fan_out().await?,
            "files" => files().await?,
            "terminals" => terminals::terminals().await?,
            "echo" => terminals::echoes().await?,
            _ => memory().await?,
        }
    }
    Ok(())
}

/// What has to do with files.
async fn files() -> Result<()> {
    transfers::transfers().await?;
    watching::watching().await?;
    searching::searching().await
}

/// From the start of the process to the ready line: with an empty cache of compiled code, then with a full one.
async fn start_up() -> Result<()> {
    let begin = std::time::Instant::now();
    let host = Host::start().await?;
    let cold = begin.elapsed();
    let begin = std::time::Instant::now();
    let host = host.kill_and_restart().await?;
    let warm = begin.elapsed();
    let process = machine::process_start().await?;
    line("start to ready, nothing compiled yet", cold, "a process that does nothing", process);
    line("start to ready, compiled code cached", warm, "a process that does nothing", process);
    drop(host);
    Ok(())
}

/// One call after the other over a WebSocket, against a bare echo of the same bytes.
async fn calls(host: &Host) -> Result<()> {
    let mut client = host.connect().await?;
    let mut call = Samples::default();
    for index in 0..CALLS + CALLS / 10 {
        let begin = std::time::Instant::now();
        client.call("echo.add", json!({ "a": 1, "b": 2 })).await?;
        if index >= CALLS / 10 {
            call.push(begin.elapsed());
        }
    }
    let echo = machine::socket_echo(CALLS).await?;
    line(
        "call of a trivial component over WebSocket, median",
        call.quantile(0.5),
        "WebSocket echo",
        echo.quantile(0.5),
    );
    line("the same, p99", call.quantile(0.99), "WebSocket echo, p99", echo.quantile(0.99));
    Ok(())
}

/// Resident memory of an idle host, and what each further plugin adds.
async fn memory() -> Result<()> {
    let idle = Host::start().await?;
    let bare = machine::resident_kib(idle.pid())?;
    println!("| resident memory, idle with three plugins | {bare} KiB | | |");
    for count in [1, 10, 100] {
        let full = Host::start_with(Options::default(), |plugins| {
            (0..count).try_for_each(|index| {
                let folder = plugins.join(format!("echo{index}"));
                copy_folder(&guest("echo")?, &folder)?;
                set_in_manifest(&folder, "name", &format!("name = \"echo{index}\""))
            })
        })
        .await?;
        let each = machine::resident_kib(full.pid())?.saturating_sub(bare) / count;
        let info = full.connect().await?.call("plugin.get", json!({ "name": "echo0" })).await?;
        let linear = info["metrics"]["memory"]["now_bytes"].as_u64().context("now_bytes")? / 1024;
        let ratio = each as f64 / linear as f64;
        println!(
            "| resident memory per idle plugin, {count} of one component | {each} KiB | its linear memory: {linear} KiB | {ratio:.1} |"
        );
    }
    Ok(())
}
