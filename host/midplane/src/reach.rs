//! How the command line gets to a host: by its socket, by its port, or by its port with TLS.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

/// Bytes to and from the host.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The local socket where there is one that somebody listens to, else the port of the url. `authority` is a file with the
/// certificate of whoever signed the host's; without it the public ones are trusted.
pub async fn reach(url: &str, socket: Option<&Path>, authority: Option<&Path>) -> Result<Box<dyn Stream>> {
    if let Some(path) = socket
        && let Ok(stream) = UnixStream::connect(path).await
    {
        return Ok(Box::new(stream));
    }
    let (scheme, rest) = url.split_once("://").with_context(|| format!("{url:?} is no address"))?;
    let place = rest.split('/').next().unwrap_or_default();
    let (name, port) = match place.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, port),
        None => (place, if scheme == "https" { 443 } else { 80 }),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port)).await?;
    stream.set_nodelay(true)?;
    if scheme != "https" {
        return Ok(Box::new(stream));
    }
    let server = ServerName::try_from(name.to_owned()).with_context(|| format!("{name:?} is no name of a server"))?;
    let connector = TlsConnector::from(Arc::new(trusting(authority)?));
    let secure = connector
        .connect(server, stream)
        .await
        .context("the host's certificate is not trusted; give the authority's own with --tls-ca")?;
    Ok(Box::new(secure))
}

fn trusting(authority: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match authority {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let pem = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.with_context(|| format!("{} is no PEM", path.display()))?;
                roots.add(certificate).with_context(|| format!("{} has no certificate of use", path.display()))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}
