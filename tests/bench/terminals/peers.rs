//! Other programs that bring terminals to pages, where they are installed.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::way::{ENVIRONMENT, Way};

/// A running one. Killed when dropped.
pub struct Peer {
    pub name: &'static str,
    url: String,
    child: Child,
}

impl Peer {
    /// The shell of this name, which `ttyd` makes anew for every connection.
    pub async fn shell(&self, name: &str) -> Result<Way> {
        match self.name {
            "ttyd" => Way::ttyd(&self.url).await,
            _ => Way::terminado(&self.url, name).await,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Whether a shell outlives its connection.
    pub fn keeps_shells(&self) -> bool {
        self.name != "ttyd"
    }
}

/// Those that are here; of the others it says so.
pub async fn found() -> Vec<Peer> {
    let mut peers = Vec::new();
    match ttyd().await {
        Ok(peer) => peers.push(peer),
        Err(error) => println!("| ttyd | not measured: {error:#} | | |"),
    }
    match terminado().await {
        Ok(peer) => peers.push(peer),
        Err(error) => println!("| terminado | not measured: {error:#} | | |"),
    }
    peers
}

async fn ttyd() -> Result<Peer> {
    let mut command = Command::new("ttyd");
    command.args(["--writable", "--port", "0", "--interface", "127.0.0.1", "/bin/sh"]);
    let mut child = spawn(&mut command).context("ttyd is not in PATH")?;
    let mut lines = BufReader::new(child.stderr.take().context("stderr")?).lines();
    let mut port = None;
    while port.is_none() {
        let line = lines.next_line().await?.context("it ended before it was ready")?;
        port = line.rsplit_once("port: ").map(|(_, port)| port.trim().to_owned());
    }
    // It goes on talking, about every connection.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(Peer { name: "ttyd", url: format!("ws://127.0.0.1:{}", port.context("port")?), child })
}

async fn terminado() -> Result<Peer> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/python");
    let mut child = spawn(Command::new(python).args(["-c", include_str!("terminado.py")]))
        .context("it is not there; `cargo xtask bench` fetches it where there is Python")?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let url = lines.next_line().await?.context("it ended before it was ready")?;
    Ok(Peer { name: "terminado", url, child })
}

fn spawn(command: &mut Command) -> std::io::Result<Child> {
    command
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}
