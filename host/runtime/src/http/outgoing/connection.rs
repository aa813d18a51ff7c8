//! A connection to a granted server, at an address that was looked at: between the look and the connection no name is
//! resolved again.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use wasmtime_wasi_http::Error;

use super::{
    grant::{HttpGrant, permits},
    target::{Host, Target},
};

/// What an exchange goes over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Resolves, chooses and connects, with TLS where the request asks for it.
///
/// # Errors
/// `DestinationIpProhibited` when the name leads nowhere but inside; `DnsError`, `ConnectionRefused`, and those of TLS.
pub async fn connect(target: &Target, grants: &[HttpGrant]) -> Result<Box<dyn Stream>, Error> {
    let addresses = resolve(target).await?;
    let permitted: Vec<SocketAddr> =
        addresses.into_iter().filter(|address| permits(grants, target, *address)).collect();
    if permitted.is_empty() {
        return Err(Error::DestinationIpProhibited);
    }
    let stream = TcpStream::connect(&permitted[..]).await.map_err(|_| Error::ConnectionRefused)?;
    // Small writes of a request's head and body should not wait for each other; a socket that refuses works all the same.
    _ = stream.set_nodelay(true);
    if target.tls { secure(stream, target, trusted()).await } else { Ok(Box::new(stream)) }
}

async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, Error> {
    match &target.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, target.port)]),
        Host::Name(name) => {
            let unknown = |_| Error::DnsError { rcode: Some("the name does not resolve".into()), info_code: None };
            Ok(lookup_host((name.as_str(), target.port)).await.map_err(unknown)?.collect())
        }
    }
}

/// The certificates of the public authorities, as Mozilla trusts them.
fn trusted() -> &'static Arc<ClientConfig> {
    static TRUSTED: LazyLock<Arc<ClientConfig>> =
        LazyLock::new(|| trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() }));
    &TRUSTED
}

fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("the provider has the suites of the default versions"));
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Proves that the server is who the request names.
async fn secure(stream: TcpStream, target: &Target, config: &Arc<ClientConfig>) -> Result<Box<dyn Stream>, Error> {
    let name = match &target.host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
    };
    let secured = TlsConnector::from(config.clone()).connect(name, stream).await;
    secured.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
            _ => Error::TlsProtocolError,
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ServerConfig,
            pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        },
    };

    use super::*;

    /// Certificate and key of `granted.example`, signed by itself.
    const CERTIFICATE: &[u8] = include_bytes!("testdata/server.cert.pem");
    const KEY: &[u8] = include_bytes!("testdata/server.key.pem");

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(CERTIFICATE).unwrap()
    }

    /// What connecting to that server as `name` gives, for somebody who trusts these certificates.
    async fn secured(name: &str, config: &Arc<ClientConfig>) -> Result<String, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], PrivateKeyDer::from_pem_slice(KEY).unwrap())
            .unwrap();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the server hangs up on it.
            if let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(stream).await {
                stream.write_all(b"secret").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        };
        let asking = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let target = Target { host: Host::Name(name.to_owned()), port: address.port(), tls: true };
            let mut stream = secure(stream, &target, config).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            Ok(text)
        };
        tokio::join!(serving, asking).1
    }

    #[tokio::test]
    async fn a_server_proves_that_it_is_who_was_asked_for() {
        let mut roots = RootCertStore::empty();
        roots.add(certificate()).unwrap();
        let ours = trusting(roots);
        assert_eq!(secured("granted.example", &ours).await.unwrap(), "secret");
        assert!(matches!(secured("other.example", &ours).await, Err(Error::TlsCertificateError)));
        assert!(matches!(secured("granted.example", trusted()).await, Err(Error::TlsCertificateError)));
    }
}
