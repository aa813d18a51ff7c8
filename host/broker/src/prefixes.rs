//! Which stream a topic belongs to, and which streams a pattern can reach. Pure; built once per broker.

use midplane_model::{Pattern, Topic};

use crate::{definition::StreamDefinition, error::BrokerError};

/// Prefixes with the index of their stream, longest first. A broker has a handful, so a scan beats a tree.
#[derive(Debug)]
pub(crate) struct Prefixes(Vec<(String, usize)>);

impl Prefixes {
    /// # Errors
    /// A name or prefix used twice, a prefix that is no prefix of topics, or topics left without a stream.
    pub(crate) fn new(definitions: &[StreamDefinition]) -> Result<Self, BrokerError> {
        let mut all: Vec<(String, usize)> = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            let stream = || definition.name.to_string();
            if definitions[..index].iter().any(|other| other.name == definition.name) {
                return Err(BrokerError::DuplicateStream { name: stream() });
            }
            for prefix in &definition.prefixes {
                if !is_prefix(prefix) {
                    return Err(BrokerError::MalformedPrefix { stream: stream(), prefix: prefix.clone() });
                }
                if all.iter().any(|(other, _)| other == prefix) {
                    return Err(BrokerError::DuplicatePrefix { stream: stream(), prefix: prefix.clone() });
                }
                all.push((prefix.clone(), index));
            }
        }
        all.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        if all.last().is_none_or(|(prefix, _)| !prefix.is_empty()) {
            return Err(BrokerError::NoStreamForTheRest);
        }
        Ok(Self(all))
    }

    /// The stream of a topic.
    pub(crate) fn of_topic(&self, topic: &Topic) -> usize {
        self.of_text(topic.as_str()).1
    }

    /// The streams that topics selected by any of the patterns may belong to, ascending. May name one stream too many
    /// where wildcards precede literals; never one too few.
    pub(crate) fn of_patterns(&self, patterns: &[Pattern]) -> Vec<usize> {
        let mut streams: Vec<usize> = patterns.iter().flat_map(|pattern| self.of_pattern(pattern)).collect();
        streams.sort_unstable();
        streams.dedup();
        streams
    }

    fn of_pattern<'a>(&'a self, pattern: &'a Pattern) -> impl Iterator<Item = usize> + 'a {
        // Every selected topic starts with the pattern's literal head, so its prefix is the head's own or a longer one.
        let literal = pattern.as_str().split('*').next().unwrap_or_default();
        let (own, stream) = self.of_text(literal);
        let longer = self
            .0
            .iter()
            .filter(move |(prefix, _)| prefix.len() > own.len() && prefix.starts_with(own) && reaches(pattern, prefix));
        std::iter::once(stream).chain(longer.map(|(_, stream)| *stream))
    }

    fn of_text(&self, text: &str) -> (&str, usize) {
        let found = self.0.iter().find(|(prefix, _)| text.starts_with(prefix.as_str()));
        found.map(|(prefix, stream)| (prefix.as_str(), *stream)).expect("`new` insists on the empty prefix")
    }
}

fn is_prefix(text: &str) -> bool {
    text.is_empty() || text.strip_suffix('.').is_some_and(|segments| Topic::parse(segments).is_ok())
}

/// Whether the pattern selects some topic that starts with the prefix.
fn reaches(pattern: &Pattern, prefix: &str) -> bool {
    let mut pattern = pattern.segments();
    for part in prefix.split_terminator('.') {
        match pattern.next() {
            Some("**") => return true,
            Some("*") => {}
            Some(literal) if literal == part => {}
            _ => return false,
        }
    }
    pattern.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::StreamClass;

    fn streams(definitions: &[(&str, &[&str])]) -> Result<Prefixes, BrokerError> {
        let definitions: Vec<_> = definitions
            .iter()
            .map(|(name, prefixes)| StreamDefinition::new(name, StreamClass::Log, prefixes))
            .collect();
        Prefixes::new(&definitions)
    }

    #[test]
    fn the_longest_prefix_decides() {
        let prefixes = streams(&[("main", &[""]), ("live", &["live."]), ("slow", &["live.slow."])]).unwrap();
        let of = |topic| prefixes.of_topic(&Topic::parse(topic).unwrap());
        assert_eq!(
            [of("a.b"), of("live"), of("lively.a"), of("live.a"), of("live.slow"), of("live.slow.a")],
            [0, 0, 0, 1, 1, 2]
        );
    }

    #[test]
    fn patterns_reach_the_streams_of_the_topics_they_select() {
        let prefixes = streams(&[("main", &[""]), ("live", &["live."]), ("slow", &["live.slow."])]).unwrap();
        let of = |pattern| prefixes.of_patterns(&[Pattern::parse(pattern).unwrap()]);
        assert_eq!(of("**"), [0, 1, 2]);
        assert_eq!(of("*"), [0]);
        assert_eq!(of("a.**"), [0]);
        assert_eq!(of("live"), [0]);
        assert_eq!(of("live.*"), [1]);
        assert_eq!(of("live.**"), [1, 2]);
        assert_eq!(of("live.slow.a"), [2]);
        assert_eq!(of("*.*.*"), [0, 1, 2]);
    }

    #[test]
    fn overlaps_without_a_longest_are_refused() {
        use BrokerError as E;
        assert!(matches!(streams(&[("a", &[""]), ("a", &["x."])]), Err(E::DuplicateStream { .. })));
        assert!(matches!(streams(&[("a", &["", "x."]), ("b", &["x."])]), Err(E::DuplicatePrefix { .. })));
        assert!(matches!(streams(&[("a", &["x."])]), Err(E::NoStreamForTheRest)));
        for bad in ["x", ".", "x..", "X.", "*."] {
            assert!(matches!(streams(&[("a", &["", bad])]), Err(E::MalformedPrefix { .. })), "{bad}");
        }
    }
}
