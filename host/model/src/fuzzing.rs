//! Names of strangers, for the fuzz target in `fuzz/` and for what it has found. Part of the crate only under `cfg(fuzzing)` and
//! in tests.

use crate::{Pattern, Topic, limits::TOPIC_BYTES_MAX};

/// Lines: each a topic, a pattern, or neither.
pub fn topics(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Every pair is compared, so only so many.
    let lines: Vec<&str> = text.split('\n').take(16).collect();
    let topics: Vec<Topic> = lines.iter().filter_map(|line| Topic::parse(line).ok()).collect();
    let patterns: Vec<Pattern> = lines.iter().filter_map(|line| Pattern::parse(line).ok()).collect();
    for topic in &topics {
        assert!(topic.as_str().len() <= TOPIC_BYTES_MAX && topic.segments().all(|segment| !segment.is_empty()));
        assert!(Pattern::parse(topic.as_str()).is_ok_and(|pattern| pattern.matches(topic)), "a topic selects itself");
    }
    for pattern in &patterns {
        assert!(pattern.contains(pattern), "{pattern} contains itself");
        for other in &patterns {
            let selected = topics.iter().filter(|topic| other.matches(topic));
            for topic in selected.filter(|_| pattern.contains(other)) {
                assert!(pattern.matches(topic), "{pattern} contains {other}, which selects {topic}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../fuzz/run_again.rs");

    #[test]
    fn topics_that_were_found_do_no_harm() {
        run_again("topics", topics);
    }
}
