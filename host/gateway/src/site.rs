//! The host's own pages: an overview at `/`, the methods at `/docs`. They work offline and hold nothing secret: what they show
//! they fetch, with the cookie for which they have exchanged the token.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// Scripts and styles from this host alone, nothing inline, and no frame of another page around it.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

pub(crate) async fn index() -> Response {
    page(HTML, include_str!("../assets/index.html"))
}

pub(crate) async fn docs() -> Response {
    page(HTML, include_str!("../assets/docs.html"))
}

pub(crate) async fn style() -> Response {
    page(CSS, include_str!("../assets/style.css"))
}

pub(crate) async fn session() -> Response {
    page(JAVASCRIPT, include_str!("../assets/session.js"))
}

pub(crate) async fn overview() -> Response {
    page(JAVASCRIPT, include_str!("../assets/index.js"))
}

pub(crate) async fn methods() -> Response {
    page(JAVASCRIPT, include_str!("../assets/docs.js"))
}

/// They change with the program, and a browser asks again whenever it starts anew.
fn page(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
