//! Outgoing JSON-RPC. Results and payloads are spliced as they are, never parsed again.

use midplane_model::{Fault, Positions};
use serde_json::{Map, Value, json, value::RawValue};

use crate::id::Id;

/// The answer of a call that succeeded. `at` is where the events stand that it caused; empty for none.
#[must_use]
pub fn success(id: &Id, result: &RawValue, at: &Positions) -> String {
    let (id, result) = (id.as_json(), result.get());
    let mut text = String::with_capacity(40 + id.len() + result.len());
    text.push_str(r#"{"jsonrpc":"2.0","id":"#);
    text.push_str(id);
    text.push_str(r#","result":"#);
    text.push_str(result);
    if !at.is_empty() {
        text.push_str(r#","meta":"#);
        text.push_str(&json!({ "at": at }).to_string());
    }
    text.push('}');
    text
}

/// The answer of a call that failed, or of a message that could not be read (then the id is [`Id::null`]).
#[must_use]
pub fn failure(id: &Id, request_id: &str, fault: &Fault) -> String {
    let error = error_object(request_id, fault);
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.as_json())
}

/// `{code, message, data: {code, request_id, retryable, retry_after_ms?, details?}}` (contract, section 6).
#[must_use]
pub fn error_object(request_id: &str, fault: &Fault) -> Value {
    let mut data = Map::new();
    data.insert("code".into(), fault.code.as_str().into());
    data.insert("request_id".into(), request_id.into());
    data.insert("retryable".into(), fault.code.retryable().into());
    if let Some(ms) = fault.retry_after_ms {
        data.insert("retry_after_ms".into(), ms.into());
    }
    if !fault.details.is_empty() {
        data.insert("details".into(), fault.details.clone().into());
    }
    json!({"code": fault.code.number(), "message": fault.message, "data": data})
}

/// The answers of a batch as one message; `None` when no item wanted one: a batch is never answered with `[]`.
#[must_use]
pub fn batch(answers: &[String]) -> Option<String> {
    (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
}

/// A notification to the client. `params` is JSON already.
#[must_use]
pub fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)
}

#[cfg(test)]
mod tests {
    use midplane_model::{ErrorCode, Position};

    use super::*;

    #[test]
    fn a_failure_carries_the_stable_code_the_request_id_and_when_to_retry() {
        let fault = Fault::new(ErrorCode::Unavailable, "busy").with("busy", true).retry_after_ms(50);
        assert_eq!(
            failure(&Id::null(), "r-1", &fault),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32003,"message":"busy","data":{"code":"unavailable","request_id":"r-1","retryable":true,"retry_after_ms":50,"details":{"busy":true}}}}"#
        );
    }

    #[test]
    fn a_success_says_where_its_events_stand() {
        let result = RawValue::from_string("7".to_owned()).unwrap();
        assert_eq!(success(&Id::null(), &result, &Positions::new()), r#"{"jsonrpc":"2.0","id":null,"result":7}"#);
        let at = Position { epoch: "e".into(), seq: 3 };
        assert_eq!(
            success(&Id::null(), &result, &[("main".into(), at)].into()),
            r#"{"jsonrpc":"2.0","id":null,"result":7,"meta":{"at":{"main":{"epoch":"e","seq":3}}}}"#
        );
    }

    #[test]
    fn a_batch_without_answers_is_silence() {
        assert_eq!(batch(&[]), None);
        assert_eq!(batch(&["1".into(), "2".into()]).as_deref(), Some("[1,2]"));
    }
}
