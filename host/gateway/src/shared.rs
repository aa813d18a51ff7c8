//! What every handler and every connection of one gateway shares.

use std::sync::Arc;

use midplane_broker::Broker;
use midplane_model::limits::{COOKIE_AGE_MAX, TICKET_AGE_MAX};
use midplane_router::Router;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::Admission,
    audit::Audit,
    config::{GatewayConfig, TokenPolicy},
    error::GatewayError,
    guard::Guard,
    idempotency::Keys,
    mcp::{AgentSessions, Catalogues},
    metrics::Metrics,
    request_ids::RequestIds,
    secrets::Secrets,
    sessions::Sessions,
    socket::Connections,
    tokens::Tokens,
    vouching::Vouching,
};

pub(crate) struct Shared {
    pub config: GatewayConfig,
    pub router: Arc<Router>,
    pub broker: Arc<Broker>,
    pub guard: Guard,
    pub tokens: Arc<Tokens>,
    pub vouching: Arc<Vouching>,
    pub audit: Arc<Audit>,
    pub cookies: Secrets,
    pub tickets: Secrets,
    pub metrics: Metrics,
    pub request_ids: RequestIds,
    pub connections: Arc<Connections>,
    pub sessions: Arc<Sessions>,
    pub admission: Arc<Admission>,
    pub keys: Keys,
    pub agents: Arc<AgentSessions>,
    pub catalogues: Catalogues,
    /// Calls under idempotency keys, which their connections do not end.
    pub keyed: TaskTracker,
    /// Every WebSocket's task, from before its upgrade to its end.
    pub sockets: TaskTracker,
    /// The host is stopping: sockets close, nothing new begins.
    pub shutdown: CancellationToken,
    /// Ends what plugins are still telling visitors: the host is stopping, and they had time to end by themselves.
    pub streams: CancellationToken,
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
        let owner = match &config.token {
            TokenPolicy::Required(credentials) => Some(credentials.digest),
            TokenPolicy::Open => None,
        };
        let shared = Self {
            guard,
            router,
            broker: broker.clone(),
            tokens: Arc::new(Tokens::new(owner, config.issued.clone(), config.token_store.clone())),
            vouching: Arc::new(Vouching::new(config.authenticators.clone())),
            audit: Arc::new(Audit::new(config.audit.clone())),
            cookies: Secrets::new(COOKIE_AGE_MAX),
            tickets: Secrets::new(TICKET_AGE_MAX),
            metrics: Metrics::default(),
            request_ids: RequestIds::new()?,
            connections: Arc::new(Connections::new(&config.limits)),
            sessions: Arc::new(Sessions::new(broker, config.limits.session_grace)),
            admission: Admission::new(config.limits),
            keys: Keys::new(),
            agents: Arc::new(AgentSessions::new()),
            catalogues: Catalogues::default(),
            keyed: TaskTracker::new(),
            sockets: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            streams: CancellationToken::new(),
            abort: CancellationToken::new(),
            config,
        };
        crate::native::register(&shared, broker)?;
        shared.router.tell(shared.audit.clone());
        Ok(Arc::new(shared))
    }

    /// Cookies do not know ports, so the name does: two hosts on one machine keep apart.
    pub(crate) fn cookie_name(&self) -> String {
        format!("{}{}", crate::pages::OUR_COOKIES, self.config.listen.port())
    }
}
