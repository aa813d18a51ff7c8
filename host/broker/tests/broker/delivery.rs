//! What a subscriber receives, by class of stream; recovery; history.

use std::{sync::Arc, time::Duration};

use midplane_broker::{Delivery, HistoryRange, OnGap, Reason, Since, SubscribeOptions};
use midplane_model::{
    ErrorCode, Fault,
    limits::{CURSOR_EVENTS, CURSOR_INTERVAL},
};

use crate::fixture::*;

#[tokio::test]
async fn an_event_that_two_patterns_select_comes_once() {
    let broker = broker_keeping(10);
    let (report, mut subscription) = broker.subscribe(&options(&["a.*", "a.**", "*.b"])).unwrap();
    assert_eq!(report.streams["main"].reason, Reason::New);
    publish(&broker, "a.b");
    publish(&broker, "c");
    publish(&broker, "a.b.c");
    assert_eq!(brief(&drain(&mut subscription)), "1 3");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_reader_is_woken_by_a_match() {
    let broker = Arc::new(broker_keeping(10));
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    let started = tokio::time::Instant::now();
    let reader = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    publish(&broker, "b");
    publish(&broker, "a");
    assert!(matches!(reader.await.unwrap(), Delivery::Event { n: 1, event, replay: false } if event.seq == 2));
    assert!(started.elapsed() < CURSOR_INTERVAL, "woken by the match, not by the clock");
}

#[tokio::test]
async fn what_was_missed_is_replayed_before_what_is_new() {
    let broker = broker_keeping(10);
    let seen = publish(&broker, "a");
    publish(&broker, "a");
    publish(&broker, "b");
    let (report, mut subscription) =
        broker.subscribe(&SubscribeOptions { since: after(&seen), ..options(&["a"]) }).unwrap();
    let report = &report.streams["main"];
    assert_eq!((report.from, report.head, report.recovered, report.reason), (2, 3, true, Reason::Ok));
    publish(&broker, "a");
    assert_eq!(brief(&drain(&mut subscription)), "2r 4");
}

#[tokio::test]
async fn an_incomplete_past_is_delivered_only_if_asked_for() {
    let broker = broker_keeping(2);
    let seen = publish(&broker, "a");
    publish_all(&broker, &["a", "b", "a", "b"]);
    let received = |on_gap| {
        let (report, mut subscription) =
            broker.subscribe(&SubscribeOptions { since: after(&seen), on_gap, ..options(&["*"]) }).unwrap();
        let report = &report.streams["main"];
        assert_eq!((report.recovered, report.reason, report.lost_at_least), (false, Reason::Evicted, Some(2)));
        brief(&drain(&mut subscription))
    };
    assert_eq!(received(OnGap::Report), "");
    assert_eq!(received(OnGap::Partial), "1>4 4r 5r");
}

#[tokio::test]
async fn a_snapshot_is_the_newest_per_topic() {
    let broker = broker_keeping(4);
    publish_all(&broker, &["a", "a", "b", "b", "a", "c"]);
    let since = since("main", "another", 1);
    let options = SubscribeOptions { since, on_gap: OnGap::Snapshot, ..options(&["*"]) };
    let (report, mut subscription) = broker.subscribe(&options).unwrap();
    assert_eq!(report.streams["main"].reason, Reason::Epoch);
    publish(&broker, "a");
    // The publish evicted 3, which was not the newest b.
    let received = brief(&drain(&mut subscription));
    assert!(received.ends_with("4r 5r 6r 7"), "{received}");
}

#[tokio::test]
async fn earliest_is_everything_kept_after_a_gap_for_the_rest() {
    let broker = broker_keeping(2);
    publish_all(&broker, &["a", "a", "a", "live.x"]);
    let options = SubscribeOptions { since: Since::Earliest, ..options(&["**"]) };
    let (report, mut subscription) = broker.subscribe(&options).unwrap();
    assert!(!report.streams["main"].recovered);
    assert_eq!(brief(&drain(&mut subscription)), "0>2 2r 3r");
}

#[tokio::test]
async fn a_late_subscriber_of_latest_topics_gets_the_current_values() {
    let broker = broker_keeping(10);
    publish_all(&broker, &["latest.a", "latest.b", "latest.a"]);
    let (_, mut subscription) = broker.subscribe(&options(&["latest.*"])).unwrap();
    assert_eq!(brief(&drain(&mut subscription)), "2r 3r");
    publish_all(&broker, &["latest.a", "latest.b", "latest.a"]);
    assert_eq!(brief(&drain(&mut subscription)), "5 6", "4 was replaced before it was read");
}

#[tokio::test]
async fn an_expired_event_is_delivered_to_nobody_and_spoils_nothing() {
    let broker = broker_keeping(2);
    let seen = publish(&broker, "a");
    let (_, mut live) = broker.subscribe(&options(&["a"])).unwrap();
    publish_with_ttl(&broker, "a", Some(Duration::ZERO));
    publish_with_ttl(&broker, "a", Some(Duration::MAX));
    publish(&broker, "a");
    assert_eq!(brief(&drain(&mut live)), "3 4");
    let (report, mut late) = broker.subscribe(&SubscribeOptions { since: after(&seen), ..options(&["a"]) }).unwrap();
    assert!(report.streams["main"].recovered, "2 is evicted, but it had expired");
    assert_eq!(brief(&drain(&mut late)), "3r 4r");
}

#[tokio::test]
async fn numbers_go_on_across_a_recovery() {
    let broker = broker_keeping(10);
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    let first = publish(&broker, "a");
    publish(&broker, "a");
    assert_eq!(brief(&drain(&mut subscription)), "1 2");
    let report = subscription.recover(&after(&first), OnGap::Report);
    assert!(report.streams["main"].recovered);
    let again = drain(&mut subscription);
    assert!(matches!(&again[..], [Delivery::Event { n: 3, event, replay: true }] if event.seq == 2));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_reader_is_told_the_position_after_so_many_events_of_others() {
    let broker = Arc::new(broker_keeping(10));
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    let started = tokio::time::Instant::now();
    let reader = tokio::spawn(async move { (subscription.next().await, subscription.next().await) });
    for _ in 0..2 * CURSOR_EVENTS {
        publish(&broker, "b");
        tokio::task::yield_now().await;
    }
    let (first, second) = reader.await.unwrap();
    assert_eq!(brief(&[first, second]), format!("@{CURSOR_EVENTS} @{}", 2 * CURSOR_EVENTS));
    assert!(started.elapsed() < CURSOR_INTERVAL, "woken by the count, not by the clock");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_reader_is_told_a_moved_position_after_a_while() {
    let broker = broker_keeping(10);
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    publish(&broker, "b");
    let started = tokio::time::Instant::now();
    assert_eq!(brief(&[subscription.next().await]), "@1");
    assert!(started.elapsed() >= CURSOR_INTERVAL);
    let nothing = tokio::time::timeout(CURSOR_INTERVAL * 3, subscription.next()).await;
    assert!(nothing.is_err(), "a head that has not moved is not told again");
}

#[tokio::test(start_paused = true)]
async fn dropping_next_loses_nothing() {
    let broker = Arc::new(broker_keeping(1000));
    let (_, mut subscription) = broker.subscribe(&options(&["a"])).unwrap();
    let publisher = Arc::clone(&broker);
    let publishing = tokio::spawn(async move {
        for _ in 0..200 {
            publish(&publisher, "a");
            publish(&publisher, "b");
            tokio::task::yield_now().await;
        }
    });
    let mut seqs = Vec::new();
    while seqs.len() < 200 {
        // The branch that is ready first drops `next` wherever it stands.
        tokio::select! {
            biased;
            () = async { for _ in 0..=seqs.len() % 3 { tokio::task::yield_now().await } } => {}
            delivery = subscription.next() => match delivery {
                Delivery::Event { n, event, .. } => {
                    assert_eq!(n, seqs.len() as u64 + 1);
                    seqs.push(event.seq);
                }
                other => panic!("{other:?}"),
            },
        }
        if let Some(Delivery::Event { event, .. }) = subscription.try_next() {
            seqs.push(event.seq);
        }
    }
    publishing.await.unwrap();
    assert_eq!(seqs, (0..200).map(|i| 2 * i + 1).collect::<Vec<_>>());
}

#[test]
fn history_pages_are_in_order_from_either_end() {
    let broker = broker_keeping(6);
    let published = publish_all(&broker, &["a", "b", "a", "b", "a", "b", "a"]);
    let page = |pattern, range: HistoryRange, limit| {
        let mut pages = broker.history(&patterns(&[pattern]), &range, limit).unwrap();
        let page = pages.remove("main").unwrap();
        (page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), page.more)
    };
    let at = |seq: usize| [("main".into(), broker_position(&published[seq - 1]))].into();
    assert_eq!(page("a", HistoryRange::Newest, 2), (vec![5, 7], true));
    assert_eq!(page("a", HistoryRange::Before(at(5)), 9), (vec![3], false));
    assert_eq!(page("*", HistoryRange::Since(at(3)), 2), (vec![4, 5], true));
    assert_eq!(page("b", HistoryRange::Since(at(6)), 2), (vec![], false));
    assert_eq!(page("*", HistoryRange::Newest, 0), (vec![], true));
}

#[test]
fn history_that_is_gone_names_the_oldest_left() {
    let broker = broker_keeping(1);
    let first = publish(&broker, "a");
    publish(&broker, "a");
    publish(&broker, "a");
    let range = HistoryRange::Since([("main".into(), broker_position(&first))].into());
    let fault = Fault::from(broker.history(&patterns(&["a"]), &range, 10).unwrap_err());
    assert_eq!((fault.code, fault.details["oldest"].as_u64()), (ErrorCode::CursorExpired, Some(3)));
}

fn broker_position(published: &midplane_broker::Published) -> midplane_model::Position {
    midplane_model::Position { epoch: Arc::clone(&published.epoch), seq: published.seq }
}
