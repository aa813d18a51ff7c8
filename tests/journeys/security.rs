use anyhow::{Context as _, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest, request, set_in_manifest};
use serde_json::{Value, json};

#[tokio::test]
async fn without_a_token_there_is_only_health() -> Result<()> {
    let host = Host::start().await?;
    assert_eq!(request(&host.url, "GET", "/healthz", &[], "").await?.body, r#"{"status":"ok"}"#);
    for (method, path) in
        [("POST", "/rpc"), ("GET", "/ws"), ("GET", "/openrpc.json"), ("GET", "/metrics"), ("GET", "/nothing")]
    {
        assert_eq!(request(&host.url, method, path, &[], "").await?.status, 401, "{path}");
    }
    assert!(Client::connect(&host.url, "wrong").await.is_err());
    Ok(())
}

/// Generated from what the router serves, so that no route of a plugin can be forgotten.
#[tokio::test]
async fn no_route_of_a_method_answers_without_a_token() -> Result<()> {
    let host = Host::start().await?;
    let document = host.get_json("/openapi.json").await?;
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (verb, operation) in item.as_object().context("item")? {
            let path = path.replace(['{', '}'], "");
            for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
                let refused = request(&host.url, &verb.to_ascii_uppercase(), &path, headers, "").await?;
                assert_eq!(refused.status, 401, "{verb} {path}: {}", refused.body);
            }
            assert!(operation["operationId"].is_string());
            asked += 1;
        }
    }
    assert!(asked > 90, "{asked} operations");
    Ok(())
}

#[tokio::test]
async fn foreign_pages_and_foreign_names_are_refused() -> Result<()> {
    let host = Host::start().await?;
    let bearer = format!("Bearer {}", host.token);
    let authority = host.url.trim_start_matches("http://").to_owned();
    for (header, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://127.0.0.1:1", 403),
        ("host", "evil.example", 421),
        ("origin", host.url.as_str(), 200),
    ] {
        let headers = [("authorization", bearer.as_str()), (header, value)];
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "system.methods" }).to_string();
        let response = request(&host.url, "POST", "/rpc", &headers, &body).await?;
        assert_eq!(response.status, status, "{header}: {value} at {authority}: {}", response.body);
    }
    let upgrade = [
        ("authorization", bearer.as_str()),
        ("origin", "https://evil.example"),
        ("upgrade", "websocket"),
        ("connection", "upgrade, close"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(request(&host.url, "GET", "/ws", &upgrade, "").await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn what_a_plugin_was_not_granted_is_denied_by_the_name_of_the_grant() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("asker")?, &plugins.join("asker"))).await?;
    let mut client = host.connect().await?;
    for (function, params, grant) in [
        ("read_file", json!(["secret"]), "files"),
        ("open_terminal", json!({}), "terminals"),
        ("call", json!(["files.read", { "path": "secret" }]), "methods"),
        ("publish", json!(["files.changed"]), "publish"),
        ("subscribe", json!(["files.changed"]), "subscribe"),
    ] {
        let (code, error) = client.fault(&format!("asker.{function}"), params).await?;
        assert_eq!(
            (code.as_str(), error["data"]["details"]["grant"].as_str()),
            ("forbidden", Some(grant)),
            "{function}: {error}"
        );
    }
    assert_eq!(client.call("asker.environment", json!({})).await?, json!([[], 0]));
    Ok(())
}

#[tokio::test]
async fn what_a_plugin_administers_in_somebodys_name_is_in_the_audit_log() -> Result<()> {
    let mut host = Host::start_with(Options::default(), |plugins| {
        let folder = plugins.join("asker");
        copy_folder(&guest("asker")?, &folder)?;
        let grants = "description = \"\"\n[grants]\nmethods = [\"plugin.*\"]";
        set_in_manifest(&folder, "description", grants)
    })
    .await?;
    let mut client = host.connect().await?;
    client.call("asker.call", json!(["plugin.disable", { "name": "terminals" }])).await?;
    assert_eq!(client.fault("asker.call", json!(["plugin.enable", { "name": "none" }])).await?.0, "not_found");
    host.stop().await?;
    let log = std::fs::read_to_string(host.data().join("audit.log"))?;
    let entries: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let administered = entries.iter().filter(|entry| entry["kind"] == "administered");
    let told: Vec<_> = administered
        .map(|entry| json!([entry["principal"], entry["plugin"], entry["what"], entry["outcome"]]))
        .collect();
    assert_eq!(
        told,
        [json!(["owner", "asker", "plugin.disable", "ok"]), json!(["owner", "asker", "plugin.enable", "not_found"]),]
    );
    Ok(())
}

#[tokio::test]
async fn whoever_hammers_the_door_is_counted_to_the_last_and_fills_no_disk() -> Result<()> {
    let mut host = Host::start().await?;
    for _ in 0..100 {
        assert_eq!(request(&host.url, "GET", "/metrics", &[], "").await?.status, 401);
    }
    host.stop().await?;
    let log = std::fs::read_to_string(host.data().join("audit.log"))?;
    let entries: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let refused = entries.iter().filter(|entry| entry["kind"] == "refused");
    assert_eq!(refused.map(|entry| entry["count"].as_u64().unwrap_or(1)).sum::<u64>(), 100, "{log}");
    Ok(())
}
