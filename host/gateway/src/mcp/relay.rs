//! Event streams on their way to the client: bounded, and ended with the credential they were opened with.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::Response,
};
use futures_util::stream;
use http_body_util::BodyExt as _;
use tokio::{sync::mpsc, time::timeout};

use crate::{shared::Shared, tokens::Identity};

/// Passes an event stream on in a task, which ends with the client, with its credential, and with the host: at once if the stream
/// `lasts`, that is, waits for what may never come, else when the host gives calls up. One piece waits for the client; one that
/// takes none for `write_stall_max` is given up. Dropping the SDK's body cancels the call that it belongs to, unless a session
/// keeps that.
pub(super) fn relay(shared: &Arc<Shared>, identity: Arc<Identity>, response: Response, lasts: bool) -> Response {
    let streams = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    if !streams {
        return response;
    }
    let (parts, body) = response.into_parts();
    let (pieces, waiting) = mpsc::channel(1);
    let stop = if lasts { shared.shutdown.clone() } else { shared.abort.clone() };
    let stall_max = shared.config.limits.write_stall_max;
    shared.sockets.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            _ = identity.ended() => {}
            () = pieces.closed() => {}
            () = pass(body, &pieces, stall_max) => {}
        }
    });
    let body = stream::unfold(waiting, |mut waiting: mpsc::Receiver<Bytes>| async move {
        waiting.recv().await.map(|piece| (Ok::<_, Infallible>(piece), waiting))
    });
    Response::from_parts(parts, Body::from_stream(body))
}

async fn pass(mut body: Body, pieces: &mpsc::Sender<Bytes>, stall_max: Duration) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(piece) = frame.into_data() else { continue };
        if !timeout(stall_max, pieces.send(piece)).await.is_ok_and(|sent| sent.is_ok()) {
            return;
        }
    }
}
