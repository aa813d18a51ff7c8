//! The reader's side of a subscription: one feed per stream, drawn in turn, numbered, and made awaitable.

use std::{collections::BTreeMap, sync::Arc};

use midplane_model::{Event, Pattern, PeerId};
use tokio::{sync::Notify, time::Instant};

use crate::{
    feed::{Feed, Step},
    recovery::{OnGap, Since, SubscribeReport},
    stream::Stream,
    subscribers::SubscriptionId,
};

/// What a subscriber asks for.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// 1 to `PATTERNS_MAX`. An event that several of them select is delivered once.
    pub patterns: Vec<Pattern>,
    pub since: Since,
    pub on_gap: OnGap,
    pub on_overflow: OnOverflow,
    /// Events that this connection's client published itself are not delivered; the position moves past them all the
    /// same. Where they are lost they count as lost: a lower bound and a caution, as everywhere.
    pub except: Option<PeerId>,
}

/// What happens when more than `PENDING_EVENTS_MAX` matched events wait for the reader. An `ephemeral` stream keeps
/// nothing to read on from: there `Close` closes, and everything else drops the oldest and tells by a gap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOverflow {
    /// Read on from the log: no loss while the log reaches back.
    #[default]
    Resume,
    /// Skip, silently, to the newest event of each topic.
    Latest,
    /// Drop the oldest and tell by a gap.
    Drop,
    /// End the subscription.
    Close,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// They are no longer kept.
    Evicted,
    /// They were replaced by newer values of their topics, here and there up to the head.
    Holes,
    /// The position asked for was of another epoch; what happened between is unknown.
    Epoch,
    /// The reader took them too slowly.
    SlowConsumer,
}

/// What a subscription yields.
#[derive(Debug, Clone)]
pub enum Delivery {
    Event {
        /// 1, 2, 3, … within this subscription.
        n: u64,
        event: Arc<Event>,
        /// It was published before the subscription began.
        replay: bool,
    },
    /// Everything of this stream up to `seq` has been delivered or did not match. Never for `ephemeral` streams.
    Cursor { stream: Arc<str>, epoch: Arc<str>, seq: u64 },
    /// Matching events after `after` and before `resume_at` are missing.
    Gap {
        stream: Arc<str>,
        epoch: Arc<str>,
        after: u64,
        resume_at: u64,
        /// A lower bound; 0 where loss could be neither excluded nor proven.
        lost_at_least: u64,
        reason: GapReason,
    },
    /// The reader was too slow and asked to be closed then. Nothing follows.
    Closed,
}

/// A registered subscription. Dropping it unregisters it.
#[derive(Debug)]
pub struct Subscription {
    feeds: Vec<Feed>,
    /// The feed whose turn it is, page by page, so that a busy stream cannot starve a quiet one.
    turn: usize,
    delivered: u64,
    wake: Arc<Notify>,
    closed: bool,
}

impl Subscription {
    /// Joins each stream; the order of events is decided per stream, so they may be joined one after the other.
    pub(crate) fn join(
        id: SubscriptionId,
        streams: impl Iterator<Item = Arc<Stream>>,
        options: &SubscribeOptions,
    ) -> (SubscribeReport, Self) {
        let patterns: Arc<[Pattern]> = options.patterns.clone().into();
        let wake = Arc::new(Notify::new());
        let (mut feeds, mut reports) = (Vec::new(), BTreeMap::new());
        for stream in streams {
            let name = Arc::clone(&stream.name);
            let (feed, report) = Feed::join(stream, id, Arc::clone(&patterns), options, Arc::clone(&wake));
            feeds.push(feed);
            reports.insert(name, report);
        }
        (SubscribeReport { streams: reports }, Self { feeds, turn: 0, delivered: 0, wake, closed: false })
    }

    /// Waits for the next delivery. Order is total per stream; streams take turns. After [`Delivery::Closed`] it yields
    /// that again.
    ///
    /// Needs a tokio runtime with time. Cancel safe: nothing is taken before it is returned.
    pub async fn next(&mut self) -> Delivery {
        loop {
            // A long walk through events that do not match must let other tasks run.
            tokio::task::coop::consume_budget().await;
            match self.step() {
                Outcome::Deliver(delivery) => return delivery,
                Outcome::Progress => {}
                Outcome::Idle => self.wait().await,
            }
        }
    }

    /// The next delivery if there is one now, for readers that join what is ready into one write. `None` also after a
    /// page in which nothing matched: go on with [`Self::next`], not with waiting for something else.
    pub fn try_next(&mut self) -> Option<Delivery> {
        // Enough steps for every feed to read a page and to tell of it.
        for _ in 0..=2 * self.feeds.len() {
            match self.step() {
                Outcome::Deliver(delivery) => return Some(delivery),
                Outcome::Progress => {}
                Outcome::Idle => return None,
            }
        }
        None
    }

    /// Goes back, or forward, to the positions named, by the truth rule as at the beginning; streams not named go on where
    /// they are. Numbering goes on. A closed subscription stays closed.
    pub fn recover(&mut self, since: &Since, on_gap: OnGap) -> SubscribeReport {
        let named = |stream: &Stream| match since {
            Since::None | Since::Earliest => true,
            Since::Positions(positions) => positions.contains_key(&stream.name),
        };
        let feeds = self.feeds.iter_mut().filter(|feed| named(feed.stream()));
        let streams = feeds.map(|feed| (Arc::clone(&feed.stream().name), feed.rejoin(since, on_gap))).collect();
        SubscribeReport { streams }
    }

    /// The `n` of the last event that was delivered; 0 before the first.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    fn step(&mut self) -> Outcome {
        if self.closed {
            return Outcome::Deliver(Delivery::Closed);
        }
        for _ in 0..self.feeds.len() {
            let turn = self.turn;
            let step = self.feeds[turn].step();
            // A page is told before the next stream is asked: asking takes that stream's lock.
            if !self.feeds[turn].is_ready() {
                self.turn = (turn + 1) % self.feeds.len();
            }
            match step {
                Step::Idle => {}
                Step::Progress => return Outcome::Progress,
                step => return self.deliver(turn, step),
            }
        }
        Outcome::Idle
    }

    fn deliver(&mut self, feed: usize, step: Step) -> Outcome {
        let stream = self.feeds[feed].stream();
        let (stream, epoch) = (Arc::clone(&stream.name), Arc::clone(&stream.epoch));
        Outcome::Deliver(match step {
            Step::Event { event, replay } => {
                self.delivered += 1;
                Delivery::Event { n: self.delivered, event, replay }
            }
            Step::Cursor(seq) => Delivery::Cursor { stream, epoch, seq },
            Step::Loss(loss) => Delivery::Gap {
                stream,
                epoch,
                after: loss.after,
                resume_at: loss.resume_at,
                lost_at_least: loss.at_least,
                reason: loss.reason,
            },
            Step::Closed => {
                self.closed = true;
                Delivery::Closed
            }
            Step::Progress | Step::Idle => return Outcome::Progress,
        })
    }

    async fn wait(&self) {
        let quiet_at = self.feeds.iter().filter_map(Feed::quiet_at).min();
        tokio::select! {
            () = self.wake.notified() => {}
            () = sleep_until(quiet_at) => {}
        }
    }
}

enum Outcome {
    Deliver(Delivery),
    Progress,
    Idle,
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
