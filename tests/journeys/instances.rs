//! One plugin in several instances.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

/// `several`, in three instances.
async fn three() -> Result<(Host, Client)> {
    let prepare = |plugins: &std::path::Path| copy_folder(&guest("several")?, &plugins.join("several"));
    let host = Host::start_with(Options::default(), prepare).await?;
    let client = host.connect().await?;
    Ok((host, client))
}

/// Calls that are inside at the same time, one in each instance. Gives who they are.
async fn meet(client: &mut Client, place: &str) -> Result<BTreeSet<String>> {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.send("several.meet", json!({ "place": place, "calls": 3 })).await?);
    }
    let mut identities = BTreeSet::new();
    for id in ids {
        let answer = client.wait_for(|message| message["id"] == id).await?;
        identities.insert(answer["result"].as_str().with_context(|| answer.to_string())?.to_owned());
    }
    Ok(identities)
}

#[tokio::test]
async fn calls_that_block_run_in_parallel() -> Result<()> {
    let (_host, mut client) = three().await?;
    assert_eq!(meet(&mut client, "first").await?.len(), 3);
    assert_eq!(client.call("plugin.get", json!({ "name": "several" })).await?["instances"], 3);
    Ok(())
}

#[tokio::test]
async fn an_instance_that_spins_stops_no_other() -> Result<()> {
    let (host, mut client) = three().await?;
    let mut other = host.connect().await?;
    let spinning = tokio::spawn(async move { other.fault("several.spin", json!({})).await });
    let mut answered = BTreeSet::new();
    while answered.len() < 2 {
        answered.insert(client.call("several.identity", json!({})).await?.to_string());
    }
    assert!(!spinning.is_finished(), "the spinning call holds its instance until its deadline");
    Ok(())
}

#[tokio::test]
async fn a_trap_in_one_instance_leaves_the_others_serving_and_only_it_is_replaced() -> Result<()> {
    let (_host, mut client) = three().await?;
    let before = meet(&mut client, "before").await?;
    let (code, _) = client.fault("several.fail", json!({})).await?;
    assert_eq!(code, "plugin_failed");
    client.call("several.identity", json!({})).await?;
    let info = loop {
        let info = client.call("plugin.get", json!({ "name": "several" })).await?;
        assert_eq!(info["state"], "running");
        if info["instances"] == 3 {
            break info;
        }
    };
    assert_eq!(info["generation"], 1);
    let after = meet(&mut client, "after").await?;
    assert_eq!((after.len(), after.intersection(&before).count()), (3, 2));
    Ok(())
}

#[tokio::test]
async fn an_event_goes_to_exactly_one_instance() -> Result<()> {
    let (_host, mut client) = three().await?;
    client.subscribe(&["several.heard"]).await?;
    let mut published = Vec::new();
    for number in 0..30 {
        let event = client.call("event.publish", json!({ "topic": "test.said", "payload": number })).await?;
        published.push(event["seq"].as_u64().context("seq")?);
    }
    let mut heard = Vec::new();
    while heard.len() < published.len() {
        let event = client.event_on("several.heard").await?;
        heard.push(event["payload"]["seq"].as_u64().context("seq")?);
    }
    heard.sort_unstable();
    assert_eq!(heard, published);
    Ok(())
}

#[tokio::test]
async fn a_reload_replaces_all_instances_and_can_change_how_many() -> Result<()> {
    let (host, mut client) = three().await?;
    let before = meet(&mut client, "before").await?;
    set_in_manifest(&host.plugins.join("several"), "version", "version = \"1.1.0\"")?;
    client.call("plugin.reload", json!({ "name": "several" })).await?;
    assert_eq!(meet(&mut client, "after").await?.intersection(&before).count(), 0);
    set_in_manifest(&host.plugins.join("several"), "instances", "instances = 5")?;
    client.call("plugin.reload", json!({ "name": "several" })).await?;
    assert_eq!(client.call("plugin.get", json!({ "name": "several" })).await?["instances"], 5);
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_keeps_state_cannot_have_several() -> Result<()> {
    let prepare = |plugins: &std::path::Path| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        set_in_manifest(&plugins.join("counter"), "description", "[limits]\ninstances = 2")
    };
    let host = Host::start_with(Options::default(), prepare).await?;
    let mut client = host.connect().await?;
    let list = client.call("plugin.list", json!({})).await?;
    let line = list.as_array().and_then(|all| all.iter().find(|plugin| plugin["name"] == "counter"));
    let line: &Value = line.with_context(|| list.to_string())?;
    assert_eq!(line["state"], "failed");
    ensure!(line["reason"].as_str().is_some_and(|reason| reason.contains("limits.instances: 2")), "{line}");
    Ok(())
}
