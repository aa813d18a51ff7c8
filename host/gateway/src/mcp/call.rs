//! A call of a tool: the one way that every call takes, with what the protocol says about it in other places.

use axum::http::request::Parts;
use midplane_model::{ErrorCode, Fault};
use midplane_protocol::{Invocation, Meta};
use midplane_router::Method;
use rmcp::{
    RoleServer,
    model::{CallToolResult, JsonObject},
    service::RequestContext,
};
use serde_json::Value;

use super::{SESSION, agent::Agent, news, result};
use crate::{headers, shared::Shared};

/// What the caller says about the call, as `meta` beside `params` in JSON-RPC.
const META: &str = "midplane/call";

/// Runs the call to its end. A failure is a result, too: the model reads it.
pub(super) async fn run(
    agent: &Agent,
    method: &Method,
    arguments: Option<JsonObject>,
    context: RequestContext<RoleServer>,
) -> CallToolResult {
    let Agent { shared, identity, .. } = agent;
    shared.metrics.agent_call();
    let meta = match meta(shared, &context) {
        Ok(meta) => meta,
        Err(fault) => return result::failure(&fault, None),
    };
    // Cancelled by the client's notification, by its leaving where no session keeps the call, and when the host gives calls up.
    let mut call = shared.context(&identity.principal, None, &meta, context.ct.clone());
    let request_id = call.request_id.clone();
    let token = context.meta.get_progress_token();
    let told = token.map(|token| {
        let (progress, news) = midplane_model::Progress::of_states();
        call.progress = Some(progress);
        news::News::new(token, news, context.peer.clone())
    });
    let params = arguments.map_or(Value::Null, Value::Object);
    // A session ends when the host stops, and nobody would get the answer; a request alone may finish.
    let in_session = context.extensions.get::<Parts>().is_some_and(|parts| parts.headers.contains_key(SESSION));
    let work = shared.run(Invocation { method: method.name.clone(), params, meta }, call);
    let work = async {
        tokio::select! {
            biased;
            answer = work => answer,
            _ = identity.ended() => Err(Fault::new(ErrorCode::Cancelled, "the token has ended")),
            () = shared.shutdown.cancelled(), if in_session => Err(Fault::new(ErrorCode::Cancelled, "the host stops")),
        }
    };
    let answer = match told {
        Some(news) => news.beside(work).await,
        None => work.await,
    };
    match answer {
        Ok(success) => result::success(&success, method.tool.is_some_and(|traits| traits.content), &request_id),
        Err(fault) => result::failure(&fault, Some(&request_id)),
    }
}

/// In `_meta`, else in the request's headers. An agent's client has a time limit of its own and cancels, so where it names none
/// the longest counts; what a plugin may take is in its manifest.
fn meta(shared: &Shared, context: &RequestContext<RoleServer>) -> Result<Meta, Fault> {
    let mut meta = match (context.meta.get(META), context.extensions.get::<Parts>()) {
        (Some(value), _) => Meta::of_value(value)?,
        (None, Some(parts)) => headers::meta(&parts.headers)?,
        (None, None) => Meta::default(),
    };
    let longest = u64::try_from(shared.config.limits.deadline_max.as_millis()).unwrap_or(u64::MAX);
    meta.timeout_ms.get_or_insert(longest);
    Ok(meta)
}
