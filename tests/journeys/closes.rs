//! Why a socket was closed is said by its close code (contract, section 6), on every socket where it can happen. 4003 never does: a
//! foreign origin is refused at the handshake. 4029 needs hundreds of thousands of calls: the gateway's own tests have it, with a
//! small limit.

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use midplane_tests::{Client, Host, PATIENCE, Socket, said};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

/// Both kinds of sockets, with the bytes that a message may have.
async fn sockets(host: &Host, token: &str) -> Result<[(Socket, usize); 2]> {
    let mut client = host.connect().await?;
    let made = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    let terminal = format!("/ws/terminals/{}", made["id"].as_str().context("id")?);
    Ok([(open(host, token, "/ws", &[]).await?, 1 << 20), (open(host, token, &terminal, &[]).await?, 8 << 20)])
}

async fn open(host: &Host, token: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("{}{path}", host.url.replacen("http", "ws", 1)).into_client_request()?;
    let bearer = format!("Bearer {token}");
    for (name, value) in [("authorization", bearer.as_str())].iter().chain(headers) {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    Ok(connect_async(request).await?.0)
}

/// Reads until the host closes: the code, and the reason.
async fn closed(socket: &mut Socket) -> Result<(u16, String)> {
    loop {
        if let Message::Close(Some(frame)) = said(socket).await? {
            return Ok((frame.code.into(), frame.reason.to_string()));
        }
    }
}

#[tokio::test]
async fn a_message_too_large_is_4013_on_each_socket_and_ends_no_other() -> Result<()> {
    let host = Host::start().await?;
    let mut other = host.connect().await?;
    for (socket, most) in sockets(&host, &host.token).await? {
        let (mut out, mut incoming) = socket.split();
        // As a browser does it: what comes is read while the message is on its way. The host takes only the beginning of it.
        let sending = tokio::spawn(async move { out.send(Message::binary(vec![b'x'; most + 1])).await });
        let code = loop {
            let message = tokio::time::timeout(PATIENCE, incoming.next()).await?;
            if let Message::Close(Some(frame)) = message.context("the socket ended without a close frame")?? {
                break u16::from(frame.code);
            }
        };
        assert_eq!(code, 4013, "more than {most} bytes");
        // It may or may not have come to its end.
        _ = sending.await?;
    }
    other.call("system.status", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn a_message_just_not_too_large_ends_no_socket() -> Result<()> {
    let host = Host::start().await?;
    let [(mut rpc, most), (mut terminal, paste)] = sockets(&host, &host.token).await?;
    rpc.send(Message::text(" ".repeat(most))).await?;
    assert!(said(&mut rpc).await?.to_text()?.contains("-32700"));
    terminal
        .send(Message::text("stty raw -echo; echo rea''dy; head -c 8388608 | wc -c; stty sane; echo do''ne\r"))
        .await?;
    shown(&mut terminal, "ready").await?;
    terminal.send(Message::binary(vec![b'x'; paste])).await?;
    assert!(shown(&mut terminal, "done").await?.contains("8388608"));
    Ok(())
}

async fn shown(socket: &mut Socket, text: &str) -> Result<String> {
    let mut all = String::new();
    while !all.contains(text) {
        if let Message::Binary(bytes) = said(socket).await? {
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    Ok(all)
}

#[tokio::test]
async fn a_token_that_is_revoked_is_4001_on_each_socket() -> Result<()> {
    let host = Host::start().await?;
    let mut owner = host.connect().await?;
    let scopes = ["read", "terminal"];
    let made = owner.call("auth.create_token", json!({ "name": "ci", "scopes": scopes })).await?;
    let [(mut rpc, _), (mut terminal, _)] = sockets(&host, made["token"].as_str().context("token")?).await?;
    owner.call("auth.revoke_token", json!({ "id": made["id"] })).await?;
    assert_eq!(closed(&mut rpc).await?.0, 4001);
    assert_eq!(closed(&mut terminal).await?.0, 4001);
    Ok(())
}

#[tokio::test]
async fn a_host_that_stops_is_4012_on_each_socket_with_when_to_come_back() -> Result<()> {
    let host = Host::start().await?;
    let [(mut rpc, _), (mut terminal, _)] = sockets(&host, &host.token).await?;
    let (ended, rpc, terminal) = tokio::join!(host.terminate(), closed(&mut rpc), closed(&mut terminal));
    assert_eq!(ended?, Some(0));
    for (code, reason) in [rpc?, terminal?] {
        let reason: Value = serde_json::from_str(&reason)?;
        assert_eq!((code, reason["retry_after_ms"].is_u64()), (4012, true), "{reason}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_goes_on_elsewhere_is_4009() -> Result<()> {
    let host = Host::start().await?;
    let (mut first, mut second) = (host.connect().await?, host.connect().await?);
    let who = json!({ "name": "test", "version": "1" });
    let opened = first.call("session.open", json!({ "protocols": ["midplane.v1"], "client": who })).await?;
    let resume = json!({ "session_id": opened["session_id"], "token": opened["resume_token"] });
    let params = json!({ "protocols": ["midplane.v1"], "client": who, "resume": resume });
    assert_eq!(second.call("session.open", params).await?["resumed"], true);
    assert_eq!(first.closed().await?, 4009);
    Ok(())
}

#[tokio::test]
async fn a_subscriber_that_asked_to_be_closed_when_it_is_slow_is_4008() -> Result<()> {
    let host = Host::start().await?;
    let (mut slow, mut quick) = (host.connect().await?, host.connect().await?);
    slow.call("event.subscribe", json!({ "patterns": ["chat.*"], "on_overflow": "close" })).await?;
    let payload = "x".repeat(900 << 10);
    // More than its lane and the connection hold together, and then more events than may wait for it.
    for _ in 0..40 {
        quick.call("event.publish", json!({ "topic": "chat.a", "payload": payload })).await?;
    }
    for number in 0..1100 {
        quick.call("event.publish", json!({ "topic": "chat.a", "payload": number })).await?;
    }
    assert_eq!(slow.closed().await?, 4008);
    Ok(())
}

#[tokio::test]
async fn who_takes_nothing_is_ended_as_slow_on_each_socket() -> Result<()> {
    let host = Host::start().await?;
    let [(mut rpc, _), (mut terminal, _)] = sockets(&host, &host.token).await?;
    let subscribe =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "event.subscribe", "params": { "patterns": ["chat.*"] } });
    rpc.send(Message::text(subscribe.to_string())).await?;
    assert!(said(&mut rpc).await?.to_text()?.contains("\"subscription\""));
    terminal.send(Message::text("yes | head -c 200000000\r")).await?;
    let mut quick = host.connect().await?;
    let payload = "x".repeat(900 << 10);
    for _ in 0..40 {
        quick.call("event.publish", json!({ "topic": "chat.a", "payload": payload })).await?;
    }
    // Neither is read from here on, which is noticed after 15 seconds.
    until_counted(&host, "slow_consumer", 2).await
}

/// Waits until so many sockets were closed for this reason.
async fn until_counted(host: &Host, reason: &str, count: u64) -> Result<()> {
    let line = format!("midplane_sockets_closed_total{{reason=\"{reason}\"}} {count}\n");
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(100));
    let counted = async {
        while !host.get_text("/metrics").await?.contains(&line) {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, counted).await.context(line.clone())?
}

#[tokio::test]
async fn a_foreign_origin_gets_no_socket_of_any_kind() -> Result<()> {
    let host = Host::start().await?;
    for path in ["/ws", "/ws/terminals/t-1"] {
        for origin in ["https://evil.example", "null"] {
            match open(&host, &host.token, path, &[("origin", origin)]).await {
                Err(Error::Http(response)) => assert_eq!(response.status(), 403, "{path} {origin}"),
                other => anyhow::bail!("{path} {origin}: {:?}", other.err()),
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_client_is_counted_by_why_it_left() -> Result<()> {
    let host = Host::start().await?;
    drop(Client::connect(&host.url, &host.token).await?);
    until_counted(&host, "client_gone", 1).await
}
