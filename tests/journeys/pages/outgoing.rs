//! What plugins ask of other servers.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest, read_head, set_in_manifest};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A server of the test's own: it answers `/` with what it was sent and the `Host` that was asked for, `/moved` with a redirect,
/// and `/silent` never. Its port.
async fn serve() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream));
        }
    });
    Ok(port)
}

async fn answer(stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream).await?;
    let head: Vec<String> = head.iter().map(|line| line.to_ascii_lowercase()).collect();
    let asked = head.first().context("a request")?.clone();
    if asked.contains("/silent") {
        std::future::pending::<()>().await;
    }
    let mut body = String::new();
    while !body.ends_with("0\r\n\r\n") {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await?;
        body.push_str(&String::from_utf8_lossy(&piece[..count]));
        if count == 0 {
            break;
        }
    }
    let host = head.iter().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let sent = body.lines().nth(1).unwrap_or_default();
    let text = format!("{sent} for {host}");
    let status = if asked.contains("/moved") { "302 Found\r\nlocation: http://127.0.0.1:1/" } else { "200 OK" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    Ok(stream.get_mut().write_all(answer.as_bytes()).await?)
}

async fn with_grants(grants: &[String]) -> Result<(Host, Client)> {
    let host = Host::start_with(Options::default(), |plugins| {
        let folder = plugins.join("fetcher");
        copy_folder(&guest("fetcher")?, &folder)?;
        set_in_manifest(&folder, "http", &format!("http = {}", json!(grants)))
    })
    .await?;
    let client = host.connect().await?;
    Ok((host, client))
}

async fn fetch(client: &mut Client, scheme: &str, authority: &str, path: &str) -> Result<Value> {
    let params = json!({ "scheme": scheme, "authority": authority, "path": path, "text": "hello" });
    let response = client.response("fetcher.fetch", params).await?;
    // An error of the guest's own is in the details, as it is.
    Ok(response.get("result").cloned().unwrap_or_else(|| response["error"]["data"]["details"].clone()))
}

#[tokio::test]
async fn a_granted_server_is_asked_and_every_other_is_refused_by_name() -> Result<()> {
    let (port, other) = (serve().await?, serve().await?);
    let granted = format!("127.0.0.1:{port}");
    let (_host, mut client) = with_grants(std::slice::from_ref(&granted)).await?;
    assert_eq!(fetch(&mut client, "http", &granted, "/").await?, format!("200 hello for {granted}"));
    // Where it points is the guest's affair, and another request.
    assert_eq!(fetch(&mut client, "http", &granted, "/moved").await?, format!("302 hello for {granted}"));
    for denied in [
        format!("127.0.0.1:{other}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("127.1:{port}"),
        format!("{granted}@127.0.0.1:{other}"),
        format!("user@{granted}"),
        "example.com".to_owned(),
    ] {
        let error = fetch(&mut client, "http", &denied, "/").await?;
        assert!(error.to_string().contains("HttpRequestDenied"), "{denied}: {error}");
    }
    let logs = client.call("plugin.logs", json!({ "name": "fetcher" })).await?.to_string();
    assert!(logs.contains("forbidden") && logs.contains("[grants] http"), "{logs}");
    let info = client.call("plugin.get", json!({ "name": "fetcher" })).await?;
    assert_eq!(info["grants"]["http"], json!([granted]));
    Ok(())
}

#[tokio::test]
async fn without_a_grant_there_is_no_server_at_all() -> Result<()> {
    let port = serve().await?;
    let (_host, mut client) = with_grants(&[]).await?;
    let error = fetch(&mut client, "http", &format!("127.0.0.1:{port}"), "/").await?;
    assert!(error.to_string().contains("HttpRequestDenied"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_name_of_this_machine_is_granted_as_such_and_leads_nowhere_else() -> Result<()> {
    let port = serve().await?;
    let granted = format!("localhost:{port}");
    let (_host, mut client) = with_grants(std::slice::from_ref(&granted)).await?;
    assert_eq!(
        fetch(&mut client, "http", &format!("LocalHost:{port}"), "/").await?,
        format!("200 hello for {granted}")
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_not_talked_to() -> Result<()> {
    let port = serve().await?;
    let granted = format!("127.0.0.1:{port}");
    let (_host, mut client) = with_grants(std::slice::from_ref(&granted)).await?;
    let error = fetch(&mut client, "https", &granted, "/").await?;
    assert!(error.to_string().contains("Tls"), "{error}");
    Ok(())
}

#[tokio::test]
async fn connections_are_counted_and_free_again_when_their_guest_lets_go() -> Result<()> {
    let port = serve().await?;
    let granted = format!("127.0.0.1:{port}");
    let (_host, mut client) = with_grants(std::slice::from_ref(&granted)).await?;
    for _ in 0..2 {
        let params = json!({ "authority": granted, "path": "/silent", "requests": 33 });
        let (_, error) = client.fault("fetcher.exhaust", params).await?;
        assert!(error.to_string().contains("ConnectionLimitReached"), "{error}");
    }
    assert_eq!(fetch(&mut client, "http", &granted, "/").await?, format!("200 hello for {granted}"));
    Ok(())
}
