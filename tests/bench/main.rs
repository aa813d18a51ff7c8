//! `cargo xtask bench`: each figure beside the limit measured in the same run, and their ratio. Timing never fails anything.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on stdout")]

mod machine;
mod pages;
mod report;

use anyhow::Result;
use midplane_tests::{Host, Options, copy_folder, guest};
use serde_json::json;

use report::{Samples, line};

/// Calls of one measurement, after a tenth of it as warm-up.
const CALLS: usize = 5_000;
/// Reloads of one measurement.
const RELOADS: usize = 30;

#[tokio::main]
async fn main() -> Result<()> {
    println!("| what | figure | limit in the same run | ratio |\n|---|---|---|---|");
    start_up().await?;
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("echo")?, &plugins.join("echo"))?;
        copy_folder(&guest("counter")?, &plugins.join("counter"))
    })
    .await?;
    calls(&host).await?;
    reloads(&host).await?;
    pages::pages().await?;
    memory().await
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

/// The longest gap that a client sees in its calls while a stateful plugin is reloaded, against the median call.
async fn reloads(host: &Host) -> Result<()> {
    let (mut caller, mut admin) = (host.connect().await?, host.connect().await?);
    let mut undisturbed = Samples::default();
    for _ in 0..CALLS / 10 {
        let begin = std::time::Instant::now();
        caller.call("counter.increment", json!({})).await?;
        undisturbed.push(begin.elapsed());
    }
    let mut pauses = Samples::default();
    for _ in 0..RELOADS {
        let reload = admin.call("plugin.reload", json!({ "name": "counter" }));
        tokio::pin!(reload);
        let mut longest = std::time::Duration::ZERO;
        loop {
            let begin = std::time::Instant::now();
            caller.call("counter.increment", json!({})).await?;
            longest = longest.max(begin.elapsed());
            if let Some(done) = futures_util::FutureExt::now_or_never(&mut reload) {
                done?;
                break;
            }
        }
        pauses.push(longest);
    }
    line(
        "reload of a stateful plugin: longest call, median",
        pauses.quantile(0.5),
        "undisturbed call, median",
        undisturbed.quantile(0.5),
    );
    line("the same, longest of all", pauses.quantile(1.0), "undisturbed call, p99", undisturbed.quantile(0.99));
    Ok(())
}

/// Resident memory of an idle host, and what each further plugin adds.
async fn memory() -> Result<()> {
    const COPIES: usize = 10;
    let idle = Host::start().await?;
    let bare = machine::resident_kib(idle.pid())?;
    let full = Host::start_with(Options::default(), |plugins| {
        for index in 0..COPIES {
            let folder = plugins.join(format!("echo{index}"));
            copy_folder(&guest("echo")?, &folder)?;
            midplane_tests::set_in_manifest(&folder, "name", &format!("name = \"echo{index}\""))?;
        }
        Ok(())
    })
    .await?;
    let loaded = machine::resident_kib(full.pid())?;
    println!("| resident memory, idle with three plugins | {bare} KiB | | |");
    let each = loaded.saturating_sub(bare) / COPIES as u64;
    println!("| resident memory per further plugin (of one component) | {each} KiB | | |");
    Ok(())
}
