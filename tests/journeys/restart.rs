use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, Socket, copy_folder, guest, said};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

#[tokio::test]
async fn workspace_state_is_there_after_kill_9() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let created = client.call("workspace.create", json!({ "name": "demo" })).await?;
    client.call("workspace.open_file", json!({ "path": "src/lib.rs" })).await?;
    client.call("workspace.save_layout", json!({ "name": "wide", "layout": { "columns": [1, 2] } })).await?;
    let before = client.call("workspace.get_state", json!({})).await?;
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    let after = client.call("workspace.get_state", json!({ "id": created["id"] })).await?;
    assert_eq!(after, before);
    assert_eq!(after["open_files"][0]["path"], "src/lib.rs");
    assert_eq!(client.call("workspace.load_layout", json!({ "name": "wide" })).await?, json!({ "columns": [1, 2] }));
    Ok(())
}

#[tokio::test]
async fn the_token_stays_and_a_new_start_is_a_new_epoch() -> Result<()> {
    let host = Host::start().await?;
    let token = host.token.clone();
    let mut client = host.connect().await?;
    let before = client.call("event.publish", json!({ "topic": "chat.a", "payload": 1 })).await?;
    let host = host.kill_and_restart().await?;
    assert_eq!(host.token, token);
    let mut client = host.connect().await?;
    let after = client.call("event.publish", json!({ "topic": "chat.a", "payload": 1 })).await?;
    assert_ne!(before["epoch"], after["epoch"]);
    Ok(())
}

#[tokio::test]
async fn sigterm_tells_clients_and_ends_with_success() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("system.status", json!({})).await?;
    let (code, closed) = tokio::join!(host.terminate(), client.closed());
    assert_eq!(code?, Some(0));
    assert_eq!(closed?, 4012);
    Ok(())
}

#[tokio::test]
async fn a_host_that_stops_waits_for_nobody_and_says_when_to_come_back() -> Result<()> {
    let options = Options { log: Some("warn".into()), ..Options::default() };
    let mut host = Host::start_with(options, |plugins| copy_folder(&guest("spin")?, &plugins.join("spin"))).await?;
    let mut client = host.connect().await?;
    let terminal = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    client.subscribe(&["notes.asked"]).await?;
    client.send("spin.forever", json!({})).await?;
    let call = json!({ "topic": "notes.asked", "payload": null }).to_string();
    let length = call.len().to_string();
    let json = ("content-type", "application/json");
    let waiting = [json, ("content-length", length.as_str()), ("midplane-timeout-ms", "600000")];
    let method = "/api/v1/methods/event.request";
    let (mut asking, asked) = host.begin("POST", method, &waiting).await?;
    asking.raw(call.as_bytes()).await?;
    client.event_on("notes.asked").await?;
    let (mut sending, sent) = host.ask("PUT", "/api/v1/files/content?path=half.txt", &[]).await?;
    sending.chunk(b"half of it").await?;
    // Never sends what it has announced; never reads; never even says what it wants.
    let (_half, _unanswered) = host.begin("POST", "/rpc", &[("content-length", "100")]).await?;
    let _deaf = Client::connect(&host.url, &host.token).await?;
    let _mute = TcpStream::connect(host.url.trim_start_matches("http://")).await?;
    let path = format!("/ws/terminals/{}", terminal["id"].as_str().context("id")?);
    let mut request = format!("{}{path}", host.url.replacen("http", "ws", 1)).into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {}", host.token).parse()?);
    let mut plain = connect_async(request).await?.0;

    let (code, asked, sent, goodbye) = tokio::join!(host.stop(), asked.head(), sent.head(), closed(&mut plain));
    assert_eq!(code?, Some(0));
    for answer in [asked, sent] {
        let mut answer = answer?;
        assert_eq!(answer.status, 503);
        let problem: Value = serde_json::from_str(&answer.rest().await?)?;
        assert_eq!((&problem["code"], &problem["retry_after_ms"]), (&json!("unavailable"), &json!(1000)), "{problem}");
    }
    let (code, reason) = goodbye?;
    assert_eq!((code, serde_json::from_str(&reason)?), (4012, json!({ "retry_after_ms": 1000 })));
    let log = host.log()?;
    assert!(!log.contains("the host did not end in time"), "{log}");
    assert!(!host.directory.join("half.txt").exists());
    Ok(())
}

/// Reads a plain socket to its close: code and reason.
async fn closed(socket: &mut Socket) -> Result<(u16, String)> {
    loop {
        if let Message::Close(frame) = said(socket).await? {
            let frame = frame.context("a reason")?;
            return Ok((frame.code.into(), frame.reason.to_string()));
        }
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_host_at_once() -> Result<()> {
    let mut host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("system.status", json!({})).await?;
    // The host would wait for the rest of it, longer than the test takes.
    let (_half, _unanswered) = host.begin("POST", "/rpc", &[("content-length", "100")]).await?;
    host.signal().await?;
    assert_eq!(client.closed().await?, 4012);
    host.signal().await?;
    assert_eq!(host.ended().await?, Some(130));
    Ok(())
}
