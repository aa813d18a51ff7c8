//! What a token may do, and that all of it ends with the token, on every transport.

use anyhow::{Context, Result};
use midplane_tests::{Answering, Client, Host, ask, request, said};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// A token of its own: id and header.
async fn token(owner: &mut Client, name: &str, scopes: &[&str]) -> Result<(Value, String)> {
    let made = owner.call("auth.create_token", json!({ "name": name, "scopes": scopes })).await?;
    Ok((made["id"].clone(), format!("Bearer {}", made["token"].as_str().context("a token")?)))
}

/// The answer that has just begun, to its end; it may be cut off.
async fn rest(mut answer: Answering) -> String {
    let mut text = String::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

#[tokio::test]
async fn what_runs_on_any_transport_ends_with_its_token() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("big", &"x".repeat(64 << 20))?;
    let mut owner = host.connect().await?;
    let terminal = owner.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    let terminal = format!("/ws/terminals/{}", terminal["id"].as_str().context("an id")?);
    owner.subscribe(&["notes.asked"]).await?;
    let (id, bearer) = token(&mut owner, "guest", &["read", "write", "terminal"]).await?;

    // Calls that wait for a reply which never comes: the owner sees that each has begun.
    let call = json!({ "topic": "notes.asked", "payload": null });
    let rpc = json!({
        "jsonrpc": "2.0", "id": 1, "method": "event.request", "params": call,
        "meta": { "progress_token": "p", "timeout_ms": 600_000 },
    });
    let mut calls = Vec::new();
    for (path, accept, body) in [
        ("/rpc", "application/json", rpc.to_string()),
        ("/rpc", "text/event-stream", rpc.to_string()),
        ("/rpc", "application/json", format!("[{rpc}]")),
        ("/api/v1/methods/event.request", "application/json", call.to_string()),
    ] {
        let length = body.len().to_string();
        let headers = [
            ("authorization", bearer.as_str()),
            ("accept", accept),
            ("midplane-timeout-ms", "600000"),
            ("content-type", "application/json"),
            ("content-length", length.as_str()),
        ];
        let (mut asking, unanswered) = ask(&host.url, "POST", path, &headers).await?;
        asking.raw(body.as_bytes()).await?;
        owner.event_on("notes.asked").await?;
        calls.push((path, accept, asking, unanswered));
    }
    let with = |more: (&'static str, &'static str)| [("authorization", bearer.clone()), (more.0, more.1.to_owned())];
    let start = async |method: &str, path: &str, more| {
        let headers = with(more);
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        ask(&host.url, method, path, &headers).await
    };
    let upload = "/api/v1/files/content?path=up.txt";
    let (mut sending, uploaded) = start("PUT", upload, ("transfer-encoding", "chunked")).await?;
    sending.chunk(b"half of it").await?;
    let mut download = start("GET", "/api/v1/files/content?path=big", ("accept", "*/*")).await?.1.head().await?;
    let events = start("GET", "/events?patterns=notes.*", ("accept", "*/*")).await?.1.head().await?;
    assert_eq!((download.status, events.status), (200, 200));
    let mut sockets = Vec::new();
    for path in ["/ws", &terminal] {
        let mut request = format!("{}{path}", host.url.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("authorization", bearer.parse()?);
        sockets.push(connect_async(request).await?.0);
    }

    owner.call("auth.revoke_token", json!({ "id": id })).await?;
    for (path, accept, _asking, unanswered) in calls {
        let answer = unanswered.head().await?;
        if accept == "text/event-stream" {
            let told = rest(answer).await;
            assert!(told.contains(r#""code":"unauthenticated""#), "{told}");
        } else {
            assert_eq!(answer.status, 401, "{path}");
        }
    }
    assert_eq!(uploaded.head().await?.status, 401);
    let mut got = 0;
    while download.exactly(65536).await.is_ok() {
        got += 65536;
    }
    assert!(got < 64 << 20, "what the token began to load came to its end");
    rest(events).await;
    for socket in &mut sockets {
        let code = loop {
            if let Message::Close(frame) = said(socket).await? {
                break frame.map(|frame| u16::from(frame.code));
            }
        };
        assert_eq!(code, Some(4001));
    }
    assert!(!host.directory.join("up.txt").exists());
    assert_eq!(owner.call("auth.whoami", json!({})).await?["principal"], "owner");
    Ok(())
}

#[tokio::test]
async fn who_revokes_its_own_token_hears_of_it() -> Result<()> {
    let host = Host::start().await?;
    let (id, bearer) = token(&mut host.connect().await?, "guest", &["method:auth.*"]).await?;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "auth.revoke_token", "params": { "id": id } }).to_string();
    let revoke = async || request(&host.url, "POST", "/rpc", &[("authorization", &bearer)], &body).await;
    let answer = revoke().await?;
    assert_eq!((answer.status, answer.body.contains("result")), (200, true), "{}", answer.body);
    assert_eq!(revoke().await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn what_a_token_may_not_call_it_gets_on_no_transport() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a.txt", "text")?;
    let mut owner = host.connect().await?;
    let terminal = owner.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    let terminal = format!("/ws/terminals/{}", terminal["id"].as_str().context("an id")?);
    let (_, bearer) = token(&mut owner, "narrow", &["method:files.read"]).await?;
    let secret = bearer.trim_start_matches("Bearer ");
    let send = async |method: &str, path: &str, body: &str| {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request(&host.url, method, path, &headers, body).await
    };

    let mut socket = Client::connect(&host.url, secret).await?;
    assert_eq!(socket.call("files.read", json!({ "path": "a.txt" })).await?["content"], "text");
    assert_eq!(socket.fault("event.subscribe", json!({ "patterns": ["**"] })).await?.0, "forbidden");
    let item = |id, method, params| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let batch = json!([
        item(1, "files.read", json!({ "path": "a.txt" })),
        item(2, "files.write", json!({ "path": "b.txt", "content": "" })),
        item(3, "auth.create_token", json!({ "name": "wide", "scopes": ["admin"] })),
    ])
    .to_string();
    socket.send_text(&batch).await?;
    let over_socket = socket.wait_for(Value::is_array).await?;
    let over_http: Value = serde_json::from_str(&send("POST", "/rpc", &batch).await?.body)?;
    for answers in [over_socket, over_http] {
        let codes: Vec<_> = (0..3).map(|index| answers[index]["error"]["data"]["code"].clone()).collect();
        assert_eq!(codes, [Value::Null, json!("forbidden"), json!("forbidden")], "{answers}");
    }
    for (method, path, body) in [
        ("GET", "/events?patterns=**", ""),
        ("GET", "/api/v1/files/content?path=a.txt", ""),
        ("PUT", "/api/v1/files/content?path=b.txt", "x"),
        ("POST", "/api/v1/methods/files.write", r#"{"path":"b.txt","content":""}"#),
        ("POST", "/api/v1/methods/event.history", r#"{"patterns":["**"]}"#),
    ] {
        let refused = send(method, path, body).await?;
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.body);
    }
    let mut attach = format!("{}{terminal}", host.url.replacen("http", "ws", 1)).into_client_request()?;
    attach.headers_mut().insert("authorization", bearer.parse()?);
    let refused = connect_async(attach).await.map(drop).expect_err("a token without `terminal`");
    assert!(refused.to_string().contains("403"), "{refused}");
    // A token may begin with a hyphen.
    for (token, exit) in [(secret, 3), ("-no-token", 3)] {
        let (code, _, stderr) = host.cli(&["files", "rm", "a.txt", "--token", token]).await?;
        assert_eq!(code, exit, "{stderr}");
    }
    assert!(host.directory.join("a.txt").exists() && !host.directory.join("b.txt").exists());
    Ok(())
}
