//! The subscriptions of one stream: who matches an event, what waits for each, and whom to wake.
//!
//! Guarded by the stream's lock. An event costs its matches; a subscriber that matches nothing is looked at once per
//! `CURSOR_EVENTS` events, so that it can tell its client how far the stream has come.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use midplane_model::{Event, Pattern, PeerId, Topic, limits::CURSOR_EVENTS};
use tokio::sync::Notify;

use crate::{
    backlog::Backlog,
    limits::BrokerLimits,
    subscription::{OnOverflow, SubscribeOptions},
    trie::Trie,
};

/// Names a subscription within its broker; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// One subscription's place in one stream.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) backlog: Backlog,
    on_overflow: OnOverflow,
    /// The connection whose own events are not wanted.
    except: Option<PeerId>,
    /// Wakes the reader; it stores one permit, so a wake between look and wait is not lost.
    wake: Arc<Notify>,
    /// The last event that was offered; a second matching pattern changes nothing.
    offered: u64,
    /// The position that its client was last told.
    told: u64,
    /// The `seq` at which to look whether its client should be told a newer one.
    due: u64,
}

#[derive(Debug)]
pub(crate) struct Subscribers {
    trie: Trie<SubscriptionId>,
    by_id: HashMap<SubscriptionId, Subscriber>,
    due: BTreeSet<(u64, SubscriptionId)>,
}

impl Subscribers {
    pub(crate) fn new() -> Self {
        Self { trie: Trie::new(), by_id: HashMap::new(), due: BTreeSet::new() }
    }

    pub(crate) fn insert(
        &mut self,
        id: SubscriptionId,
        backlog: Backlog,
        options: &SubscribeOptions,
        wake: Arc<Notify>,
    ) {
        for pattern in &options.patterns {
            self.trie.insert(pattern, id);
        }
        let (on_overflow, except) = (options.on_overflow, options.except);
        self.by_id.insert(id, Subscriber { backlog, on_overflow, except, wake, offered: 0, told: 0, due: 0 });
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId, patterns: &[Pattern]) {
        for pattern in patterns {
            self.trie.remove(pattern, id);
        }
        if let Some(subscriber) = self.by_id.remove(&id) {
            self.due.remove(&(subscriber.due, id));
        }
    }

    pub(crate) fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscriber> {
        self.by_id.get_mut(&id)
    }

    /// Takes note of the event for everyone whose patterns select it.
    pub(crate) fn offer(&mut self, event: &Arc<Event>, limits: &BrokerLimits) {
        let by_id = &mut self.by_id;
        self.trie.visit(&event.topic, &mut |id| {
            let Some(subscriber) = by_id.get_mut(&id) else { return };
            if subscriber.offered == event.seq {
                return;
            }
            subscriber.offered = event.seq;
            if is_own(subscriber.except, event.origin.peer) {
                return;
            }
            let waits = subscriber.backlog.is_empty();
            subscriber.backlog.offer(event, subscriber.on_overflow, limits);
            // Only the first of a batch wakes: a reader that has something to take comes back by itself.
            if waits {
                subscriber.wake.notify_one();
            }
        });
        self.wake_quiet(event.seq);
    }

    /// Notes what the client was told, so that [`Self::offer`] wakes its reader `CURSOR_EVENTS` events later.
    pub(crate) fn told(&mut self, id: SubscriptionId, told: u64) {
        let Some(subscriber) = self.by_id.get_mut(&id) else { return };
        subscriber.told = told;
        if subscriber.due == 0 {
            subscriber.due = told + CURSOR_EVENTS;
            self.due.insert((subscriber.due, id));
        }
    }

    fn wake_quiet(&mut self, head: u64) {
        while let Some(&(due, id)) = self.due.first()
            && due <= head
        {
            self.due.pop_first();
            let Some(subscriber) = self.by_id.get_mut(&id) else { continue };
            // What was told since moves the moment; a reader with a backlog has news to tell anyway.
            let quiet = subscriber.told + CURSOR_EVENTS <= head && subscriber.backlog.is_empty();
            if quiet {
                subscriber.wake.notify_one();
            }
            subscriber.due = (subscriber.told + CURSOR_EVENTS).max(head + 1);
            if quiet {
                subscriber.due = head + CURSOR_EVENTS;
            }
            self.due.insert((subscriber.due, id));
        }
    }

    /// How many subscriptions would receive an event of this topic that this connection publishes.
    pub(crate) fn count(&self, topic: &Topic, from: Option<PeerId>) -> usize {
        let mut ids = BTreeSet::new();
        self.trie.visit(topic, &mut |id| {
            if self.by_id.get(&id).is_some_and(|subscriber| !is_own(subscriber.except, from)) {
                ids.insert(id);
            }
        });
        ids.len()
    }

    /// How many are behind the store.
    pub(crate) fn lagging(&self) -> usize {
        let is_behind = |subscriber: &&Subscriber| matches!(subscriber.backlog, Backlog::Scanning { .. });
        self.by_id.values().filter(is_behind).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

/// Whether a subscriber that does not want this connection's events would get one of them.
pub(crate) fn is_own(except: Option<PeerId>, publisher: Option<PeerId>) -> bool {
    except.is_some() && except == publisher
}
