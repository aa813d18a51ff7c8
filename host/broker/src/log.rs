//! The kept events of a `log` stream: a queue of consecutive `seq`s, bounded by count, bytes and age.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use midplane_model::Event;

use crate::{definition::Retention, evictions::Evictions};

#[derive(Debug)]
pub(crate) struct Log {
    retention: Retention,
    /// Consecutive `seq`s. The arrival time is the monotonic clock's; the wall clock may step back.
    kept: VecDeque<(Instant, Arc<Event>)>,
    bytes: usize,
    evicted: Evictions,
}

impl Log {
    pub(crate) fn new(retention: Retention, evicted_topics: usize) -> Self {
        Self { retention, kept: VecDeque::new(), bytes: 0, evicted: Evictions::new(evicted_topics) }
    }

    /// Keeps the event, which must be the next `seq`, and lets the oldest go as far as the bounds ask for it.
    pub(crate) fn append(&mut self, event: Arc<Event>, now: Instant) {
        debug_assert!(self.kept.back().is_none_or(|(_, last)| last.seq + 1 == event.seq));
        self.bytes += event.payload.get().len();
        self.kept.push_back((now, event));
        self.trim(now);
    }

    /// Lets go what is too old by now.
    pub(crate) fn trim(&mut self, now: Instant) {
        while self.front_must_go(now) {
            let Some((_, event)) = self.kept.pop_front() else { return };
            self.bytes -= event.payload.get().len();
            // An expired event is owed to nobody, so nobody lost it.
            if !event.expired(now) {
                self.evicted.record(&event.topic, event.seq);
            }
        }
    }

    fn front_must_go(&self, now: Instant) -> bool {
        let bound = &self.retention;
        self.kept.front().is_some_and(|(kept_since, _)| {
            self.kept.len() > bound.events
                || self.bytes > bound.bytes
                || now.saturating_duration_since(*kept_since) >= bound.age
        })
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        let first = self.first()?;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.kept.get(index).map(|(_, event)| event)
    }

    /// Kept events with a `seq` above the position, ascending; finding the first costs nothing.
    pub(crate) fn after(&self, position: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let gone = self.first().map_or(0, |first| (position + 1).saturating_sub(first));
        let start = usize::try_from(gone).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.range(start..).map(|(_, event)| event)
    }

    /// Kept events with a `seq` below the bound, ascending.
    pub(crate) fn before(&self, bound: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let held = self.first().map_or(0, |first| bound.saturating_sub(first));
        let end = usize::try_from(held).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.range(..end).map(|(_, event)| event)
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.kept.front().map(|(_, event)| event.seq)
    }

    pub(crate) fn evicted(&self) -> &Evictions {
        &self.evicted
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::tests::event;

    fn seqs(log: &Log, position: u64) -> Vec<u64> {
        log.after(position).map(|event| event.seq).collect()
    }

    #[test]
    fn the_oldest_go_by_count() {
        let now = Instant::now();
        let mut log = Log::new(Retention { events: 2, ..Retention::default() }, 8);
        (1..=5).for_each(|seq| log.append(event(seq, "a", None), now));
        assert_eq!(seqs(&log, 0), [4, 5]);
        assert_eq!(seqs(&log, 4), [5]);
        assert_eq!(seqs(&log, 9), [0; 0]);
        assert_eq!(log.before(5).map(|event| event.seq).collect::<Vec<_>>(), [4]);
        assert_eq!((log.get(3).is_some(), log.get(4).is_some(), log.get(6).is_some()), (false, true, false));
        assert_eq!(log.evicted().highest(), 3);
    }

    #[test]
    fn the_oldest_go_by_bytes() {
        let now = Instant::now();
        let size = event(1, "a", None).payload.get().len();
        let mut log = Log::new(Retention { bytes: 2 * size, ..Retention::default() }, 8);
        (1..=3).for_each(|seq| log.append(event(seq, "a", None), now));
        assert_eq!((seqs(&log, 0), log.bytes()), (vec![2, 3], 2 * size));
    }

    #[test]
    fn the_oldest_go_by_age() {
        let (now, age) = (Instant::now(), Duration::from_secs(10));
        let mut log = Log::new(Retention { age, ..Retention::default() }, 8);
        log.append(event(1, "a", None), now);
        log.append(event(2, "a", None), now + age / 2);
        log.trim(now + age);
        assert_eq!(seqs(&log, 0), [2]);
    }

    #[test]
    fn an_event_that_had_expired_is_not_lost() {
        let mut log = Log::new(Retention { events: 1, ..Retention::default() }, 8);
        log.append(event(1, "a", Some(Duration::ZERO)), Instant::now());
        log.append(event(2, "a", None), Instant::now());
        assert_eq!((seqs(&log, 0), log.evicted().highest()), (vec![2], 0));
    }
}
