//! TLS of the port, where no proxy in front speaks it.

use std::{io, net::SocketAddr, sync::Arc};

use midplane_model::limits::{HANDSHAKE_MAX, HANDSHAKES_MAX};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    server::TlsStream,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::error::GatewayError;

/// Certificate and key of the port.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// From PEM: the certificate with those that lead to its authority, and its private key. TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// `ReadCertificate`, `UseCertificate` (the key is another one's).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, GatewayError> {
        let unreadable = |what| move |_| GatewayError::ReadCertificate { what };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(unreadable("certificate"))?;
        if certificates.is_empty() {
            return Err(GatewayError::ReadCertificate { what: "certificate" });
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable("key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
        let mut config = config.map_err(|source| GatewayError::UseCertificate { source })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Connections of the port whose handshake is done.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Accepts until `stop`, in tasks of `tasks`: a client that is slow with its handshake keeps nobody else waiting.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start(port: TcpListener, tls: Tls, stop: &CancellationToken, tasks: &TaskTracker) -> io::Result<Self> {
        let address = port.local_addr()?;
        // Whoever is ready waits here until it is served, with its place among the handshakes.
        let (done, ready) = mpsc::channel(1);
        let (stop, handshakes) = (stop.clone(), tasks.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = accept(&port, &tls, &done, &handshakes, &stop) => {}
            }
        });
        Ok(Self { ready, address })
    }
}

async fn accept(
    port: &TcpListener,
    tls: &Tls,
    done: &mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        // Clients beyond that wait in the kernel.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, address) = match port.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptors are left, most likely; others will be given back.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(HANDSHAKE_MAX / 10).await;
                continue;
            }
        };
        let (acceptor, done, stop) = (tls.0.clone(), done.clone(), stop.clone());
        tasks.spawn(async move {
            let handshake = async {
                stream.set_nodelay(true)?;
                acceptor.accept(stream).await
            };
            let finished = tokio::select! {
                () = stop.cancelled() => return,
                finished = timeout(HANDSHAKE_MAX, handshake) => finished,
            };
            match finished {
                // Nobody takes it when the host stops.
                Ok(Ok(stream)) => _ = done.send((stream, address)).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
            drop(place);
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
