//! What a gateway is built from.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use midplane_model::{Authenticators, Pages, limits};

use crate::{
    audit::AuditSink,
    auth::Credentials,
    tokens::{TokenRecord, TokenStore},
};

/// Who may come in.
#[derive(Clone)]
pub enum TokenPolicy {
    /// Whoever holds the first token, or one that was issued since.
    Required(Credentials),
    /// Everybody who reaches the address; only for loopback.
    Open,
}

/// Everything the gateway is told by the program. It reads no environment and no file.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Where the listener is bound. Decides which `Host` headers are its own, and names the cookie.
    pub listen: SocketAddr,
    pub token: TokenPolicy,
    /// Tokens that were issued before this start.
    pub issued: Vec<TokenRecord>,
    /// Where tokens are kept that are issued and revoked from now on; none: until the end of this host.
    pub token_store: Option<Arc<dyn TokenStore>>,
    /// Who is told of authentication, tokens and administrative calls.
    pub audit: Option<Arc<dyn AuditSink>>,
    /// Further `Host` values that are ours, with port unless it is the scheme's own: `midplane.example.com`.
    pub allowed_hosts: Vec<String>,
    /// Further origins that may use us, exactly: `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// Clients speak TLS, with this host or with a proxy in front: our own origin is `https`, and cookies are `Secure`.
    pub behind_tls: bool,
    /// A proxy in front says whose requests it passes on; else nobody may.
    pub behind_proxy: bool,
    /// The host's version, for `session.open`, `system.status` and documents.
    pub version: Arc<str>,
    /// New at every start of the host.
    pub instance_id: Arc<str>,
    /// How many plugins there are, for `system.status`. Called per request; must not block.
    pub plugin_count: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// Further text for `/metrics`: whole families of Prometheus' format, in names of their own. Called per request; must not
    /// block.
    pub plugin_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the host is ready for `/readyz`. Called per request; must not block.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Pages of plugins; without it there are none.
    pub pages: Option<Arc<dyn Pages>>,
    /// Who says who comes with a credential that is none of the host's; without it that is nobody. Never asked under `TokenPolicy::Open`.
    pub authenticators: Option<Arc<dyn Authenticators>>,
    pub limits: GatewayLimits,
}

impl GatewayConfig {
    /// A configuration with defaults for everything that has one.
    #[must_use]
    pub fn new(listen: SocketAddr, token: TokenPolicy, version: &str, instance_id: &str) -> Self {
        Self {
            listen,
            token,
            issued: Vec::new(),
            token_store: None,
            audit: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            behind_tls: false,
            behind_proxy: false,
            version: version.into(),
            instance_id: instance_id.into(),
            plugin_count: Arc::new(|| 0),
            plugin_metrics: Arc::new(String::new),
            ready: Arc::new(|| true),
            pages: None,
            authenticators: None,
            limits: GatewayLimits::default(),
        }
    }
}

/// The bounds of one gateway in one value, so that tests can make them small. Defaults: `midplane_model::limits`.
#[derive(Debug, Clone, Copy)]
pub struct GatewayLimits {
    pub message_bytes: usize,
    /// WebSockets.
    pub connections: usize,
    pub connections_per_principal: usize,
    /// Connections of a listener that are no WebSockets.
    pub http_clients: usize,
    pub head_max: Duration,
    pub calls_in_flight: usize,
    pub calls_in_flight_per_principal: usize,
    pub calls_per_second: u32,
    pub calls_burst: u32,
    /// Calls refused one after the other for their rate, after which a socket is closed (4029).
    pub rate_refusals: u32,
    pub deadline_default: Duration,
    pub deadline_max: Duration,
    pub ping_interval: Duration,
    pub silence_max: Duration,
    pub write_stall_max: Duration,
    /// Of any connection, whatever it carries.
    pub taking_stall_max: Duration,
    pub session_grace: Duration,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            message_bytes: limits::MESSAGE_BYTES_MAX,
            connections: limits::CONNECTIONS_MAX,
            connections_per_principal: limits::CONNECTIONS_PER_PRINCIPAL_MAX,
            http_clients: limits::HTTP_CLIENTS_MAX,
            head_max: limits::HEAD_MAX,
            calls_in_flight: limits::CALLS_IN_FLIGHT_MAX,
            calls_in_flight_per_principal: limits::CALLS_IN_FLIGHT_PER_PRINCIPAL_MAX,
            calls_per_second: limits::CALLS_PER_SECOND_MAX,
            calls_burst: limits::CALLS_BURST_MAX,
            rate_refusals: limits::RATE_REFUSALS_MAX,
            deadline_default: limits::DEADLINE_DEFAULT,
            deadline_max: limits::DEADLINE_MAX,
            ping_interval: limits::PING_INTERVAL,
            silence_max: limits::SILENCE_MAX,
            write_stall_max: limits::WRITE_STALL_MAX,
            taking_stall_max: limits::TAKING_STALL_MAX,
            session_grace: limits::SESSION_GRACE,
        }
    }
}
