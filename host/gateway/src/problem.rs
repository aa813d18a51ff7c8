//! Errors outside JSON-RPC: `application/problem+json` (RFC 9457) with the contract's `code`.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use midplane_model::{ErrorCode, Fault};
use serde_json::{Value, json};

/// A failed HTTP request.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// Boxed: it travels in results whose good case is small.
    fault: Box<Fault>,
    /// What goes with this status.
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    /// A problem whose status says more than its code's own.
    pub(crate) fn with_status(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::of(status, Fault::new(code, detail))
    }

    pub(crate) fn of(status: StatusCode, fault: Fault) -> Self {
        Self { status, fault: Box::new(fault), header: None }
    }

    pub(crate) fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// 405 with what the path takes, also in words.
    pub(crate) fn other_method(allowed: &'static str) -> Self {
        let detail = format!("this path takes {allowed}");
        Self::with_status(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, detail)
            .with_header(header::ALLOW, allowed)
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.fault.code
    }

    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Fault::new(code, detail).into()
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::of(status, fault)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, fault, header: with } = self;
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": fault.message,
            "code": fault.code.as_str(),
            "retryable": fault.code.retryable(),
        });
        if let Some(ms) = fault.retry_after_ms {
            body["retry_after_ms"] = ms.into();
        }
        if !fault.details.is_empty() {
            body["details"] = Value::Object(fault.details);
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = with {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(ms) = fault.retry_after_ms {
            // Whole seconds, never sooner than said.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"midplane\""));
        }
        response
    }
}
