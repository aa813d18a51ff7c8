//! The gateway as the program sees it: built, served, ended.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use axum::{Extension, serve::ListenerExt as _};
use futures_util::future::OptionFuture;
use midplane_broker::Broker;
use midplane_model::{
    BoxFuture,
    limits::{CLIENTS_SHUTDOWN_MAX, PAGE_DRAIN_MAX, SESSION_SWEEP_INTERVAL},
};
use midplane_router::Router;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    accepting::{self, Bounds},
    config::{GatewayConfig, TokenPolicy},
    error::GatewayError,
    listeners::{Listeners, Local},
    rest, routes,
    shared::Shared,
    taking::Taking,
    tls::TlsListener,
};

/// How much of `CLIENTS_SHUTDOWN_MAX` is left, once calls over HTTP are given up, for their answers to be written.
const ABORT_RESERVE: Duration = Duration::from_secs(1);

/// Serves clients. Made before the listener accepts anything, so that what it is built from has been checked.
pub struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    /// Checks the configuration and registers `session.*`, `event.*` and `system.*` with the router.
    ///
    /// # Errors
    /// No token beyond loopback; no random bytes; WIT that cannot be read.
    pub fn new(config: GatewayConfig, router: Arc<Router>, broker: &Arc<Broker>) -> Result<Self, GatewayError> {
        if matches!(config.token, TokenPolicy::Open) && !config.listen.ip().is_loopback() {
            return Err(GatewayError::OpenBeyondLoopback { listen: config.listen });
        }
        let shared = Shared::new(config, router, broker)?;
        rest::native::add_routes(&shared.router).map_err(GatewayError::AddRoute)?;
        Ok(Self { shared })
    }

    /// Serves until `shutdown`, then ends within `CLIENTS_SHUTDOWN_MAX`: nothing new is accepted, sockets are closed with 4012 and
    /// joined, requests over HTTP may finish. Whoever is late is reported in the log and given up.
    ///
    /// Dropping the future does not end connections; cancel `shutdown` instead.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listeners: impl Into<Listeners>, shutdown: CancellationToken) -> io::Result<()> {
        let (shared, Listeners { port, tls, local }) = (self.shared, listeners.into());
        let stop = shared.shutdown.clone();
        let limits = shared.config.limits;
        let (stall_max, bounds) =
            (limits.taking_stall_max, Bounds { connections: limits.http_clients, head_max: limits.head_max });
        let routes = routes::build(&shared);
        let by_socket = local.map(|socket| {
            let routes = routes.clone().layer(Extension(Local));
            accepting::serve(Taking::new(socket, stall_max), routes, bounds, stop.clone())
        });
        let by_port: BoxFuture<'_, ()> = match tls {
            None => {
                // Small messages go out at once: a keystroke's echo waits for no acknowledgement of the one before.
                let port = port.tap_io(|stream| _ = stream.set_nodelay(true));
                Box::pin(accepting::serve(Taking::new(port, stall_max), routes, bounds, stop.clone()))
            }
            Some(tls) => {
                let port = TlsListener::start(port, tls, &stop, &shared.sockets)?;
                Box::pin(accepting::serve(Taking::new(port, stall_max), routes, bounds, stop.clone()))
            }
        };
        let accepting = async { _ = tokio::join!(by_port, OptionFuture::from(by_socket)) };
        let mut accepting = std::pin::pin!(accepting);
        tokio::select! {
            never = sweep(&shared) => match never {},
            // Only after `stop`, which nobody else cancels.
            () = &mut accepting => {}
            () = shutdown.cancelled() => stop.cancel(),
        }
        tracing::info!(sockets = shared.connections.len(), "stopping");
        finish(&shared, accepting).await;
        shared.audit.settle();
        Ok(())
    }
}

/// Ends sessions that have waited too long, and forgets credentials that nobody uses.
async fn sweep(shared: &Shared) -> Infallible {
    let mut due = tokio::time::interval(SESSION_SWEEP_INTERVAL);
    loop {
        due.tick().await;
        shared.sessions.sweep();
        shared.vouching.sweep();
        shared.audit.settle();
    }
}

async fn finish(shared: &Shared, accepting: impl Future<Output = ()>) {
    let late = Instant::now() + CLIENTS_SHUTDOWN_MAX;
    shared.sockets.close();
    shared.keyed.close();
    let ended = async { tokio::join!(accepting, shared.sockets.wait(), shared.keyed.wait()) };
    let mut ended = std::pin::pin!(ended);
    if tokio::time::timeout(PAGE_DRAIN_MAX, &mut ended).await.is_ok() {
        return;
    }
    shared.streams.cancel();
    if tokio::time::timeout_at(late - ABORT_RESERVE, &mut ended).await.is_ok() {
        return;
    }
    shared.abort.cancel();
    if tokio::time::timeout_at(late, ended).await.is_err() {
        tracing::warn!(sockets = shared.sockets.len(), "clients were late and are given up");
    }
}
