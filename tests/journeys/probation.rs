//! After a reload the old generation stays until the new one has proved itself.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

/// A host with `fragile`, which has counted to 3.
async fn counted_to_three() -> Result<(Host, Client)> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("fragile")?, &plugins.join("fragile")))
            .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    for count in 1..=3 {
        assert_eq!(client.call("fragile.increment", json!({})).await?, count);
    }
    Ok((host, client))
}

/// Files of another version that differ in what fails.
fn change(host: &Host, version: &str, fails: &str) -> Result<()> {
    let folder = host.plugins.join("fragile");
    set_in_manifest(&folder, "fails", &format!("fails = \"{fails}\""))?;
    set_in_manifest(&folder, "version", &format!("version = \"{version}\""))
}

async fn runs(client: &mut Client, version: &str) -> Result<Value> {
    let fits = |event: &Value| event["payload"]["version"] == version && event["payload"]["to"] == "running";
    Ok(client.event(fits).await.with_context(|| format!("waiting for {version}"))?["payload"].clone())
}

#[tokio::test]
async fn a_new_generation_that_traps_is_rolled_back_and_what_waited_is_served_from_the_old_state() -> Result<()> {
    let (host, mut client) = counted_to_three().await?;
    change(&host, "2.0.0", "increment")?;
    let swapped = runs(&mut client, "2.0.0").await?;
    assert_eq!(swapped["generation"], 2);

    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(client.send("fragile.increment", json!({})).await?);
    }
    let mut answers = Vec::new();
    for id in ids {
        answers.push(client.wait_for(|message| message["id"] == id).await?);
    }
    let failed = answers.iter().filter(|answer| answer["error"]["data"]["code"] == "plugin_failed");
    assert_eq!(failed.count(), 1, "only the call inside: {answers:?}");
    let mut counts: Vec<u64> = answers.iter().filter_map(|answer| answer["result"].as_u64()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [4, 5, 6, 7], "from the state at the swap: {answers:?}");

    let back = runs(&mut client, "1.0.0").await?;
    assert_eq!(back["generation"], 1);
    let reason = back["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("rolled back to 1.0.0") && reason.contains("2.0.0 failed"), "{back}");
    let info = client.call("plugin.get", json!({ "name": "fragile" })).await?;
    assert_eq!((&info["version"], &info["rolled_back"]["version"]), (&json!("1.0.0"), &json!("2.0.0")), "{info}");
    Ok(())
}

#[tokio::test]
async fn files_that_failed_are_loaded_again_only_by_request_or_when_they_change() -> Result<()> {
    let (host, mut client) = counted_to_three().await?;
    change(&host, "2.0.0", "increment")?;
    runs(&mut client, "2.0.0").await?;
    client.fault("fragile.increment", json!({})).await?;
    runs(&mut client, "1.0.0").await?;

    // Written again as they are: seen, and left alone.
    change(&host, "2.0.0", "increment")?;
    loop {
        let logs = client.call("plugin.logs", json!({ "name": "fragile" })).await?;
        if logs.to_string().contains("failed in their probation") {
            break;
        }
    }
    assert_eq!(client.call("plugin.get", json!({ "name": "fragile" })).await?["version"], "1.0.0");
    let reloaded = client.call("plugin.reload", json!({ "name": "fragile" })).await?;
    assert_eq!(reloaded["version"], "2.0.0");
    client.fault("fragile.increment", json!({})).await?;
    runs(&mut client, "1.0.0").await?;

    change(&host, "2.0.1", "")?;
    runs(&mut client, "2.0.1").await?;
    assert_eq!(client.call("fragile.increment", json!({})).await?, 4);
    let info = client.call("plugin.get", json!({ "name": "fragile" })).await?;
    assert_eq!(info["rolled_back"], Value::Null, "{info}");
    Ok(())
}

#[tokio::test]
async fn a_new_generation_that_says_it_is_sick_is_rolled_back() -> Result<()> {
    let (host, mut client) = counted_to_three().await?;
    change(&host, "2.0.0", "health")?;
    runs(&mut client, "2.0.0").await?;
    let back = runs(&mut client, "1.0.0").await?;
    assert!(back["reason"].as_str().is_some_and(|reason| reason.contains("asked to be sick")), "{back}");
    assert_eq!(client.call("fragile.increment", json!({})).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_second_reload_settles_the_first() -> Result<()> {
    let (host, mut client) = counted_to_three().await?;
    change(&host, "2.0.0", "")?;
    runs(&mut client, "2.0.0").await?;
    assert_eq!(client.call("fragile.increment", json!({})).await?, 4);
    change(&host, "3.0.0", "increment")?;
    runs(&mut client, "3.0.0").await?;
    client.fault("fragile.increment", json!({})).await?;
    let back = runs(&mut client, "2.0.0").await?;
    assert_eq!(back["generation"], 2);
    assert_eq!(client.call("fragile.increment", json!({})).await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_new_generation_that_cannot_take_the_state_over_never_serves() -> Result<()> {
    let (host, mut client) = counted_to_three().await?;
    client.subscribe(&["plugin.load_failed"]).await?;
    change(&host, "2.0.0", "restore")?;
    let failed = client.event_on("plugin.load_failed").await?;
    assert!(failed["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("restore")), "{failed}");
    let back = runs(&mut client, "1.0.0").await?;
    assert!(back["reason"].as_str().is_some_and(|reason| reason.contains("goes on as it was")), "{back}");
    assert_eq!(client.call("fragile.increment", json!({})).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_probation_ends_by_itself_and_from_then_on_nothing_leads_back() -> Result<()> {
    let (host, mut client) = counted_to_three().await?;
    client.subscribe(&["plugin.settled"]).await?;
    change(&host, "2.0.0", "increment")?;
    runs(&mut client, "2.0.0").await?;
    let info = client.call("plugin.get", json!({ "name": "fragile" })).await?;
    assert_eq!(info["on_probation"], true, "{info}");
    let settled = client.event_on("plugin.settled").await?;
    assert_eq!(settled["payload"], json!({ "name": "fragile", "version": "2.0.0", "generation": 2 }));
    let info = client.call("plugin.get", json!({ "name": "fragile" })).await?;
    assert_eq!(info["on_probation"], false, "{info}");

    client.fault("fragile.increment", json!({})).await?;
    let again = runs(&mut client, "2.0.0").await?;
    assert_eq!(again["generation"], 3, "the same files, started again: {again}");
    Ok(())
}

#[tokio::test]
async fn the_lock_goes_back_with_the_generation() -> Result<()> {
    let (mut host, mut client) = counted_to_three().await?;
    let first = client.call("plugin.get", json!({ "name": "fragile" })).await?["sha256"].take();
    change(&host, "2.0.0", "increment")?;
    runs(&mut client, "2.0.0").await?;
    client.fault("fragile.increment", json!({})).await?;
    runs(&mut client, "1.0.0").await?;
    host.stop().await?;
    let lock = std::fs::read_to_string(host.data().join("plugins.lock"))?;
    assert!(lock.contains(first.as_str().context("sha256")?), "{lock}");
    Ok(())
}
