//! Publishing on conditions, and not hearing oneself.

use midplane_broker::{Broker, BrokerError, BrokerLimits, Conditions, Publish, Published, SubscribeOptions};
use midplane_model::{ErrorCode, Fault, Origin, PeerId};
use serde_json::value::to_raw_value;

use crate::fixture::*;

fn publish_if(broker: &Broker, text: &str, payload: u32, conditions: Conditions) -> Result<Published, BrokerError> {
    let origin = Origin { principal: Some("owner".into()), ..Origin::default() };
    let payload = to_raw_value(&payload).unwrap();
    broker.publish_if(Publish { topic: topic(text), payload, origin, ttl: None }, conditions)
}

fn expecting(seq: u64) -> Conditions {
    Conditions { topic_seq: Some(seq), ..Conditions::default() }
}

fn keyed(key: &str) -> Conditions {
    Conditions { key: Some(key.into()), ..Conditions::default() }
}

#[test]
fn of_two_writers_who_read_the_same_value_one_wins_and_the_other_learns_the_new_one() {
    let broker = broker_keeping(10);
    publish(&broker, "b");
    for topic in ["a", "latest.a"] {
        let first = publish_if(&broker, topic, 1, expecting(0)).unwrap();
        let second = publish_if(&broker, topic, 2, expecting(first.seq)).unwrap();
        let fault = Fault::from(publish_if(&broker, topic, 3, expecting(first.seq)).unwrap_err());
        assert_eq!(
            (fault.code, fault.details["topic_seq"].as_u64()),
            (ErrorCode::PreconditionFailed, Some(second.seq))
        );
        assert_eq!(broker.heads()[&second.stream].seq, second.seq, "nothing was published");
    }
    let nothing_kept = publish_if(&broker, "live.a", 1, expecting(0));
    assert_eq!(Fault::from(nothing_kept.unwrap_err()).code, ErrorCode::NotSupported);
}

#[test]
fn a_topic_whose_events_are_gone_is_a_new_topic() {
    let broker = broker_keeping(1);
    let gone = publish(&broker, "a");
    publish(&broker, "b");
    let error = publish_if(&broker, "a", 1, expecting(gone.seq)).unwrap_err();
    assert!(matches!(error, BrokerError::TopicMoved { current: 0, .. }), "{error}");
    publish_if(&broker, "a", 1, expecting(0)).unwrap();
}

#[tokio::test]
async fn the_same_key_publishes_once_and_for_another_event_it_is_a_conflict() {
    let broker = broker_keeping(10);
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    let first = publish_if(&broker, "a", 1, keyed("k")).unwrap();
    publish(&broker, "a");
    // The condition held the first time; a repetition is not judged again.
    let again = publish_if(&broker, "a", 1, Conditions { topic_seq: Some(0), ..keyed("k") }).unwrap();
    assert_eq!((first.duplicate, again.duplicate, again.seq), (false, true, first.seq));
    let fault = Fault::from(publish_if(&broker, "a", 2, keyed("k")).unwrap_err());
    assert_eq!(fault.code, ErrorCode::Conflict);
    assert_eq!(brief(&drain(&mut subscription)), "1 2");
}

#[tokio::test]
async fn who_does_not_want_its_own_events_gets_those_of_others_numbered_without_a_hole() {
    for limits in [BrokerLimits::default(), BrokerLimits { pending_events: 1, ..BrokerLimits::default() }] {
        let broker = broker(100, limits);
        let own = Some(PeerId(1));
        let (_, mut subscription) =
            broker.subscribe(&SubscribeOptions { except: own, ..options(&["a", "live.a", "latest.a"]) }).unwrap();
        for text in ["a", "live.a", "latest.a"] {
            for peer in [own, None, Some(PeerId(2)), own] {
                let origin = Origin { peer, ..Origin::default() };
                let payload = to_raw_value(&1).unwrap();
                broker.publish(Publish { topic: topic(text), payload, origin, ttl: None }).unwrap();
            }
        }
        // The newest value of `latest.a` is its own: the older one of another would be news that is no more.
        assert_eq!(brief(&drain(&mut subscription)), "2 3 2 3");
        assert_eq!(subscription.delivered(), 4);
    }
}
