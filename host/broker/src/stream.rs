//! One stream: it stamps, keeps and matches events, and hands them to readers.
//!
//! One short lock guards it all, so the total order is the same for everyone, and joining (decide, then register) cannot
//! miss or double an event. Under the lock: no I/O, no waiting, no user code, and for readers at most one page of
//! reference counts. Filtering and delivery happen outside.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use midplane_model::{Event, Pattern, Position, Topic};
use tokio::sync::Notify;

use crate::{
    backlog::Backlog,
    broker::Publish,
    definition::{StreamClass, StreamDefinition},
    limits::BrokerLimits,
    recovery::{Loss, OnGap, Plan, Since, View, plan},
    store::{Page, Store},
    subscribers::{Subscribers, SubscriptionId},
    subscription::{GapReason, SubscribeOptions},
};

/// A time to live from here on means none: adding what a client may send to a clock would overflow it.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: Arc<str>,
    pub(crate) class: StreamClass,
    pub(crate) limits: BrokerLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The newest `seq`; 0 before the first event.
    head: u64,
    store: Store,
    subscribers: Subscribers,
}

/// Numbers for operators.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StreamStats {
    pub name: Arc<str>,
    pub class: StreamClass,
    /// Events published in this epoch.
    pub head: u64,
    pub first_available: Option<u64>,
    pub kept_events: usize,
    /// Payload bytes.
    pub kept_bytes: usize,
    pub subscriptions: usize,
}

/// What a reader took in one step.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Arc<Event>>,
    /// Whether `events` are known to match; a page of the store is not filtered yet.
    pub(crate) matched: bool,
    /// Everything up to here was taken, or never matched.
    pub(crate) position: u64,
    pub(crate) loss: Option<Loss>,
    /// Only the newest event per topic is wanted up to this `seq`.
    pub(crate) conflate_until: Option<u64>,
    /// Nothing is left to take; the reader will be woken.
    pub(crate) idle: bool,
}

/// A reader's place, as it presents it.
pub(crate) struct Reader<'a> {
    pub(crate) id: SubscriptionId,
    pub(crate) patterns: &'a [Pattern],
    pub(crate) position: u64,
    /// The position its client knows.
    pub(crate) told: u64,
    /// Read no further than this.
    pub(crate) until: u64,
}

impl Stream {
    pub(crate) fn new(definition: &StreamDefinition, epoch: Arc<str>, limits: BrokerLimits) -> Self {
        let store = Store::new(definition.class, definition.retention, &limits);
        let state = Mutex::new(State { head: 0, store, subscribers: Subscribers::new() });
        Self { name: Arc::clone(&definition.name), epoch, class: definition.class, limits, state }
    }

    /// Stamps and keeps the event, and notes it for its subscribers. Never waits for any of them.
    pub(crate) fn publish(&self, publish: Publish) -> u64 {
        let (time, now) = (SystemTime::now(), Instant::now());
        let ttl = publish.ttl.filter(|ttl| *ttl < FOREVER);
        let (stream, epoch) = (Arc::clone(&self.name), Arc::clone(&self.epoch));
        let Publish { topic, payload, origin, .. } = publish;
        let mut state = self.state();
        let state = &mut *state;
        state.head += 1;
        let event = Arc::new(Event::new(stream, epoch, state.head, topic, time, payload, origin, ttl));
        state.store.append(&event, now);
        state.subscribers.offer(&event, &self.limits);
        state.head
    }

    /// Decides how the subscription begins and registers it, in one step.
    pub(crate) fn join(&self, id: SubscriptionId, options: &SubscribeOptions, wake: Arc<Notify>) -> Plan {
        let mut state = self.state();
        let plan = self.plan(&mut state, &options.patterns, &options.since, options.on_gap);
        let backlog = self.backlog_for(&plan);
        state.subscribers.insert(id, &options.patterns, backlog, options.on_overflow, wake);
        plan
    }

    /// Decides anew for a registered subscription; what waited for it is forgotten.
    pub(crate) fn rejoin(&self, id: SubscriptionId, patterns: &[Pattern], since: &Since, on_gap: OnGap) -> Plan {
        let mut state = self.state();
        let plan = self.plan(&mut state, patterns, since, on_gap);
        if let Some(subscriber) = state.subscribers.get_mut(id) {
            subscriber.backlog = self.backlog_for(&plan);
        }
        plan
    }

    fn plan(&self, state: &mut State, patterns: &[Pattern], since: &Since, on_gap: OnGap) -> Plan {
        state.store.trim(Instant::now());
        let view =
            View { name: &self.name, epoch: &self.epoch, class: self.class, head: state.head, store: &state.store };
        plan(&view, patterns, since, on_gap)
    }

    fn backlog_for(&self, plan: &Plan) -> Backlog {
        match self.class {
            StreamClass::Ephemeral => Backlog::ring(),
            StreamClass::Log | StreamClass::Latest if plan.position < plan.report.head => {
                Backlog::Scanning { conflate: false }
            }
            StreamClass::Log | StreamClass::Latest => Backlog::caught_up(),
        }
    }

    pub(crate) fn leave(&self, id: SubscriptionId, patterns: &[Pattern]) {
        self.state().subscribers.remove(id, patterns);
    }

    /// Takes what is next for a reader, at most one page. `None` when it was closed for being slow.
    pub(crate) fn take(&self, reader: &Reader<'_>) -> Option<Taken> {
        let mut state = self.state();
        let State { head, store, subscribers } = &mut *state;
        let backlog = &mut subscribers.get_mut(reader.id)?.backlog;
        let taken = match backlog {
            Backlog::Closed => return None,
            Backlog::Ring { .. } => take_ring(backlog, reader, *head),
            Backlog::Pending { .. } => take_pending(backlog, store, reader, *head, &self.limits),
            Backlog::Scanning { conflate: conflate @ true } => {
                *conflate = false;
                Taken { conflate_until: Some(*head), ..Taken::nothing(reader.position) }
            }
            Backlog::Scanning { .. } => take_page(backlog, store, reader, *head, &self.limits),
        };
        if taken.idle && self.class != StreamClass::Ephemeral {
            subscribers.told(reader.id, reader.told);
        }
        Some(taken)
    }

    /// Looks events up by `seq`, as many as one page holds: what was found, how many `seq`s that answers, and how many of
    /// those are evicted.
    pub(crate) fn look_up(&self, seqs: impl Iterator<Item = u64>) -> (Vec<Arc<Event>>, usize, u64) {
        let state = self.state();
        let (mut events, mut asked, mut lost, mut bytes) = (Vec::new(), 0, 0, 0);
        for seq in seqs {
            match state.store.get(seq) {
                Some(event) => {
                    bytes += event.payload.get().len();
                    events.push(Arc::clone(event));
                }
                // A superseded value is not lost: the newer one is still to come.
                None if seq <= state.store.highest_evicted() => lost += 1,
                None => {}
            }
            asked += 1;
            if events.len() == self.limits.page_events || bytes >= self.limits.page_bytes {
                break;
            }
        }
        (events, asked, lost)
    }

    /// The events after a position, oldest first, unfiltered.
    pub(crate) fn page_after(&self, position: u64, until: u64) -> Page {
        self.state().store.page_after(position, until, &self.limits)
    }

    /// The events before a `seq`, newest first, unfiltered.
    pub(crate) fn page_before(&self, bound: u64) -> Page {
        self.state().store.page_before(bound, &self.limits)
    }

    /// Reads the decision of the truth rule without subscribing.
    pub(crate) fn preview(&self, patterns: &[Pattern], since: &Since) -> Plan {
        self.plan(&mut self.state(), patterns, since, OnGap::Report)
    }

    pub(crate) fn head(&self) -> Position {
        Position { epoch: Arc::clone(&self.epoch), seq: self.state().head }
    }

    pub(crate) fn subscriber_count(&self, topic: &Topic) -> usize {
        self.state().subscribers.count(topic)
    }

    pub(crate) fn stats(&self) -> StreamStats {
        let state = self.state();
        StreamStats {
            name: Arc::clone(&self.name),
            class: self.class,
            head: state.head,
            first_available: state.store.first(),
            kept_events: state.store.len(),
            kept_bytes: state.store.bytes(),
            subscriptions: state.subscribers.len(),
        }
    }

    /// A panic under the lock is a bug in this crate that its own task reports; other publishers and readers go on with
    /// state that is at worst missing that one event.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn nothing(position: u64) -> Self {
        Self { events: Vec::new(), matched: true, position, loss: None, conflate_until: None, idle: false }
    }
}

fn take_ring(backlog: &mut Backlog, reader: &Reader<'_>, head: u64) -> Taken {
    let Backlog::Ring { events, bytes, dropped } = backlog else { return Taken::nothing(reader.position) };
    let loss = (*dropped > 0).then(|| Loss {
        after: reader.position,
        resume_at: events.front().map_or(head + 1, |event| event.seq),
        at_least: *dropped,
        reason: GapReason::SlowConsumer,
    });
    (*dropped, *bytes) = (0, 0);
    let events: Vec<_> = events.drain(..).collect();
    Taken { idle: events.is_empty() && loss.is_none(), events, loss, ..Taken::nothing(head) }
}

fn take_pending(backlog: &mut Backlog, store: &Store, reader: &Reader<'_>, head: u64, limits: &BrokerLimits) -> Taken {
    let Backlog::Pending { seqs, dropped } = backlog else { return Taken::nothing(reader.position) };
    let evicted = evicted(store, reader);
    // What is evicted is told by the loss; what is superseded has a newer value further on.
    while seqs.front().is_some_and(|&seq| seq <= store.highest_evicted()) {
        seqs.pop_front();
    }
    let loss = match (*dropped, evicted) {
        (0, evicted) => evicted,
        (dropped, evicted) => Some(Loss {
            after: reader.position,
            resume_at: seqs.front().map_or(head + 1, |&seq| seq),
            at_least: dropped.max(evicted.map_or(0, |loss| loss.at_least)),
            reason: GapReason::SlowConsumer,
        }),
    };
    *dropped = 0;
    let mut taken = Taken { loss, ..Taken::nothing(reader.position.max(store.highest_evicted())) };
    let mut bytes = 0;
    while let Some(seq) = seqs.pop_front() {
        taken.position = seq;
        let Some(event) = store.get(seq) else { continue };
        bytes += event.payload.get().len();
        taken.events.push(Arc::clone(event));
        if taken.events.len() >= limits.page_events || bytes >= limits.page_bytes {
            break;
        }
    }
    if seqs.is_empty() {
        taken.position = head;
        taken.idle = taken.events.is_empty() && taken.loss.is_none();
    }
    taken
}

fn take_page(backlog: &mut Backlog, store: &Store, reader: &Reader<'_>, head: u64, limits: &BrokerLimits) -> Taken {
    let loss = evicted(store, reader);
    let position = reader.position.max(store.highest_evicted());
    let until = reader.until.min(head);
    let page = store.page_after(position, until, limits);
    let position = if page.complete { position.max(until) } else { page.events.last().map_or(position, |e| e.seq) };
    if position >= head {
        // From here on publishers note what matches: nothing lies between this page and the next event.
        *backlog = Backlog::caught_up();
    }
    Taken { events: page.events, matched: false, loss, ..Taken::nothing(position) }
}

/// What matched the reader and has left the store since its position.
fn evicted(store: &Store, reader: &Reader<'_>) -> Option<Loss> {
    let at_least = store.evicted_after(reader.position, reader.patterns)?;
    let resume_at = store.highest_evicted() + 1;
    Some(Loss { after: reader.position, resume_at, at_least, reason: GapReason::Evicted })
}
