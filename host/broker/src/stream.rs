//! One stream: it stamps, keeps and matches events, and hands them to readers.
//!
//! One short lock guards it all, so the total order is the same for everyone, and joining (decide, then register) cannot
//! miss or double an event. Under the lock: no I/O, no waiting, no user code, and for readers at most one page of
//! reference counts. Filtering and delivery happen outside.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use midplane_model::{Event, Pattern, PeerId, Position, Stamp, Topic};
use tokio::sync::Notify;

use crate::{
    backlog::Backlog,
    clock,
    commit::Line,
    definition::{StreamClass, StreamDefinition},
    error::BrokerError,
    limits::BrokerLimits,
    publish::{Conditions, Publish, Published},
    reading::{Reader, Taken, take},
    recovery::{OnGap, Plan, Since, View, plan},
    repeats::{Known, Repeats},
    store::{Page, Store},
    subscribers::{Subscribers, SubscriptionId},
    subscription::SubscribeOptions,
    sync::{Condvar, Mutex, MutexGuard},
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
    /// Wakes whoever waits for the head to come further.
    pub(crate) moved: Notify,
    /// Wakes the thread that commits.
    pub(crate) arrived: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    /// The newest `seq` that readers may see; 0 before the first event.
    pub(crate) head: u64,
    /// What the next event gets.
    pub(crate) next: u64,
    pub(crate) store: Store,
    subscribers: Subscribers,
    pub(crate) repeats: Repeats,
    /// Events published since the start of the host.
    published: u64,
    /// Where the stream has a home: what is on the way there.
    pub(crate) line: Option<Line>,
}

/// Numbers for operators.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StreamStats {
    pub name: Arc<str>,
    pub class: StreamClass,
    pub epoch: Arc<str>,
    /// The newest `seq`.
    pub head: u64,
    /// Events since the start of the host.
    pub published: u64,
    pub first_available: Option<u64>,
    pub kept_events: usize,
    /// Payload bytes.
    pub kept_bytes: usize,
    pub subscriptions: usize,
    /// Subscriptions that are behind and read on from the log.
    pub lagging: usize,
    /// Its events survive the end of the host.
    pub durable: bool,
}

impl Stream {
    pub(crate) fn new(definition: &StreamDefinition, epoch: Arc<str>, limits: BrokerLimits) -> Self {
        let store = Store::new(definition.class, definition.retention, &limits);
        let state = Mutex::new(State {
            head: 0,
            next: 1,
            store,
            subscribers: Subscribers::new(),
            repeats: Repeats::default(),
            published: 0,
            line: None,
        });
        Self {
            name: Arc::clone(&definition.name),
            epoch,
            class: definition.class,
            limits,
            state,
            moved: Notify::new(),
            arrived: Condvar::new(),
        }
    }

    /// Stamps the event, keeps it and notes it for its subscribers; where the stream has a home, after its commit. Never
    /// waits for any of them. With the name of a request somebody must listen now.
    ///
    /// # Errors
    /// `KeyReused`, `TopicMoved`, `NothingToCompare`, `NoResponder`, `Busy`, `Closed`; then nothing was published.
    pub(crate) fn publish(
        &self,
        publish: Publish,
        conditions: Conditions,
        request: Option<Arc<str>>,
    ) -> Result<Published, BrokerError> {
        let now = clock::now();
        let key = conditions.key.map(|key| ((publish.origin.principal.clone(), key), publish.content()));
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some((name, content)) = &key {
            match state.repeats.look_up(name, *content, now) {
                Known::New => {}
                Known::Repeated(seq) => return Ok(self.published(state, seq, true)),
                Known::Reused => return Err(BrokerError::KeyReused { key: name.1.to_string() }),
            }
        }
        if let Some(expected) = conditions.topic_seq {
            self.check_topic(state, &publish.topic, expected)?;
        }
        if request.is_some() && state.subscribers.count(&publish.topic, publish.origin.peer) == 0 {
            return Err(BrokerError::NoResponder { topic: publish.topic.as_str().to_owned() });
        }
        if let Some(line) = &state.line {
            line.check_room()?;
        }
        let seq = state.next;
        state.next += 1;
        state.published += 1;
        if let Some((name, content)) = key {
            state.repeats.note(name, content, seq, now);
        }
        let published = self.published(state, seq, false);
        let event = Arc::new(self.event(publish, request, seq, now));
        match &mut state.line {
            Some(line) => {
                line.push(event);
                drop(guard);
                self.arrived.notify_one();
            }
            None => {
                self.deliver(state, &event, now);
                drop(guard);
                self.moved.notify_waiters();
            }
        }
        Ok(published)
    }

    /// Lets readers see the event.
    pub(crate) fn deliver(&self, state: &mut State, event: &Arc<Event>, now: Instant) {
        state.store.append(event, now);
        state.subscribers.offer(event, &self.limits);
        state.head = event.seq;
    }

    /// Waits until the head has come this far.
    ///
    /// # Errors
    /// `NotKept` when the event with this number was given up; `Closed` when nothing will be committed any more.
    pub(crate) async fn applied(&self, seq: u64) -> Result<(), BrokerError> {
        loop {
            // From here on a move is noticed, polled or not, so none is missed between the look and the wait.
            let moved = self.moved.notified();
            if let Some(outcome) = self.state().outcome(seq) {
                return outcome;
            }
            moved.await;
        }
    }

    fn event(&self, publish: Publish, request: Option<Arc<str>>, seq: u64, now: Instant) -> Event {
        let (stream, epoch) = (Arc::clone(&self.name), Arc::clone(&self.epoch));
        let stamp = Stamp { stream, epoch, seq, time: SystemTime::now() };
        let mut event = Event::new(stamp, publish.topic, publish.payload, publish.origin);
        event.expires_at = publish.ttl.filter(|ttl| *ttl < FOREVER).map(|ttl| now + ttl);
        event.request = request;
        event
    }

    fn published(&self, state: &State, seq: u64, duplicate: bool) -> Published {
        let (stream, epoch) = (Arc::clone(&self.name), Arc::clone(&self.epoch));
        Published { stream, epoch, seq, durable: state.line.is_some(), duplicate }
    }

    fn check_topic(&self, state: &State, topic: &Topic, expected: u64) -> Result<(), BrokerError> {
        if self.class == StreamClass::Ephemeral {
            return Err(BrokerError::NothingToCompare { stream: self.name.to_string() });
        }
        let waiting = state.line.as_ref().and_then(|line| line.newest_of(topic));
        let current = waiting.or_else(|| state.store.newest_of(topic)).unwrap_or(0);
        if current == expected {
            return Ok(());
        }
        Err(BrokerError::TopicMoved { topic: topic.as_str().to_owned(), expected, current })
    }

    /// Decides how the subscription begins and registers it, in one step.
    pub(crate) fn join(&self, id: SubscriptionId, options: &SubscribeOptions, wake: Arc<Notify>) -> Plan {
        let mut state = self.state();
        let plan = self.plan(&mut state, &options.patterns, &options.since, options.on_gap);
        let backlog = self.backlog_for(&plan);
        state.subscribers.insert(id, backlog, options, wake);
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
        state.store.trim(clock::now());
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
        let State { head, store, subscribers, .. } = &mut *state;
        let backlog = &mut subscribers.get_mut(reader.id)?.backlog;
        let taken = take(backlog, store, reader, *head, &self.limits)?;
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

    pub(crate) fn subscriber_count(&self, topic: &Topic, from: Option<PeerId>) -> usize {
        self.state().subscribers.count(topic, from)
    }

    pub(crate) fn stats(&self) -> StreamStats {
        let state = self.state();
        StreamStats {
            name: Arc::clone(&self.name),
            class: self.class,
            epoch: Arc::clone(&self.epoch),
            head: state.head,
            published: state.published,
            first_available: state.store.first(),
            kept_events: state.store.len(),
            kept_bytes: state.store.bytes(),
            subscriptions: state.subscribers.len(),
            lagging: state.subscribers.lagging(),
            durable: state.line.is_some(),
        }
    }

    /// A panic under the lock is a bug in this crate that its own task reports; other publishers and readers go on with
    /// state that is at worst missing that one event.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What became of the event with this number; none while that is open.
    fn outcome(&self, seq: u64) -> Option<Result<(), BrokerError>> {
        let line = self.line.as_ref();
        if let Some(failure) = line.and_then(|line| line.failure(seq)) {
            return Some(Err(failure));
        }
        if self.head >= seq {
            return Some(Ok(()));
        }
        line.filter(|line| line.is_over()).map(|_| Err(BrokerError::Closed))
    }
}
