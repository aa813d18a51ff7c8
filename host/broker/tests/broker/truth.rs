//! Random histories against a broker that never forgets: whatever is published, read, evicted and resumed in whatever
//! order, a subscriber receives exactly what matches, in order, or is told what it does not.

use std::{collections::BTreeMap, time::Duration};

use midplane_broker::{
    Broker, BrokerLimits, Delivery, GapReason, OnGap, OnOverflow, Retention, Since, StreamClass, StreamDefinition,
    StreamReport, SubscribeOptions, Subscription,
};
use midplane_model::{Pattern, Topic};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::fixture::*;

const TOPICS: [&str; 5] = ["a", "b", "a.x", "a.y", "b.x"];
const PATTERNS: [&str; 6] = ["**", "a", "a.*", "*.x", "b.**", "*"];
const KEPT: usize = 6;
/// Below the interval of cursors, however often the run waits.
const AGE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
enum Action {
    Publish {
        topic: usize,
        expired: bool,
    },
    Subscribe {
        patterns: Vec<usize>,
        since: Start,
        on_gap: OnGap,
    },
    Read {
        reader: usize,
        deliveries: usize,
    },
    Recover {
        reader: usize,
        back: u64,
    },
    Leave {
        reader: usize,
    },
    /// So much of the broker's clock.
    Wait {
        ms: u64,
    },
}

#[derive(Debug, Clone)]
enum Start {
    New,
    Earliest,
    /// So many events before the head.
    Back(u64),
    Ahead,
    OtherEpoch,
}

fn action() -> impl Strategy<Value = Action> {
    let start = prop_oneof![
        1 => Just(Start::New),
        1 => Just(Start::Earliest),
        4 => (0..12u64).prop_map(Start::Back),
        1 => Just(Start::Ahead),
        1 => Just(Start::OtherEpoch),
    ];
    let on_gap = prop_oneof![Just(OnGap::Report), Just(OnGap::Partial), Just(OnGap::Snapshot)];
    let patterns = prop::collection::vec(0..PATTERNS.len(), 1..3);
    prop_oneof![
        12 => (0..TOPICS.len(), prop::bool::weighted(0.1)).prop_map(|(topic, expired)| Action::Publish { topic, expired }),
        3 => (patterns, start, on_gap)
            .prop_map(|(patterns, since, on_gap)| Action::Subscribe { patterns, since, on_gap }),
        5 => (0..8usize, 1..6usize).prop_map(|(reader, deliveries)| Action::Read { reader, deliveries }),
        1 => (0..8usize, 0..12u64).prop_map(|(reader, back)| Action::Recover { reader, back }),
        1 => (0..8usize).prop_map(|reader| Action::Leave { reader }),
        3 => (1..8u64).prop_map(|ms| Action::Wait { ms }),
    ]
}

/// The whole past: topic, whether the event was expired from the start, and when it came. `seq` is index + 1.
#[derive(Default)]
struct Model(Vec<(Topic, bool, Instant)>);

impl Model {
    fn head(&self) -> u64 {
        self.0.len() as u64
    }

    /// The `seq`s that are owed to these patterns after a position.
    fn owed(&self, patterns: &[Pattern], after: u64) -> Vec<u64> {
        let wanted =
            |(topic, expired, _): &(Topic, bool, Instant)| !expired && patterns.iter().any(|p| p.matches(topic));
        (after + 1..=self.head()).filter(|&seq| wanted(&self.0[seq as usize - 1])).collect()
    }

    fn is_kept(&self, seq: u64) -> bool {
        seq + KEPT as u64 > self.head() && self.0[seq as usize - 1].2.elapsed() < AGE
    }
}

struct Reader {
    patterns: Vec<Pattern>,
    subscription: Subscription,
    /// The model's head when it began.
    began: u64,
    /// Everything owed after this position must be accounted for.
    account_from: u64,
    /// The newest per topic is enough up to `began`.
    snapshot: bool,
    received: Vec<u64>,
    gaps: Vec<(u64, u64)>,
    n: u64,
}

impl Reader {
    fn begin(&mut self, model: &Model, report: &StreamReport, since: Option<u64>, on_gap: OnGap) {
        let head = model.head();
        let owed = since.map(|seq| model.owed(&self.patterns, seq));
        let complete = owed.as_ref().is_some_and(|owed| owed.iter().all(|&seq| model.is_kept(seq)));
        assert_eq!(report.recovered, complete && since <= Some(head), "the truth rule, both ways: {report:?}");
        assert_eq!(report.head, head);
        self.began = head;
        self.received.clear();
        self.gaps.clear();
        self.snapshot = !report.recovered && on_gap == OnGap::Snapshot;
        self.account_from = if report.recovered { since.unwrap_or(head) } else { report.from - 1 };
    }

    fn take(&mut self, model: &Model, delivery: Delivery) {
        match delivery {
            Delivery::Event { n, event, replay } => {
                self.n += 1;
                assert_eq!(n, self.n, "contiguous");
                assert_eq!(replay, event.seq <= self.began);
                assert!(self.received.last().is_none_or(|&last| last < event.seq), "in order and once");
                self.received.push(event.seq);
            }
            Delivery::Gap { after, resume_at, lost_at_least, reason, .. } => {
                let owed = model.owed(&self.patterns, after);
                let lost = owed.iter().filter(|&&seq| seq < resume_at && !model.is_kept(seq)).count() as u64;
                assert!(lost_at_least <= lost, "a lower bound");
                assert!(lost > 0 || reason == GapReason::Epoch, "no gap without a loss");
                self.gaps.push((after, resume_at));
            }
            Delivery::Cursor { .. } | Delivery::Closed => panic!("neither has a reason here"),
        }
    }

    /// After everything was read: what is owed was received, or lies in a gap that was told.
    fn settle(&self, model: &Model) {
        let owed = model.owed(&self.patterns, self.account_from);
        let in_gap = |seq: u64| self.gaps.iter().any(|&(after, resume_at)| after < seq && seq < resume_at);
        let newest = self.newest_at_start(model);
        for &seq in &owed {
            let replaced = self.snapshot && seq <= self.began && !newest.contains(&seq);
            assert!(self.received.contains(&seq) || in_gap(seq) || replaced, "{seq} is missing silently");
        }
        assert!(self.received.iter().all(|seq| owed.contains(seq)), "nothing that is not owed");
    }

    fn newest_at_start(&self, model: &Model) -> Vec<u64> {
        let mut newest = BTreeMap::new();
        for seq in 1..=self.began {
            newest.insert(&model.0[seq as usize - 1].0, seq);
        }
        newest.into_values().collect()
    }
}

struct Run {
    broker: Broker,
    model: Model,
    readers: Vec<Reader>,
}

impl Run {
    fn new(pending_events: usize) -> Self {
        let limits = BrokerLimits { pending_events, page_events: 2, ..BrokerLimits::default() };
        let retention = Retention { events: KEPT, age: AGE, ..Retention::default() };
        let definition = StreamDefinition::new("s", StreamClass::Log, &[""]).with_retention(retention);
        let broker = Broker::with_limits(&[definition], limits).unwrap();
        Self { broker, model: Model::default(), readers: Vec::new() }
    }

    async fn act(&mut self, action: &Action) {
        match action {
            Action::Publish { topic, expired } => {
                let ttl = expired.then_some(Duration::ZERO);
                let published = publish_with_ttl(&self.broker, TOPICS[*topic], ttl);
                self.model.0.push((crate::fixture::topic(TOPICS[*topic]), *expired, Instant::now()));
                assert_eq!(published.seq, self.model.head());
            }
            Action::Subscribe { patterns, since, on_gap } => self.subscribe(patterns, since, *on_gap),
            Action::Read { reader, deliveries } => {
                if let Some(reader) = self.readers.get_mut(*reader) {
                    for _ in 0..*deliveries {
                        if let Some(delivery) = reader.subscription.try_next() {
                            reader.take(&self.model, delivery);
                        }
                    }
                }
            }
            Action::Recover { reader, back } => {
                if let Some(reader) = self.readers.get_mut(*reader) {
                    let seq = self.model.head().saturating_sub(*back);
                    let at = since("s", &epoch(&self.broker), seq);
                    let report = reader.subscription.recover(&at, OnGap::Report);
                    reader.begin(&self.model, &report.streams["s"], Some(seq), OnGap::Report);
                }
            }
            Action::Wait { ms } => tokio::time::advance(Duration::from_millis(*ms)).await,
            Action::Leave { reader } => {
                if *reader < self.readers.len() {
                    self.readers.remove(*reader);
                }
            }
        }
    }

    fn subscribe(&mut self, patterns: &[usize], start: &Start, on_gap: OnGap) {
        let (head, epoch) = (self.model.head(), epoch(&self.broker));
        let texts: Vec<&str> = patterns.iter().map(|&index| PATTERNS[index]).collect();
        let (since, seq, on_gap) = match start {
            Start::New => (Since::None, None, OnGap::Report),
            Start::Earliest => (Since::Earliest, Some(0), OnGap::Partial),
            Start::Back(back) => {
                (since("s", &epoch, head.saturating_sub(*back)), Some(head.saturating_sub(*back)), on_gap)
            }
            Start::Ahead => (since("s", &epoch, head + 1), Some(head + 1), OnGap::Report),
            Start::OtherEpoch => (since("s", "other", head), None, on_gap),
        };
        let options = SubscribeOptions { since, on_gap, on_overflow: OnOverflow::Resume, ..options(&texts) };
        let (report, subscription) = self.broker.subscribe(&options).unwrap();
        let mut reader = Reader {
            patterns: options.patterns,
            subscription,
            began: 0,
            account_from: 0,
            snapshot: false,
            received: Vec::new(),
            gaps: Vec::new(),
            n: 0,
        };
        reader.begin(&self.model, &report.streams["s"], seq, on_gap);
        self.readers.push(reader);
    }

    fn settle(&mut self) {
        for reader in &mut self.readers {
            for delivery in drain(&mut reader.subscription) {
                reader.take(&self.model, delivery);
            }
            reader.settle(&self.model);
        }
        self.readers.clear();
        assert_eq!(self.broker.stats().streams[0].subscriptions, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_reordered_or_hidden(
        actions in prop::collection::vec(action(), 1..80),
        pending_events in 0..5usize,
    ) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        clock.block_on(async {
            let mut run = Run::new(pending_events);
            for action in &actions {
                run.act(action).await;
            }
            run.settle();
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_of_latest_values_ends_with_all_of_them(
        actions in prop::collection::vec(prop_oneof![
            3 => (0..TOPICS.len()).prop_map(Some),
            1 => Just(None),
        ], 1..60),
        joins_at in 0..20usize,
        pending_events in 0..5usize,
        on_overflow in prop_oneof![Just(OnOverflow::Resume), Just(OnOverflow::Latest)],
    ) {
        let limits = BrokerLimits { pending_events, page_events: 2, ..BrokerLimits::default() };
        let broker = one_stream(StreamClass::Latest, TOPICS.len(), limits);
        let (mut subscription, mut newest, mut received) = (None, BTreeMap::new(), Vec::new());
        for (index, action) in actions.iter().enumerate() {
            if index == joins_at {
                let options = SubscribeOptions { on_overflow, ..options(&["**"]) };
                subscription = Some(broker.subscribe(&options).unwrap().1);
            }
            match (action, &mut subscription) {
                (Some(topic), _) => newest.extend([(topic, publish(&broker, TOPICS[*topic]).seq)]),
                (None, Some(subscription)) => received.extend(subscription.try_next()),
                (None, None) => {}
            }
        }
        if let Some(mut subscription) = subscription {
            received.extend(drain(&mut subscription));
            let mut seqs = Vec::new();
            for delivery in received {
                let Delivery::Event { event, .. } = delivery else { panic!("{delivery:?}") };
                seqs.push(event.seq);
            }
            prop_assert!(seqs.is_sorted_by(|a, b| a < b), "in order and once: {seqs:?}");
            prop_assert!(newest.values().all(|seq| seqs.contains(seq)), "{newest:?} in {seqs:?}");
        }
    }
}
