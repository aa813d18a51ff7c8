//! `POST /rpc` for a client that accepts `text/event-stream` and asks for progress: the progress of its call as it comes, then the
//! answer, each a message of JSON-RPC in one server-sent event.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use midplane_protocol::{Id, Invocation};
use tokio::{sync::mpsc, time::timeout};

use crate::{call::answer, shared::Shared, socket::Telling, tokens::Identity};

const EVENT_STREAM: &str = "text/event-stream";

/// Whether the client wants to hear of the progress of this call, and can.
pub(crate) fn is_wanted(invocation: &Invocation, headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    invocation.meta.progress_token.is_some() && accepted.any(|value| value.contains(EVENT_STREAM))
}

/// Runs the call in a task, which ends with the client and with its token. One event waits for it, the next one with the call; a client that takes
/// none for `write_stall_max` is given up.
pub(crate) fn serve(shared: &Arc<Shared>, identity: Arc<Identity>, id: Id, invocation: Invocation) -> Response {
    let token = invocation.meta.progress_token.clone().unwrap_or_default();
    let (progress, mut telling) = Telling::new(token);
    let (events, waiting) = mpsc::channel(1);
    let cancel = shared.abort.child_token();
    let mut context = shared.context(&identity.principal, None, &invocation.meta, cancel.clone());
    context.progress = Some(progress);
    let owner = shared.clone();
    shared.sockets.spawn(async move {
        let _gone = cancel.drop_guard();
        let request_id = context.request_id.clone();
        let call = owner.run(invocation, context);
        let stall_max = owner.config.limits.write_stall_max;
        let send =
            async |text: String| timeout(stall_max, events.send(event(&text))).await.is_ok_and(|sent| sent.is_ok());
        let mut call = std::pin::pin!(call);
        let result = loop {
            tokio::select! {
                biased;
                () = events.closed() => return,
                result = &mut call => break result,
                end = identity.ended() => break Err(end.fault()),
                () = telling.due() => {}
            }
            if let Some(text) = telling.take()
                && !send(text).await
            {
                return;
            }
        };
        while let Some(text) = telling.take() {
            if !send(text).await {
                return;
            }
        }
        send(answer(&id, &request_id, &result)).await;
    });
    let body = stream::unfold(waiting, |mut waiting: mpsc::Receiver<Bytes>| async move {
        waiting.recv().await.map(|event| (Ok::<_, Infallible>(event), waiting))
    });
    let headers = [(header::CONTENT_TYPE, EVENT_STREAM), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(body)).into_response()
}

/// In JSON a raw line break is only space between two values; here it would end the line.
fn event(text: &str) -> Bytes {
    format!("data: {}\n\n", text.replace(['\n', '\r'], " ")).into()
}
