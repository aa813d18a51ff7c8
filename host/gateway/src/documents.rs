//! Small documents of the host's own: health, readiness, metrics, OpenRPC, OpenAPI, AsyncAPI.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use midplane_model::ErrorCode;
use serde_json::{Value, json};

use crate::{metrics::Open, problem::Problem, shared::Shared};

/// Says that the process answers, and nothing else: it is the one page without a credential.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    if shared.shutdown.is_cancelled() || !(shared.config.ready)() {
        return Err(Problem::new(ErrorCode::Unavailable, "the host is starting or stopping"));
    }
    Ok(Json(json!({"status": "ready"})))
}

pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let open =
        Open { connections: shared.connections.len(), sessions: shared.sessions.len(), agents: shared.agents.len() };
    let mut text = shared.metrics.render(&open, &shared.broker.stats());
    text.push_str(&(shared.config.plugin_metrics)());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub(crate) async fn openrpc(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(midplane_router::openrpc(&shared.router.methods(), &shared.config.version))
}

pub(crate) async fn openapi(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(midplane_router::openapi(&shared.router.methods(), &shared.config.version))
}

pub(crate) async fn asyncapi(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let config = &shared.config;
    let place = config.listen.to_string();
    Json(midplane_router::asyncapi(&shared.router.methods(), &config.version, &place, config.behind_tls))
}
