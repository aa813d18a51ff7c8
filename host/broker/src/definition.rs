//! What a stream is: its name, its class, the topics that belong to it, and how long it keeps them.

use std::{sync::Arc, time::Duration};

use midplane_model::limits::{LOG_AGE_MAX, LOG_BYTES_MAX, LOG_EVENTS_MAX};

/// What a stream keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamClass {
    /// Every event, within [`Retention`].
    Log,
    /// The newest event per topic. A new subscriber gets the current values first; a slow one skips superseded values
    /// silently, because a value that was replaced is what it asked not to see.
    Latest,
    /// Nothing. A subscriber that was absent missed it; one that is slow loses the oldest and is told so by a gap.
    Ephemeral,
}

/// How much a stream keeps. The oldest go first, whichever bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub events: usize,
    /// Payload bytes.
    pub bytes: usize,
    /// Checked when the stream is written to or read; `latest` streams ignore it, a quiet value is still the value.
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events: LOG_EVENTS_MAX, bytes: LOG_BYTES_MAX, age: LOG_AGE_MAX }
    }
}

/// One stream of a broker.
#[derive(Debug, Clone)]
pub struct StreamDefinition {
    pub name: Arc<str>,
    pub class: StreamClass,
    /// Beginnings of topics: empty for every topic, else whole segments with a dot at the end (`live.`). The longest
    /// prefix of all streams decides.
    pub prefixes: Vec<String>,
    pub retention: Retention,
}

impl StreamDefinition {
    /// A stream with the default retention.
    #[must_use]
    pub fn new(name: &str, class: StreamClass, prefixes: &[&str]) -> Self {
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        Self { name: name.into(), class, prefixes, retention: Retention::default() }
    }

    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// `main` keeps everything, but `live.` (nothing kept) and `latest.` (newest value per topic).
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("main", StreamClass::Log, &[""]),
            Self::new("live", StreamClass::Ephemeral, &["live."]),
            Self::new("latest", StreamClass::Latest, &["latest."]),
        ]
    }
}
