//! Threads in many orders: publishers, readers, the committer, joining and leaving, under a scheduler that switches at every lock
//! and notices when nobody can go on. A lost wake-up is a deadlock here, a wrong order a failed assertion; both name the schedule.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicU64, Ordering},
    },
};

use midplane_model::{Event, Origin, Pattern, Topic};
use serde_json::value::to_raw_value;
use shuttle::{
    Config, Runner,
    future::block_on,
    scheduler::{PctScheduler, RandomScheduler},
    thread,
};

use crate::{
    commit,
    definition::{StreamClass, StreamDefinition},
    home::{Home, HomeError, Opened},
    limits::BrokerLimits,
    publish::{Conditions, Publish},
    recovery::Since,
    stream::Stream,
    subscribers::SubscriptionId,
    subscription::{Delivery, OnOverflow, SubscribeOptions, Subscription},
};

const SCHEDULES: usize = 500;
/// Places at which a schedule departs from the obvious one: most races need no more.
const DEPARTURES: usize = 3;
const PUBLISHERS: u64 = 2;
const EVENTS_EACH: u64 = 4;
const ALL: u64 = PUBLISHERS * EVENTS_EACH;

/// Runs the threads in random orders, and in orders that are the obvious one but for a few places.
fn in_many_orders(run: fn()) {
    // Timers need a runtime; nobody drives it, so no timer ever comes to the rescue of a wake-up that was lost.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    Runner::new(RandomScheduler::new(SCHEDULES), Config::default()).run(run);
    Runner::new(PctScheduler::new(DEPARTURES, SCHEDULES), Config::default()).run(run);
}

fn stream(class: StreamClass, limits: BrokerLimits) -> Arc<Stream> {
    Arc::new(Stream::new(&StreamDefinition::new("s", class, &[""]), "e".into(), limits))
}

/// So small that readers change between waiting and scanning all the time.
fn small() -> BrokerLimits {
    BrokerLimits { pending_events: 2, page_events: 2, ..BrokerLimits::default() }
}

fn publish(stream: &Stream, topic: &str) -> u64 {
    let (topic, payload) = (Topic::parse(topic).unwrap(), to_raw_value(&1).unwrap());
    let publish = Publish { topic, payload, origin: Origin::default(), ttl: None };
    stream.publish(publish, Conditions::default(), None).unwrap().seq
}

fn subscribe(stream: &Arc<Stream>, id: u64, pattern: &str, options: SubscribeOptions) -> Subscription {
    let options = SubscribeOptions { patterns: vec![Pattern::parse(pattern).unwrap()], ..options };
    Subscription::join(SubscriptionId(id), [Arc::clone(stream)].into_iter(), &options).1
}

fn publishers(stream: &Arc<Stream>) -> Vec<thread::JoinHandle<()>> {
    let publisher = |index: u64| {
        let stream = Arc::clone(stream);
        thread::spawn(move || {
            for event in 0..EVENTS_EACH {
                publish(&stream, if (index + event).is_multiple_of(2) { "even" } else { "odd" });
            }
        })
    };
    (0..PUBLISHERS).map(publisher).collect()
}

/// Reads until so many events have come, and checks that they come once and in order.
async fn read(subscription: &mut Subscription, count: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while (seqs.len() as u64) < count {
        match subscription.next().await {
            Delivery::Event { n, event, .. } => {
                assert_eq!(n, seqs.len() as u64 + 1);
                assert!(seqs.last().is_none_or(|last| *last < event.seq), "{} after {seqs:?}", event.seq);
                seqs.push(event.seq);
            }
            Delivery::Cursor { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    seqs
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn no_wake_up_is_lost_and_no_order_is_wrong() {
    in_many_orders(|| {
        let stream = stream(StreamClass::Log, small());
        let readers = [("**", ALL), ("even", ALL / 2)].into_iter().zip(1..).map(|((pattern, count), id)| {
            let mut subscription = subscribe(&stream, id, pattern, SubscribeOptions::default());
            thread::spawn(move || _ = block_on(read(&mut subscription, count)))
        });
        let threads = readers.collect::<Vec<_>>().into_iter().chain(publishers(&stream)).collect();
        join(threads);
    });
}

#[test]
fn who_joins_in_the_middle_gets_the_past_once_and_then_the_rest() {
    in_many_orders(|| {
        let stream = stream(StreamClass::Log, small());
        let publishers = publishers(&stream);
        let since = Since::Earliest;
        let mut subscription = subscribe(&stream, 1, "**", SubscribeOptions { since, ..SubscribeOptions::default() });
        let passing = subscribe(&stream, 2, "**", SubscribeOptions::default());
        let leaver = thread::spawn(move || drop(passing));
        assert_eq!(block_on(read(&mut subscription, ALL)), (1..=ALL).collect::<Vec<_>>());
        join(publishers);
        leaver.join().unwrap();
        assert_eq!(stream.stats().subscriptions, 1);
    });
}

#[test]
fn the_newest_value_always_arrives() {
    in_many_orders(|| {
        let stream = stream(StreamClass::Latest, small());
        let options = SubscribeOptions { on_overflow: OnOverflow::Latest, ..SubscribeOptions::default() };
        let mut subscription = subscribe(&stream, 1, "**", options);
        let publishers = publishers(&stream);
        let mut newest = 0;
        while newest < ALL {
            if let Delivery::Event { event, .. } = block_on(subscription.next()) {
                assert!(event.seq > newest);
                newest = event.seq;
            }
        }
        join(publishers);
    });
}

#[test]
fn who_waits_for_a_position_is_woken_when_it_is_applied() {
    in_many_orders(|| {
        let stream = stream(StreamClass::Log, small());
        let waiter = |seq| {
            let stream = Arc::clone(&stream);
            thread::spawn(move || block_on(stream.applied(seq)).unwrap())
        };
        let threads = [1, ALL / 2, ALL].map(waiter).into_iter().chain(publishers(&stream)).collect();
        join(threads);
    });
}

/// Keeps in memory what it is given, but for every third group.
struct Unreliable {
    kept: Arc<StdMutex<BTreeSet<u64>>>,
    groups: AtomicU64,
}

impl Home for Unreliable {
    fn commit(&mut self, events: &[Arc<Event>]) -> Result<(), HomeError> {
        // A disk takes its time: whoever can run now, may.
        thread::yield_now();
        if self.groups.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            return Err(HomeError::Write { path: "nowhere".into(), source: io::Error::other("asked to fail") });
        }
        self.kept.lock().unwrap().extend(events.iter().map(|event| event.seq));
        Ok(())
    }

    fn release(&mut self, _: u64) {}

    fn close(&mut self) -> Result<(), HomeError> {
        Ok(())
    }
}

#[test]
fn what_is_acknowledged_is_kept_and_delivered_and_nothing_else_is() {
    in_many_orders(|| {
        let kept: Arc<StdMutex<BTreeSet<u64>>> = Arc::default();
        let home = Box::new(Unreliable { kept: Arc::clone(&kept), groups: AtomicU64::new(0) });
        let opened = Opened { home, epoch: "e".into(), events: Vec::new(), head: 0, next: 1, lost_until: 0 };
        let definition = StreamDefinition::new("s", StreamClass::Log, &[""]);
        let (stream, home) = Stream::restored(&definition, small(), opened);
        let stream = Arc::new(stream);
        let committer = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || commit::run(&stream, home))
        };
        let mut subscription = subscribe(&stream, 1, "**", SubscribeOptions::default());
        let publisher = |_| {
            let stream = Arc::clone(&stream);
            thread::spawn(move || {
                let outcome = |seq| block_on(stream.applied(seq)).ok().map(|()| seq);
                (0..EVENTS_EACH).filter_map(|_| outcome(publish(&stream, "a"))).collect::<Vec<_>>()
            })
        };
        let publishers: Vec<_> = (0..PUBLISHERS).map(publisher).collect();
        let acknowledged: BTreeSet<u64> = publishers.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        stream.close();
        committer.join().unwrap();
        assert_eq!(acknowledged, *kept.lock().unwrap());
        let delivered = block_on(read(&mut subscription, acknowledged.len() as u64));
        assert_eq!(delivered.into_iter().collect::<BTreeSet<_>>(), acknowledged);
        assert!(subscription.try_next().is_none());
    });
}
