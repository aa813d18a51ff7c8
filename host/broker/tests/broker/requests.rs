//! Requests and their answers.

use std::time::Duration;

use midplane_broker::{Broker, BrokerError, Delivery, Publish, Request, SubscribeOptions, Subscription};
use midplane_model::{Origin, PeerId, limits::REQUESTS_MAX};
use serde_json::value::{RawValue, to_raw_value};

use crate::fixture::*;

fn json(text: &str) -> Box<RawValue> {
    to_raw_value(text).unwrap()
}

fn ask(broker: &Broker, text: &str) -> Result<Request, BrokerError> {
    let ttl = Some(Duration::from_secs(1));
    broker.request(Publish { topic: topic(text), payload: json("?"), origin: Origin::default(), ttl })
}

/// The name under which the next event wants an answer.
async fn asked(subscription: &mut Subscription) -> String {
    match subscription.next().await {
        Delivery::Event { event, .. } => event.request.as_deref().expect("a request").to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_answer_reaches_the_one_who_asked_and_is_no_event() {
    for text in ["a", "live.a", "latest.a"] {
        let broker = broker_keeping(10);
        let (_, mut one) = broker.subscribe(&options(&["**"])).unwrap();
        let (_, mut other) = broker.subscribe(&options(&["*", "live.*", "latest.*"])).unwrap();
        let mut request = ask(&broker, text).unwrap();
        let name = asked(&mut one).await;
        assert_eq!(asked(&mut other).await, name, "everybody who listens is asked");
        broker.reply(&name, json("first")).unwrap();
        assert!(matches!(broker.reply(&name, json("second")), Err(BrokerError::NobodyWaits)));
        assert_eq!(request.answer().await.get(), "\"first\"");
        let heads: u64 = broker.heads().values().map(|head| head.seq).sum();
        assert_eq!((heads, one.try_next().is_none()), (1, true), "the request is an event, its answer is not");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_published() {
    let broker = broker_keeping(10);
    let own = Some(PeerId(1));
    let (_, _elsewhere) = broker.subscribe(&options(&["b", "a.*"])).unwrap();
    let (_, _deaf) = broker.subscribe(&SubscribeOptions { except: own, ..options(&["a"]) }).unwrap();
    let origin = Origin { peer: own, ..Origin::default() };
    let request = broker.request(Publish { topic: topic("a"), payload: json("?"), origin, ttl: None });
    assert!(matches!(request, Err(BrokerError::NoResponder { .. })));
    assert_eq!((broker.heads()["main"].seq, broker.stats().requests), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_given_up_is_delivered_to_nobody_and_answered_by_nobody() {
    let broker = broker_keeping(10);
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    let request = ask(&broker, "a").unwrap();
    let name = asked(&mut subscription).await;
    let (_, mut late) = broker
        .subscribe(&SubscribeOptions { since: since("main", &request.published.epoch, 0), ..options(&["a"]) })
        .unwrap();
    drop(request);
    assert!(matches!(broker.reply(&name, json("late")), Err(BrokerError::NobodyWaits)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(brief(&drain(&mut late)), "", "its time to live is the time that somebody waits");
}

#[tokio::test]
async fn requests_that_wait_are_bounded() {
    let broker = broker_keeping(10);
    let (_, _listener) = broker.subscribe(&options(&["live.a"])).unwrap();
    let mut waiting: Vec<Request> = (0..REQUESTS_MAX).map(|_| ask(&broker, "live.a").unwrap()).collect();
    assert!(matches!(ask(&broker, "live.a"), Err(BrokerError::TooManyRequests { .. })));
    waiting.pop();
    ask(&broker, "live.a").unwrap();
}
