//! The door to what readers ask for; see `crate::fuzzing`.

use axum::http::{HeaderMap, HeaderValue};
use midplane_broker::Since;
use midplane_model::ErrorCode;

use super::query::{LAST_EVENT_ID, Query, read, since};

/// A query, a line feed, and `Last-Event-ID`.
pub fn reading(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (query, id) = (String::from_utf8_lossy(part()), part());
    let mut headers = HeaderMap::new();
    if let Ok(id) = HeaderValue::from_bytes(id) {
        headers.insert(LAST_EVENT_ID, id);
    }
    match read(&query, &headers) {
        Err(fault) => {
            assert!(fault.code == ErrorCode::InvalidParams && fault.details.contains_key("path"), "{fault:?}");
        }
        Ok(Query { patterns, since: Since::Positions(positions), .. }) => {
            assert!(!patterns.is_empty());
            let words = positions.iter().map(|(stream, at)| format!("{stream}:{}:{}", at.epoch, at.seq));
            let text = words.collect::<Vec<_>>().join(",");
            let Ok(Since::Positions(again)) = since(&text) else { panic!("{text} is where it was") };
            assert!(again == positions, "{text} is where it was");
        }
        Ok(Query { patterns, .. }) => assert!(!patterns.is_empty()),
    }
}
