//! What can go wrong before a gateway serves.

use std::net::SocketAddr;

use midplane_router::WitError;

/// Named for what was attempted. Once it serves, clients get a `Fault` instead.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the operating system gave no random bytes for {purpose}")]
    DrawRandom {
        purpose: &'static str,
        #[source]
        source: getrandom::Error,
    },
    #[error("without a token only loopback may be served, {listen} is reachable from elsewhere; use a token")]
    OpenBeyondLoopback { listen: SocketAddr },
    #[error("the WIT of the native services cannot be read")]
    ReadWit(#[from] WitError),
    #[error("there is no {what} in PEM; give the files that the certificate authority made")]
    ReadCertificate { what: &'static str },
    #[error("the certificate and the key cannot be used together")]
    UseCertificate {
        #[source]
        source: tokio_rustls::rustls::Error,
    },
    #[error("a REST route of a native service does not fit: {0}")]
    AddRoute(String),
}
