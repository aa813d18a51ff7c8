//! News of changes, beside what `inotify` alone tells of the same changes.

use std::{
    mem::MaybeUninit,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host};
use rustix::fs::inotify;

use crate::report::{Samples, line};

const CHANGES: usize = 100;
const BURST: usize = 10_000;
/// The host waits for so much quiet before it tells.
const QUIET: Duration = Duration::from_millis(50);

pub async fn watching() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    latency(&host, &mut client).await?;
    burst(&host, &mut client).await
}

/// From a write to the news of it.
async fn latency(host: &Host, client: &mut Client) -> Result<()> {
    let (mut told, mut raw) = (Samples::default(), Samples::default());
    for number in 0..CHANGES {
        let name = format!("single-{number}");
        let inotify = Raw::of(&host.directory)?;
        let begin = Instant::now();
        host.write_file(&name, "x")?;
        raw.push(inotify.created(1)?.duration_since(begin));
        created(client, 1).await?;
        told.push(begin.elapsed().saturating_sub(QUIET));
    }
    line("a change told, beyond 50 ms of quiet, median", told.quantile(0.5), "inotify", raw.quantile(0.5));
    line("the same, p99", told.quantile(0.99), "inotify, p99", raw.quantile(0.99));
    Ok(())
}

/// From the first of many creations until all are told; one that is missing is an error.
async fn burst(host: &Host, client: &mut Client) -> Result<()> {
    let inotify = Raw::of(&host.directory)?;
    let reader = std::thread::spawn(move || inotify.created(BURST));
    let begin = Instant::now();
    let directory = host.directory.clone();
    let writer = std::thread::spawn(move || {
        (0..BURST).try_for_each(|number| std::fs::write(directory.join(format!("burst-{number}")), "x"))
    });
    created(client, BURST).await?;
    let told = begin.elapsed();
    let join = |_| anyhow::anyhow!("a thread panicked");
    writer.join().map_err(join)??;
    let raw = reader.join().map_err(join)??.duration_since(begin);
    line("10,000 creations at once, until all are told", told, "inotify", raw);
    Ok(())
}

/// Reads events until so many files were told to be new.
async fn created(client: &mut Client, count: usize) -> Result<()> {
    let mut seen = 0;
    while seen < count {
        let event = client.event_on("files.changed").await?;
        ensure!(event["payload"].get("rescan").is_none(), "a rescan: {event}");
        let changes = event["payload"]["changes"].as_array().context("changes")?;
        seen += changes.iter().filter(|change| change["kind"] == "created").count();
    }
    Ok(())
}

/// One directory watched by the kernel, and nothing around it.
struct Raw(rustix::fd::OwnedFd);

impl Raw {
    fn of(directory: &Path) -> Result<Self> {
        let kernel = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&kernel, directory, inotify::WatchFlags::CREATE)?;
        Ok(Self(kernel))
    }

    /// Waits for so many creations; the time of the last.
    fn created(&self, count: usize) -> Result<Instant> {
        let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        for _ in 0..count {
            ensure!(!reader.next()?.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW), "the kernel lost some");
        }
        Ok(Instant::now())
    }
}
