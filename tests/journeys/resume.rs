//! A client that is killed at random moments, during events and during calls under idempotency keys, and comes back each time.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Kills where the environment names no other number (`MIDPLANE_KILLS`).
const KILLS: u64 = 20;
/// Messages that the client reads at most before it is killed.
const MESSAGES: u64 = 40;
const TOPIC: &str = "tick.tock";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_killed_at_random_moments_sees_every_event_once_and_has_every_effect_once() -> Result<()> {
    let kills = std::env::var("MIDPLANE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter")))
            .await?;
    let (done, stop) = watch::channel(false);
    let publisher = tokio::spawn(publish(host.connect().await?, stop));
    let mut application = Application::default();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ u64::from(host.pid()));
    eprintln!("dice: {}", dice.0);
    let mut frozen = Vec::new();
    for _ in 0..kills {
        // A socket that is not closed but never read again, as of a laptop that went to sleep, is superseded by the next.
        match application.live_a_while(&host, &mut dice).await {
            Ok(left) => frozen.extend(left),
            Err(error) => application.is_superseded_by_itself(error)?,
        }
    }
    done.send_replace(true);
    let events = publisher.await??;
    while let Err(error) = application.finish(&host, events).await {
        application.is_superseded_by_itself(error)?;
    }
    assert_eq!(application.seen, (1..=events).collect::<Vec<_>>(), "each event once, in order");
    let counts: Vec<u64> = application.results.values().copied().collect();
    assert_eq!(counts, (1..=application.calls).collect::<Vec<_>>(), "each effect once, in order");
    let count = host.connect().await?.call("counter.increment", json!({})).await?;
    assert_eq!(count, application.calls + 1, "and no other");
    assert_eq!(application.sessions, 1, "one session all the time");
    Ok(())
}

/// Publishes the numbers from 1 on until it is told to stop; gives the last one.
async fn publish(mut client: Client, stop: watch::Receiver<bool>) -> Result<u64> {
    let mut last = 0;
    while last < 100 || !*stop.borrow() {
        last += 1;
        client.call("event.publish", json!({ "topic": TOPIC, "payload": last })).await?;
    }
    Ok(last)
}

/// What survives the kills of its connections: what a client keeps on its side.
#[derive(Default)]
struct Application {
    ticket: Option<Value>,
    /// How many sessions it was given.
    sessions: u64,
    /// Openings on connections that it left before they were answered.
    unanswered: u64,
    seen: Vec<u64>,
    position: Option<Value>,
    calls: u64,
    /// The call whose answer has not come.
    pending: Option<u64>,
    results: BTreeMap<u64, u64>,
}

impl Application {
    /// Connects, does a random part of what it has to do, and is killed. Its socket, where that stays open.
    async fn live_a_while(&mut self, host: &Host, dice: &mut Dice) -> Result<Option<Client>> {
        let mut client = host.connect().await?;
        match dice.roll(6) {
            0 => {}
            // The answer with the next token gets lost.
            1 => {
                self.unanswered += 1;
                client.send("session.open", self.opening()).await?;
            }
            // The answer of the call gets lost, and perhaps the call.
            2 => {
                self.open(&mut client).await?;
                self.send_call(&mut client).await?;
            }
            _ => {
                self.open(&mut client).await?;
                self.send_call(&mut client).await?;
                for _ in 0..dice.roll(MESSAGES) {
                    let message = client.message().await?;
                    self.note(&message)?;
                    if self.pending.is_none() {
                        self.send_call(&mut client).await?;
                    }
                }
            }
        }
        Ok((dice.roll(4) == 0).then_some(client))
    }

    /// What was sent on a connection that was left may arrive after what was sent on the next one, and then takes the session from it:
    /// an end like any other, once for each such opening.
    fn is_superseded_by_itself(&mut self, error: anyhow::Error) -> Result<()> {
        let Some(left) = self.unanswered.checked_sub(1).filter(|_| error.to_string().contains("Library(4009)")) else {
            return Err(error);
        };
        self.unanswered = left;
        Ok(())
    }

    /// Comes back a last time and reads to the end.
    async fn finish(&mut self, host: &Host, events: u64) -> Result<()> {
        let mut client = host.connect().await?;
        self.open(&mut client).await?;
        if self.pending.is_some() {
            self.send_call(&mut client).await?;
        }
        while self.pending.is_some() || self.seen.last() != Some(&events) {
            let message = client.message().await?;
            self.note(&message)?;
        }
        Ok(())
    }

    fn opening(&self) -> Value {
        let mut resume = self.ticket.clone();
        if let (Some(resume), Some(position)) = (&mut resume, &self.position) {
            resume["positions"] = json!({ "1": position });
        }
        json!({ "resume": resume })
    }

    async fn open(&mut self, client: &mut Client) -> Result<()> {
        let opened = client.call("session.open", self.opening()).await?;
        self.sessions += u64::from(opened["resumed"] == false);
        self.ticket = Some(json!({ "session_id": opened["session_id"], "token": opened["resume_token"] }));
        match opened["subscriptions"].as_array().and_then(|all| all.first()) {
            Some(continued) => {
                ensure!(continued["streams"]["main"]["recovered"] == true, "{opened}");
            }
            // None yet, or the call never arrived.
            None => {
                let since = self.position.clone().unwrap_or_else(|| json!("earliest"));
                client.call("event.subscribe", json!({ "patterns": [TOPIC], "since": since })).await?;
            }
        }
        Ok(())
    }

    /// Calls, or calls again under the same key.
    async fn send_call(&mut self, client: &mut Client) -> Result<()> {
        let number = *self.pending.get_or_insert_with(|| {
            self.calls += 1;
            self.calls
        });
        let key = format!("call-{number}");
        let meta = json!({ "idempotency_key": key });
        let call = json!({ "jsonrpc": "2.0", "id": key, "method": "counter.increment", "meta": meta });
        client.send_text(&call.to_string()).await
    }

    fn note(&mut self, message: &Value) -> Result<()> {
        let params = &message["params"];
        let at = |seq: &Value| Some(json!({ "main": { "epoch": params["epoch"], "seq": seq } }));
        match message["method"].as_str() {
            Some("event") => {
                self.seen.push(params["payload"].as_u64().context("a number")?);
                self.position = at(&params["seq"]);
            }
            Some("event.cursor") => self.position = at(&params["seq"]),
            Some(_) => anyhow::bail!("nothing was lost, and yet: {message}"),
            None => {
                let number = self.pending.take().context("an answer that nobody waits for")?;
                ensure!(message["id"] == format!("call-{number}"), "{message}");
                let count = message["result"].as_u64().with_context(|| message.to_string())?;
                self.results.insert(number, count);
            }
        }
        Ok(())
    }
}

/// Numbers that look random; the first one is printed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}
