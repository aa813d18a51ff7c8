//! Grants that grow wait for an operator; whatever ran before goes on.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

/// A host with the counter, which asks for `grants`.
async fn host_with_counter(grants: &str) -> Result<(Host, Client)> {
    let grants = format!("[grants]\n{grants}");
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        set_in_manifest(&plugins.join("counter"), "description", &grants)
    })
    .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    Ok((host, client))
}

/// Changes what the counter asks for.
fn ask_for(host: &Host, grants: &str) -> Result<()> {
    set_in_manifest(&host.plugins.join("counter"), "methods", grants)
}

/// Everything that the counter asks for after it grew.
fn needed_in_all() -> Value {
    json!({ "methods": ["files.read", "files.write"], "terminals": true })
}

fn is_running(event: &Value) -> bool {
    event["topic"] == "plugin.state_changed" && event["payload"]["to"] == "running"
}

#[tokio::test]
async fn grants_that_grow_are_named_and_wait_for_approval_while_the_old_generation_serves() -> Result<()> {
    let (host, mut client) = host_with_counter("methods = [\"files.read\"]").await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    ask_for(&host, "methods = [\"files.read\", \"files.write\"]\nterminals = true")?;
    let needed = client.event_on("plugin.approval_needed").await?["payload"].take();
    assert_eq!(needed["name"], "counter");
    assert_eq!(needed["added"], json!({ "methods": ["files.write"], "terminals": true }));
    assert_eq!(client.call("counter.increment", json!({})).await?, 2);
    let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
    assert_eq!((&info["approved"], &info["newer"]["added"]), (&json!({ "methods": ["files.read"] }), &needed["added"]));
    assert_eq!((&info["newer"]["version"], &info["newer"]["sha256"]), (&needed["version"], &needed["sha256"]));
    assert!(
        info["newer"]["reason"].as_str().is_some_and(|reason| reason.contains("methods: files.write, terminals")),
        "{info}"
    );

    let (code, error) = client.fault("plugin.approve", json!({ "name": "counter", "sha256": "0" })).await?;
    assert_eq!(code, "conflict", "{error}");
    let summary = client.call("plugin.approve", json!({ "name": "counter", "sha256": needed["sha256"] })).await?;
    assert_eq!((summary["state"].as_str(), summary["generation"].as_u64()), (Some("running"), Some(2)));
    assert_eq!(client.call("counter.increment", json!({})).await?, 3, "the state went over");
    let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
    assert_eq!(info["grants"]["methods"], json!(["files.read", "files.write"]));
    assert_eq!((&info["approved"], &info["newer"]), (&needed_in_all(), &Value::Null));

    // Approved is approved, also after a restart.
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    Ok(())
}

#[tokio::test]
async fn grants_that_shrink_need_nothing_and_have_to_be_approved_when_they_come_back() -> Result<()> {
    let (host, mut client) = host_with_counter("methods = [\"files.**\"]").await?;
    ask_for(&host, "methods = [\"files.read\"]")?;
    client.event(is_running).await?;
    ask_for(&host, "methods = [\"files.**\"]")?;
    let needed = client.event_on("plugin.approval_needed").await?;
    assert_eq!(needed["payload"]["added"], json!({ "methods": ["files.**"] }));
    Ok(())
}

#[tokio::test]
async fn a_package_that_grew_while_the_host_was_away_is_not_loaded_until_it_is_approved() -> Result<()> {
    let (host, _) = host_with_counter("methods = []").await?;
    ask_for(&host, "terminals = true")?;
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    let (code, _) = client.fault("counter.increment", json!({})).await?;
    assert!(["method_not_found", "plugin_unavailable"].contains(&&*code), "{code}");
    let summary = client.call("plugin.approve", json!({ "name": "counter" })).await?;
    assert_eq!(summary["state"].as_str().context("state")?, "running");
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    Ok(())
}
