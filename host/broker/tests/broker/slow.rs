//! Subscribers that do not keep up: they cost the publisher nothing, and lose only what the log lost.

use midplane_broker::{BrokerLimits, Delivery, OnOverflow, SubscribeOptions, Subscription};

use crate::fixture::*;

fn small() -> BrokerLimits {
    BrokerLimits { pending_events: 4, ephemeral_events: 4, page_events: 3, ..BrokerLimits::default() }
}

fn stalled(broker: &midplane_broker::Broker, pattern: &str, on_overflow: OnOverflow) -> Subscription {
    broker.subscribe(&SubscribeOptions { on_overflow, ..options(&[pattern]) }).unwrap().1
}

#[tokio::test]
async fn within_the_log_nothing_is_lost() {
    let broker = broker(100, small());
    let mut subscription = stalled(&broker, "a", OnOverflow::Resume);
    for _ in 0..20 {
        publish_all(&broker, &["a", "b", "b", "b"]);
    }
    let expected: Vec<String> = (0..20).map(|i| (4 * i + 1).to_string()).collect();
    assert_eq!(brief(&drain(&mut subscription)), expected.join(" "));
    publish(&broker, "a");
    assert_eq!(brief(&drain(&mut subscription)), "81", "caught up, it is served as before");
}

#[tokio::test]
async fn beyond_the_log_a_gap_says_what_is_missing() {
    let broker = broker(5, small());
    let mut subscription = stalled(&broker, "a", OnOverflow::Resume);
    publish(&broker, "a");
    assert_eq!(brief(&drain(&mut subscription)), "1");
    publish_all(&broker, &["a"; 10]);
    assert_eq!(brief(&drain(&mut subscription)), "1>7 7 8 9 10 11");
}

#[tokio::test]
async fn what_others_lost_is_no_gap() {
    let broker = broker(5, small());
    let mut subscription = stalled(&broker, "a", OnOverflow::Resume);
    publish_all(&broker, &["b"; 20]);
    publish(&broker, "a");
    assert_eq!(brief(&drain(&mut subscription)), "21");
}

#[tokio::test]
async fn overflow_does_what_the_subscriber_chose() {
    let received = |on_overflow| {
        let broker = broker(100, small());
        let mut subscription = stalled(&broker, "*", on_overflow);
        (0..4).for_each(|_| drop(publish_all(&broker, &["a", "b", "a"])));
        let received = brief(&drain(&mut subscription));
        publish(&broker, "c");
        (received, brief(&drain(&mut subscription)))
    };
    let pair = |now: &str, then: &str| (now.to_owned(), then.to_owned());
    assert_eq!(received(OnOverflow::Resume), pair("1 2 3 4 5 6 7 8 9 10 11 12", "13"));
    assert_eq!(received(OnOverflow::Latest), pair("11 12", "13"));
    assert_eq!(received(OnOverflow::Drop), pair("0>9 9 10 11 12", "13"));
    assert_eq!(received(OnOverflow::Close), pair("closed", "closed"));
}

#[tokio::test]
async fn ephemeral_events_drop_the_oldest_and_say_so() {
    let broker = broker(100, small());
    let mut subscription = stalled(&broker, "live.*", OnOverflow::Resume);
    publish_all(&broker, &["live.x"; 7]);
    let received = drain(&mut subscription);
    assert_eq!(brief(&received), "0>4 4 5 6 7");
    assert!(matches!(received[0], Delivery::Gap { lost_at_least: 3, .. }));
}

#[test]
fn a_publisher_waits_for_none_of_a_thousand_stalled_subscribers() {
    // No runtime: there is nobody who could read, so a publisher that waited would wait for ever.
    let broker = broker(10, small());
    let patterns = ["**", "a", "*", "live.**", "latest.*"];
    let stalled: Vec<_> = (0..1000)
        .map(|i| {
            let on_overflow = [OnOverflow::Resume, OnOverflow::Latest, OnOverflow::Drop, OnOverflow::Close][i % 4];
            stalled(&broker, patterns[i % 5], on_overflow)
        })
        .collect();
    for _ in 0..100 {
        publish_all(&broker, &["a", "live.x", "latest.x"]);
    }
    let stats = broker.stats();
    assert!(stats.streams.iter().all(|stream| stream.head == 100 && stream.kept_events <= 10));
    assert_eq!(broker.subscriber_count(&topic("a")), 600);
    drop(stalled);
    assert_eq!(broker.subscriber_count(&topic("a")), 0);
}
