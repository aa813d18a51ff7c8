//! One call, whatever brought it, and `POST /rpc`.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use midplane_model::{
    Call, CallContext, Deadline, Effects, ErrorCode, Fault, Peer, Positions, Principal, Reply, Scope,
    limits::BATCH_CONCURRENCY_MAX,
};
use midplane_protocol::{Id, Incoming, Invocation, Item, Meta};
use tokio_util::sync::CancellationToken;

use crate::{problem::Problem, shared::Shared};

impl Shared {
    /// The context of a new call.
    pub(crate) fn context(
        &self,
        principal: &Arc<Principal>,
        peer: Option<Arc<dyn Peer>>,
        meta: &Meta,
        cancel: CancellationToken,
    ) -> CallContext {
        let limits = &self.config.limits;
        let granted = meta.timeout_ms.map_or(limits.deadline_default, Duration::from_millis).min(limits.deadline_max);
        CallContext {
            request_id: self.request_ids.next(),
            principal: principal.clone(),
            deadline: Deadline::after(granted),
            chain: Arc::from([]),
            peer,
            progress: None,
            effects: Effects::default(),
            cancel,
        }
    }

    /// Waits until everything up to the positions has been applied, within the call's deadline.
    ///
    /// # Errors
    /// `timeout`, `cancelled`; `cursor_expired` for another epoch, `invalid_params` for an unknown stream.
    async fn wait_for(&self, after: Option<&Positions>, context: &CallContext) -> Result<(), Fault> {
        let Some(after) = after else { return Ok(()) };
        let applied = async {
            for (stream, position) in after {
                self.broker.applied(stream, position).await?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(Fault::new(ErrorCode::Cancelled, "the caller cancelled this call")),
            applied = tokio::time::timeout_at(context.deadline.at().into(), applied) => {
                applied.unwrap_or_else(|_| Err(context.deadline.fault()))
            }
        }
    }

    /// Runs one call to its answer. A panic of a service is an answer too: the caller would wait for ever otherwise.
    pub(crate) async fn run(&self, invocation: Invocation, context: CallContext) -> Result<Success, Fault> {
        self.metrics.call();
        let effects = context.effects.clone();
        let (request_id, principal) = (context.request_id.clone(), context.principal.name.clone());
        let method = invocation.method.clone();
        let administers = self.router.methods().get(&method).is_some_and(|method| method.scope == Scope::Admin);
        let work = async {
            self.wait_for(invocation.meta.after.as_deref(), &context).await?;
            self.router.call(Call { method: invocation.method, params: invocation.params, context }).await
        };
        let answer = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(%request_id, "a service panicked");
            Err(Fault::internal())
        });
        if administers {
            self.audit.administered(&principal, &method, &request_id, &answer);
        }
        if let Err(fault) = &answer {
            self.metrics.error(fault.code);
        }
        answer.map(|reply| Success { reply, at: effects.positions() })
    }

    /// Why a body was not read. `what` it would have been.
    pub(crate) fn unread(&self, what: &str, rejection: &BytesRejection) -> Fault {
        if rejection.status() != StatusCode::PAYLOAD_TOO_LARGE {
            return Fault::new(ErrorCode::InvalidRequest, "the body could not be read");
        }
        let limit = self.config.limits.message_bytes;
        Fault::new(ErrorCode::TooLarge, format!("a {what} has at most {limit} bytes")).with("limit_bytes", limit)
    }

    /// The answer to what never became a call.
    pub(crate) fn refusal(&self, id: &Id, fault: &Fault) -> String {
        self.metrics.error(fault.code);
        midplane_protocol::failure(id, &self.request_ids.next(), fault)
    }
}

/// A result, and where the events stand that the call caused.
pub(crate) struct Success {
    pub reply: Reply,
    pub at: Positions,
}

/// The answer of a call as text.
pub(crate) fn answer(id: &Id, request_id: &str, result: &Result<Success, Fault>) -> String {
    match result {
        Ok(success) => midplane_protocol::success(id, &success.reply.result, &success.at),
        Err(fault) => midplane_protocol::failure(id, request_id, fault),
    }
}

/// `POST /rpc`: 200 with the answer, 204 when nothing wants one, 400 for what cannot be read, 413 for what is too large.
///
/// When the client goes away this future is dropped, which cancels the calls.
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Arc<Principal>>,
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
        .and_then(midplane_protocol::parse);
    let caller = HttpCaller { shared: &shared, principal, cancel: shared.abort.child_token() };
    let _gone = caller.cancel.clone().drop_guard();
    match parsed {
        Err(fault) => json(StatusCode::BAD_REQUEST, shared.refusal(&Id::null(), &fault)),
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
    shared: &'a Shared,
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
