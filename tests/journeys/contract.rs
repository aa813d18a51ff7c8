//! What the contract tells a plugin: who caused an event, why it starts, what its log keeps. And that a plugin which was built
//! against an older contract sees what it was promised.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

async fn with_guest(name: &str) -> Result<(Host, Client)> {
    let host = Host::start_with(Options::default(), |plugins| copy_folder(&guest(name)?, &plugins.join(name))).await?;
    let client = host.connect().await?;
    Ok((host, client))
}

/// The fields of the first log line whose message begins like this.
async fn logged(client: &mut Client, plugin: &str, beginning: &str) -> Result<Value> {
    let logs = client.call("plugin.logs", json!({ "name": plugin })).await?;
    let lines = logs.as_array().context("plugin.logs is a list")?;
    let line = lines.iter().rfind(|line| line["message"].as_str().is_some_and(|text| text.starts_with(beginning)));
    Ok(line.with_context(|| format!("{beginning:?} in {logs}"))?["fields"].clone())
}

#[tokio::test]
async fn a_plugin_recognises_the_echo_of_what_it_published() -> Result<()> {
    let (_host, mut client) = with_guest("listener").await?;
    client.subscribe(&["listener.heard"]).await?;
    client.call("listener.subscribe", json!({ "patterns": ["listener.said"] })).await?;
    client.call("listener.publish", json!({ "topic": "listener.said", "payload": 1 })).await?;
    client.event_on("listener.heard").await?;
    let heard = client.call("listener.heard_so_far", json!({})).await?;
    assert_eq!((&heard[0]["plugin"], &heard[0]["echo"]), (&json!("listener"), &json!(true)), "{heard}");
    assert_eq!(heard[0]["principal"], "owner", "the client that asked for it");
    Ok(())
}

#[tokio::test]
async fn an_event_of_a_client_names_the_client_and_no_plugin() -> Result<()> {
    let (_host, mut client) = with_guest("listener").await?;
    client.subscribe(&["listener.heard"]).await?;
    client.call("event.publish", json!({ "topic": "test.said", "payload": 1 })).await?;
    client.event_on("listener.heard").await?;
    let heard = client.call("listener.heard_so_far", json!({})).await?;
    assert_eq!((&heard[0]["principal"], &heard[0]["plugin"]), (&json!("owner"), &Value::Null), "{heard}");
    assert_eq!(heard[0]["echo"], false);
    Ok(())
}

#[tokio::test]
async fn a_plugin_learns_why_it_starts_and_why_it_stops() -> Result<()> {
    let (host, mut client) = with_guest("counter").await?;
    let expected = json!({ "reason": "fresh", "restored": "false", "generation": "1" });
    assert_eq!(logged(&mut client, "counter", "counting from 0").await?, expected);

    client.call("counter.increment", json!({})).await?;
    set_in_manifest(&host.plugins.join("counter"), "version", "version = \"1.0.1\"")?;
    client.call("plugin.reload", json!({ "name": "counter" })).await?;
    let expected = json!({ "reason": "reload of 1.0.0", "restored": "true", "generation": "2" });
    assert_eq!(logged(&mut client, "counter", "counting from 1").await?, expected);

    // The former generation stays for its successor's probation, which a request to disable ends.
    client.call("plugin.disable", json!({ "name": "counter" })).await?;
    let logs = client.call("plugin.logs", json!({ "name": "counter" })).await?;
    let endings =
        logs.as_array().context("plugin.logs is a list")?.iter().filter_map(|line| line["fields"].get("ending"));
    assert_eq!(endings.collect::<Vec<_>>(), ["Ending::Reload", "Ending::Disabled"], "{logs}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_failed_learns_of_what_when_it_is_restarted() -> Result<()> {
    let (_host, mut client) = with_guest("trap").await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    client.fault("trap.panic", json!({ "message": "on purpose" })).await?;
    client.event(|event| event["payload"]["name"] == "trap" && event["payload"]["to"] == "running").await?;
    let fields = logged(&mut client, "trap", "started again").await?;
    assert!(fields["failure"].as_str().is_some_and(|failure| failure.contains("unreachable")), "{fields}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_of_an_older_contract_keeps_its_state_over_a_reload() -> Result<()> {
    let (host, mut client) = with_guest("former-contract").await?;
    assert_eq!(client.call("former_contract.increment", json!({})).await?, 1);
    set_in_manifest(&host.plugins.join("former-contract"), "version", "version = \"1.0.1\"")?;
    client.call("plugin.reload", json!({ "name": "former-contract" })).await?;
    assert_eq!(client.call("former_contract.increment", json!({})).await?, 2);
    // The former generation stays for its successor's probation, which a request to disable ends.
    client.call("plugin.disable", json!({ "name": "former-contract" })).await?;
    let logs = client.call("plugin.logs", json!({ "name": "former-contract" })).await?.to_string();
    assert!(logs.contains("counting from 1") && logs.contains("counted to 1"), "{logs}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_of_an_older_contract_hears_events_as_they_were() -> Result<()> {
    let (_host, mut client) = with_guest("former-contract").await?;
    client.subscribe(&["former_contract.heard"]).await?;
    client.call("event.publish", json!({ "topic": "test.said", "payload": 1 })).await?;
    client.event_on("former_contract.heard").await?;
    client.call("former_contract.publish", json!({ "topic": "former_contract.said" })).await?;
    client.event_on("former_contract.heard").await?;
    let heard = client.call("former_contract.heard_so_far", json!({})).await?;
    let expected = json!([
        { "topic": "test.said", "plugin": null },
        { "topic": "former_contract.said", "plugin": "former-contract" },
    ]);
    assert_eq!(heard, expected);
    Ok(())
}

#[tokio::test]
async fn every_import_of_an_older_contract_answers_as_it_did() -> Result<()> {
    let (_host, mut client) = with_guest("former-contract").await?;
    assert_eq!(client.call("former_contract.use_storage", json!({})).await?, json!(["a", "b"]));
    assert_eq!(client.call("former_contract.use_files", json!({})).await?, json!(["three.txt"]));
    let screen = client.call("former_contract.use_terminals", json!({})).await?;
    assert!(screen.as_str().is_some_and(|screen| screen.contains("former-contract")), "{screen}");
    let others = client.call("former_contract.use_others", json!({})).await?;
    assert_eq!(others, json!(["former-contract", "1.0.0", "{}", "owner"]));
    Ok(())
}
