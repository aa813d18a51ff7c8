//! What a caller says about a call, in headers: the `meta` of JSON-RPC.

use std::sync::Arc;

use axum::http::HeaderMap;
use midplane_model::{Fault, limits::IDEMPOTENCY_KEY_CHARS_MAX};
use midplane_protocol::Meta;

/// Milliseconds that the caller waits.
const TIMEOUT: &str = "midplane-timeout-ms";
/// As draft-ietf-httpapi-idempotency-key-header has it.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What an answer said in `midplane-at`, as it was.
const AFTER: &str = "midplane-after";

/// # Errors
/// `invalid_params` naming the header.
pub(super) fn meta(headers: &HeaderMap) -> Result<Meta, Fault> {
    let wrong = |name: &str, expected: String| {
        let path = format!("headers.{name}");
        Fault::invalid_params(&path, format!("{path}: expected {expected}"))
    };
    let timeout_ms = match headers.get(TIMEOUT) {
        None => None,
        Some(value) => {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            Some(number.ok_or_else(|| wrong(TIMEOUT, "milliseconds".to_owned()))?)
        }
    };
    let idempotency_key = match headers.get(IDEMPOTENCY_KEY) {
        None => None,
        Some(value) => {
            // The draft has a quoted string; a bare one is what most clients send.
            let text = value.to_str().ok().map(|text| text.trim_matches('"'));
            let key = text.filter(|text| (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&text.chars().count()));
            let expected = || format!("1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters");
            Some(Arc::from(key.ok_or_else(|| wrong(IDEMPOTENCY_KEY, expected()))?))
        }
    };
    let after = match headers.get(AFTER) {
        None => None,
        Some(value) => {
            let positions = serde_json::from_slice(value.as_bytes()).ok();
            Some(Box::new(positions.ok_or_else(|| wrong(AFTER, "{stream: {epoch, seq}}".to_owned()))?))
        }
    };
    Ok(Meta { timeout_ms, idempotency_key, after, ..Meta::default() })
}
