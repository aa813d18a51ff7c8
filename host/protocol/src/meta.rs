//! The optional member `meta` beside `params` (contract, section 7).

use std::sync::Arc;

use midplane_model::{Fault, Positions, limits::IDEMPOTENCY_KEY_CHARS_MAX};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::envelope::invalid;

/// What a caller may say about a call. Unknown members are ignored: proxies and tracers put theirs here too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Meta {
    /// How long the caller waits, in milliseconds. The transport caps it.
    pub timeout_ms: Option<u64>,
    /// 1 to `IDEMPOTENCY_KEY_CHARS_MAX` characters. Calls of a principal under the same key have one effect and one answer.
    pub idempotency_key: Option<Arc<str>>,
    /// A string or a number, echoed in `$/progress`.
    pub progress_token: Option<Value>,
    /// The call runs when everything up to these positions has been applied: `{stream: {epoch, seq}}`.
    pub after: Option<Box<Positions>>,
}

impl Meta {
    /// As [`Self::from_raw`], where `meta` came in another envelope.
    ///
    /// # Errors
    /// `invalid_request` when a member has the wrong type or is too long.
    pub fn of_value(value: &Value) -> Result<Self, Fault> {
        let raw = serde_json::value::to_raw_value(value).map_err(|error| invalid(format!("meta: {error}")))?;
        Self::from_raw(Some(&raw))
    }

    /// # Errors
    /// `invalid_request` when a member has the wrong type, is there twice or is too long.
    pub(crate) fn from_raw(raw: Option<&RawValue>) -> Result<Self, Fault> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Self::default()) };
        if !raw.get().starts_with('{') {
            return Err(invalid("meta must be an object"));
        }
        let meta: Self = serde_json::from_str(raw.get()).map_err(|error| invalid(format!("meta: {error}")))?;
        let fits = |key: &Arc<str>| (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.chars().count());
        if !meta.idempotency_key.as_ref().is_none_or(fits) {
            return Err(invalid(format!("meta.idempotency_key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters")));
        }
        if meta.progress_token.as_ref().is_some_and(|token| !token.is_string() && !token.is_number()) {
            return Err(invalid("meta.progress_token must be a string or a number"));
        }
        Ok(meta)
    }
}
