//! Between publishing and committing, with a home that the test holds by the hand.

use std::{
    io,
    sync::{Arc, mpsc},
};

use midplane_broker::{
    Broker, BrokerError, BrokerLimits, Conditions, Home, HomeError, Opened, Publish, Published, StreamClass,
    StreamDefinition,
};
use midplane_model::{ErrorCode, Event, Fault, Origin, limits::COMMIT_EVENTS_MAX};
use serde_json::value::to_raw_value;

use crate::fixture::*;

/// Commits when it is told to, or fails.
struct ByHand {
    began: mpsc::Sender<Vec<u64>>,
    outcome: mpsc::Receiver<bool>,
}

impl Home for ByHand {
    fn commit(&mut self, events: &[Arc<Event>]) -> Result<(), HomeError> {
        // The test is over when nobody listens.
        _ = self.began.send(events.iter().map(|event| event.seq).collect());
        match self.outcome.recv() {
            Ok(true) | Err(_) => Ok(()),
            Ok(false) => {
                let source = io::Error::from(io::ErrorKind::StorageFull);
                Err(HomeError::Write { path: "nowhere".into(), source })
            }
        }
    }

    fn release(&mut self, _: u64) {}

    fn close(&mut self) -> Result<(), HomeError> {
        Ok(())
    }
}

struct Hand {
    broker: Broker,
    began: mpsc::Receiver<Vec<u64>>,
    outcome: mpsc::Sender<bool>,
}

fn by_hand() -> Hand {
    let (began, begun) = mpsc::channel();
    let (outcome, decided) = mpsc::channel();
    let mut home = Some(Box::new(ByHand { began, outcome: decided }));
    let definition = StreamDefinition::new("s", StreamClass::Log, &[""]);
    let broker = Broker::with_homes(&[definition], BrokerLimits::default(), |_| {
        let home = home.take().expect("one stream");
        let (epoch, events) = ("e".into(), Vec::new());
        Ok(Some(Opened { home, epoch, events, head: 0, next: 1, lost_until: 0 }))
    });
    Hand { broker: broker.unwrap(), began: begun, outcome }
}

fn keyed(broker: &Broker, key: &str) -> Result<Published, BrokerError> {
    let payload = to_raw_value(&1).unwrap();
    let conditions = Conditions { key: Some(key.into()), ..Conditions::default() };
    broker.publish_if(Publish { topic: topic("a"), payload, origin: Origin::default(), ttl: None }, conditions)
}

#[tokio::test]
async fn nobody_sees_an_event_before_it_is_committed() {
    let hand = by_hand();
    let (_, mut subscription) = hand.broker.subscribe(&options(&["a"])).unwrap();
    let published = publish(&hand.broker, "a");
    assert_eq!(hand.began.recv().unwrap(), [1], "the commit has begun");
    assert_eq!((published.seq, hand.broker.heads()["s"].seq), (1, 0));
    assert_eq!(brief(&drain(&mut subscription)), "");
    let (report, _) = hand.broker.subscribe(&options(&["a"])).unwrap();
    assert_eq!(report.streams["s"].head, 0, "what is not committed is not there for a newcomer either");
    hand.outcome.send(true).unwrap();
    hand.broker.applied("s", &published.position()).await.unwrap();
    assert_eq!(brief(&drain(&mut subscription)), "1");
}

#[tokio::test]
async fn what_gathers_during_a_commit_is_committed_together() {
    let hand = by_hand();
    publish(&hand.broker, "a");
    assert_eq!(hand.began.recv().unwrap(), [1]);
    let last = (0..=COMMIT_EVENTS_MAX).map(|_| publish(&hand.broker, "a")).last().unwrap();
    (0..3).for_each(|_| hand.outcome.send(true).unwrap());
    assert_eq!(hand.began.recv().unwrap().len(), COMMIT_EVENTS_MAX);
    assert_eq!(hand.began.recv().unwrap().len(), 1);
    hand.broker.applied("s", &last.position()).await.unwrap();
}

#[tokio::test]
async fn a_failed_commit_reaches_its_publishers_and_nobody_else() {
    let hand = by_hand();
    let (_, mut subscription) = hand.broker.subscribe(&options(&["a"])).unwrap();
    let lost = keyed(&hand.broker, "k").unwrap();
    hand.began.recv().unwrap();
    let expecting = |seq| {
        let payload = to_raw_value(&1).unwrap();
        let conditions = Conditions { topic_seq: Some(seq), ..Conditions::default() };
        let publish = Publish { topic: topic("b"), payload, origin: Origin::default(), ttl: None };
        hand.broker.publish_if(publish, conditions)
    };
    let kept = expecting(0).unwrap();
    assert!(expecting(0).is_err(), "what waits for the disk is what a condition compares with");
    hand.outcome.send(false).unwrap();
    let fault = Fault::from(hand.broker.applied("s", &lost.position()).await.unwrap_err());
    assert_eq!(fault.code, ErrorCode::NoSpace);
    hand.outcome.send(true).unwrap();
    hand.broker.applied("s", &kept.position()).await.unwrap();
    assert_eq!((kept.seq, brief(&drain(&mut subscription))), (2, String::new()));
    let again = keyed(&hand.broker, "k").unwrap();
    assert_eq!((again.seq, again.duplicate), (3, false), "the key may be used for another attempt");
    hand.outcome.send(true).unwrap();
    hand.broker.applied("s", &again.position()).await.unwrap();
    assert_eq!(brief(&drain(&mut subscription)), "3");
    assert!(hand.broker.applied("s", &lost.position()).await.is_err(), "however late it is asked");
}
