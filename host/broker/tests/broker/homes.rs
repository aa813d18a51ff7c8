//! What every home of a stream owes, whatever it is: these tests know the broker's door and nothing behind it. A new home joins
//! [`HOMES`] and passes them unchanged.
//!
//! A home is a place that brokers are opened in, one after the other. Either it continues (the epoch stays, and everything that was
//! acknowledged is there, or is said to be lost), or it begins anew (another epoch, and nothing of before counts as recovered).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use midplane_broker::{
    Broker, BrokerLimits, Conditions, Delivery, Journal, Publish, Published, Reason, Retention, Since, StreamClass,
    StreamDefinition, SubscribeOptions,
};
use midplane_model::{Origin, Position};
use proptest::prelude::*;
use serde_json::value::to_raw_value;

use crate::fixture::*;

/// A place for brokers.
pub struct Place {
    folder: tempfile::TempDir,
    home: Home,
}

type Open = fn(&Path, &[StreamDefinition], BrokerLimits) -> Broker;

#[derive(Clone, Copy)]
struct Home {
    open: Open,
    /// Whether it goes on where it was.
    continues: bool,
    /// What a crash leaves of a place that a broker still uses.
    crash: fn(&Path) -> tempfile::TempDir,
}

const HOMES: [Home; 2] =
    [Home { open: in_memory, continues: false, crash: nothing }, Home { open: in_files, continues: true, crash: copy }];

fn in_memory(_: &Path, definitions: &[StreamDefinition], limits: BrokerLimits) -> Broker {
    Broker::with_limits(definitions, limits).unwrap()
}

fn in_files(folder: &Path, definitions: &[StreamDefinition], limits: BrokerLimits) -> Broker {
    let open = |definition: &StreamDefinition| Journal::open(&folder.join(&*definition.name), &definition.name);
    Broker::with_homes(definitions, limits, |definition| open(definition).map(Some)).unwrap()
}

fn nothing(_: &Path) -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Every file as it is now; what a process holds in memory is not in it.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut folders = vec![PathBuf::new()];
    while let Some(path) = folders.pop() {
        std::fs::create_dir_all(copy.path().join(&path)).unwrap();
        for entry in std::fs::read_dir(folder.join(&path)).unwrap() {
            let entry = entry.unwrap();
            let below = path.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(below);
            } else {
                std::fs::copy(entry.path(), copy.path().join(below)).unwrap();
            }
        }
    }
    copy
}

impl Place {
    fn new(home: Home) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), home }
    }

    fn open(&self, events: usize) -> Broker {
        let retention = Retention { events, ..Retention::default() };
        let definition = StreamDefinition::new("s", StreamClass::Log, &[""]).with_retention(retention);
        let limits = BrokerLimits { page_events: 3, ..BrokerLimits::default() };
        (self.home.open)(self.folder.path(), &[definition], limits)
    }

    /// The place as a crash at this moment leaves it.
    fn crash(&mut self) {
        self.folder = (self.home.crash)(self.folder.path());
    }
}

/// Publishes and waits for the acknowledgement.
async fn acknowledged(broker: &Broker, text: &str) -> Published {
    let published = publish(broker, text);
    broker.applied(&published.stream, &published.position()).await.unwrap();
    published
}

fn received(broker: &Broker, pattern: &str, since: Since) -> (Reason, Vec<u64>) {
    let (report, mut subscription) = broker.subscribe(&SubscribeOptions { since, ..options(&[pattern]) }).unwrap();
    let events = drain(&mut subscription).into_iter().filter_map(|delivery| match delivery {
        Delivery::Event { event, .. } => Some(event.seq),
        _ => None,
    });
    (report.streams["s"].reason, events.collect())
}

#[tokio::test]
async fn what_is_acknowledged_is_delivered_in_the_order_of_its_numbers() {
    for home in HOMES {
        let place = Place::new(home);
        let broker = place.open(100);
        let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
        let published: Vec<_> = (0..50).map(|_| publish(&broker, "a")).collect();
        assert_eq!(published.iter().map(|p| p.seq).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
        broker.applied("s", &published[49].position()).await.unwrap();
        let seqs: Vec<u64> =
            drain(&mut subscription).iter().map(|d| brief(std::slice::from_ref(d)).parse().unwrap()).collect();
        assert_eq!(seqs, (1..=50).collect::<Vec<_>>());
        assert_eq!(published[0].durable, home.continues);
    }
}

#[tokio::test]
async fn a_stream_continues_or_begins_anew_and_never_says_the_one_and_does_the_other() {
    for home in HOMES {
        for crash in [false, true] {
            let mut place = Place::new(home);
            let broker = place.open(100);
            for text in ["a", "b", "a"] {
                acknowledged(&broker, text).await;
            }
            let before = broker.heads()["s"].clone();
            if crash {
                place.crash();
            }
            broker.close().await;
            drop(broker);
            let broker = place.open(100);
            assert_eq!(broker.heads()["s"].epoch == before.epoch, home.continues);
            let at = |seq| since("s", &before.epoch, seq);
            if home.continues {
                assert_eq!(received(&broker, "a", at(1)), (Reason::Ok, vec![3]));
                assert_eq!(received(&broker, "**", at(3)), (Reason::Ok, vec![]));
            } else {
                assert_eq!(received(&broker, "**", at(1)), (Reason::Epoch, vec![]));
            }
            let next = acknowledged(&broker, "a").await;
            assert!(next.epoch != before.epoch || next.seq > before.seq, "no number means two events");
            assert_eq!(next.seq == before.seq + 1, home.continues && !crash, "only a crash skips numbers");
        }
    }
}

#[tokio::test]
async fn what_retention_has_dropped_before_a_restart_counts_as_lost_after_it() {
    for home in HOMES.into_iter().filter(|home| home.continues) {
        let place = Place::new(home);
        let broker = place.open(3);
        for text in ["a", "b", "b", "b", "b"] {
            acknowledged(&broker, text).await;
        }
        let epoch = epoch(&broker);
        broker.close().await;
        drop(broker);
        let broker = place.open(3);
        assert_eq!(received(&broker, "**", since("s", &epoch, 1)), (Reason::Evicted, vec![]));
        assert_eq!(received(&broker, "b", since("s", &epoch, 2)), (Reason::Ok, vec![3, 4, 5]));
        assert_eq!(received(&broker, "a", since("s", &epoch, 0)), (Reason::Evicted, vec![]));
    }
}

#[tokio::test]
async fn a_condition_sees_what_was_published_before_the_restart() {
    for home in HOMES.into_iter().filter(|home| home.continues) {
        let place = Place::new(home);
        let broker = place.open(10);
        let before = acknowledged(&broker, "a").await;
        broker.close().await;
        drop(broker);
        let broker = place.open(10);
        let publish = |seq| {
            let payload = to_raw_value(&1).unwrap();
            let conditions = Conditions { topic_seq: Some(seq), ..Conditions::default() };
            broker.publish_if(Publish { topic: topic("a"), payload, origin: Origin::default(), ttl: None }, conditions)
        };
        assert!(publish(0).is_err());
        assert!(publish(before.seq).is_ok());
    }
}

#[tokio::test]
async fn a_time_to_live_goes_on_over_a_restart() {
    for home in HOMES.into_iter().filter(|home| home.continues) {
        let place = Place::new(home);
        let broker = place.open(10);
        publish_with_ttl(&broker, "a", Some(Duration::ZERO));
        publish_with_ttl(&broker, "a", Some(Duration::from_secs(3600)));
        let last = acknowledged(&broker, "a").await;
        broker.close().await;
        drop(broker);
        let broker = place.open(10);
        assert_eq!(received(&broker, "a", since("s", &last.epoch, 0)), (Reason::Ok, vec![2, 3]));
    }
}

#[tokio::test]
async fn a_closed_broker_takes_nothing_more_and_says_so() {
    for home in HOMES.into_iter().filter(|home| home.continues) {
        let place = Place::new(home);
        let broker = place.open(10);
        acknowledged(&broker, "a").await;
        broker.close().await;
        let payload = to_raw_value(&1).unwrap();
        let refused = broker.publish(Publish { topic: topic("a"), payload, origin: Origin::default(), ttl: None });
        assert!(refused.is_err());
        let never = Position { epoch: epoch(&broker), seq: 2 };
        assert!(broker.applied("s", &never).await.is_err(), "nobody waits for what cannot come");
    }
}

#[derive(Debug, Clone)]
enum Life {
    Publish(usize),
    Stop,
    Crash,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order of publishing, stopping and crashing: from every position that was ever acknowledged, a subscriber
    /// gets exactly what was acknowledged after it and is still kept, or is told that something is not.
    #[test]
    fn positions_outlive_every_end_of_the_host(
        lives in prop::collection::vec(prop_oneof![
            6 => (0..2usize).prop_map(Life::Publish),
            1 => Just(Life::Stop),
            1 => Just(Life::Crash),
        ], 1..40),
        kept in 3..8usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for home in HOMES.into_iter().filter(|home| home.continues) {
                let mut place = Place::new(home);
                let mut broker = place.open(kept);
                let first = epoch(&broker);
                let mut all: Vec<(u64, &str)> = Vec::new();
                for life in &lives {
                    match life {
                        Life::Publish(topic) => {
                            let text = ["a", "b"][*topic];
                            all.push((acknowledged(&broker, text).await.seq, text));
                        }
                        Life::Stop | Life::Crash => {
                            if matches!(life, Life::Crash) {
                                place.crash();
                            }
                            drop(broker);
                            broker = place.open(kept);
                        }
                    }
                }
                if all.is_empty() {
                    return;
                }
                assert_eq!(epoch(&broker), first);
                assert!(all.is_sorted_by(|a, b| a.0 < b.0), "{all:?}");
                let oldest = all[all.len().saturating_sub(kept)].0;
                for position in [0].into_iter().chain(all.iter().map(|(seq, _)| *seq)) {
                    let owed: Vec<u64> = all.iter().filter(|(seq, text)| *text == "a" && *seq > position).map(|e| e.0).collect();
                    let (reason, got) = received(&broker, "a", since("s", &first, position));
                    if owed.iter().all(|seq| *seq >= oldest) && position + 1 >= oldest {
                        assert_eq!((reason, &got), (Reason::Ok, &owed), "after {position} of {all:?}");
                    } else if owed.iter().any(|seq| *seq < oldest) {
                        assert_eq!((reason, got.len()), (Reason::Evicted, 0), "after {position} of {all:?}");
                    }
                }
            }
        });
    }
}
