//! From a batch of the watcher to the events `files.changed` and `files.watch_degraded`.
//!
//! A batch may hold changes by several requests and by other programs. Each announcement has one origin, so a batch is cut
//! where the origin changes; the order stays.

use midplane_sdk::{Error, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The payload of `midplane.files`.
#[derive(Deserialize)]
struct Batch {
    changes: Vec<Change>,
    /// Changes at or below this path may be missing.
    #[serde(default)]
    rescan: Option<String>,
    /// Passed on as it is.
    #[serde(default)]
    degraded: Option<Value>,
}

/// What is to be told of a batch: payloads in order.
#[derive(Debug)]
pub struct News {
    pub degraded: Option<String>,
    pub changed: Vec<String>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    request_id: Option<String>,
    /// `kind`, `path`, `from`, `dir`, `version`: passed on as they are.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The payload of `files.changed`.
#[derive(Serialize, Default)]
struct Announcement {
    changes: Vec<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rescan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
}

#[derive(Serialize)]
struct Origin {
    request_id: String,
}

/// The payloads to publish for one batch.
///
/// # Errors
/// `invalid_params` when the batch is not what the host promises.
pub fn news(batch: &str) -> Result<News, Error> {
    let Batch { changes, rescan, degraded } = json::parse("payload", batch)?;
    let mut announcements: Vec<Announcement> = Vec::new();
    for Change { request_id, rest } in changes {
        let same_origin = announcements.last_mut().filter(|last| last.request_id() == request_id.as_deref());
        match same_origin {
            Some(last) => last.changes.push(rest),
            None => announcements.push(Announcement {
                changes: vec![rest],
                rescan: None,
                origin: request_id.map(|request_id| Origin { request_id }),
            }),
        }
    }
    if rescan.is_some() {
        if announcements.is_empty() {
            announcements.push(Announcement::default());
        }
        if let Some(last) = announcements.last_mut() {
            last.rescan = rescan;
        }
    }
    let degraded = degraded.as_ref().map(json::text).transpose()?;
    Ok(News { degraded, changed: announcements.iter().map(json::text).collect::<Result<_, _>>()? })
}

impl Announcement {
    fn request_id(&self) -> Option<&str> {
        self.origin.as_ref().map(|origin| origin.request_id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(batch: &str) -> Vec<String> {
        news(batch).unwrap().changed
    }

    #[test]
    fn what_is_watched_less_well_is_told_by_itself() {
        let news = news(r#"{"changes":[],"degraded":{"path":"a","reason":"budget","message":"m"}}"#).unwrap();
        assert_eq!(news.degraded.as_deref(), Some(r#"{"path":"a","reason":"budget","message":"m"}"#));
        assert!(news.changed.is_empty());
    }

    #[test]
    fn changes_of_one_origin_stay_together_and_others_are_cut_off_in_order() {
        let batch = r#"{"changes":[
            {"kind":"created","path":"a","dir":false,"request_id":"r1"},
            {"kind":"modified","path":"b","dir":false,"version":"v","request_id":"r1"},
            {"kind":"moved","path":"d","from":"c","dir":true}]}"#;
        assert_eq!(
            changed(batch),
            [
                r#"{"changes":[{"kind":"created","path":"a","dir":false},{"kind":"modified","path":"b","dir":false,"version":"v"}],"origin":{"request_id":"r1"}}"#,
                r#"{"changes":[{"kind":"moved","path":"d","from":"c","dir":true}]}"#,
            ]
        );
    }

    #[test]
    fn a_rescan_is_told_even_where_no_change_is_known() {
        assert_eq!(changed(r#"{"changes":[],"rescan":"src"}"#), [r#"{"changes":[],"rescan":"src"}"#]);
    }

    #[test]
    fn nothing_changed_is_no_event() {
        assert!(changed(r#"{"changes":[]}"#).is_empty());
    }
}
