//! The tus resumable upload protocol 1.0.0 (tus.io) in front of methods that know no headers: core, creation, expiration, termination.
//!
//! It is final, and clients of it exist for every platform; the IETF's "Resumable Uploads for HTTP" that grows out of it is still
//! a draft, and leans on interim responses that this server's HTTP library cannot send. A request that says `Tus-Resumable` has
//! its parameters in headers and gets the members of the result in headers; the methods are those of any other client.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, response::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Collected};
use midplane_model::{
    ErrorCode, Fault,
    limits::STREAM_BYTES_MAX,
    schema::{Function, Type},
};
use midplane_router::Verb;
use serde::Deserialize;

use super::params::Given;
use crate::problem::Problem;

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSION: HeaderName = HeaderName::from_static("tus-version");
const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The one version that is served.
const SERVED: &str = "1.0.0";
const EXTENSIONS: &str = "creation,expiration,termination";
/// What a body that goes on with an upload calls itself.
const BYTES: &str = "application/offset+octet-stream";

/// More is no answer about one upload.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A request of the protocol, in the version that is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tus;

/// A version that is not served: 412, as the protocol has it, with the one that is.
#[derive(Debug)]
pub(super) struct OtherVersion;

impl IntoResponse for OtherVersion {
    fn into_response(self) -> Response {
        let detail = format!("this version of tus is not served; {SERVED} is");
        let mut response = Problem::with_status(StatusCode::PRECONDITION_FAILED, ErrorCode::UnsupportedVersion, detail)
            .into_response();
        set(&mut response, VERSION, SERVED);
        response
    }
}

/// The members of a result that the protocol has headers for.
#[derive(Deserialize)]
struct Upload {
    id: String,
    offset: u64,
    size: u64,
    expires_at: String,
}

impl Tus {
    /// # Errors
    /// For another version.
    pub fn asked(headers: &HeaderMap) -> Result<Option<Self>, OtherVersion> {
        match headers.get(RESUMABLE) {
            None => Ok(None),
            Some(version) if version == SERVED => Ok(Some(Self)),
            Some(_) => Err(OtherVersion),
        }
    }

    /// The verb that is meant, where a client can only say `POST`. `HEAD` is answered as `GET`, because the headers are made from
    /// what would be the body.
    pub fn method(headers: &HeaderMap, method: &Method) -> Method {
        if method == Method::HEAD {
            return Method::GET;
        }
        let instead = headers.get(METHOD_OVERRIDE).filter(|_| method == Method::POST);
        instead.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).unwrap_or_else(|| method.clone())
    }

    /// Puts what the headers say into parameters of the function.
    ///
    /// # Errors
    /// `invalid_params` naming the header; 415 for a body that does not say what it is.
    pub fn fill(self, given: &mut Given, function: &Function, verb: Verb, headers: &HeaderMap) -> Result<(), Problem> {
        let known = |name: &str| function.params.iter().any(|param| *param.name.json == *name);
        for (name, parameter) in [(OFFSET, "offset"), (LENGTH, "size")] {
            if let Some(value) = headers.get(&name).filter(|_| known(parameter)) {
                let text = value.to_str().ok().filter(|text| text.bytes().all(|c| c.is_ascii_digit()));
                let text = text.ok_or_else(|| wrong(&name, "a number of bytes"))?;
                given.word(function, parameter, text)?;
            }
        }
        if verb == Verb::Patch && headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != BYTES) {
            let detail = format!("the bytes of an upload are of the type {BYTES}");
            return Err(Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::InvalidRequest, detail));
        }
        let Some(value) = headers.get(METADATA) else { return Ok(()) };
        let expected = "pairs of a key and a text in base64, with commas between them";
        for pair in value.to_str().map_err(|_| wrong(&METADATA, expected))?.split(',') {
            let (key, text) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
            // What the function does not know is the client's own note.
            if !known(key) {
                continue;
            }
            let text = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            given.word(function, key, &text.ok_or_else(|| wrong(&METADATA, expected))?)?;
        }
        Ok(())
    }

    /// The answer as the protocol has it. What is no upload stays as it is.
    pub async fn dress(self, response: Response, method: &Method, path: &str) -> Response {
        let (parts, body) = response.into_parts();
        let short = body.size_hint().upper().is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX);
        let mut response = match short && parts.status.is_success() {
            false => Response::from_parts(parts, body),
            true => {
                let text = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                match serde_json::from_slice::<Upload>(&text) {
                    Ok(upload) => upload.in_headers(parts, method, path),
                    Err(_) => Response::from_parts(parts, text.into()),
                }
            }
        };
        set(&mut response, RESUMABLE, SERVED);
        response
    }
}

impl Upload {
    fn in_headers(&self, parts: Parts, method: &Method, path: &str) -> Response {
        let mut response = Response::from_parts(parts, Body::empty());
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
        set(&mut response, header::CACHE_CONTROL, "no-store");
        set(&mut response, OFFSET, &self.offset.to_string());
        set(&mut response, LENGTH, &self.size.to_string());
        if let Some(expires) = seconds(&self.expires_at) {
            set(&mut response, EXPIRES, &httpdate::fmt_http_date(expires));
        }
        if method == Method::POST {
            set(&mut response, header::LOCATION, &format!("{}/{}", path.trim_end_matches('/'), self.id));
        }
        if method == Method::PATCH {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        response
    }
}

/// What the server can do, for `OPTIONS` where uploads are begun.
pub(super) fn describe(response: &mut Response) {
    set(response, RESUMABLE, SERVED);
    set(response, VERSION, SERVED);
    set(response, EXTENSION, EXTENSIONS);
    set(response, MAX_SIZE, &STREAM_BYTES_MAX.to_string());
}

/// Whether the function tells of an upload: its result has a place for how far it is.
pub(super) fn tells_of_uploads(function: &Function) -> bool {
    let ok = match &function.result {
        Some(Type::Result { ok, .. }) => ok.as_deref(),
        ty => ty.as_ref(),
    };
    let Some(Type::Record(record)) = ok else { return false };
    ["id", "offset", "size", "expires_at"].iter().all(|name| record.fields.iter().any(|f| *f.name.json == **name))
}

fn wrong(name: &HeaderName, expected: &str) -> Fault {
    let path = format!("headers.{name}");
    Fault::invalid_params(&path, format!("{path}: expected {expected}"))
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Of the year 10000, which has no form in a header.
const SECONDS_MAX: u64 = 253_402_300_800;

/// `2026-11-30T20:00:00.000Z`, to the second. Days by H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub(super) fn seconds(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    (seconds < SECONDS_MAX).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_result_is_the_time_of_the_header() {
        for (text, date) in [
            ("1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2024-02-29T23:59:59.999Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
            ("2026-11-30T20:01:11.500Z", "Mon, 30 Nov 2026 20:01:11 GMT"),
        ] {
            assert_eq!(seconds(text).map(httpdate::fmt_http_date).as_deref(), Some(date), "{text}");
        }
        assert_eq!((seconds("soon"), seconds("9999-12-99T00:00:00.000Z")), (None, None));
    }
}
