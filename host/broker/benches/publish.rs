//! What publishing costs: beside subscriptions that do not match, beside readers that never read, and to readers, beside a tokio
//! broadcast channel in the same run. `cargo xtask bench` runs this; timing never fails anything.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on stdout")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use midplane_broker::{Broker, Delivery, Publish, StreamDefinition, SubscribeOptions, Subscription};
use midplane_model::{Origin, Pattern, Topic};
use serde_json::value::{RawValue, to_raw_value};
use tokio::{runtime::Runtime, sync::broadcast};

const EVENTS: u64 = 100_000;
/// Events that are published before the readers are waited for, so that a channel of the same size loses none.
const BURST: u64 = 1000;

fn main() {
    let runtime = Runtime::new().expect("threads");
    let _entered = runtime.enter();
    strangers();
    sleepers();
    for readers in [1, 10, 100] {
        fan_out(&runtime, readers);
    }
}

/// Subscriptions that share nothing with the topic but the stream.
fn strangers() {
    let cost = |count: u64| {
        let broker = broker();
        let _subscriptions: Vec<_> = (0..count).map(|index| subscribe(&broker, &format!("user.u{index}.*"))).collect();
        median_of(|| publish_all(&broker, EVENTS))
    };
    let (few, many) = (cost(10), cost(10_000));
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!(
        "publish beside 10,000 subscriptions that do not match: {many:.2?}; beside 10: {few:.2?}; ratio {ratio:.1}"
    );
}

/// A thousand subscriptions that match, none of which reads: the publisher's own time, at its worst and in the middle.
fn sleepers() {
    let times = |count: u64| {
        let broker = broker();
        let _subscriptions: Vec<_> = (0..count).map(|_| subscribe(&broker, "note.*")).collect();
        let mut times: Vec<_> = (0..EVENTS / 10)
            .map(|_| {
                let begin = Instant::now();
                publish(&broker);
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    let ((alone, _), (median, p99)) = (times(0), times(1000));
    println!("publish to 1,000 subscriptions that never read: {median:.2?}, p99 {p99:.2?}; to nobody: {alone:.2?}");
}

/// From the first publish to the last delivery, per delivery.
fn fan_out(runtime: &Runtime, readers: u64) {
    let bursts = EVENTS / 10 / BURST;
    let deliveries = u32::try_from(readers * bursts * BURST).expect("few");
    let ours = median_of(|| runtime.block_on(through_the_broker(readers, bursts)) / deliveries);
    let raw = median_of(|| runtime.block_on(through_a_channel(readers, bursts)) / deliveries);
    let ratio = ours.as_secs_f64() / raw.as_secs_f64();
    println!(
        "delivery 1 to {readers} through the broker: {ours:.2?}; tokio broadcast channel: {raw:.2?}; ratio {ratio:.1}"
    );
}

async fn through_the_broker(readers: u64, bursts: u64) -> Duration {
    let broker = broker();
    let (done, mut burst_read) = tokio::sync::mpsc::channel(readers as usize);
    for _ in 0..readers {
        let (mut subscription, done) = (subscribe(&broker, "note.*"), done.clone());
        tokio::spawn(async move {
            for read in 1..=bursts * BURST {
                while !matches!(subscription.next().await, Delivery::Event { .. }) {}
                if read % BURST == 0 && done.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    let begin = Instant::now();
    for _ in 0..bursts {
        (0..BURST).for_each(|_| publish(&broker));
        for _ in 0..readers {
            burst_read.recv().await;
        }
    }
    begin.elapsed()
}

async fn through_a_channel(readers: u64, bursts: u64) -> Duration {
    let (sender, _) = broadcast::channel::<Arc<RawValue>>(BURST as usize);
    let (done, mut burst_read) = tokio::sync::mpsc::channel(readers as usize);
    for _ in 0..readers {
        let (mut receiver, done) = (sender.subscribe(), done.clone());
        tokio::spawn(async move {
            for read in 1..=bursts * BURST {
                if receiver.recv().await.is_err() || (read % BURST == 0 && done.send(()).await.is_err()) {
                    return;
                }
            }
        });
    }
    let begin = Instant::now();
    for _ in 0..bursts {
        for _ in 0..BURST {
            _ = sender.send(payload().into());
        }
        for _ in 0..readers {
            burst_read.recv().await;
        }
    }
    begin.elapsed()
}

fn broker() -> Broker {
    Broker::new(&StreamDefinition::defaults()).expect("the default streams")
}

fn subscribe(broker: &Broker, pattern: &str) -> Subscription {
    let patterns = vec![Pattern::parse(pattern).expect("a pattern")];
    broker.subscribe(&SubscribeOptions { patterns, ..SubscribeOptions::default() }).expect("one pattern").1
}

fn publish(broker: &Broker) {
    let topic = Topic::parse("note.taken").expect("a topic");
    broker.publish(Publish { topic, payload: payload(), origin: Origin::default(), ttl: None }).expect("small");
}

fn payload() -> Box<RawValue> {
    to_raw_value("a payload of a usual size, such as an editor makes").expect("a string")
}

/// Time per event.
fn publish_all(broker: &Broker, events: u64) -> Duration {
    let begin = Instant::now();
    (0..events).for_each(|_| publish(broker));
    begin.elapsed() / u32::try_from(events).expect("few")
}

/// Of five runs; a shared machine disturbs one or two.
fn median_of(mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..5).map(|_| run()).collect();
    times.sort_unstable();
    times[2]
}
