//! Small brokers, and shorthand for talking to them.

use std::{sync::Arc, time::Duration};

use midplane_broker::{
    Broker, BrokerLimits, Delivery, Publish, Published, Retention, Since, StreamClass, StreamDefinition,
    SubscribeOptions, Subscription,
};
use midplane_model::{Origin, Pattern, Position, Topic};
use serde_json::value::to_raw_value;

pub fn topic(text: &str) -> Topic {
    Topic::parse(text).unwrap()
}

pub fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

/// The default streams, `main` and `latest` keeping this many events.
pub fn broker_keeping(events: usize) -> Broker {
    broker(events, BrokerLimits::default())
}

pub fn broker(events: usize, limits: BrokerLimits) -> Broker {
    let retention = Retention { events, ..Retention::default() };
    let definitions: Vec<_> =
        StreamDefinition::defaults().into_iter().map(|definition| definition.with_retention(retention)).collect();
    Broker::with_limits(&definitions, limits).unwrap()
}

pub fn one_stream(class: StreamClass, events: usize, limits: BrokerLimits) -> Broker {
    let retention = Retention { events, ..Retention::default() };
    let definition = StreamDefinition::new("s", class, &[""]).with_retention(retention);
    Broker::with_limits(&[definition], limits).unwrap()
}

pub fn publish(broker: &Broker, topic: &str) -> Published {
    publish_with_ttl(broker, topic, None)
}

pub fn publish_all(broker: &Broker, topics: &[&str]) -> Vec<Published> {
    topics.iter().map(|topic| publish(broker, topic)).collect()
}

pub fn publish_with_ttl(broker: &Broker, text: &str, ttl: Option<Duration>) -> Published {
    let payload = to_raw_value(&1).unwrap();
    broker.publish(Publish { topic: topic(text), payload, origin: Origin::default(), ttl }).unwrap()
}

pub fn options(texts: &[&str]) -> SubscribeOptions {
    SubscribeOptions { patterns: patterns(texts), ..SubscribeOptions::default() }
}

pub fn since(stream: &str, epoch: &str, seq: u64) -> Since {
    Since::Positions([(stream.into(), Position { epoch: epoch.into(), seq })].into())
}

pub fn after(published: &Published) -> Since {
    since(&published.stream, &published.epoch, published.seq)
}

pub fn epoch(broker: &Broker) -> Arc<str> {
    broker.heads().into_values().next().unwrap().epoch
}

/// Everything that can be had without waiting. The repetition is for `try_next`, which may give up after a page of others.
pub fn drain(subscription: &mut Subscription) -> Vec<Delivery> {
    let mut all = Vec::new();
    let mut empty = 0;
    while empty < 100 {
        match subscription.try_next() {
            Some(Delivery::Closed) => {
                all.push(Delivery::Closed);
                return all;
            }
            Some(delivery) => {
                all.push(delivery);
                empty = 0;
            }
            None => empty += 1,
        }
    }
    all
}

/// The deliveries in few characters: `7` an event, `7r` a replayed one, `@7` a cursor, `3>7` a gap.
pub fn brief(deliveries: &[Delivery]) -> String {
    let one = |delivery: &Delivery| match delivery {
        Delivery::Event { event, replay, .. } => format!("{}{}", event.seq, if *replay { "r" } else { "" }),
        Delivery::Cursor { seq, .. } => format!("@{seq}"),
        Delivery::Gap { after, resume_at, .. } => format!("{after}>{resume_at}"),
        Delivery::Closed => "closed".to_owned(),
    };
    deliveries.iter().map(one).collect::<Vec<_>>().join(" ")
}
