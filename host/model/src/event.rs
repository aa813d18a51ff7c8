//! Events: one immutable value shared by every subscriber.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{channel::PeerId, topic::Topic};

/// A place in a stream: everything up to and including `seq` has been seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Position {
    pub epoch: Arc<str>,
    pub seq: u64,
}

/// Positions by stream.
pub type Positions = BTreeMap<Arc<str>, Position>;

/// Who caused an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Origin {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// The connection whose client published it. For `echo: false`; never shown.
    #[serde(skip)]
    pub peer: Option<PeerId>,
}

/// Where and when an event came to stand.
#[derive(Debug, Clone)]
pub struct Stamp {
    pub stream: Arc<str>,
    pub epoch: Arc<str>,
    pub seq: u64,
    pub time: SystemTime,
}

/// An event as the broker stamped it. Shared as `Arc<Event>`; its JSON is made once for all sockets.
#[derive(Debug)]
pub struct Event {
    pub stream: Arc<str>,
    pub epoch: Arc<str>,
    pub seq: u64,
    pub topic: Topic,
    pub time: SystemTime,
    pub payload: Box<RawValue>,
    pub origin: Origin,
    /// Not delivered after this moment.
    pub expires_at: Option<Instant>,
    /// Somebody waits for an answer, to be given under this name.
    pub request: Option<Arc<str>>,
    json: OnceLock<String>,
}

impl Event {
    /// An event that never expires and wants no answer; set the fields of one that does before it is shared.
    #[must_use]
    pub fn new(stamp: Stamp, topic: Topic, payload: Box<RawValue>, origin: Origin) -> Self {
        let Stamp { stream, epoch, seq, time } = stamp;
        Self {
            stream,
            epoch,
            seq,
            topic,
            time,
            payload,
            origin,
            expires_at: None,
            request: None,
            json: OnceLock::new(),
        }
    }

    /// The members that are the same for every subscriber, `"stream":…,…,"origin":…`, without braces: a socket puts
    /// its own `subscription`, `n` and `replay` beside them.
    #[must_use]
    pub fn shared_json(&self) -> &str {
        self.json.get_or_init(|| {
            let text = |value: &dyn erased::Json| value.json();
            let request = self.request.as_ref().map(|request| format!(r#","request":{}"#, text(request)));
            format!(
                r#""stream":{},"epoch":{},"seq":{},"topic":{},"time":{},"payload":{},"origin":{}{}"#,
                text(&self.stream),
                text(&self.epoch),
                self.seq,
                text(&self.topic),
                text(&rfc3339(self.time)),
                self.payload.get(),
                text(&self.origin),
                request.unwrap_or_default(),
            )
        })
    }

    #[must_use]
    pub fn expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

mod erased {
    /// Serialises values that cannot fail to serialise (strings and records of strings).
    pub trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
        }
    }
}

/// `2026-11-23T09:36:01.123Z`, the form of every time in JSON (RFC 3339, UTC, milliseconds).
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, secs) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Civil date from a day count: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil inverted.
    let z = days as i64 + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_rfc3339() {
        let at = |secs, ms| rfc3339(UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_millis(ms));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.005Z");
        assert_eq!(at(1_795_426_561, 123), "2026-11-23T09:36:01.123Z");
    }
}
