//! Results as HTTP answers: entity tags from versions, statuses from codes.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use midplane_model::{Fault, Positions, Reply};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("midplane-request-id");
/// Positions as JSON, so that a client can send them back as they came.
const AT: HeaderName = HeaderName::from_static("midplane-at");

/// The members of a result that HTTP has names for.
#[derive(Default, Deserialize)]
struct Known {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    created: Value,
}

/// 200, or the status of the route; 201 for a `PUT` that has made something (RFC 9110, section 9.3.4); 204 for a function that returns
/// nothing; 304 where the client has this version.
pub(super) fn success(reply: &Reply, status: u16, method: &Method, headers: &HeaderMap) -> Response {
    let text = reply.result.get();
    if text == "null" {
        return StatusCode::NO_CONTENT.into_response();
    }
    let reads = method == Method::GET || method == Method::HEAD;
    let known = Known::of(text);
    let tag = known.version.as_str().and_then(entity_tag);
    if let Some(tag) = tag.as_ref().filter(|tag| reads && client_has(headers, tag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.clone())]).into_response();
    }
    let status = match method == Method::PUT && known.created == true {
        true => StatusCode::CREATED,
        false => StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
    };
    let mut response = (status, text.to_owned()).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What is served here changes at any moment: a cache may keep it, and must ask before it uses it.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(tag) = tag {
        fields.insert(header::ETAG, tag);
    }
    if method == Method::HEAD {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        *response.body_mut() = Body::empty();
    }
    response
}

impl Known {
    /// Only of an object; what else is called so in it is its own affair.
    fn of(text: &str) -> Self {
        if text.starts_with('{') { serde_json::from_str(text).unwrap_or_default() } else { Self::default() }
    }
}

/// Only where the version needs no escape.
fn entity_tag(version: &str) -> Option<HeaderValue> {
    let plain = !version.is_empty() && version.bytes().all(|c| c.is_ascii_graphic() && c != b'"');
    plain.then(|| HeaderValue::from_str(&format!("\"{version}\"")).ok())?
}

/// Weak comparison (RFC 9110, section 13.1.2).
fn client_has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut offered = values.flat_map(|value| value.split(',')).map(str::trim);
    offered.any(|offered| offered == "*" || offered.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

pub(super) fn failure(fault: Fault) -> Response {
    Problem::from(fault).into_response()
}

/// Names the call, as every log line and event of it does.
pub(super) fn identified(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Says where the events stand that the call caused: `meta.at` of JSON-RPC.
pub(super) fn placed(mut response: Response, at: &Positions) -> Response {
    let text = if at.is_empty() { None } else { serde_json::to_string(at).ok() };
    if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(AT, value);
    }
    response
}
