//! Publishers and readers on several threads at once.

use std::sync::Arc;

use midplane_broker::{BrokerLimits, Delivery};

use crate::fixture::*;

const PUBLISHERS: u64 = 3;
const EVENTS_EACH: u64 = 2000;

/// Reads until the last event and returns what came, as `seq`s.
async fn read_all(mut subscription: midplane_broker::Subscription) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.last() != Some(&(PUBLISHERS * EVENTS_EACH)) {
        match subscription.next().await {
            Delivery::Event { event, .. } => seqs.push(event.seq),
            Delivery::Cursor { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_sees_one_and_the_same_order() {
    // A backlog this small makes readers change between being woken and scanning all the time.
    let limits = BrokerLimits { pending_events: 8, page_events: 16, ..BrokerLimits::default() };
    let broker = Arc::new(broker(100_000, limits));
    let readers: Vec<_> = (0..4)
        .map(|_| broker.subscribe(&options(&["*"])).unwrap().1)
        .map(|subscription| tokio::spawn(read_all(subscription)))
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| Arc::clone(&broker))
        .map(|broker| {
            std::thread::spawn(move || {
                for _ in 0..EVENTS_EACH {
                    publish(&broker, "a");
                }
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), (1..=PUBLISHERS * EVENTS_EACH).collect::<Vec<_>>());
    }
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
}
