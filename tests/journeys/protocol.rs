use anyhow::Result;
use midplane_tests::Host;
use serde_json::{Value, json};

#[tokio::test]
async fn the_same_call_gives_the_same_result_over_websocket_http_and_command_line() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("workspace.create", json!({ "name": "demo" })).await?;
    client.call("files.write", json!({ "path": "a.txt", "content": "hello" })).await?;
    for (method, params) in [
        ("workspace.list", json!({})),
        ("files.read", json!({ "path": "a.txt" })),
        ("files.read", json!(["a.txt"])),
        ("system.methods", json!({})),
    ] {
        let over_socket = client.call(method, params.clone()).await?;
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let over_http: Value = serde_json::from_str(&host.rpc(&body).await?.body)?;
        let (code, stdout, stderr) = host.cli(&["call", method, &params.to_string(), "--json"]).await?;
        assert_eq!((code, stderr.as_str()), (0, ""), "{method}");
        assert_eq!(over_http["result"], over_socket, "{method}");
        assert_eq!(serde_json::from_str::<Value>(&stdout)?, over_socket, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_types_are_named_by_their_path() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    for (method, params, path) in [
        ("files.read", json!({ "path": 7 }), "params.path"),
        ("files.read", json!({ "path": "a", "range": { "start": "x" } }), "params.range.start"),
        ("files.read", json!({ "path": "a", "colour": 1 }), "params.colour"),
        ("files.read", json!([7]), "params[0]"),
        ("files.read", json!({}), "params.path"),
        ("files.write", json!({ "path": "a", "content": "", "create": "sometimes" }), "params.create"),
        ("event.subscribe", json!({ "patterns": "x" }), "params.patterns"),
    ] {
        let (code, error) = client.fault(method, params).await?;
        assert_eq!(code, "invalid_params", "{error}");
        assert_eq!(error["data"]["details"]["path"], path, "{error}");
    }
    let (code, error) = client.fault("files.raed", json!({})).await?;
    assert_eq!(code, "method_not_found");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("files.read")), "{error}");
    Ok(())
}
