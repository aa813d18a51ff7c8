//! Every route, in one table: what is served, by whom, and whether it needs a credential.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get, post},
};
use midplane_model::ErrorCode;

use crate::{
    auth, documents, event_stream, mcp, pages, problem::Problem, rest, rpc, shared::Shared, site, socket,
    terminal_socket,
};

pub(crate) const SOCKET_PATH: &str = "/ws";

/// Whether a route needs a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Public,
    Authenticated,
    /// The plugin's manifest says it.
    ByPlugin,
}

/// One row of the table.
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
    handler: fn() -> MethodRouter<Arc<Shared>>,
}

const fn route(method: &'static str, path: &'static str, handler: fn() -> MethodRouter<Arc<Shared>>) -> Route {
    Route { method, path, access: Access::Authenticated, handler }
}

const fn public(path: &'static str, handler: fn() -> MethodRouter<Arc<Shared>>) -> Route {
    Route { method: "GET", path, access: Access::Public, handler }
}

/// All routes. What is not in it, or not public in it, needs a credential, so that a stranger learns nothing from a 404.
pub const ROUTES: &[Route] = &[
    public("/healthz", || get(documents::health)),
    public("/", || get(site::index)),
    public("/docs", || get(site::docs)),
    public("/assets/style.css", || get(site::style)),
    public("/assets/session.js", || get(site::session)),
    public("/assets/index.js", || get(site::overview)),
    public("/assets/docs.js", || get(site::methods)),
    route("GET", "/readyz", || get(documents::ready)),
    route("GET", "/metrics", || get(documents::metrics)),
    route("GET", "/openrpc.json", || get(documents::openrpc)),
    route("GET", "/asyncapi.json", || get(documents::asyncapi)),
    route("GET", "/openapi.json", || get(documents::openapi)),
    route("POST", "/auth/exchange", || post(auth::exchange)),
    route("POST", "/auth/ticket", || post(auth::ticket)),
    route("POST", "/rpc", || post(rpc::post)),
    route("POST", "/mcp", || any(mcp::serve)),
    route("GET", "/events", || get(event_stream::serve)),
    route("GET", "/api/v1/{*path}", || any(rest::serve)),
    route("GET", SOCKET_PATH, || get(socket::upgrade)),
    route("GET", "/ws/terminals/{id}", || get(terminal_socket::upgrade)),
    page("/p/{plugin}"),
    page("/p/{plugin}/"),
    page("/p/{plugin}/{*path}"),
];

/// Every method is the plugin's affair.
const fn page(path: &'static str) -> Route {
    Route { method: "GET", path, access: Access::ByPlugin, handler: || any(pages::serve) }
}

pub(crate) fn access(path: &str) -> Access {
    if path.starts_with(pages::PREFIX) {
        return Access::ByPlugin;
    }
    let route = ROUTES.iter().find(|route| route.path == path);
    route.map_or(Access::Authenticated, |route| route.access)
}

pub(crate) fn build(shared: &Arc<Shared>) -> Router {
    ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
        .fallback(not_found)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(shared.config.limits.message_bytes))
        .layer(middleware::from_fn_with_state(shared.clone(), auth::gate))
        .with_state(shared.clone())
}

async fn not_found() -> Problem {
    Problem::new(ErrorCode::NotFound, "there is nothing at this path; /docs lists what there is")
}

/// For methods that a path does not take, and for `OPTIONS`, which each answers. Those with parameters in them take `GET`.
async fn other_method(method: Method, uri: Uri) -> Response {
    let route = ROUTES.iter().find(|route| route.path == uri.path());
    let allowed =
        if route.is_some_and(|route| route.method == "POST") { "POST, OPTIONS" } else { "GET, HEAD, OPTIONS" };
    match method {
        Method::OPTIONS => (StatusCode::NO_CONTENT, [(header::ALLOW, allowed)]).into_response(),
        _ => Problem::other_method(allowed).into_response(),
    }
}
