//! A file as an answer: conditions and ranges as RFC 9110 has them, compressed where that is worth it, and harmless to the origin
//! that serves it.

use std::{
    io::Write as _,
    ops::Range,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use midplane_model::{
    ErrorCode, Fault, PageBody,
    bulk::{ByteSource, Download},
    limits::{STREAM_COMPRESSED_BYTES, STREAM_PIECE_BYTES},
    page::PageError,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::sync::CancellationToken;

use super::{
    conditions::{Conditions, Verdict},
    range,
};
use crate::{pages::WhileValid, problem::Problem, tokens::Identity};

/// Nothing that a file holds may run, load or send anything in the name of this host.
const SANDBOX: &str =
    "sandbox; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'";
/// What need not be encoded in a file name (RFC 8187, section 3.2.1).
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// Who asks, and until when.
pub(super) struct Asking<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    pub identity: Arc<Identity>,
    /// The host is stopping.
    pub stop: CancellationToken,
}

pub(super) fn respond(asking: Asking<'_>, download: Download) -> Response {
    let headers = asking.headers;
    let conditions = Conditions { tag: &download.version, modified: download.modified };
    let mut response = match conditions.judge(headers) {
        Verdict::Failed => {
            let fault = Fault::new(ErrorCode::PreconditionFailed, "the file is no longer what the request asks for");
            return Problem::from(fault.with("current_version", download.version)).into_response();
        }
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Go => {
            let asked =
                headers.get(header::RANGE).filter(|_| asking.method == Method::GET && conditions.allow_range(headers));
            let size = download.size;
            match asked.and_then(|value| range::single(value.to_str().ok()?, size)) {
                Some(Err(range::Unsatisfiable)) => {
                    let detail = format!("the file has {size} bytes, and none of them is in that range");
                    let mut response =
                        Problem::with_status(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::InvalidRequest, detail)
                            .into_response();
                    set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                    return response;
                }
                Some(Ok(part)) => {
                    let said = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                    let mut response = whole(asking, download, part);
                    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                    set(&mut response, header::CONTENT_RANGE, &said);
                    return response;
                }
                None if compresses(headers, &download) => return compressed(asking, download),
                None => return whole(asking, download, 0..size),
            }
        }
    };
    describe(&mut response, &download, &download.version);
    response
}

pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What makes bytes of somebody's harmless to the origin that serves them.
pub(super) fn confine(response: &mut Response, media_type: &str, attachment: bool, name: &str) {
    set(response, header::CONTENT_TYPE, media_type);
    set(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(response, header::CONTENT_SECURITY_POLICY, SANDBOX);
    set(response, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    let kind = if attachment { "attachment" } else { "inline" };
    let name = utf8_percent_encode(name, IN_NAMES);
    set(response, header::CONTENT_DISPOSITION, &format!("{kind}; filename*=UTF-8''{name}"));
}

/// What every answer about the file says.
fn describe(response: &mut Response, download: &Download, tag: &str) {
    set(response, header::ETAG, &format!("\"{tag}\""));
    // A date before 1970 has no form here.
    if download.modified >= UNIX_EPOCH {
        set(response, header::LAST_MODIFIED, &httpdate::fmt_http_date(download.modified.min(SystemTime::now())));
    }
    set(response, header::CACHE_CONTROL, "private, no-cache");
    set(response, header::ACCEPT_RANGES, "bytes");
    set(response, header::VARY, "accept-encoding, authorization, cookie");
    confine(response, &download.media_type, download.attachment, &download.name);
}

fn whole(asking: Asking<'_>, download: Download, part: Range<u64>) -> Response {
    let length = part.end - part.start;
    let mut response = Response::new(Body::empty());
    describe(&mut response, &download, &download.version);
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    if asking.method != Method::HEAD {
        let pieces =
            Pieces { source: download.source, at: part.start, end: part.end, stop: asking.stop, packing: None };
        *response.body_mut() = body(pieces, asking.identity);
    }
    response
}

/// Whether the client takes gzip, and there is something to gain.
fn compresses(headers: &HeaderMap, download: &Download) -> bool {
    let media = &download.media_type;
    let plain =
        media.starts_with("text/") || ["application/json", "application/xml", "image/svg+xml"].contains(&&**media);
    plain && STREAM_COMPRESSED_BYTES.contains(&download.size) && accepts_gzip(headers)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused =
            parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
        named && !refused
    })
}

/// Another representation, so with a tag of its own.
fn compressed(asking: Asking<'_>, download: Download) -> Response {
    let mut response = Response::new(Body::empty());
    describe(&mut response, &download, &format!("{}{}", download.version, super::conditions::COMPRESSED));
    set(&mut response, header::CONTENT_ENCODING, "gzip");
    if asking.method != Method::HEAD {
        let packing = Some(GzEncoder::new(Vec::new(), Compression::fast()));
        let pieces = Pieces { source: download.source, at: 0, end: download.size, stop: asking.stop, packing };
        *response.body_mut() = body(pieces, asking.identity);
    }
    response
}

/// The bytes still to send. Read when the client has taken those before.
struct Pieces {
    source: Box<dyn ByteSource>,
    at: u64,
    end: u64,
    stop: CancellationToken,
    packing: Option<GzEncoder<Vec<u8>>>,
}

fn body(pieces: Pieces, identity: Arc<Identity>) -> Body {
    let stream = stream::try_unfold(pieces, |mut pieces| async move {
        let piece = pieces.next().await?;
        Ok::<_, PageError>(piece.map(|bytes| (Frame::data(bytes), pieces)))
    });
    let body: PageBody = StreamBody::new(stream).boxed_unsync();
    Body::new(WhileValid::new(body, identity))
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, PageError> {
        loop {
            if self.at == self.end {
                return match self.packing.take() {
                    Some(packing) => Ok(Some(packing.finish()?.into())),
                    None => Ok(None),
                };
            }
            let length = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(STREAM_PIECE_BYTES);
            let bytes = tokio::select! {
                read = self.source.read(self.at, length) => read.map_err(|fault| fault.message)?,
                () = self.stop.cancelled() => return Err("the host is stopping".into()),
            };
            if bytes.is_empty() {
                return Err("the file has become shorter".into());
            }
            self.at += bytes.len() as u64;
            let Some(mut packing) = self.packing.take() else { return Ok(Some(bytes)) };
            let (packing, packed) = tokio::task::spawn_blocking(move || {
                packing.write_all(&bytes)?;
                let packed = std::mem::take(packing.get_mut());
                Ok::<_, std::io::Error>((packing, packed))
            })
            .await??;
            self.packing = Some(packing);
            if !packed.is_empty() {
                return Ok(Some(packed.into()));
            }
        }
    }
}
