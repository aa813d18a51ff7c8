//! What a caller learns when something fails: a stable code, a message fit to show, and what to do next.
//!
//! Crates have their own error enums with causes; they become a [`Fault`] once, at their edge. Causes and paths of the
//! machine stay in the log.

use std::fmt;

use serde_json::{Map, Value};

macro_rules! codes {
    ($($variant:ident = $number:literal $text:literal $http:literal $retryable:literal;)*) => {
        /// The stable codes of the contract, section 6.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($variant,)* }

        impl ErrorCode {
            /// Every code, for documents and tests.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The JSON-RPC error number.
            #[must_use]
            pub fn number(self) -> i32 { match self { $(Self::$variant => $number,)* } }

            /// The string clients branch on (`error.data.code`).
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// The HTTP status of a REST answer with this code.
            #[must_use]
            pub fn http_status(self) -> u16 { match self { $(Self::$variant => $http,)* } }

            /// Whether the same request may succeed later without a change.
            #[must_use]
            pub fn retryable(self) -> bool { match self { $(Self::$variant => $retryable,)* } }

            /// The code with this string, if the contract knows it.
            #[must_use]
            pub fn from_str_opt(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    ParseError = -32700 "parse_error" 400 false;
    InvalidRequest = -32600 "invalid_request" 400 false;
    MethodNotFound = -32601 "method_not_found" 404 false;
    InvalidParams = -32602 "invalid_params" 422 false;
    Internal = -32603 "internal" 500 false;
    Unauthenticated = -32000 "unauthenticated" 401 false;
    Forbidden = -32001 "forbidden" 403 false;
    RateLimited = -32002 "rate_limited" 429 true;
    Unavailable = -32003 "unavailable" 503 true;
    Timeout = -32006 "timeout" 504 true;
    NotFound = -32007 "not_found" 404 false;
    Conflict = -32008 "conflict" 409 false;
    QuotaExceeded = -32009 "quota_exceeded" 429 false;
    PreconditionFailed = -32010 "precondition_failed" 412 false;
    TooLarge = -32011 "too_large" 413 false;
    Cancelled = -32012 "cancelled" 499 false;
    CursorExpired = -32013 "cursor_expired" 410 false;
    NotSupported = -32014 "not_supported" 501 false;
    PluginFailed = -32016 "plugin_failed" 502 true;
    PluginUnavailable = -32017 "plugin_unavailable" 503 true;
    SlowConsumer = -32018 "slow_consumer" 503 true;
    AlreadyExists = -32019 "already_exists" 409 false;
    UnsupportedVersion = -32020 "unsupported_version" 426 false;
    NoSpace = -32021 "no_space" 507 false;
    NoResponder = -32023 "no_responder" 503 true;
    OutsideRoot = -32024 "outside_root" 403 false;
    Cycle = -32025 "cycle" 508 false;
    ApplicationError = -32099 "application_error" 500 false;
}

/// A failed call as its caller sees it.
#[derive(Clone, PartialEq)]
pub struct Fault {
    pub code: ErrorCode,
    /// A sentence for a person; names the thing and the remedy, never a cause of the machine.
    pub message: String,
    /// Members of `error.data.details`.
    pub details: Map<String, Value>,
    /// When to try again, where that is known.
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Map::new(), retry_after_ms: None }
    }

    /// Adds one member to `error.data.details`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Wrong parameters; `path` is where (`params.edits[2].range`).
    pub fn invalid_params(path: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParams, message).with("path", path)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// Something that should not happen. The cause belongs in the log beside the request id.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "internal error; the log has the cause under this request id")
    }

    #[must_use]
    pub fn timeout(deadline_ms: u64) -> Self {
        Self::new(ErrorCode::Timeout, format!("no answer within {deadline_ms} ms")).with("deadline_ms", deadline_ms)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if !self.details.is_empty() {
            write!(f, " {}", Value::Object(self.details.clone()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_found_by_their_string() {
        let mut numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_str_opt(code.as_str()), Some(*code));
        }
    }
}
