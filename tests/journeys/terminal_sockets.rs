//! One terminal as a plain WebSocket, as the attach addon of xterm.js speaks it.

use anyhow::{Context, Result};
use futures_util::SinkExt;
use midplane_tests::{Host, said};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

type Socket = midplane_tests::Socket;

async fn open(host: &Host, path: &str, protocol: Option<&str>) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("{}{path}", host.url.replacen("http", "ws", 1)).into_client_request()?;
    let bearer = format!("Bearer {}", host.token).parse().expect("a token is a header");
    request.headers_mut().insert("authorization", bearer);
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().expect("a header"));
    }
    Ok(connect_async(request).await?.0)
}

/// Reads bytes until they contain `text`; gives all of them.
async fn until(socket: &mut Socket, text: &str) -> Result<String> {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        match said(socket).await? {
            Message::Binary(bytes) => all.extend_from_slice(&bytes),
            Message::Text(text) => anyhow::bail!("text came: {text}"),
            _ => {}
        }
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

#[tokio::test]
async fn text_and_bytes_are_typed_and_what_is_shown_comes_as_bytes() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?["id"].clone();
    let path = format!("/ws/terminals/{}?cols=90&rows=20", id.as_str().context("id")?);
    let mut socket = open(&host, &path, None).await?;
    // The addon sends keys as text and mouse reports as bytes.
    socket.send(Message::text("echo text-$((40+2))\r")).await?;
    until(&mut socket, "text-42").await?;
    socket.send(Message::binary(b"stty size\r".to_vec())).await?;
    until(&mut socket, "20 90").await?;
    // A paste larger than a terminal's queue arrives whole.
    socket
        .send(Message::text("stty raw -echo; echo rea''dy; head -c 600000 | wc -c; stty sane; echo sa''ne\r"))
        .await?;
    until(&mut socket, "ready").await?;
    socket.send(Message::binary(vec![b'x'; 600_000])).await?;
    // Both may come in one message.
    let counted = until(&mut socket, "sane").await?;
    assert!(counted.contains("600000"), "{counted}");
    socket.send(Message::text("exit 7\r")).await?;
    loop {
        if let Message::Close(Some(frame)) = said(&mut socket).await? {
            assert_eq!(u16::from(frame.code), 1000);
            assert!(frame.reason.contains('7'), "{}", frame.reason);
            return Ok(());
        }
    }
}

#[tokio::test]
async fn with_its_subprotocol_text_is_control_both_ways() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?["id"].clone();
    let path = format!("/ws/terminals/{}", id.as_str().context("id")?);
    let mut socket = open(&host, &path, Some("midplane.terminal.v1")).await?;
    socket.send(Message::text(r#"{"resize": {"cols": 71, "rows": 33}}"#)).await?;
    let mut told = Vec::new();
    while !told.iter().any(|fact: &Value| fact["size"] == json!({ "cols": 71, "rows": 33 })) {
        if let Message::Text(text) = said(&mut socket).await? {
            told.push(serde_json::from_str(&text)?);
        }
    }
    socket.send(Message::binary(b"exit 3\r".to_vec())).await?;
    let mut exit = Value::Null;
    while exit.is_null() {
        if let Message::Text(text) = said(&mut socket).await? {
            exit = serde_json::from_str::<Value>(&text)?["exit"].take();
        }
    }
    assert_eq!(exit["code"], 3);
    Ok(())
}

#[tokio::test]
async fn a_terminal_that_is_not_there_refuses_the_handshake() -> Result<()> {
    let host = Host::start().await?;
    match open(&host, "/ws/terminals/t-nowhere", None).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 404),
        other => anyhow::bail!("{:?}", other.err()),
    }
    Ok(())
}
