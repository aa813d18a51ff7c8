//! Errors by their name: `Error::not_found("no workspace w7")`.
//!
//! The code decides the JSON-RPC error and the HTTP status; the message is for a person and says the remedy where there is
//! one; details are for a user interface.

use serde_json::{Map, Value};

use crate::Error;

impl Error {
    /// An error with any code. One that the contract does not know reaches clients as `application_error`.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: None }
    }

    /// Wrong parameters; `path` is where, e.g. `params.name`.
    pub fn invalid_params(path: &str, message: impl Into<String>) -> Self {
        Self::new("invalid_params", message).with("path", path)
    }

    /// What was asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("not_found", message)
    }

    /// What was to be made is there already.
    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::new("already_exists", message)
    }

    /// It does not go together with the present state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new("conflict", message)
    }

    /// A path that leaves the served directory.
    pub fn outside_root(message: impl Into<String>) -> Self {
        Self::new("outside_root", message)
    }

    /// One more would be too many.
    pub fn quota_exceeded(message: impl Into<String>) -> Self {
        Self::new("quota_exceeded", message)
    }

    /// Larger than `limit_bytes`.
    pub fn too_large(message: impl Into<String>, limit_bytes: u64) -> Self {
        Self::new("too_large", message).with("limit_bytes", limit_bytes)
    }

    /// Nobody here can do that.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new("not_supported", message)
    }

    /// Something that should not happen, such as a stored document that cannot be read.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message)
    }

    /// The same error with one more member of `details`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut details = self.details_object();
        details.insert(key.to_owned(), value.into());
        self.details = Some(Value::Object(details).to_string());
        self
    }

    /// The same error with these details, an object, in place of its own.
    #[must_use]
    pub fn with_details(mut self, details: Map<String, Value>) -> Self {
        self.details = Some(Value::Object(details).to_string());
        self
    }

    /// The details; empty where there are none.
    #[must_use]
    pub fn details_object(&self) -> Map<String, Value> {
        self.details.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_gather_member_by_member() {
        let error = Error::invalid_params("params.name", "too long").with("limit", 3);
        assert_eq!(error.code, "invalid_params");
        assert_eq!(error.details.as_deref(), Some(r#"{"path":"params.name","limit":3}"#));
    }

    #[test]
    fn details_replace_what_was_there() {
        let error = Error::not_found("no").with("a", 1).with_details(Map::new());
        assert!(error.details_object().is_empty());
    }
}
