//! What every handler and every connection of one gateway shares.

use std::sync::Arc;

use midplane_broker::Broker;
use midplane_model::{
    Principal,
    limits::{COOKIE_AGE_MAX, TICKET_AGE_MAX},
};
use midplane_router::Router;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::GatewayConfig, error::GatewayError, guard::Guard, metrics::Metrics, request_ids::RequestIds,
    secrets::Secrets, socket::Connections,
};

pub(crate) struct Shared {
    pub config: GatewayConfig,
    pub router: Arc<Router>,
    pub guard: Guard,
    /// Whoever holds the first token; until there are others, everybody.
    pub owner: Arc<Principal>,
    pub cookies: Secrets,
    pub tickets: Secrets,
    pub metrics: Metrics,
    pub request_ids: RequestIds,
    pub connections: Arc<Connections>,
    /// Every WebSocket's task, from before its upgrade to its end.
    pub sockets: TaskTracker,
    /// The host is stopping: sockets close, nothing new begins.
    pub shutdown: CancellationToken,
    /// The time for stopping is over: calls over HTTP are given up.
    pub abort: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        config: GatewayConfig,
        router: Arc<Router>,
        broker: &Arc<Broker>,
    ) -> Result<Arc<Self>, GatewayError> {
        let guard = Guard::new(&config);
        let shared = Self {
            guard,
            router,
            owner: Arc::new(Principal::owner()),
            cookies: Secrets::new(COOKIE_AGE_MAX),
            tickets: Secrets::new(TICKET_AGE_MAX),
            metrics: Metrics::default(),
            request_ids: RequestIds::new()?,
            connections: Arc::new(Connections::new(config.limits.connections)),
            sockets: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            abort: CancellationToken::new(),
            config,
        };
        crate::native::register(&shared.router, &shared.connections, broker, &shared.config)?;
        Ok(Arc::new(shared))
    }

    /// Cookies do not know ports, so the name does: two hosts on one machine keep apart.
    pub(crate) fn cookie_name(&self) -> String {
        format!("midplane_{}", self.config.listen.port())
    }
}
