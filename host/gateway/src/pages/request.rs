//! What a plugin gets to see of a request: everything but what belongs to the connection, and the host's own credentials.

use std::collections::HashSet;

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header,
        uri::{PathAndQuery, Scheme},
    },
};
use http_body_util::BodyExt as _;
use midplane_model::{ErrorCode, Fault, PageBody, limits::PAGE_HEADER_BYTES_MAX};

use super::{Visitor, admission::split, cookies};
use crate::{auth, problem::Problem, shared::Shared};

/// Where the plugin's root is, as reverse proxies say it.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Who asks, and how, as proxies say it, beside `X-Forwarded-*`.
const FORWARDED: [&str; 2] = ["forwarded", "x-real-ip"];

/// What concerns one connection only (RFC 9110, section 7.6.1), beside what `Connection` names.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// # Errors
/// 431 for a header section that is too large.
pub(super) fn for_plugin(
    shared: &Shared,
    visitor: &Visitor,
    request: Request,
) -> Result<axum::http::Request<PageBody>, Problem> {
    let (mut parts, body) = request.into_parts();
    let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > PAGE_HEADER_BYTES_MAX {
        let detail = format!("the header section has {bytes} bytes; a plugin is given at most {PAGE_HEADER_BYTES_MAX}");
        let fault = Fault::new(ErrorCode::TooLarge, detail).with("limit_bytes", PAGE_HEADER_BYTES_MAX);
        return Err(Problem::of(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, fault));
    }
    parts.uri = below(shared, &parts.uri, &parts.headers)
        .ok_or_else(|| Problem::new(ErrorCode::InvalidRequest, "the address of this request cannot be read"))?;
    remove_hop_by_hop(&mut parts.headers);
    if !shared.config.behind_proxy {
        remove_forwarded(&mut parts.headers);
    }
    if auth::is_ours(shared, &parts.headers) {
        parts.headers.remove(header::AUTHORIZATION);
    }
    let authenticator = shared.vouching.current();
    cookies::remove_ours(&mut parts.headers, authenticator.as_ref().map_or(&[], |office| office.cookies()));
    if let Ok(prefix) = HeaderValue::from_str(&visitor.prefix) {
        parts.headers.insert(FORWARDED_PREFIX, prefix);
    }
    let body = body.map_err(Into::into).boxed_unsync();
    Ok(axum::http::Request::from_parts(parts, body))
}

/// The address as the plugin sees it: the authority and scheme that the client used, the path below the plugin's root.
fn below(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Option<Uri> {
    let (_, path) = split(uri.path())?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = axum::http::uri::Parts::default();
    parts.scheme = Some(if shared.config.behind_tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(headers.get(header::HOST)?.to_str().ok()?.parse().ok()?);
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{path}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

/// Removes what only a proxy in front may say. Without one the client has made it up, and a plugin might believe it.
fn remove_forwarded(headers: &mut HeaderMap) {
    let said = |name: &HeaderName| name.as_str().starts_with("x-forwarded-") || FORWARDED.contains(&name.as_str());
    let said: Vec<HeaderName> = headers.keys().filter(|name| said(name)).cloned().collect();
    for name in said {
        headers.remove(name);
    }
}

/// Removes what ends at this connection.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: HashSet<HeaderName> =
        values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_concerns_the_connection_ends_here() {
        let mut map = headers(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn only_an_upgrade_to_a_websocket_asks_for_what_there_is_not() {
        assert!(wants_websocket(&headers(&[("upgrade", "WebSocket")])));
        assert!(wants_websocket(&headers(&[("upgrade", "h2c, websocket")])));
        assert!(!wants_websocket(&headers(&[("upgrade", "h2c")])));
    }
}
