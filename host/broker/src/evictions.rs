//! What a store knows to have lost: the last lost `seq` per topic, in bounded memory.
//!
//! A filtered subscriber's recovery must not be spoilt by the loss of events that it never matched, so the question is
//! "was anything *matching* lost after this position", not "was anything". When more topics are known than the bound, the
//! one that lost longest ago joins the floor: up to the floor the answer for every topic is "perhaps", which counts as
//! lost. Wrong in that direction costs a replay; wrong in the other would be a lie.

use std::collections::{BTreeMap, HashMap};

use midplane_model::{Pattern, Topic};

#[derive(Debug)]
pub(crate) struct Evictions {
    last: HashMap<Topic, u64>,
    by_seq: BTreeMap<u64, Topic>,
    floor: u64,
    highest: u64,
    topics_max: usize,
}

impl Evictions {
    pub(crate) fn new(topics_max: usize) -> Self {
        Self { last: HashMap::new(), by_seq: BTreeMap::new(), floor: 0, highest: 0, topics_max }
    }

    /// Notes that the event of this topic and `seq` is gone.
    pub(crate) fn record(&mut self, topic: &Topic, seq: u64) {
        self.highest = self.highest.max(seq);
        if let Some(earlier) = self.last.insert(topic.clone(), seq) {
            self.by_seq.remove(&earlier);
        }
        self.by_seq.insert(seq, topic.clone());
        if self.by_seq.len() > self.topics_max
            && let Some((seq, topic)) = self.by_seq.pop_first()
        {
            self.last.remove(&topic);
            self.floor = self.floor.max(seq);
        }
    }

    /// Notes that events of any topic may be gone up to this `seq`.
    pub(crate) fn assume(&mut self, until: u64) {
        self.floor = self.floor.max(until);
        self.highest = self.highest.max(until);
    }

    /// The highest lost `seq`; 0 when nothing was lost.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// How many events selected by the patterns are lost after `position`, at least; `None` when certainly none. `Some(0)`
    /// is "perhaps some". Walks the topics that lost something after `position`; nothing at all when none did.
    pub(crate) fn lost_after(&self, position: u64, patterns: &[Pattern]) -> Option<u64> {
        if self.highest <= position {
            return None;
        }
        let lost = self.by_seq.range(position + 1..);
        let topics = lost.filter(|(_, topic)| patterns.iter().any(|pattern| pattern.matches(topic))).count();
        (topics > 0 || self.floor > position).then_some(topics as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(evictions: &Evictions, position: u64, pattern: &str) -> Option<u64> {
        evictions.lost_after(position, &[Pattern::parse(pattern).unwrap()])
    }

    #[test]
    fn only_matching_topics_count() {
        let mut evictions = Evictions::new(8);
        for (seq, topic) in [(1, "a.x"), (2, "b.x"), (3, "a.y"), (4, "b.x")] {
            evictions.record(&Topic::parse(topic).unwrap(), seq);
        }
        assert_eq!(lost(&evictions, 0, "a.*"), Some(2));
        assert_eq!(lost(&evictions, 1, "a.*"), Some(1));
        assert_eq!(lost(&evictions, 3, "a.*"), None);
        assert_eq!(lost(&evictions, 3, "b.*"), Some(1));
        assert_eq!(lost(&evictions, 0, "c"), None);
        assert_eq!(evictions.highest(), 4);
    }

    #[test]
    fn a_full_map_becomes_cautious_never_wrong() {
        let mut evictions = Evictions::new(1);
        evictions.record(&Topic::parse("a").unwrap(), 1);
        evictions.record(&Topic::parse("b").unwrap(), 2);
        assert_eq!(lost(&evictions, 0, "a"), Some(0), "forgotten, so perhaps");
        assert_eq!(lost(&evictions, 0, "c"), Some(0), "cannot be told apart from a");
        assert_eq!(lost(&evictions, 1, "a"), None);
        assert_eq!(lost(&evictions, 1, "b"), Some(1));
    }
}
