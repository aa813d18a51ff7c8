//! Ctrl-C, until the prompt is there, while `yes` floods.

use std::time::{Duration, Instant};

use anyhow::Result;
use midplane_tests::Host;

use super::{open, peers::Peer, shell, way::Way};
use crate::report::{Samples, line};

const TIMES: usize = 15;
/// How long it floods before.
const FLOOD: Duration = Duration::from_millis(500);

pub async fn interrupt(host: &Host, peers: &[Peer]) -> Result<()> {
    let limit = run(Way::raw()?).await?;
    row("on a channel", &run(shell(host, false).await?).await?, &limit);
    let id = open(&mut host.connect().await?).await?;
    row("on a plain socket", &run(Way::plain(host, &id).await?).await?, &limit);
    for peer in peers {
        row(&format!("in {}", peer.name), &run(peer.shell("interrupt").await?).await?, &limit);
    }
    Ok(())
}

async fn run(mut way: Way) -> Result<Samples> {
    let mut samples = Samples::default();
    way.type_in("\r").await?;
    way.until("ready> ").await?;
    for _ in 0..TIMES {
        way.type_in("yes\r").await?;
        let begin = Instant::now();
        while begin.elapsed() < FLOOD {
            way.read().await?;
        }
        let begin = Instant::now();
        way.type_in("\x03").await?;
        way.until("ready> ").await?;
        samples.push(begin.elapsed());
    }
    Ok(samples)
}

fn row(what: &str, samples: &Samples, limit: &Samples) {
    line(
        &format!("Ctrl-C under `yes` to the prompt {what}, median"),
        samples.quantile(0.5),
        "bare",
        limit.quantile(0.5),
    );
    line("the same, largest", samples.quantile(1.0), "bare", limit.quantile(1.0));
}
