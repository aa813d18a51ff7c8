//! `/p/{plugin}/…`: requests that a plugin answers itself.
//!
//! [`admission`] decides who comes in, [`request`] what the plugin gets to see, [`response`] and [`cookies`] what it may say to a
//! browser, [`credential`] for how long. The plugin sees its own root: the prefix is in `x-forwarded-prefix`, and paths in its `Location` and `Set-Cookie`
//! are taken to be below it.

mod admission;
mod cookies;
mod credential;
mod request;
mod response;

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use midplane_model::{CallContext, ErrorCode};

use crate::{problem::Problem, shared::Shared};

pub(crate) use admission::{PREFIX, Visitor, admit};
pub(crate) use cookies::OUR_NAMES as OUR_COOKIES;
pub(crate) use credential::WhileValid;

/// Answers with what the plugin answers.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Response {
    answer(&shared, &visitor, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(shared: &Shared, visitor: &Visitor, request: Request) -> Result<Response, Problem> {
    if request.uri().path().len() == visitor.prefix.len() {
        // Relative links of the plugin's pages need the slash.
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let root = format!("{}/{query}", visitor.prefix);
        return Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, root)]).into_response());
    }
    if request::wants_websocket(request.headers()) {
        let detail = "a plugin's pages have no WebSocket: wasi:http cannot carry one; use server-sent events, or the host's own socket at /ws";
        return Err(Problem::new(ErrorCode::NotSupported, detail));
    }
    let request = request::for_plugin(shared, visitor, request)?;
    let limits = &shared.config.limits;
    let context = CallContext {
        cancel: shared.streams.child_token(),
        ..CallContext::new(shared.request_ids.next(), visitor.principal.clone(), limits.deadline_default)
    };
    shared.metrics.call();
    let answered = visitor.page.serve(request, context).await.inspect_err(|fault| shared.metrics.error(fault.code));
    let (mut parts, body) = answered?.into_parts();
    response::confine(&mut parts.headers, visitor);
    let body = match &visitor.identity {
        Some(identity) => Body::new(WhileValid::new(body, identity.clone())),
        None => Body::new(body),
    };
    Ok(Response::from_parts(parts, body))
}
