//! What a publisher says, and what it is told.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use midplane_model::{Origin, Position, Topic};
use serde_json::value::RawValue;

/// An event to be published.
#[derive(Debug)]
pub struct Publish {
    pub topic: Topic,
    /// At most `EVENT_BYTES_MAX`.
    pub payload: Box<RawValue>,
    pub origin: Origin,
    /// Checked at delivery: an event that waited longer is delivered to nobody. None, or a century, is for ever.
    pub ttl: Option<Duration>,
}

impl Publish {
    /// Equal for equal contents, for telling a repeated publish from another one under the same key.
    pub(crate) fn content(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.topic, self.payload.get()).hash(&mut hasher);
        hasher.finish()
    }
}

/// What must hold for an event to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The newest event of this topic that the stream still keeps has this `seq`; 0: it keeps none.
    pub topic_seq: Option<u64>,
    /// The principal's own name for this event. Within `PUBLISH_KEY_AGE_MAX` the same key names the same event: published
    /// again it is not published twice. Remembered in memory, `PUBLISH_KEYS_MAX` per stream.
    pub key: Option<Arc<str>>,
}

/// Where an event came to stand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    pub stream: Arc<str>,
    pub epoch: Arc<str>,
    pub seq: u64,
    /// It survives the end of the host, once it is applied.
    pub durable: bool,
    /// It had been published already, under the same key; this is where it stands.
    pub duplicate: bool,
}

impl Published {
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: Arc::clone(&self.epoch), seq: self.seq }
    }
}
