//! Files read and written through the host, beside a static server that decides nothing and beside the bare file system.

use std::{io::Write, time::Instant};

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host};
use serde_json::{Value, json};

use crate::{
    report::{Samples, line},
    wire::{Connection, StaticServer, replace},
};

/// KiB over REST, KiB over JSON-RPC, whose message holds 1 MiB with all that is around the content, and how often.
const SIZES: [(usize, usize, usize); 2] = [(4, 4, 1_000), (1024, 960, 100)];
/// Entries of the directory that is listed.
const ENTRIES: usize = 10_000;

pub async fn transfers() -> Result<()> {
    for (rest, rpc, count) in SIZES {
        of_size(rest, rpc, count).await?;
    }
    listing().await
}

async fn of_size(rest_kib: usize, rpc_kib: usize, count: usize) -> Result<()> {
    let host = Host::start().await?;
    let bare = tempfile::tempdir()?;
    let server = StaticServer::start(bare.path()).await?;
    let mut contents = [content(rest_kib, 0), content(rest_kib, 1)].into_iter().cycle();
    for directory in [bare.path(), &host.directory] {
        std::fs::write(directory.join("read"), content(rest_kib, 2))?;
        std::fs::write(directory.join("read-rpc"), content(rpc_kib, 2))?;
    }
    let mut figures = Figures::default();
    {
        let mut rest = Connection::to(&host).await?;
        let mut plain = Connection::open(server.address, String::new()).await?;
        let mut socket = host.connect().await?;
        for _ in 0..count + count / 10 {
            let written = contents.next().context("content")?;
            figures.reads(&mut rest, &mut plain, &mut socket, &bare.path().join("read")).await?;
            figures.writes(&mut rest, &mut plain, &mut socket, &bare.path().join("written"), &written, rpc_kib).await?;
        }
    }
    server.end().await?;
    figures.print(rest_kib, rpc_kib, count / 10);
    Ok(())
}

/// What one way took, sample by sample: through REST, through JSON-RPC, through the static server, on the file system.
#[derive(Default)]
struct Figures {
    reads: [Vec<std::time::Duration>; 4],
    writes: [Vec<std::time::Duration>; 4],
}

impl Figures {
    async fn reads(
        &mut self,
        rest: &mut Connection,
        plain: &mut Connection,
        socket: &mut Client,
        file: &std::path::Path,
    ) -> Result<()> {
        let begin = Instant::now();
        let got = rest.exchange("GET", "/api/v1/files/content?path=read", b"").await?;
        self.reads[0].push(begin.elapsed());
        let begin = Instant::now();
        socket.call("files.read", json!({ "path": "read-rpc" })).await?;
        self.reads[1].push(begin.elapsed());
        let begin = Instant::now();
        let plain = plain.exchange("GET", "/read", b"").await?;
        self.reads[2].push(begin.elapsed());
        let begin = Instant::now();
        let bare = std::fs::read(file)?;
        self.reads[3].push(begin.elapsed());
        ensure!(got == bare && plain == bare, "the content is not whole");
        Ok(())
    }

    async fn writes(
        &mut self,
        rest: &mut Connection,
        plain: &mut Connection,
        socket: &mut Client,
        file: &std::path::Path,
        content: &str,
        rpc_kib: usize,
    ) -> Result<()> {
        let begin = Instant::now();
        rest.exchange("PUT", "/api/v1/files/content?path=written", content.as_bytes()).await?;
        self.writes[0].push(begin.elapsed());
        let params = json!({ "path": "written-rpc", "content": content[..rpc_kib * 1024] });
        let begin = Instant::now();
        socket.call("files.write", params).await?;
        self.writes[1].push(begin.elapsed());
        let begin = Instant::now();
        plain.exchange("PUT", "/written", content.as_bytes()).await?;
        self.writes[2].push(begin.elapsed());
        let begin = Instant::now();
        replace(file, content.as_bytes())?;
        self.writes[3].push(begin.elapsed());
        Ok(())
    }

    fn print(self, rest_kib: usize, rpc_kib: usize, warm_up: usize) {
        for (verb, samples) in [("read", self.reads), ("write", self.writes)] {
            let [rest, rpc, plain, disk] = samples.map(|all| Samples::of(all.into_iter().skip(warm_up)).quantile(0.5));
            line(&format!("{verb} {rest_kib} KiB over REST, median"), rest, "static server", plain);
            line(&format!("{verb} {rpc_kib} KiB over JSON-RPC, median"), rpc, "static server", plain);
            line(&format!("the static server's {verb} of {rest_kib} KiB"), plain, "file system", disk);
        }
    }
}

/// Lines of text.
fn content(kib: usize, seed: u8) -> String {
    let text = format!("{seed} a line as programs and their documents have them, and so on\n");
    text.chars().cycle().take(kib * 1024).collect()
}

/// All entries of a large directory, by pages, beside reading it and looking at each entry.
async fn listing() -> Result<()> {
    let host = Host::start().await?;
    std::fs::create_dir(host.directory.join("large"))?;
    for number in 0..ENTRIES {
        std::fs::File::create(host.directory.join(format!("large/{number}")))?.write_all(b"x")?;
    }
    let (mut listed, mut bare) = (Samples::default(), Samples::default());
    let mut connection = Connection::to(&host).await?;
    for _ in 0..10 {
        let begin = Instant::now();
        let (mut count, mut path) = (0, "/api/v1/files?path=large&limit=5000".to_owned());
        let mut parsing = std::time::Duration::ZERO;
        loop {
            let body = connection.exchange("GET", &path, b"").await?;
            let parsed = Instant::now();
            let page: Value = serde_json::from_slice(&body)?;
            count += page["entries"].as_array().context("entries")?.len();
            let cursor = page["next_cursor"].as_str().map(str::to_owned);
            parsing += parsed.elapsed();
            let Some(cursor) = cursor else { break };
            path = format!("/api/v1/files?path=large&limit=5000&cursor={cursor}");
        }
        ensure!(count == ENTRIES, "{count} entries");
        listed.push(begin.elapsed().saturating_sub(parsing));
        let begin = Instant::now();
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(host.directory.join("large"))? {
            let entry = entry?;
            entries.push((entry.file_name(), entry.metadata()?.len()));
        }
        entries.sort();
        bare.push(begin.elapsed());
    }
    line("list 10,000 entries over REST, median", listed.quantile(0.5), "readdir and stat", bare.quantile(0.5));
    Ok(())
}
