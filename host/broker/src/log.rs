//! The kept events of a `log` stream: a queue of ascending `seq`s, bounded by count, bytes and age.
//!
//! Where a `seq` is missing in between, it was given out and never delivered (a crash, a failed commit): a hole.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use midplane_model::{Event, Topic};

use crate::{definition::Retention, evictions::Evictions};

#[derive(Debug)]
pub(crate) struct Log {
    retention: Retention,
    /// Ascending `seq`s. The arrival time is the monotonic clock's; the wall clock may step back.
    kept: VecDeque<(Instant, Arc<Event>)>,
    /// The newest kept `seq` per topic.
    newest: HashMap<Topic, u64>,
    bytes: usize,
    evicted: Evictions,
}

impl Log {
    pub(crate) fn new(retention: Retention, evicted_topics: usize) -> Self {
        Self {
            retention,
            kept: VecDeque::new(),
            newest: HashMap::new(),
            bytes: 0,
            evicted: Evictions::new(evicted_topics),
        }
    }

    /// Keeps the event, whose `seq` must be the highest so far, and lets the oldest go as far as the bounds ask for it.
    pub(crate) fn append(&mut self, event: Arc<Event>, now: Instant) {
        debug_assert!(self.kept.back().is_none_or(|(_, last)| last.seq < event.seq));
        self.bytes += event.payload.get().len();
        match self.newest.get_mut(&event.topic) {
            Some(newest) => *newest = event.seq,
            None => _ = self.newest.insert(event.topic.clone(), event.seq),
        }
        self.kept.push_back((now, event));
        self.trim(now);
    }

    /// Lets go what is too old by now.
    pub(crate) fn trim(&mut self, now: Instant) {
        while self.front_must_go(now) {
            let Some((_, event)) = self.kept.pop_front() else { return };
            self.bytes -= event.payload.get().len();
            if self.newest.get(&event.topic) == Some(&event.seq) {
                self.newest.remove(&event.topic);
            }
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

    pub(crate) fn assume_lost(&mut self, until: u64) {
        self.evicted.assume(until);
    }

    pub(crate) fn is_hole(&self, seq: u64) -> bool {
        let (first, last) = (self.kept.front(), self.kept.back());
        let within = first.is_some_and(|(_, first)| first.seq < seq) && last.is_some_and(|(_, last)| seq < last.seq);
        within && self.get(seq).is_none()
    }

    pub(crate) fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.newest.get(topic).copied()
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        self.kept.get(self.count_below(seq)).map(|(_, event)| event).filter(|event| event.seq == seq)
    }

    /// Kept events with a `seq` above the position, ascending; finding the first costs next to nothing.
    pub(crate) fn after(&self, position: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.kept.range(self.count_below(position.saturating_add(1))..).map(|(_, event)| event)
    }

    /// Kept events with a `seq` below the bound, ascending.
    pub(crate) fn before(&self, bound: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.kept.range(..self.count_below(bound)).map(|(_, event)| event)
    }

    /// How many kept events have a `seq` below the bound. Without holes the first guess is right.
    fn count_below(&self, bound: u64) -> usize {
        let Some(first) = self.first() else { return 0 };
        let guess = usize::try_from(bound.saturating_sub(first)).unwrap_or(usize::MAX).min(self.kept.len());
        let fits = guess == 0 || self.kept[guess - 1].1.seq < bound;
        if fits && self.kept.get(guess).is_none_or(|(_, event)| event.seq >= bound) {
            return guess;
        }
        self.kept.partition_point(|(_, event)| event.seq < bound)
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
    fn holes_are_stepped_over() {
        let mut log = Log::new(Retention { events: 4, ..Retention::default() }, 8);
        for seq in [1, 2, 7, 8, 20] {
            log.append(event(seq, "a", None), Instant::now());
        }
        for position in 0..25 {
            let expected: Vec<u64> = [2, 7, 8, 20].into_iter().filter(|seq| *seq > position).collect();
            assert_eq!(seqs(&log, position), expected, "after {position}");
            let before: Vec<u64> = log.before(position).map(|event| event.seq).collect();
            assert_eq!(before, [2, 7, 8, 20].into_iter().filter(|seq| *seq < position).collect::<Vec<_>>());
            assert_eq!(
                log.get(position).map(|event| event.seq),
                [2, 7, 8, 20].into_iter().find(|seq| *seq == position)
            );
        }
    }

    #[test]
    fn the_newest_of_a_topic_is_known_while_it_is_kept() {
        let mut log = Log::new(Retention { events: 2, ..Retention::default() }, 8);
        let newest = |log: &Log, topic| log.newest_of(&Topic::parse(topic).unwrap());
        for (seq, topic) in [(1, "a"), (2, "b"), (3, "b")] {
            log.append(event(seq, topic, None), Instant::now());
        }
        assert_eq!((newest(&log, "a"), newest(&log, "b")), (None, Some(3)));
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
