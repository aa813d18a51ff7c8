//! A client of one terminal: a connection, a channel, an emulator, and what it needs to come back.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{Client, Frame, Host, Screen};

const OUTPUT: u8 = 0x01;
const SNAPSHOT: u8 = 0x02;
const GAP: u8 = 0x03;
const EXIT: u8 = 0x04;
const META: u8 = 0x06;
const INPUT: u8 = 0x10;
const ACK: u8 = 0x11;

pub struct Watcher {
    pub client: Client,
    pub screen: Screen,
    pub offset: u64,
    /// All OUTPUT and SNAPSHOT bytes, where they are kept.
    pub bytes: Option<Vec<u8>>,
    pub snapshots: usize,
    pub metas: Vec<Value>,
    pub exit: Option<i32>,
    /// Acknowledges what it has taken.
    pub acknowledges: bool,
    pub channel: u32,
    /// What it has seen is to be replaced by a snapshot that has not come yet.
    awaits_snapshot: bool,
    epoch: String,
    sent: u64,
    id: Value,
}

impl Watcher {
    pub async fn attach(host: &Host, id: &Value, mut params: Value) -> Result<Self> {
        let mut client = host.connect().await?;
        params["id"] = id.clone();
        let attached = client.call("terminals.attach", params).await?;
        Ok(Self {
            client,
            screen: Screen::new(80, 24),
            offset: attached["offset"].as_u64().context("offset")?,
            bytes: None,
            snapshots: 0,
            metas: Vec::new(),
            exit: None,
            acknowledges: true,
            channel: channel(&attached)?,
            awaits_snapshot: true,
            epoch: attached["epoch"].as_str().context("epoch")?.to_owned(),
            sent: 0,
            id: id.clone(),
        })
    }

    /// Comes back on another connection, with what it has seen.
    pub async fn resume(&mut self, host: &Host) -> Result<bool> {
        self.client = host.connect().await?;
        let resume = json!({ "epoch": self.epoch, "offset": self.offset });
        let params = json!({ "id": self.id, "role": "view", "resume": resume });
        let attached = self.client.call("terminals.attach", params).await?;
        self.channel = channel(&attached)?;
        self.offset = attached["offset"].as_u64().context("offset")?;
        self.awaits_snapshot = attached["delta"] == false;
        Ok(!self.awaits_snapshot)
    }

    pub async fn type_in(&mut self, keys: &[u8]) -> Result<()> {
        self.send(INPUT, self.sent, keys).await?;
        self.sent += keys.len() as u64;
        Ok(())
    }

    pub async fn acknowledge(&mut self) -> Result<()> {
        self.send(ACK, self.offset, &[]).await
    }

    async fn send(&mut self, op: u8, offset: u64, payload: &[u8]) -> Result<()> {
        let frame = Frame { kind: 1, op, channel: self.channel, offset, payload: payload.to_vec() };
        self.client.send_frame(&frame).await
    }

    /// Takes one frame.
    pub async fn step(&mut self) -> Result<()> {
        let frame = self.client.frame(self.channel).await?;
        match frame.op {
            OUTPUT => {
                if frame.offset != self.offset {
                    bail!("output goes on at {}, not at {}", frame.offset, self.offset);
                }
                self.offset += frame.payload.len() as u64;
                self.show(&frame.payload);
                if self.acknowledges {
                    self.acknowledge().await?;
                }
            }
            SNAPSHOT => {
                let word = |at: usize| usize::from(u16::from_be_bytes([frame.payload[at], frame.payload[at + 1]]));
                self.screen.resize(word(0), word(2));
                self.offset = frame.offset;
                self.snapshots += 1;
                self.awaits_snapshot = false;
                self.show(&frame.payload[8..]);
            }
            META => {
                let meta: Value = serde_json::from_slice(&frame.payload)?;
                if let (Some(cols), Some(rows)) = (meta["size"]["cols"].as_u64(), meta["size"]["rows"].as_u64()) {
                    self.screen.resize(usize::try_from(cols)?, usize::try_from(rows)?);
                }
                self.metas.push(meta);
            }
            EXIT => self.exit = Some(i32::from_be_bytes(frame.payload[..4].try_into()?)),
            GAP => bail!("a gap at {}", frame.offset),
            _ => {}
        }
        Ok(())
    }

    fn show(&mut self, bytes: &[u8]) {
        self.screen.feed(bytes);
        if let Some(all) = &mut self.bytes {
            all.extend_from_slice(bytes);
        }
    }

    pub async fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<()> {
        while !done(self) {
            self.step().await?;
        }
        Ok(())
    }

    /// Until it has seen the output up to here.
    pub async fn catch_up(&mut self, offset: u64) -> Result<()> {
        self.until(|watcher| watcher.offset >= offset && !watcher.awaits_snapshot).await
    }

    /// Until both have seen the output up to the same byte. A program may draw at any moment, however quiet it seems.
    pub async fn meet(&mut self, other: &mut Self) -> Result<()> {
        loop {
            let ahead = self.offset.max(other.offset);
            self.catch_up(ahead).await?;
            other.catch_up(ahead).await?;
            if self.offset == other.offset {
                return Ok(());
            }
        }
    }

    pub async fn until_shows(&mut self, text: &str) -> Result<()> {
        self.until(|watcher| watcher.screen.text().contains(text)).await
    }
}

fn channel(attached: &Value) -> Result<u32> {
    Ok(u32::try_from(attached["channel"].as_u64().context("channel")?)?)
}
