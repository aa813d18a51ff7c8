//! From what the host tells about a terminal to the event that clients see.

use midplane_sdk::{Error, json};
use serde_json::{Map, Value};

/// Topic and payload to publish, whatever the kind, so that the host may learn to tell more: `{"kind": "exited", "id": "t1", …}` is `terminals.exited` with `{"id": "t1", …}`.
///
/// # Errors
/// `invalid_params` when the payload is not what the host promises.
pub fn announcement(payload: &str) -> Result<(String, String), Error> {
    let mut members: Map<String, Value> = json::parse("payload", payload)?;
    match members.shift_remove("kind") {
        Some(Value::String(kind)) => Ok((format!("terminals.{kind}"), json::text(&members)?)),
        kind => Err(Error::invalid_params("payload.kind", format!("payload.kind: expected a word, got {kind:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_becomes_the_topic_and_the_rest_the_payload() {
        let (topic, payload) = announcement(r#"{"kind":"exited","id":"t1","code":3}"#).unwrap();
        assert_eq!((topic.as_str(), payload.as_str()), ("terminals.exited", r#"{"id":"t1","code":3}"#));
    }

    #[test]
    fn news_of_no_kind_is_not_published() {
        assert!(announcement(r#"{"kind":7,"id":"t1"}"#).is_err());
        assert!(announcement(r#"{"id":"t1"}"#).is_err());
    }
}
