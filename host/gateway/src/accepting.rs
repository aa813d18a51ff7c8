//! Connections of one listener: accepted while there is room, served as HTTP/1.1, ended and joined with the host.
//!
//! What `axum::serve` does, with the two bounds that it has not: who connects and says nothing, or half of what it wants, has shown no
//! credential yet, and must not be able to hold descriptors for ever, nor all of them.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How far clients get before anybody knows them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at the same time, without those that have become WebSockets. More wait in the kernel until one ends.
    pub connections: usize,
    /// Time for the head of a request, from the connection or from the answer before.
    pub head_max: Duration,
}

/// Serves until `stop`, then until the last connection has ended: those that wait for a request end at once.
pub(crate) async fn serve<L: Listener>(mut listener: L, routes: Router, bounds: Bounds, stop: CancellationToken) {
    let service = TowerToHyperService::new(routes);
    let (places, clients) = (Arc::new(Semaphore::new(bounds.connections)), TaskTracker::new());
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await.0, place)
        };
        let (io, place) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        let (service, stop) = (service.clone(), stop.clone());
        clients.spawn(async move {
            connection(io, service, bounds.head_max, &stop).await;
            drop(place);
        });
    }
    drop(listener);
    clients.close();
    clients.wait().await;
}

async fn connection<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    io: I,
    service: TowerToHyperService<Router>,
    head_max: Duration,
    stop: &CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_max);
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
