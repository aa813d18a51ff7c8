//! What a stream keeps, by class, behind one small interface: append, look up, read a page, say what is lost.
//!
//! Called under the stream's lock only; every operation is short. Reading pages instead of iterating is what lets readers
//! filter outside the lock.

use std::{sync::Arc, time::Instant};

use midplane_model::{Event, Pattern, Topic};

use crate::{
    definition::{Retention, StreamClass},
    evictions::Evictions,
    latest::Latest,
    limits::BrokerLimits,
    log::Log,
};

#[derive(Debug)]
pub(crate) enum Store {
    Log(Log),
    Latest(Latest),
    Ephemeral,
}

/// Consecutive kept events of a stream, of any topic.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) events: Vec<Arc<Event>>,
    /// Whether the page reached the end of what was asked for.
    pub(crate) complete: bool,
}

impl Store {
    pub(crate) fn new(class: StreamClass, retention: Retention, limits: &BrokerLimits) -> Self {
        match class {
            StreamClass::Log => Self::Log(Log::new(retention, limits.evicted_topics)),
            StreamClass::Latest => Self::Latest(Latest::new(retention, limits.evicted_topics)),
            StreamClass::Ephemeral => Self::Ephemeral,
        }
    }

    pub(crate) fn append(&mut self, event: &Arc<Event>, now: Instant) {
        match self {
            Self::Log(log) => log.append(Arc::clone(event), now),
            Self::Latest(latest) => latest.append(Arc::clone(event), now),
            Self::Ephemeral => {}
        }
    }

    /// Notes that events up to this `seq` may have been there and are gone, of whatever topic.
    pub(crate) fn assume_lost(&mut self, until: u64) {
        if let Self::Log(log) = self {
            log.assume_lost(until);
        }
    }

    /// Whether this `seq`, though within what is kept, was never delivered.
    pub(crate) fn is_hole(&self, seq: u64) -> bool {
        match self {
            Self::Log(log) => log.is_hole(seq),
            Self::Latest(_) | Self::Ephemeral => false,
        }
    }

    pub(crate) fn trim(&mut self, now: Instant) {
        if let Self::Log(log) = self {
            log.trim(now);
        }
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        match self {
            Self::Log(log) => log.get(seq),
            Self::Latest(latest) => latest.get(seq),
            Self::Ephemeral => None,
        }
    }

    /// The `seq` of the newest kept event of a topic.
    pub(crate) fn newest_of(&self, topic: &Topic) -> Option<u64> {
        match self {
            Self::Log(log) => log.newest_of(topic),
            Self::Latest(latest) => latest.newest_of(topic),
            Self::Ephemeral => None,
        }
    }

    /// The events after a position, up to and including `until`, oldest first.
    pub(crate) fn page_after(&self, position: u64, until: u64, limits: &BrokerLimits) -> Page {
        match self {
            Self::Log(log) => page(log.after(position).take_while(|event| event.seq <= until), limits),
            Self::Latest(latest) => page(latest.after(position).take_while(|event| event.seq <= until), limits),
            Self::Ephemeral => Page { events: Vec::new(), complete: true },
        }
    }

    /// The events before a `seq`, newest first.
    pub(crate) fn page_before(&self, bound: u64, limits: &BrokerLimits) -> Page {
        match self {
            Self::Log(log) => page(log.before(bound).rev(), limits),
            Self::Latest(latest) => page(latest.before(bound).rev(), limits),
            Self::Ephemeral => Page { events: Vec::new(), complete: true },
        }
    }

    pub(crate) fn first(&self) -> Option<u64> {
        match self {
            Self::Log(log) => log.first(),
            Self::Latest(latest) => latest.first(),
            Self::Ephemeral => None,
        }
    }

    /// Everything up to this `seq` is gone, except what a `latest` stream superseded.
    pub(crate) fn highest_evicted(&self) -> u64 {
        self.evictions().map_or(0, Evictions::highest)
    }

    /// Matching events after the position that can never be delivered, at least; `None` when there are certainly none.
    /// Superseded values are not counted.
    pub(crate) fn evicted_after(&self, position: u64, patterns: &[Pattern]) -> Option<u64> {
        self.evictions()?.lost_after(position, patterns)
    }

    /// Matching values after the position that a newer value has replaced, counted in the same way.
    pub(crate) fn superseded_after(&self, position: u64, patterns: &[Pattern]) -> Option<u64> {
        match self {
            Self::Latest(latest) => latest.superseded().lost_after(position, patterns),
            Self::Log(_) | Self::Ephemeral => None,
        }
    }

    fn evictions(&self) -> Option<&Evictions> {
        match self {
            Self::Log(log) => Some(log.evicted()),
            Self::Latest(latest) => Some(latest.dropped()),
            Self::Ephemeral => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Log(log) => log.len(),
            Self::Latest(latest) => latest.len(),
            Self::Ephemeral => 0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Log(log) => log.bytes(),
            Self::Latest(latest) => latest.bytes(),
            Self::Ephemeral => 0,
        }
    }
}

fn page<'a>(events: impl Iterator<Item = &'a Arc<Event>>, limits: &BrokerLimits) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    for event in events {
        let size = event.payload.get().len();
        // The first event is taken whatever its size, or a page could stay empty for ever.
        if page.events.len() == limits.page_events || (bytes > 0 && bytes + size > limits.page_bytes) {
            return page;
        }
        bytes += size;
        page.events.push(Arc::clone(event));
    }
    page.complete = true;
    page
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, SystemTime};

    use midplane_model::{Origin, Stamp};
    use serde_json::value::to_raw_value;

    use super::*;

    pub(crate) fn event(seq: u64, topic: &str, ttl: Option<Duration>) -> Arc<Event> {
        let payload = to_raw_value("payload").unwrap();
        let stamp = Stamp { stream: "s".into(), epoch: "e".into(), seq, time: SystemTime::now() };
        let mut event = Event::new(stamp, Topic::parse(topic).unwrap(), payload, Origin::default());
        event.expires_at = ttl.map(|ttl| Instant::now() + ttl);
        Arc::new(event)
    }

    fn seqs(page: &Page) -> Vec<u64> {
        page.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn pages_end_at_their_bounds_and_say_so() {
        let size = event(1, "a", None).payload.get().len();
        let limits = BrokerLimits { page_events: 3, page_bytes: 2 * size, ..BrokerLimits::default() };
        let mut store = Store::new(StreamClass::Log, Retention::default(), &limits);
        (1..=5).for_each(|seq| store.append(&event(seq, "a", None), Instant::now()));
        let page = store.page_after(0, 5, &limits);
        assert_eq!((seqs(&page), page.complete), (vec![1, 2], false));
        let page = store.page_after(0, 2, &limits);
        assert_eq!((seqs(&page), page.complete), (vec![1, 2], true));
        let page = store.page_before(5, &limits);
        assert_eq!((seqs(&page), page.complete), (vec![4, 3], false));
        let tiny = BrokerLimits { page_bytes: 1, ..limits };
        assert_eq!(seqs(&store.page_after(3, 5, &tiny)), [4], "one event always fits");
    }
}
