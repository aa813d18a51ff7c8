//! `GET /events`: events as server-sent events (WHATWG HTML, section 9.2), for clients that only listen.
//!
//! The same broker, the same positions, the same truth rule as over a WebSocket. The id of every message says how far the reader
//! is in all streams that its patterns reach, so a browser that connects again by itself, with `Last-Event-ID`, misses nothing
//! or is told by `event: gap`. It needs what `event.subscribe` needs. A reader that takes nothing for `write_stall_max` is cut off, and goes on where it was.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod query;
mod wire;

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, Uri, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use midplane_broker::{SubscribeOptions, Subscription};
use midplane_model::limits::EVENT_CHUNK_BYTES;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{problem::Problem, shared::Shared, tokens::Identity};
use wire::Wire;

/// Proxies that gather answers would keep events back.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Serves events until the client goes, its token ends, or the host stops.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    shared.router.find("event.subscribe")?.admit(&identity.principal)?;
    let query = query::read(uri.query().unwrap_or_default(), &headers)?;
    let slot = shared.connections.reserve(&identity.principal)?;
    let options =
        SubscribeOptions { patterns: query.patterns, since: query.since, on_gap: query.on_gap, ..Default::default() };
    let (report, subscription) = shared.broker.subscribe(&options).map_err(midplane_model::Fault::from)?;
    let wire = Wire::begin(&options.patterns, &report);
    // One chunk waits for the client, the next one with the task.
    let (chunks, waiting) = mpsc::channel(1);
    let reader = Reader { shared: shared.clone(), identity, chunks, wire };
    shared.sockets.spawn(async move {
        reader.run(subscription).await;
        drop(slot);
    });
    let body = stream::unfold(waiting, |mut waiting: mpsc::Receiver<Bytes>| async move {
        waiting.recv().await.map(|chunk| (Ok::<_, std::convert::Infallible>(chunk), waiting))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store"), UNBUFFERED];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The task of one reader.
struct Reader {
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    chunks: mpsc::Sender<Bytes>,
    wire: Wire,
}

/// The client is gone, or takes nothing.
struct Ended;

impl Reader {
    async fn run(mut self, subscription: Subscription) {
        let (shared, identity, chunks) = (self.shared.clone(), self.identity.clone(), self.chunks.clone());
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => {
                // The client comes back by itself; it is told when. Nobody waits for one that does not read.
                _ = chunks.try_send(Wire::goodbye());
            }
            _ = identity.ended() => {}
            () = chunks.closed() => {}
            _ = self.deliver(subscription) => {}
        }
    }

    async fn deliver(&mut self, mut subscription: Subscription) -> Result<(), Ended> {
        let period = self.shared.config.limits.ping_interval;
        let mut beat = interval_at(Instant::now() + period, period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let chunk = self.wire.take();
            if !chunk.is_empty() {
                self.send(chunk).await?;
            }
            tokio::select! {
                delivery = subscription.next() => self.wire.push(&delivery),
                _ = beat.tick() => self.wire.comment(),
            }
            // What is ready goes out in one piece.
            while self.wire.len() < EVENT_CHUNK_BYTES {
                let Some(delivery) = subscription.try_next() else { break };
                self.wire.push(&delivery);
            }
        }
    }

    async fn send(&self, chunk: Bytes) -> Result<(), Ended> {
        let stall_max = self.shared.config.limits.write_stall_max;
        timeout(stall_max, self.chunks.send(chunk)).await.map_err(|_| Ended)?.map_err(|_| Ended)
    }
}
