//! Where clients come in.

use tokio::net::{TcpListener, UnixListener};

use crate::tls::Tls;

/// A port, and beside it a socket for programs of this machine. Whoever binds the socket sees to it that only its own user can
/// reach it; it asks for the same credentials.
pub struct Listeners {
    pub port: TcpListener,
    /// None: the port speaks plain HTTP.
    pub tls: Option<Tls>,
    pub local: Option<UnixListener>,
}

impl From<TcpListener> for Listeners {
    fn from(port: TcpListener) -> Self {
        Self { port, tls: None, local: None }
    }
}

/// Marks requests that came in by the local socket. No browser does, and no name leads there.
#[derive(Clone, Copy)]
pub(crate) struct Local;
