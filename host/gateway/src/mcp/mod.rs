//! `/mcp`: the workspace for agents, over the Model Context Protocol (Streamable HTTP) in both its eras: with `initialize` and a
//! session (up to 2025-11-25), and with everything in each request (2026-07-28).
//!
//! The SDK speaks the protocol; what is ours stands before and behind it. Before: the same checks, strict reading and bounds as on
//! every route, and to whom a session belongs. Behind: the registry's tools, and the one way that every call takes.

mod agent;
mod call;
mod catalogue;
mod news;
mod relay;
mod result;
mod sessions;

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest as _, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use http_body_util::Full;
use midplane_model::{ErrorCode, Fault, json::parse_strictly};
use rmcp::{
    model::{ErrorData, JsonRpcError},
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};
use serde_json::Value;

use crate::{problem::Problem, shared::Shared, tokens::Identity};
use agent::Agent;

pub(crate) use catalogue::Catalogues;
pub(crate) use sessions::AgentSessions;

const SESSION: &str = "mcp-session-id";
/// Longest text of a refusal; the SDK's have a line.
const REFUSAL_BYTES_MAX: usize = 4096;

/// `GET`, `POST` and `DELETE`.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
    request: Request,
) -> Response {
    answer(&shared, identity, request).await.unwrap_or_else(|problem| {
        shared.metrics.error(problem.code());
        problem.into_response()
    })
}

async fn answer(shared: &Arc<Shared>, identity: Arc<Identity>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    if ![Method::GET, Method::POST, Method::DELETE].contains(&parts.method) {
        return Err(Problem::other_method("GET, POST, DELETE"));
    }
    let named = parts.headers.get(SESSION).and_then(|value| value.to_str().ok()).map(Arc::from);
    if let Some(id) = &named
        && !shared.agents.is_open_to(id, &identity)
    {
        return Err(Fault::not_found("this session has ended; begin another one with initialize").into());
    }
    let message = match read(shared, &parts, body).await? {
        Ok(message) => message,
        Err(refusal) => return Ok(refusal),
    };
    let begins = named.is_none() && message.is("initialize");
    let place = if begins { Some(shared.agents.make_room(shared, &identity).await?) } else { None };
    // Nothing that runs behind this needs the credential, and the SDK writes requests into its log.
    parts.headers.remove(header::AUTHORIZATION);
    parts.headers.remove(header::COOKIE);
    let lasts = parts.method == Method::GET || message.is("subscriptions/listen");
    let request = Request::from_parts(parts, Full::new(message.text));
    let response = explained(service(shared, &identity).handle(request).await.map(Body::new)).await?;
    if let Some(place) = place
        && let Some(id) = response.headers().get(SESSION).and_then(|value| value.to_str().ok())
    {
        shared.agents.hold(shared, id.into(), identity.clone(), place);
    }
    Ok(relay::relay(shared, identity, response, lasts))
}

/// What the SDK refuses in plain text is a problem document, as everything else that is no JSON-RPC.
///
/// # Errors
/// That.
async fn explained(response: Response) -> Result<Response, Problem> {
    let status = response.status();
    if !status.is_client_error() || response.headers().contains_key(header::CONTENT_TYPE) {
        return Ok(response);
    }
    let text = to_bytes(response.into_body(), REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let code = if status == StatusCode::NOT_FOUND { ErrorCode::NotFound } else { ErrorCode::InvalidRequest };
    Err(Problem::with_status(status, code, String::from_utf8_lossy(&text)))
}

/// The body of a request, and its method.
struct Message {
    text: Bytes,
    method: Option<String>,
}

impl Message {
    fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }
}

/// Reads a message as strictly as any other transport does: the SDK would take a key twice.
async fn read(shared: &Shared, parts: &Parts, body: Body) -> Result<Result<Message, Response>, Fault> {
    if parts.method != Method::POST {
        return Ok(Ok(Message { text: Bytes::new(), method: None }));
    }
    let limited = Request::from_parts(parts.clone(), body);
    let text = Bytes::from_request(limited, &()).await.map_err(|rejection| shared.unread("message", &rejection))?;
    let value = std::str::from_utf8(&text).map_err(|_| "the message is not UTF-8".to_owned()).and_then(parse_strictly);
    Ok(match value {
        Err(reason) => Err(refused(ErrorData::parse_error(reason, None))),
        Ok(Value::Object(members)) if members.get("jsonrpc").is_none_or(|version| version != "2.0") => {
            let message = "a message of JSON-RPC says \"jsonrpc\": \"2.0\"";
            Err(refused(ErrorData::invalid_request(message, None)))
        }
        Ok(Value::Object(members)) => {
            Ok(Message { text, method: members.get("method").and_then(Value::as_str).map(str::to_owned) })
        }
        Ok(_) => {
            let message =
                "a message is one object; the Model Context Protocol has no batches, send one after the other";
            Err(refused(ErrorData::invalid_request(message, None)))
        }
    })
}

fn refused(error: ErrorData) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(JsonRpcError::new(None, error))).into_response()
}

/// The SDK's part. Made for each request, so that it knows whose it is.
fn service(shared: &Arc<Shared>, identity: &Arc<Identity>) -> StreamableHttpService<Agent, AgentSessions> {
    // Host and Origin have been checked, and the body has been read.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_json_response(true)
        .with_sse_keep_alive(Some(shared.config.limits.ping_interval))
        .with_max_request_body_bytes(shared.config.limits.message_bytes)
        .with_cancellation_token(shared.abort.clone());
    let agent = (shared.clone(), identity.clone());
    let factory = move || Ok(Agent::new(agent.0.clone(), agent.1.clone()));
    StreamableHttpService::new(factory, shared.agents.clone(), config)
}
