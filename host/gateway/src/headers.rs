//! What a caller says about a call, in headers: the `meta` of JSON-RPC.

use std::sync::Arc;

use axum::http::HeaderMap;
use midplane_model::{ErrorCode, Fault, limits::IDEMPOTENCY_KEY_CHARS_MAX};
use midplane_protocol::{Incoming, Item, Meta};

/// Milliseconds that the caller waits.
const TIMEOUT: &str = "midplane-timeout-ms";
/// As draft-ietf-httpapi-idempotency-key-header has it.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What an answer said in `midplane-at`, as it was.
const AFTER: &str = "midplane-after";

/// # Errors
/// `invalid_params` naming the header.
pub(crate) fn meta(headers: &HeaderMap) -> Result<Meta, Fault> {
    let timeout_ms = match headers.get(TIMEOUT) {
        None => None,
        Some(value) => {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            Some(number.ok_or_else(|| wrong(TIMEOUT, "milliseconds"))?)
        }
    };
    let idempotency_key = key(headers)?;
    let after = match headers.get(AFTER) {
        None => None,
        Some(value) => {
            let positions = serde_json::from_slice(value.as_bytes()).ok();
            Some(Box::new(positions.ok_or_else(|| wrong(AFTER, "{stream: {epoch, seq}}"))?))
        }
    };
    Ok(Meta { timeout_ms, idempotency_key, after, ..Meta::default() })
}

/// Puts the key of the header `Idempotency-Key` into the one call of a message that has none of its own.
///
/// # Errors
/// `invalid_params`, `invalid_request` for a batch: one key cannot name several calls.
pub(crate) fn name(mut incoming: Incoming, headers: &HeaderMap) -> Result<Incoming, Fault> {
    let Some(key) = key(headers)? else { return Ok(incoming) };
    match &mut incoming {
        Incoming::Single(Item::Request(_, invocation) | Item::Notification(invocation)) => {
            invocation.meta.idempotency_key.get_or_insert(key);
        }
        Incoming::Single(_) => {}
        Incoming::Batch(_) => {
            let message =
                "the header Idempotency-Key names one call; in a batch give each call its meta.idempotency_key";
            return Err(Fault::new(ErrorCode::InvalidRequest, message));
        }
    }
    Ok(incoming)
}

fn key(headers: &HeaderMap) -> Result<Option<Arc<str>>, Fault> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    // The draft has a quoted string; a bare one is what most clients send.
    let text = value.to_str().ok().map(|text| text.trim_matches('"'));
    let key = text.filter(|text| (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&text.chars().count()));
    let expected = format!("1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters");
    key.map(|key| Some(Arc::from(key))).ok_or_else(|| wrong(IDEMPOTENCY_KEY, &expected))
}

fn wrong(name: &str, expected: &str) -> Fault {
    let path = format!("headers.{name}");
    Fault::invalid_params(&path, format!("{path}: expected {expected}"))
}
