//! What a broker refuses, and what a new one promises.

use midplane_broker::{Broker, BrokerError, Publish, StreamDefinition};
use midplane_model::{ErrorCode, Fault, Origin, limits::EVENT_BYTES_MAX};
use serde_json::value::to_raw_value;

use crate::fixture::*;

#[test]
fn each_start_has_its_own_epoch() {
    let epochs = [broker_keeping(1), broker_keeping(1)].map(|broker| epoch(&broker));
    assert_ne!(epochs[0], epochs[1]);
    assert!(epochs.iter().all(|epoch| epoch.len() == 16 && epoch.bytes().all(|c| c.is_ascii_hexdigit())));
}

#[test]
fn numbers_are_consecutive_per_stream() {
    let broker = broker_keeping(10);
    let published = publish_all(&broker, &["a", "live.x", "b", "latest.x", "live.y"]);
    let places: Vec<_> = published.iter().map(|p| (&*p.stream, p.seq)).collect();
    assert_eq!(places, [("main", 1), ("live", 1), ("main", 2), ("latest", 1), ("live", 2)]);
    assert_eq!(broker.heads()["main"].seq, 2);
}

#[test]
fn a_payload_beyond_the_limit_is_refused_and_takes_no_number() {
    let broker = broker_keeping(1);
    let payload = |bytes| to_raw_value(&"x".repeat(bytes - 2)).unwrap();
    let attempt = |bytes| {
        broker.publish(Publish { topic: topic("a"), payload: payload(bytes), origin: Origin::default(), ttl: None })
    };
    let fault = Fault::from(attempt(EVENT_BYTES_MAX + 1).unwrap_err());
    assert_eq!(
        (fault.code, fault.details["limit_bytes"].as_u64()),
        (ErrorCode::TooLarge, Some(EVENT_BYTES_MAX as u64))
    );
    assert_eq!(attempt(EVENT_BYTES_MAX).unwrap().seq, 1);
}

#[test]
fn a_subscription_without_patterns_or_with_too_many_is_refused() {
    let broker = broker_keeping(1);
    for count in [0, 33] {
        let error = broker.subscribe(&options(&vec!["a"; count])).err().unwrap();
        assert!(matches!(&error, BrokerError::PatternCount { count: c, limit: 32 } if *c == count));
        assert_eq!(Fault::from(error).code, ErrorCode::InvalidParams);
    }
}

#[test]
fn contradictory_definitions_are_refused() {
    let mut twice = StreamDefinition::defaults();
    twice.push(twice[0].clone());
    assert!(matches!(Broker::new(&twice), Err(BrokerError::DuplicateStream { .. })));
}

#[test]
fn a_dropped_subscription_is_forgotten() {
    let broker = broker_keeping(10);
    let (_, one) = broker.subscribe(&options(&["a.*", "a.**"])).unwrap();
    let (_, other) = broker.subscribe(&options(&["**"])).unwrap();
    assert_eq!([broker.subscriber_count(&topic("a.b")), broker.subscriber_count(&topic("a"))], [2, 1]);
    assert_eq!(broker.subscriber_count(&topic("live.a")), 1);
    drop(one);
    assert_eq!(broker.subscriber_count(&topic("a.b")), 1);
    drop(other);
    assert_eq!(broker.subscriber_count(&topic("a.b")), 0);
    assert!(broker.stats().streams.iter().all(|stream| stream.subscriptions == 0));
}
