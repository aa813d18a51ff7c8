use anyhow::Result;
use midplane_tests::Host;
use serde_json::json;

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
