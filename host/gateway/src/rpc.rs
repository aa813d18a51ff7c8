//! `POST /rpc`.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use midplane_model::{ErrorCode, Fault, Principal, limits::BATCH_CONCURRENCY_MAX};
use midplane_protocol::{Id, Incoming, Invocation, Item};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Success, answer},
    headers,
    problem::Problem,
    rpc_stream,
    shared::Shared,
    tokens::Identity,
};

impl Shared {
    /// Why a body was not read. `what` it would have been.
    pub(crate) fn unread(&self, what: &str, rejection: &BytesRejection) -> Fault {
        if rejection.status() != StatusCode::PAYLOAD_TOO_LARGE {
            return Fault::new(ErrorCode::InvalidRequest, "the body could not be read");
        }
        let limit = self.config.limits.message_bytes;
        Fault::new(ErrorCode::TooLarge, format!("a {what} has at most {limit} bytes")).with("limit_bytes", limit)
    }
}

/// `POST /rpc`: 200 with the answer, 204 when nothing wants one, 400 for what cannot be read, 413 for what is too large.
///
/// When the client goes away this future is dropped, which cancels the calls.
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            let fault = shared.unread("message", &rejection);
            return match fault.code {
                ErrorCode::TooLarge => json(StatusCode::PAYLOAD_TOO_LARGE, shared.refusal(&Id::null(), &fault)),
                _ => Problem::from(fault).into_response(),
            };
        }
    };
    let parsed = std::str::from_utf8(&body)
        .map_err(|_| Fault::new(ErrorCode::ParseError, "the message is not UTF-8"))
        .and_then(midplane_protocol::parse)
        .and_then(|incoming| headers::name(incoming, &headers));
    let principal = identity.principal.clone();
    let caller = HttpCaller { shared: &shared, principal, cancel: shared.abort.child_token() };
    let _gone = caller.cancel.clone().drop_guard();
    match parsed {
        Err(fault) => json(StatusCode::BAD_REQUEST, shared.refusal(&Id::null(), &fault)),
        Ok(Incoming::Single(Item::Request(id, invocation))) if rpc_stream::is_wanted(&invocation, &headers) => {
            rpc_stream::serve(&shared, identity, id, invocation)
        }
        Ok(Incoming::Single(item)) => caller.item(item).await.map_or_else(silence, |text| json(StatusCode::OK, text)),
        Ok(Incoming::Batch(items)) => {
            let answers = stream::iter(items).map(|item| caller.item(item)).buffered(BATCH_CONCURRENCY_MAX);
            let answers: Vec<String> = answers.filter_map(std::future::ready).collect().await;
            midplane_protocol::batch(&answers).map_or_else(silence, |text| json(StatusCode::OK, text))
        }
    }
}

/// A caller without a connection: nothing outlives its request, so there is nothing to cancel, subscribe or attach.
struct HttpCaller<'a> {
    shared: &'a Arc<Shared>,
    principal: Arc<Principal>,
    cancel: CancellationToken,
}

impl HttpCaller<'_> {
    async fn item(&self, item: Item) -> Option<String> {
        match item {
            Item::Request(id, invocation) => {
                let (request_id, result) = self.call(invocation).await;
                Some(answer(&id, &request_id, &result))
            }
            Item::Notification(invocation) => {
                // Nobody hears of the result; the counters do.
                let (_, _) = self.call(invocation).await;
                None
            }
            Item::Invalid(id, fault) => Some(self.shared.refusal(&id, &fault)),
            Item::Cancel(_) | Item::Ignored => None,
        }
    }

    async fn call(&self, invocation: Invocation) -> (Arc<str>, Result<Success, Fault>) {
        let context = self.shared.context(&self.principal, None, &invocation.meta, self.cancel.child_token());
        let request_id = context.request_id.clone();
        (request_id, self.shared.run(invocation, context).await)
    }
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn silence() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
