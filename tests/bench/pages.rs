//! A page of a trivial component beside a route of the host's own on the same server: what an instance for each request costs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use midplane_tests::{Host, Options, copy_folder, guest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::report::{Samples, line};

/// Requests of one measurement, after a tenth of it as warm-up.
const REQUESTS: usize = 2_000;
/// Connections that ask at the same time for the throughput.
const CONNECTIONS: usize = 8;

/// Latency one after the other, and the time that each request takes when several connections ask.
pub async fn pages() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("pages")?, &plugins.join("pages"))).await?;
    let host = Arc::new(host);
    let (page, route) = (latency(&host, "/p/pages/").await?, latency(&host, "/healthz").await?);
    line("page of a trivial component, median", page.quantile(0.5), "route of the host, median", route.quantile(0.5));
    line("the same, p99", page.quantile(0.99), "route of the host, p99", route.quantile(0.99));
    let (page, route) = (throughput(&host, "/p/pages/").await?, throughput(&host, "/healthz").await?);
    line("a page, each of many on 8 connections", page, "a route, each of many", route);
    Ok(())
}

async fn latency(host: &Host, path: &str) -> Result<Samples> {
    let mut connection = Connection::open(host, path).await?;
    let mut samples = Samples::default();
    for index in 0..REQUESTS + REQUESTS / 10 {
        let begin = Instant::now();
        connection.exchange().await?;
        if index >= REQUESTS / 10 {
            samples.push(begin.elapsed());
        }
    }
    Ok(samples)
}

async fn throughput(host: &Arc<Host>, path: &'static str) -> Result<Duration> {
    let mut connections = tokio::task::JoinSet::new();
    let begin = Instant::now();
    for _ in 0..CONNECTIONS {
        let host = host.clone();
        connections.spawn(async move {
            let mut connection = Connection::open(&host, path).await?;
            for _ in 0..REQUESTS / CONNECTIONS {
                connection.exchange().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = connections.join_next().await {
        done??;
    }
    Ok(begin.elapsed() / u32::try_from(REQUESTS)?)
}

/// A connection that is kept, and the one request that it sends.
struct Connection {
    stream: TcpStream,
    request: String,
}

impl Connection {
    async fn open(host: &Host, path: &str) -> Result<Self> {
        let authority = host.url.trim_start_matches("http://");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {}\r\n\r\n", host.token);
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request })
    }

    /// Both answers say their length and are short.
    async fn exchange(&mut self) -> Result<()> {
        self.stream.write_all(self.request.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            let count = self.stream.read_buf(&mut answer).await?;
            ensure!(count > 0, "the host closed the connection");
            let text = std::str::from_utf8(&answer)?;
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
            let length: usize = lengths.next().context("no length")?.parse()?;
            if body.len() == length {
                ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
                return Ok(());
            }
        }
    }
}
