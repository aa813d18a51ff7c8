//! The broker: a handful of streams behind one door.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use midplane_model::{
    Pattern, Position, Topic,
    limits::{EVENT_BYTES_MAX, HISTORY_EVENTS_MAX, PATTERNS_MAX},
};
use serde_json::value::RawValue;

use crate::{
    budget::{Budgets, EventBudget},
    commit,
    definition::{StreamClass, StreamDefinition},
    epoch::draw_epoch,
    error::BrokerError,
    history::{self, HistoryRange, StreamHistory},
    home::{HomeError, Opened},
    journal::Journal,
    limits::BrokerLimits,
    prefixes::Prefixes,
    publish::{Conditions, Publish, Published},
    recovery::SubscribeReport,
    requests::{Request, Requests},
    stream::{Stream, StreamStats},
    subscribers::SubscriptionId,
    subscription::{SubscribeOptions, Subscription},
};

/// Numbers for operators.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BrokerStats {
    pub streams: Vec<StreamStats>,
    /// Requests that wait for an answer.
    pub requests: usize,
}

/// Streams behind one door. Shared by reference.
///
/// Without homes it is all memory: no task, no shutdown, and an epoch drawn at the start, because no position of an earlier
/// broker may count as recovered. A stream with a home has a thread that commits; [`Self::close`] it.
#[derive(Debug)]
pub struct Broker {
    streams: Vec<Arc<Stream>>,
    prefixes: Prefixes,
    requests: Requests,
    budgets: Budgets,
    next_id: AtomicU64,
    committers: Mutex<Vec<JoinHandle<()>>>,
}

impl Broker {
    /// A broker in memory with the default limits.
    ///
    /// # Errors
    /// Contradictory definitions; no random bytes from the operating system.
    pub fn new(definitions: &[StreamDefinition]) -> Result<Self, BrokerError> {
        Self::with_limits(definitions, BrokerLimits::default())
    }

    /// # Errors
    /// As [`Self::new`].
    pub fn with_limits(definitions: &[StreamDefinition], limits: BrokerLimits) -> Result<Self, BrokerError> {
        Self::with_homes(definitions, limits, |_| Ok(None))
    }

    /// A broker whose `log` streams live in files below a folder, with the default limits. Blocks on the disk; call it while
    /// starting.
    ///
    /// # Errors
    /// As [`Self::new`]; `OpenHome`, `StartCommitter`.
    pub fn durable(definitions: &[StreamDefinition], folder: &Path) -> Result<Self, BrokerError> {
        let open = |definition: &StreamDefinition| Journal::open(&folder.join(&*definition.name), &definition.name);
        Self::with_homes(definitions, BrokerLimits::default(), |definition| open(definition).map(Some))
    }

    /// A broker whose `log` streams live wherever `open` says; in memory where it gives no home.
    ///
    /// # Errors
    /// As [`Self::durable`].
    pub fn with_homes(
        definitions: &[StreamDefinition],
        limits: BrokerLimits,
        mut open: impl FnMut(&StreamDefinition) -> Result<Option<Opened>, HomeError>,
    ) -> Result<Self, BrokerError> {
        let prefixes = Prefixes::new(definitions)?;
        let epoch = draw_epoch().map_err(|source| BrokerError::DrawEpoch { source })?;
        let mut broker = Self {
            streams: Vec::new(),
            prefixes,
            requests: Requests::default(),
            budgets: Budgets::default(),
            next_id: AtomicU64::new(1),
            committers: Mutex::default(),
        };
        for definition in definitions {
            let opened = if definition.class == StreamClass::Log { open(definition) } else { Ok(None) };
            let stream = || definition.name.to_string();
            let stream = match opened.map_err(|source| BrokerError::OpenHome { stream: stream(), source })? {
                None => Arc::new(Stream::new(definition, Arc::clone(&epoch), limits)),
                Some(opened) => broker.settle_in(definition, limits, opened)?,
            };
            broker.streams.push(stream);
        }
        Ok(broker)
    }

    fn settle_in(
        &mut self,
        definition: &StreamDefinition,
        limits: BrokerLimits,
        opened: Opened,
    ) -> Result<Arc<Stream>, BrokerError> {
        let (stream, home) = Stream::restored(definition, limits, opened);
        let stream = Arc::new(stream);
        let thread = std::thread::Builder::new().name(format!("events-{}", definition.name)).spawn({
            let stream = Arc::clone(&stream);
            move || commit::run(&stream, home)
        });
        let thread = thread.map_err(|source| BrokerError::StartCommitter { source })?;
        self.committers().push(thread);
        Ok(stream)
    }

    /// Stamps the event, keeps it by the class of its stream, and notes it for every subscription that it matches. Never
    /// waits for a subscriber, nor for a disk: where the stream has a home, all but the stamp follows with its commit, which
    /// [`Self::applied`] waits for.
    ///
    /// # Errors
    /// `PayloadTooLarge`; `OverBudget` in the name of a plugin; where the stream has a home, `Busy` and `Closed`.
    pub fn publish(&self, publish: Publish) -> Result<Published, BrokerError> {
        self.publish_if(publish, Conditions::default())
    }

    /// As [`Self::publish`], if the conditions hold, in one step with it.
    ///
    /// # Errors
    /// `PayloadTooLarge`; `TopicMoved` with the present value, `NothingToCompare` on an `ephemeral` stream; `KeyReused`.
    pub fn publish_if(&self, publish: Publish, conditions: Conditions) -> Result<Published, BrokerError> {
        check_size(&publish.payload)?;
        self.budgets.charge(&publish)?;
        self.stream_of(&publish.topic).publish(publish, conditions, None)
    }

    /// What a plugin may publish.
    #[must_use]
    pub fn budget_of(&self, plugin: &Arc<str>) -> Arc<EventBudget> {
        self.budgets.of(plugin)
    }

    /// Waits until everything up to the position has been applied: whoever reads now sees it. Without a limit of its own: the
    /// caller has a deadline. Cancel safe.
    ///
    /// # Errors
    /// `UnknownStream`; `OtherEpoch`, because that will never happen then; `NotKept`, `Closed`.
    pub async fn applied(&self, stream: &str, position: &Position) -> Result<(), BrokerError> {
        let found = self.streams.iter().find(|candidate| &*candidate.name == stream);
        let stream = found.ok_or_else(|| BrokerError::UnknownStream { name: stream.to_owned() })?;
        if stream.epoch != position.epoch {
            return Err(BrokerError::OtherEpoch { stream: stream.name.to_string(), head: stream.head() });
        }
        stream.applied(position.seq).await
    }

    /// Commits what was published and joins the threads. Later publishes to streams with a home are `Closed`. Dropping the
    /// future leaves the threads to finish on their own.
    pub async fn close(&self) {
        let committers = self.stop();
        if !committers.is_empty() {
            // A join error is a panic of the thread, which has already given up everything in its line.
            let join = move || committers.into_iter().for_each(|thread| _ = thread.join());
            _ = tokio::task::spawn_blocking(join).await;
        }
    }

    fn stop(&self) -> Vec<JoinHandle<()>> {
        self.streams.iter().for_each(|stream| stream.close());
        std::mem::take(&mut *self.committers())
    }

    fn committers(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.committers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an event that asks for an answer. Whoever receives it may give one with [`Self::reply`] under the name
    /// that the event carries; the first one wins. Its time to live should be the time that the caller waits.
    ///
    /// # Errors
    /// `NoResponder` when nobody would receive it, and then nothing was published; `TooManyRequests`, `PayloadTooLarge`.
    pub fn request(&self, publish: Publish) -> Result<Request, BrokerError> {
        check_size(&publish.payload)?;
        self.budgets.charge(&publish)?;
        let waiting = self.requests.open()?;
        let stream = self.stream_of(&publish.topic);
        let published = stream.publish(publish, Conditions::default(), Some(Arc::clone(&waiting.name)))?;
        Ok(Request::new(published, waiting))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// `NobodyWaits`, `PayloadTooLarge`.
    pub fn reply(&self, request: &str, payload: Box<RawValue>) -> Result<(), BrokerError> {
        check_size(&payload)?;
        self.requests.answer(request, payload)
    }

    /// Registers a subscription. The report is decided at the same moment per stream; whoever sends it must do so before
    /// drawing from the subscription, then it precedes the first event.
    ///
    /// # Errors
    /// `PatternCount`.
    pub fn subscribe(&self, options: &SubscribeOptions) -> Result<(SubscribeReport, Subscription), BrokerError> {
        check_count(&options.patterns)?;
        // Only uniqueness is asked of the id.
        let id = SubscriptionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        Ok(Subscription::join(id, self.streams_of(&options.patterns), options))
    }

    /// A page of the past per stream that the patterns can reach; at most `limit` (`HISTORY_EVENTS_MAX`) events each.
    ///
    /// # Errors
    /// `PatternCount`; `HistoryExpired` where a position is of another epoch, or matching events after it are gone.
    pub fn history(
        &self,
        patterns: &[Pattern],
        range: &HistoryRange,
        limit: usize,
    ) -> Result<BTreeMap<Arc<str>, StreamHistory>, BrokerError> {
        check_count(patterns)?;
        let limit = limit.min(HISTORY_EVENTS_MAX);
        self.streams_of(patterns)
            .map(|stream| Ok((Arc::clone(&stream.name), history::read(&stream, patterns, range, limit)?)))
            .collect()
    }

    /// The newest position of each stream.
    #[must_use]
    pub fn heads(&self) -> BTreeMap<Arc<str>, Position> {
        self.streams.iter().map(|stream| (Arc::clone(&stream.name), stream.head())).collect()
    }

    /// How many subscriptions would receive an event of this topic now: none means that a request has no responder.
    #[must_use]
    pub fn subscriber_count(&self, topic: &Topic) -> usize {
        self.stream_of(topic).subscriber_count(topic, None)
    }

    #[must_use]
    pub fn stats(&self) -> BrokerStats {
        let streams = self.streams.iter().map(|stream| stream.stats()).collect();
        BrokerStats { streams, requests: self.requests.len() }
    }

    fn stream_of(&self, topic: &Topic) -> &Arc<Stream> {
        &self.streams[self.prefixes.of_topic(topic)]
    }

    fn streams_of(&self, patterns: &[Pattern]) -> impl Iterator<Item = Arc<Stream>> + '_ {
        self.prefixes.of_patterns(patterns).into_iter().map(|index| Arc::clone(&self.streams[index]))
    }
}

impl Drop for Broker {
    /// Commits what was published, which blocks for a commit or two.
    fn drop(&mut self) {
        for thread in self.stop() {
            _ = thread.join();
        }
    }
}

fn check_size(payload: &RawValue) -> Result<(), BrokerError> {
    let bytes = payload.get().len();
    if bytes > EVENT_BYTES_MAX {
        return Err(BrokerError::PayloadTooLarge { bytes, limit: EVENT_BYTES_MAX });
    }
    Ok(())
}

fn check_count(patterns: &[Pattern]) -> Result<(), BrokerError> {
    match patterns.len() {
        1..=PATTERNS_MAX => Ok(()),
        count => Err(BrokerError::PatternCount { count, limit: PATTERNS_MAX }),
    }
}
