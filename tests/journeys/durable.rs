//! `--durable-events`: what was acknowledged outlives every end of the host, and subscribers go on as if there had been none.

use anyhow::{Context, Result};
use midplane_tests::{
    Client, Host, Options,
    history::{Acknowledged, History, Reader},
};
use serde_json::{Value, json};
use tokio::sync::watch;

const TOPIC: &str = "note.taken";
/// Kills of one history.
const KILLS: u64 = 4;
/// Publishes between two kills; they are sent in batches that a connection may have in flight.
const BATCHES: u64 = 4;
const BATCH: u64 = 50;
/// The id of the last event.
const LAST: u64 = 1_000_000;

fn durable() -> Options {
    Options { arguments: vec!["--durable-events".into()], ..Options::default() }
}

async fn start() -> Result<Host> {
    Host::start_with(durable(), |_| Ok(())).await
}

#[tokio::test]
async fn a_subscriber_recovers_over_kill_9_and_over_a_gentle_end() -> Result<()> {
    let mut host = start().await?;
    let mut since = Value::Null;
    for (round, payload) in ["one", "two", "three"].into_iter().enumerate() {
        let mut client = host.connect().await?;
        let subscribed = client.call("event.subscribe", json!({ "patterns": [TOPIC], "since": since })).await?;
        let report = &subscribed["streams"]["main"];
        assert_eq!(report["recovered"], round > 0, "{report}");
        if round > 0 {
            let missed = client.event_on(TOPIC).await?;
            assert_eq!((&missed["payload"], &missed["replay"]), (&json!("unseen"), &json!(true)));
        }
        let published = client.call("event.publish", json!({ "topic": TOPIC, "payload": payload })).await?;
        assert_eq!(published["durable"], true, "{published}");
        let seen = client.event_on(TOPIC).await?;
        assert_eq!((&seen["payload"], &seen["seq"]), (&json!(payload), &published["seq"]));
        since = json!({ "main": { "epoch": seen["epoch"], "seq": seen["seq"] } });
        client.call("event.publish", json!({ "topic": TOPIC, "payload": "unseen" })).await?;
        host = if round == 0 { host.kill_and_restart().await? } else { host.terminate_and_restart().await? };
    }
    let status = host.connect().await?.call("system.status", json!({})).await?;
    let main = status["streams"].as_array().into_iter().flatten().find(|stream| stream["name"] == "main");
    assert_eq!(main.context("main")?["durable"], true);
    Ok(())
}

/// How a subscriber behaves while the host runs.
#[derive(Clone, Copy)]
enum Manner {
    Reads,
    /// Reads nothing before the host is killed.
    Frozen,
    /// Cuts its connection after every few events, and comes back.
    Cuts,
}

#[tokio::test]
async fn no_history_under_kill_9_frozen_clients_and_cut_sockets_breaks_the_truth_rule() -> Result<()> {
    let mut host = start().await?;
    let mut history = History::default();
    let manners = [(Manner::Reads, "reads"), (Manner::Frozen, "frozen"), (Manner::Cuts, "cuts")];
    let mut readers: Vec<_> = manners.iter().map(|(manner, name)| (*manner, Reader::new(name))).collect();
    for round in 0..=KILLS {
        let (killed, host_ends) = watch::channel(false);
        let mut following = Vec::new();
        for (manner, mut reader) in readers {
            let at = (host.url.clone(), host.token.clone());
            let client = begin(&mut reader, &at).await?;
            let manner_now = if round == KILLS { Manner::Reads } else { manner };
            let follower = follow(manner_now, reader, client, at, host_ends.clone());
            following.push((manner, tokio::spawn(follower)));
        }
        let mut publisher = host.connect().await?;
        publish(&mut publisher, &mut history, round).await?;
        if round < KILLS {
            host = host.kill_and_restart().await?;
        } else {
            acknowledge(&mut publisher, &mut history, LAST).await?;
        }
        killed.send_replace(true);
        readers = Vec::new();
        for (manner, follower) in following {
            readers.push((manner, follower.await??));
        }
    }
    history.readers = readers.into_iter().map(|(_, reader)| reader).collect();
    history.check()?;
    for reader in &history.readers {
        let (recovered, lost) = reader.recoveries();
        assert_eq!(lost, 0, "{}: everything was kept, so every recovery is complete", reader.name);
        assert!(recovered as u64 >= KILLS, "{}: {recovered}", reader.name);
        assert!(reader.has_seen(LAST), "{}", reader.name);
    }
    Ok(())
}

/// Publishes in batches; of the last one before a kill only some answers are read.
async fn publish(client: &mut Client, history: &mut History, round: u64) -> Result<()> {
    for batch in 0..BATCHES {
        let mut sent = Vec::new();
        for index in 0..BATCH {
            let id = (round * BATCHES + batch) * BATCH + index;
            history.sent.insert(id);
            sent.push((client.send("event.publish", note(id)).await?, id));
        }
        let read = if batch == BATCHES - 1 && round < KILLS { 7 * (round + 1) } else { BATCH };
        for _ in 0..read {
            let answer = client.wait_for(|message| message.get("result").is_some()).await?;
            let (_, id) =
                sent.iter().find(|(request, _)| answer["id"] == *request).context("an answer to a request")?;
            note_answer(history, &answer["result"], *id)?;
        }
    }
    Ok(())
}

async fn acknowledge(client: &mut Client, history: &mut History, id: u64) -> Result<()> {
    history.sent.insert(id);
    let result = client.call("event.publish", note(id)).await?;
    note_answer(history, &result, id)
}

fn note(id: u64) -> Value {
    json!({ "topic": TOPIC, "payload": { "id": id } })
}

fn note_answer(history: &mut History, result: &Value, id: u64) -> Result<()> {
    let epoch = result["epoch"].as_str().context("epoch")?.to_owned();
    history.acknowledged.push(Acknowledged { epoch, seq: result["seq"].as_u64().context("seq")?, id });
    Ok(())
}

async fn begin(reader: &mut Reader, (url, token): &(String, String)) -> Result<Client> {
    let mut client = Client::connect(url, token).await?;
    let result = client.call("event.subscribe", reader.subscribe(&[TOPIC])).await?;
    reader.subscribed(&result)?;
    Ok(client)
}

/// Follows until the host is gone, or until the last event.
async fn follow(
    manner: Manner,
    mut reader: Reader,
    mut client: Client,
    at: (String, String),
    mut host_ends: watch::Receiver<bool>,
) -> Result<Reader> {
    if let Manner::Frozen = manner {
        host_ends.wait_for(|ended| *ended).await?;
    }
    let mut events = 0;
    // The socket ends with the host; what it had sent before is read first.
    while let Ok(message) = client.message().await {
        let is_event = reader.note(&message)?;
        if is_event && reader.has_seen(LAST) {
            break;
        }
        events += u32::from(is_event);
        if let (Manner::Cuts, true) = (manner, is_event && events.is_multiple_of(17)) {
            drop(client);
            match begin(&mut reader, &at).await {
                Ok(again) => client = again,
                Err(_) => break,
            }
        }
    }
    Ok(reader)
}
