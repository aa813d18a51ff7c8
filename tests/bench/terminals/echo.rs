//! A key, until it is back: from a program that gives back each byte.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use midplane_tests::{Client, Host};
use serde_json::{Value, json};

use super::{peers::Peer, shell, way::Way};
use crate::report::{Samples, line};

/// Keys of one measurement.
const KEYS: usize = 400;
/// Between two of them: faster than anybody types.
const PAUSE: Duration = Duration::from_millis(25);
/// Terminals that print while one is typed into, and what each of them prints.
const PRINTERS: usize = 100;
const BYTES_EACH_SECOND: usize = 1_000_000;

/// A way on whose other side `cat` waits.
async fn typist(mut way: Way) -> Result<Way> {
    way.type_in("\r").await?;
    way.until("ready> ").await?;
    way.type_in("stty raw -echo; echo ca''t; exec cat\r").await?;
    way.until("cat\n").await?;
    Ok(way)
}

/// Types into each in turn, so that all of them have the same machine.
async fn type_into<const COUNT: usize>(ways: [&mut Way; COUNT]) -> Result<[Samples; COUNT]> {
    let mut samples = std::array::from_fn(|_| Samples::default());
    let mut ways = ways;
    for _ in 0..KEYS {
        for (way, samples) in ways.iter_mut().zip(&mut samples) {
            tokio::time::sleep(PAUSE / COUNT as u32).await;
            let begin = Instant::now();
            way.type_in("x").await?;
            way.until("x").await?;
            samples.push(begin.elapsed());
        }
    }
    Ok(samples)
}

fn rows(what: &str, echo: &Samples, limit: &Samples) {
    line(&format!("echo of a key {what}, median"), echo.quantile(0.5), "bare, median", limit.quantile(0.5));
    line("the same, p99", echo.quantile(0.99), "bare, p99", limit.quantile(0.99));
}

pub async fn idle(host: &Host, peers: &[Peer]) -> Result<()> {
    let (mut bare, mut ours) = (typist(Way::raw()?).await?, typist(shell(host, false).await?).await?);
    let id = super::open(&mut host.connect().await?).await?;
    let mut plain = typist(Way::plain(host, &id).await?).await?;
    let [bare_echo, ours, plain] = type_into([&mut bare, &mut ours, &mut plain]).await?;
    rows("on a channel", &ours, &bare_echo);
    rows("on a plain socket", &plain, &bare_echo);
    for peer in peers {
        let mut way = typist(peer.shell("echo").await?).await?;
        let [bare_echo, echo] = type_into([&mut bare, &mut way]).await?;
        rows(&format!("in {}", peer.name), &echo, &bare_echo);
    }
    Ok(())
}

/// Another terminal runs `yes`, and a client of it reads all that comes.
pub async fn beside_a_flood(host: &Host) -> Result<()> {
    let (mut bare, mut ours) = (typist(Way::raw()?).await?, typist(shell(host, false).await?).await?);
    let mut flood = shell(host, false).await?;
    flood.type_in("yes\r").await?;
    flood.until("y\r\ny").await?;
    let reader = tokio::spawn(async move {
        loop {
            flood.read().await?;
        }
        #[expect(unreachable_code, reason = "says of what kind the errors are")]
        anyhow::Ok(())
    });
    let [bare, ours] = type_into([&mut bare, &mut ours]).await?;
    reader.abort();
    rows("beside `yes`, which is read", &ours, &bare);
    close_all(&mut host.connect().await?).await
}

/// Many others print; nobody looks.
pub async fn beside_many(host: &Host) -> Result<()> {
    let (mut bare, mut ours) = (typist(Way::raw()?).await?, typist(shell(host, false).await?).await?);
    let mut client = host.connect().await?;
    // One token may have 64.
    let (_, made, _) = host.cli(&["token", "create", "printers", "--scope", "admin", "--json"]).await?;
    let made: Value = serde_json::from_str(&made)?;
    let mut second = Client::connect(&host.url, made["token"].as_str().context("token")?).await?;
    let printer = std::env::current_exe()?.display().to_string();
    let print = json!({ "shell": printer, "args": ["print", BYTES_EACH_SECOND.to_string()] });
    for number in 0..PRINTERS {
        let opener = if number % 2 == 0 { &mut client } else { &mut second };
        opener.call("terminals.open", print.clone()).await?;
    }
    let (begin, before) = (Instant::now(), printed(&mut client).await?);
    let [bare, ours] = type_into([&mut bare, &mut ours]).await?;
    let rate = (printed(&mut client).await? - before) as f64 / 1e6 / begin.elapsed().as_secs_f64();
    rows(&format!("beside {PRINTERS} terminals that print {rate:.0} MB/s together"), &ours, &bare);
    close_all(&mut client).await
}

async fn printed(client: &mut Client) -> Result<u64> {
    let list = client.call("terminals.list", json!({})).await?;
    Ok(list.as_array().context("a list")?.iter().filter_map(|terminal| terminal["offset"].as_u64()).sum())
}

async fn close_all(client: &mut Client) -> Result<()> {
    let list: Vec<Value> = client.call("terminals.list", json!({})).await?.as_array().context("a list")?.clone();
    for terminal in list {
        client.call("terminals.close", json!({ "id": terminal["id"] })).await?;
    }
    Ok(())
}

/// What each of the printers does: so many bytes a second, in a hundred pieces, for as long as somebody takes them.
pub fn print_at(bytes_each_second: usize) -> Result<()> {
    const PIECES: u32 = 100;
    let piece = "another line of what a program has to say\n".repeat(1 + bytes_each_second / PIECES as usize / 42);
    let mut due = Instant::now();
    loop {
        std::io::stdout().write_all(&piece.as_bytes()[..bytes_each_second / PIECES as usize])?;
        due += Duration::from_secs(1) / PIECES;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
