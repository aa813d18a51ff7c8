//! Terminals: what comes through, how late an echo is, what it costs; beside a bare pseudo-terminal of the same run, and beside
//! other programs that do the same.

mod attach;
mod cpu;
mod echo;
mod interrupt;
mod peers;
mod throughput;
mod way;

use anyhow::Result;
use midplane_tests::{Client, Host};
use serde_json::{Value, json};

pub use echo::print_at;
use way::{ENVIRONMENT, Way};

pub async fn terminals() -> Result<()> {
    let host = Host::start().await?;
    let peers = peers::found().await;
    throughput::throughput(&host, &peers).await?;
    attach::attach(&host, &peers).await?;
    interrupt::interrupt(&host, &peers).await
}

pub async fn echoes() -> Result<()> {
    let host = Host::start().await?;
    let peers = peers::found().await;
    echo::idle(&host, &peers).await?;
    echo::beside_a_flood(&host).await?;
    echo::beside_many(&host).await
}

/// Opens a terminal with the same shell that the others have.
async fn open(client: &mut Client) -> Result<Value> {
    Ok(client.call("terminals.open", json!({ "shell": "/bin/sh", "env": ENVIRONMENT })).await?["id"].clone())
}

/// A shell of the host's at the end of a channel.
async fn shell(host: &Host, lossless: bool) -> Result<Way> {
    let id = open(&mut host.connect().await?).await?;
    Way::channel(host, &id, lossless).await
}

/// Lines as a build prints them, `bytes` of them, in a file of the served directory.
fn lines(host: &Host, bytes: usize) -> Result<String> {
    let mut text = String::with_capacity(bytes + 100);
    let mut number = 0_u64;
    while text.len() < bytes {
        number += 1;
        let name = number * 7919 % 1000;
        text.push_str(&format!(
            "   \x1b[1;32mCompiling\x1b[0m unit-{name} v0.{number}.1 (/srv/project/units/{name}): {number} of many\n"
        ));
    }
    text.truncate(bytes);
    let path = host.directory.join(format!("lines-{bytes}"));
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}
