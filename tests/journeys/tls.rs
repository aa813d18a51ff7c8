//! TLS of the port.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use midplane_tests::{Host, Options, request};
use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Writes a certificate for loopback and its key.
fn certificate(folder: &Path) -> Result<(String, String)> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let place = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (place("cert.pem"), place("key.pem"));
    std::fs::write(&certificate, cert.pem())?;
    std::fs::write(&key, signing_key.serialize_pem())?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    Ok((certificate, key))
}

fn options(arguments: &[&str]) -> Options {
    Options { arguments: arguments.iter().map(ToString::to_string).collect(), ..Options::default() }
}

#[tokio::test]
async fn a_port_with_a_certificate_speaks_tls_and_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (certificate, key) = certificate(folder.path())?;
    let host = Host::start_with(options(&["--tls-cert", &certificate, "--tls-key", &key]), |_| Ok(())).await?;
    assert!(host.url.starts_with("https://"), "{}", host.url);
    let trusted = ["call", "system.status", "--tls-ca", &certificate];
    let (code, stdout, stderr) = host.cli(&trusted).await?;
    assert_eq!(code, 0, "{stdout} {stderr}");
    let (code, _, stderr) = host.cli(&["call", "system.status"]).await?;
    assert_eq!((code, stderr.contains("--tls-ca")), (6, true), "nobody vouches for it: {stderr}");
    let plain = host.url.replace("https", "http");
    let answer = request(&plain, "GET", "/healthz", &[], "").await;
    assert!(answer.is_err(), "plain HTTP is not answered: {answer:?}");
    // By the local socket no certificate is needed.
    let data = host.data();
    let (code, _, stderr) =
        host.cli_with(&[("MIDPLANE_DATA", data.to_str().context("a path")?)], &trusted[..2]).await?;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(host.terminate().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_does_not_fit_is_refused() -> Result<()> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let ((certificate, key), (_, foreign)) = (certificate(folder.path())?, certificate(other.path())?);
    let host = Host::start().await?;
    let serve = async |certificate: &str, key: &str| {
        let data = folder.path().join("data").display().to_string();
        let arguments = ["serve", "/", "--listen", "127.0.0.1:0", "--data", &data, "--tls-cert", certificate];
        host.cli_with(&[], &[&arguments[..], &["--tls-key", key]].concat()).await
    };
    let (code, _, stderr) = serve(&certificate, &foreign).await?;
    assert_eq!((code, stderr.contains("cannot be used together")), (1, true), "{stderr}");
    let (code, _, stderr) = serve(&key, &key).await?;
    assert_eq!((code, stderr.contains("no certificate in PEM")), (1, true), "{stderr}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    let (code, _, stderr) = serve(&certificate, &key).await?;
    assert_eq!((code, stderr.contains("chmod 600")), (1, true), "{stderr}");
    Ok(())
}
