//! The kept events of a `latest` stream: the newest per topic, bounded by topics and bytes.
//!
//! Two kinds of loss are kept apart. A *superseded* value is a hole in the past but not in the state: it spoils a recovery
//! by position, and nothing else. A *dropped* value (the stream holds too many topics) is missing from the state.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use midplane_model::{Event, Topic};

use crate::{definition::Retention, evictions::Evictions};

#[derive(Debug)]
pub(crate) struct Latest {
    retention: Retention,
    values: BTreeMap<u64, Arc<Event>>,
    newest: HashMap<Topic, u64>,
    bytes: usize,
    superseded: Evictions,
    dropped: Evictions,
}

impl Latest {
    pub(crate) fn new(retention: Retention, evicted_topics: usize) -> Self {
        Self {
            retention,
            values: BTreeMap::new(),
            newest: HashMap::new(),
            bytes: 0,
            superseded: Evictions::new(evicted_topics),
            dropped: Evictions::new(evicted_topics),
        }
    }

    /// Replaces the value of the event's topic; drops the values that are oldest where there are too many.
    pub(crate) fn append(&mut self, event: Arc<Event>, now: Instant) {
        if let Some(old) = self.newest.insert(event.topic.clone(), event.seq)
            && let Some(old) = self.values.remove(&old)
        {
            self.bytes -= old.payload.get().len();
            note(&mut self.superseded, &old, now);
        }
        self.bytes += event.payload.get().len();
        self.values.insert(event.seq, event);
        while self.values.len() > self.retention.events || self.bytes > self.retention.bytes {
            let Some((_, old)) = self.values.pop_first() else { return };
            self.bytes -= old.payload.get().len();
            self.newest.remove(&old.topic);
            note(&mut self.dropped, &old, now);
        }
    }

    pub(crate) fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.newest.get(topic).copied()
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        self.values.get(&seq)
    }

    pub(crate) fn after(&self, position: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.values.range(position.saturating_add(1)..).map(|(_, event)| event)
    }

    pub(crate) fn before(&self, bound: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.values.range(..bound).map(|(_, event)| event)
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.values.first_key_value().map(|(seq, _)| *seq)
    }

    pub(crate) fn superseded(&self) -> &Evictions {
        &self.superseded
    }

    pub(crate) fn dropped(&self) -> &Evictions {
        &self.dropped
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// An expired event is owed to nobody, so nobody lost it.
fn note(lost: &mut Evictions, event: &Event, now: Instant) {
    if !event.expired(now) {
        lost.record(&event.topic, event.seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::event;

    #[test]
    fn only_the_newest_value_of_a_topic_is_kept() {
        let mut latest = Latest::new(Retention::default(), 8);
        for (seq, topic) in [(1, "a"), (2, "b"), (3, "a")] {
            latest.append(event(seq, topic, None), Instant::now());
        }
        assert_eq!(latest.after(0).map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((latest.superseded().highest(), latest.dropped().highest()), (1, 0));
    }

    #[test]
    fn too_many_topics_drop_the_oldest_value() {
        let mut latest = Latest::new(Retention { events: 2, ..Retention::default() }, 8);
        for (seq, topic) in [(1, "a"), (2, "b"), (3, "c")] {
            latest.append(event(seq, topic, None), Instant::now());
        }
        assert_eq!(latest.after(0).map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((latest.superseded().highest(), latest.dropped().highest()), (0, 1));
        assert_eq!(latest.len(), 2);
    }
}
