//! Topics and the patterns that select them (contract, section 2).
//!
//! A topic is dot-separated segments of `[a-z0-9_-]+`. In a pattern `*` stands for exactly one segment and `**`, as the
//! last segment only, for one or more. Nothing else is special.

use std::{fmt, sync::Arc};

use crate::{
    fault::Fault,
    limits::{TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX},
};

/// A concrete topic, e.g. `workspace.file_opened`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// A pattern over topics, e.g. `workspace.**`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Topic {
    /// Parses a topic; the error names the segment that is wrong.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check(text, "topic")?;
        for segment in text.split('.') {
            if !is_literal(segment) {
                return Err(bad(text, "topic", segment));
            }
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl Pattern {
    /// Parses a pattern; the error names the segment that is wrong.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check(text, "pattern")?;
        let last = text.split('.').count() - 1;
        for (index, segment) in text.split('.').enumerate() {
            let ok = is_literal(segment) || segment == "*" || (segment == "**" && index == last);
            if !ok {
                return Err(bad(text, "pattern", segment));
            }
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether this pattern selects the topic. The broker's trie answers the same question for many patterns at once.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut topic = topic.segments();
        for segment in self.segments() {
            match (segment, topic.next()) {
                (_, None) => return false,
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(part)) if literal == part => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }

    /// Whether every topic that `other` selects is selected by this pattern too.
    #[must_use]
    pub fn contains(&self, other: &Pattern) -> bool {
        let (mut mine, mut theirs) = (self.segments(), other.segments());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) | (Some("**"), Some(_)) => return true,
                (Some("*"), Some(theirs)) if theirs != "**" => {}
                (Some(mine), Some(theirs)) if mine == theirs => {}
                _ => return false,
            }
        }
    }
}

fn is_literal(segment: &str) -> bool {
    !segment.is_empty()
        && segment.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-')
}

fn check(text: &str, what: &str) -> Result<(), Fault> {
    if text.len() > TOPIC_BYTES_MAX {
        return Err(Fault::invalid_params(what, format!("a {what} has at most {TOPIC_BYTES_MAX} bytes")));
    }
    if text.split('.').count() > TOPIC_SEGMENTS_MAX {
        return Err(Fault::invalid_params(what, format!("a {what} has at most {TOPIC_SEGMENTS_MAX} segments")));
    }
    Ok(())
}

fn bad(text: &str, what: &str, segment: &str) -> Fault {
    let wildcards = if what == "pattern" { ", '*', or '**' at the end" } else { "; wildcards are for patterns" };
    Fault::invalid_params(
        what,
        format!("{what} {text:?}: segment {segment:?} must be of a-z, 0-9, '_' and '-'{wildcards}"),
    )
}

macro_rules! text {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}
text!(Topic);
text!(Pattern);

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(&Topic::parse(topic).unwrap())
    }

    #[test]
    fn star_is_one_segment_and_double_star_is_one_or_more() {
        assert!(matches("a.*", "a.b"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(!matches("a.*", "a"));
        assert!(matches("a.**", "a.b"));
        assert!(matches("a.**", "a.b.c"));
        assert!(!matches("a.**", "a"));
        assert!(matches("**", "a"));
        assert!(matches("*.b", "a.b"));
        assert!(!matches("a", "a.b"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a.[b]", "a.?", "a b", "a.**.b", "a*", "**.a"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["a.*", "**", "a.>"] {
            assert!(Topic::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn containment_follows_matching() {
        let contains = |a: &str, b: &str| Pattern::parse(a).unwrap().contains(&Pattern::parse(b).unwrap());
        assert!(contains("a.**", "a.b.*"));
        assert!(contains("a.**", "a.**"));
        assert!(contains("a.*", "a.b"));
        assert!(!contains("a.*", "a.**"));
        assert!(!contains("a.b", "a.*"));
        assert!(!contains("a.**", "a"));
        assert!(contains("**", "x.y"));
    }
}
