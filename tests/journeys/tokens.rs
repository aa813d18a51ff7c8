use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use midplane_tests::{Agent, Client, Host, Options, request};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::client::IntoClientRequest};

/// Everything that is said, but by compilers: megabytes for every plugin, and no secret passes them.
const ALL: &str = "trace,wasmtime=off,wasmtime_internal_cranelift=off,wasmtime_internal_winch=off,winch_codegen=off,\
    cranelift_codegen=off,cranelift_frontend=off,regalloc2=off,wit_parser=off";

#[tokio::test]
async fn an_issued_token_outlives_the_host_and_ends_when_it_is_revoked() -> Result<()> {
    let host = Host::start().await?;
    let (code, made, error) =
        host.cli(&["token", "create", "ci", "--scope", "read", "--scope", "method:event.*", "--json"]).await?;
    assert_eq!(code, 0, "{error}");
    let made: Value = serde_json::from_str(&made)?;
    let (id, token) = (made["id"].as_str().context("id")?, made["token"].as_str().context("token")?);

    let host = host.kill_and_restart().await?;
    let mut client = Client::connect(&host.url, token).await?;
    assert_eq!(client.call("auth.whoami", json!({})).await?["principal"], "ci");
    client.call("event.publish", json!({ "topic": "notes.x", "payload": 1 })).await?;
    let (code, error) = client.fault("files.write", json!({ "path": "x", "content": "" })).await?;
    assert_eq!((&*code, &error["data"]["details"]["scope"]), ("forbidden", &json!("write")));

    let (code, list, _) = host.cli(&["token", "list", "--json"]).await?;
    assert_eq!((code, list.contains("\"ci\""), list.contains(token)), (0, true, false), "{list}");
    let (code, ..) = host.cli(&["token", "revoke", id]).await?;
    assert_eq!((code, client.closed().await?), (0, 4001));
    assert_eq!(host.cli(&["token", "revoke", id]).await?.0, 4, "there is none any more");
    let host = host.kill_and_restart().await?;
    assert!(Client::connect(&host.url, token).await.is_err());
    Ok(())
}

#[tokio::test]
async fn no_secret_is_written_anywhere_but_the_owners_file() -> Result<()> {
    let mut host = Host::start().await?;
    let (_, made, _) = host.cli(&["token", "create", "ci", "--scope", "admin", "--json"]).await?;
    let token = serde_json::from_str::<Value>(&made)?["token"].as_str().context("token")?.to_owned();
    let owner = host.token.clone();
    let data = host.plugins.with_file_name("data");
    assert_eq!(host.stop().await?, Some(0));
    let mut read = Vec::new();
    for name in ["tokens.json", "audit.log", "host.json", "token"] {
        if let Ok(text) = std::fs::read_to_string(data.join(name)) {
            assert!(!text.contains(&token), "{name}");
            assert_eq!(text.contains(&owner), name == "token", "{name}");
            read.push(name);
        }
    }
    assert_eq!(read, ["tokens.json", "audit.log", "token"]);
    let audit = std::fs::read_to_string(data.join("audit.log"))?;
    assert!(audit.contains(r#""kind":"token_created""#), "{audit}");
    Ok(())
}

#[tokio::test]
async fn no_secret_is_in_a_log_at_any_level() -> Result<()> {
    let mut host = Host::start_with(Options { log: Some(ALL.into()), ..Options::default() }, |_| Ok(())).await?;
    let bearer = format!("Bearer {}", host.token);
    let owner = [("authorization", bearer.as_str())];
    let exchanged = request(&host.url, "POST", "/auth/exchange", &owner, "").await?;
    let cookie =
        exchanged.header("set-cookie").and_then(|value| value.split(';').next()).context("a cookie")?.to_owned();
    let ticket: Value = serde_json::from_str(&request(&host.url, "POST", "/auth/ticket", &owner, "").await?.body)?;
    let ticket = ticket["ticket"].as_str().context("a ticket")?.to_owned();
    let ws = host.url.replacen("http", "ws", 1);
    drop(connect_async(format!("{ws}/ws?ticket={ticket}")).await?);
    let encoded = URL_SAFE_NO_PAD.encode(&host.token);
    for (header, value) in
        [("sec-websocket-protocol", format!("midplane.v1, midplane.bearer.{encoded}")), ("cookie", cookie.clone())]
    {
        let mut request = format!("{ws}/ws").into_client_request()?;
        request.headers_mut().insert(header, value.parse()?);
        drop(connect_async(request).await?);
    }
    let mut client = host.connect().await?;
    let issued = client.call("auth.create_token", json!({ "name": "ci", "scopes": ["admin"] })).await?;
    let resume = client.call("session.open", json!({})).await?;
    Agent::open(&host).await?.tools().await?;
    let asked = ["call", "auth.list_tokens", "--url", &host.url, "--token", &host.token];
    let (code, _, of_the_command) = host.cli_with(&[("MIDPLANE_LOG", "trace")], &asked).await?;
    assert_eq!(code, 0, "{of_the_command}");
    assert_eq!(host.stop().await?, Some(0));

    let of_the_host = host.log()?;
    assert!(of_the_host.contains("TRACE") && of_the_host.contains("socket opened"), "everything is said");
    let cookie = cookie.split_once('=').context("a cookie")?.1;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (what, secret) in [
        ("the owner's token", host.token.clone()),
        ("the owner's token as a subprotocol", encoded),
        ("an issued token", text(&issued["token"])),
        ("a resume token", text(&resume["resume_token"])),
        ("a ticket", ticket),
        ("a cookie", cookie.to_owned()),
    ] {
        assert!(secret.len() > 40, "{what}: {secret}");
        assert!(!of_the_host.contains(&secret) && !of_the_command.contains(&secret), "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_holds_no_token_makes_nobody_the_owner() -> Result<()> {
    for content in ["", "  \n", "short", "a token with spaces in it, however long it may be"] {
        let host = Host::start().await?;
        std::fs::write(host.data().join("token"), content)?;
        let (code, said) = host.kill_and_fail_to_restart().await?;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("holds no token; delete it"), "{said}");
    }
    Ok(())
}
