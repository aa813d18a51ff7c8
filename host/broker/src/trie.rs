//! A trie over pattern segments that answers which keys match a topic.
//!
//! Each node has literal children, one child for `*`, the keys of patterns that end here and the keys of patterns whose
//! `**` stands here. A lookup follows at most two children per segment, so its cost grows with the patterns that share a
//! path with the topic, not with the number of subscriptions. `Pattern::matches` is the oracle of its property test.

use std::collections::HashMap;

use midplane_model::{Pattern, Topic};

/// Keys are small and ordered; a key may stand under many patterns.
#[derive(Debug)]
pub(crate) struct Trie<K> {
    root: Node<K>,
}

#[derive(Debug)]
struct Node<K> {
    literal: HashMap<Box<str>, Node<K>>,
    any: Option<Box<Node<K>>>,
    /// Patterns that end here; sorted.
    here: Vec<K>,
    /// Patterns whose next segment is `**`; sorted.
    rest: Vec<K>,
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self { literal: HashMap::new(), any: None, here: Vec::new(), rest: Vec::new() }
    }
}

impl<K: Copy + Ord> Trie<K> {
    pub(crate) fn new() -> Self {
        Self { root: Node::default() }
    }

    /// Adds the key under the pattern; adding it twice changes nothing.
    pub(crate) fn insert(&mut self, pattern: &Pattern, key: K) {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                "**" => return add(&mut node.rest, key),
                "*" => node.any.get_or_insert_default(),
                literal => node.literal.entry(literal.into()).or_default(),
            };
        }
        add(&mut node.here, key);
    }

    /// Removes the key from under the pattern, and every node that nobody needs any more.
    pub(crate) fn remove(&mut self, pattern: &Pattern, key: K) {
        self.root.remove(pattern.as_str(), key);
    }

    /// Calls `visit` for each key whose pattern selects the topic: once per pattern, so possibly twice for a key.
    pub(crate) fn visit(&self, topic: &Topic, visit: &mut impl FnMut(K)) {
        self.root.visit(Some(topic.as_str()), visit);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<K: Copy + Ord> Node<K> {
    fn visit(&self, rest: Option<&str>, visit: &mut impl FnMut(K)) {
        let Some(rest) = rest else {
            return self.here.iter().copied().for_each(visit);
        };
        self.rest.iter().copied().for_each(&mut *visit);
        let (segment, rest) = split(rest);
        if let Some(child) = self.literal.get(segment) {
            child.visit(rest, visit);
        }
        if let Some(child) = &self.any {
            child.visit(rest, visit);
        }
    }

    fn remove(&mut self, pattern: &str, key: K) {
        let (segment, rest) = split(pattern);
        let child = match segment {
            "**" => return take(&mut self.rest, &key),
            "*" => self.any.as_deref_mut(),
            literal => self.literal.get_mut(literal),
        };
        let Some(child) = child else { return };
        match rest {
            Some(rest) => child.remove(rest, key),
            None => take(&mut child.here, &key),
        }
        if child.is_empty() {
            match segment {
                "*" => self.any = None,
                literal => drop(self.literal.remove(literal)),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('.').map_or((text, None), |(segment, rest)| (segment, Some(rest)))
}

fn add<K: Ord>(keys: &mut Vec<K>, key: K) {
    if let Err(place) = keys.binary_search(&key) {
        keys.insert(place, key);
    }
}

fn take<K: Ord>(keys: &mut Vec<K>, key: &K) {
    if let Ok(place) = keys.binary_search(key) {
        keys.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn found(trie: &Trie<usize>, topic: &Topic) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        trie.visit(topic, &mut |key| found.extend([key]));
        found
    }

    fn topic() -> impl Strategy<Value = Topic> {
        prop::collection::vec("[ab]", 1..5).prop_map(|parts| Topic::parse(&parts.join(".")).unwrap())
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let head = prop::collection::vec(prop_oneof!["[ab]", Just("*".to_owned())], 0..4);
        (head, prop_oneof!["[ab]", Just("*".to_owned()), Just("**".to_owned())])
            .prop_map(|(head, last)| Pattern::parse(&[head, vec![last]].concat().join(".")).unwrap())
    }

    proptest! {
        #[test]
        fn it_finds_what_the_patterns_match_one_by_one(
            patterns in prop::collection::vec((pattern(), any::<bool>()), 0..20),
            topics in prop::collection::vec(topic(), 1..10),
        ) {
            let mut trie = Trie::new();
            for (key, (pattern, _)) in patterns.iter().enumerate() {
                trie.insert(pattern, key);
            }
            for (key, (pattern, stays)) in patterns.iter().enumerate() {
                if !stays {
                    trie.remove(pattern, key);
                }
            }
            for topic in &topics {
                let expected: BTreeSet<usize> = (0..patterns.len())
                    .filter(|&key| patterns[key].1 && patterns[key].0.matches(topic))
                    .collect();
                prop_assert_eq!(found(&trie, topic), expected);
            }
            for (key, (pattern, _)) in patterns.iter().enumerate() {
                trie.remove(pattern, key);
            }
            prop_assert!(trie.is_empty(), "no node outlives its last key");
        }
    }
}
