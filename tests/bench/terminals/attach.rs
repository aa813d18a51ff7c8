//! Coming to a terminal that has much behind it, until its screen is there.

use std::time::Instant;

use anyhow::{Context as _, Result};
use midplane_tests::Host;
use serde_json::json;

use super::{lines, open, peers::Peer, way::Way};
use crate::report::{Samples, line};

const BYTES: usize = 8 * 1024 * 1024;
const TIMES: usize = 20;

pub async fn attach(host: &Host, peers: &[Peer]) -> Result<()> {
    let file = lines(host, BYTES)?;
    let mut bare = Way::raw()?;
    bare.until("ready> ").await?;
    let begin = Instant::now();
    print(&mut bare, &file).await?;
    let replay = begin.elapsed();

    let mut client = host.connect().await?;
    let id = open(&mut client).await?;
    print(&mut Way::channel(host, &id, true).await?, &file).await?;
    let (mut paint, mut whole, mut frames, mut bytes) = (Samples::default(), Samples::default(), 0, 0);
    for _ in 0..TIMES {
        let begin = Instant::now();
        let attached = client.call("terminals.attach", json!({ "id": id, "role": "view" })).await?;
        let channel = u32::try_from(attached["channel"].as_u64().context("channel")?)?;
        (frames, bytes) = (0, 0);
        loop {
            let frame = client.frame(channel).await?;
            if frame.op != 0x02 {
                continue;
            }
            if frames == 0 {
                paint.push(begin.elapsed());
            }
            (frames, bytes) = (frames + 1, bytes + frame.payload.len());
            // The prompt behind everything.
            if frame.payload.windows(4).any(|end| end == b"over") {
                break;
            }
        }
        whole.push(begin.elapsed());
        client.call("terminals.detach", json!({ "id": id, "channel": channel })).await?;
    }
    let against = "8 MiB from a bare one";
    line("attach after 8 MiB of output to the first frame, median", paint.quantile(0.5), against, replay);
    let what = format!("the same to the whole snapshot ({frames} frames, {} KiB)", bytes / 1024);
    line(&what, whole.quantile(0.5), against, replay);
    let mut socket = Samples::default();
    for _ in 0..TIMES {
        let begin = Instant::now();
        Way::plain(host, &id).await?.until("over").await?;
        socket.push(begin.elapsed());
    }
    line("the same on a plain socket, with its handshake", socket.quantile(0.5), against, replay);
    for peer in peers.iter().filter(|peer| peer.keeps_shells()) {
        let mut first = peer.shell("attach").await?;
        print(&mut first, &file).await?;
        let mut replayed = Samples::default();
        for _ in 0..TIMES {
            let begin = Instant::now();
            peer.shell("attach").await?.until("over").await?;
            replayed.push(begin.elapsed());
        }
        line(&format!("the same in {}, what it kept", peer.name), replayed.quantile(0.5), against, replay);
    }
    Ok(())
}

async fn print(way: &mut Way, file: &str) -> Result<()> {
    way.type_in(&format!("cat {file}; echo o''ver\r")).await?;
    way.until("over").await.map(drop)
}
