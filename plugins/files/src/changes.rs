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
    /// News at or below this path got lost.
    #[serde(default)]
    rescan: Option<String>,
    /// All that had changed there is told nevertheless, from here on.
    #[serde(default)]
    repaired: bool,
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
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    rescan: Option<Rescan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
}

#[derive(Serialize)]
struct Rescan {
    rescan: String,
    repaired: bool,
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
    let Batch { changes, rescan, repaired, degraded } = json::parse("payload", batch)?;
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
    if let Some(rescan) = rescan {
        if announcements.is_empty() {
            announcements.push(Announcement::default());
        }
        // What was repaired follows; what was not is read again when all that is known has been told.
        let place = if repaired { announcements.first_mut() } else { announcements.last_mut() };
        if let Some(announcement) = place {
            announcement.rescan = Some(Rescan { rescan, repaired });
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
        for repaired in [true, false] {
            let batch = format!(r#"{{"changes":[],"rescan":"src","repaired":{repaired}}}"#);
            assert_eq!(changed(&batch), [batch]);
        }
    }

    #[test]
    fn what_was_repaired_comes_with_the_first_changes_and_what_was_not_with_the_last() {
        let changes =
            r#"[{"kind":"created","path":"a","dir":true,"request_id":"r"},{"kind":"created","path":"b","dir":true}]"#;
        let told = |repaired| {
            let told = changed(&format!(r#"{{"changes":{changes},"rescan":"","repaired":{repaired}}}"#));
            told.iter().map(|announcement| announcement.contains("rescan")).collect::<Vec<_>>()
        };
        assert_eq!((told(true), told(false)), (vec![true, false], vec![false, true]));
    }

    #[test]
    fn nothing_changed_is_no_event() {
        assert!(changed(r#"{"changes":[]}"#).is_empty());
    }
}
