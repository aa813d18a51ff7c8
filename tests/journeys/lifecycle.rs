//! What becomes of a plugin that is sick, fails, never starts or never loads, and of everybody else meanwhile.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

async fn with(guests: &[&str]) -> Result<(Host, Client)> {
    let prepare =
        |plugins: &std::path::Path| guests.iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)));
    let host = Host::start_with(Options::default(), prepare).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed", "fragile.saved"]).await?;
    Ok((host, client))
}

/// The next change of a plugin to a state.
async fn becomes(client: &mut Client, name: &str, state: &str) -> Result<Value> {
    let fits = |event: &Value| event["payload"]["name"] == name && event["payload"]["to"] == state;
    Ok(client.event(fits).await.with_context(|| format!("waiting for {name} to be {state}"))?["payload"].clone())
}

/// The line of a plugin in `plugin.list`.
async fn line(client: &mut Client, name: &str) -> Result<Value> {
    let list = client.call("plugin.list", json!({})).await?;
    let line = list.as_array().and_then(|all| all.iter().find(|plugin| plugin["name"] == name));
    Ok(line.with_context(|| format!("{name} in {list}"))?.clone())
}

#[tokio::test]
async fn a_sick_plugin_is_degraded_goes_on_serving_and_gets_well() -> Result<()> {
    let (_host, mut client) = with(&["fragile"]).await?;
    client.call("fragile.be_sick", json!({ "sick": true })).await?;
    let degraded = becomes(&mut client, "fragile", "degraded").await?;
    assert_eq!(degraded["reason"], "asked to be sick");
    assert_eq!(client.call("fragile.increment", json!({})).await?, 1);
    client.call("fragile.be_sick", json!({ "sick": false })).await?;
    becomes(&mut client, "fragile", "running").await?;
    assert_eq!(client.call("fragile.increment", json!({})).await?, 2, "it is the same instance");
    Ok(())
}

#[tokio::test]
async fn an_instance_that_failed_is_replaced_with_its_last_saved_state() -> Result<()> {
    let (_host, mut client) = with(&["fragile"]).await?;
    for count in 1..=3 {
        assert_eq!(client.call("fragile.increment", json!({})).await?, count);
    }
    client.event(|event| event["payload"]["count"] == 3).await?;
    let (code, _) = client.fault("fragile.fail", json!({})).await?;
    assert_eq!(code, "plugin_failed");
    becomes(&mut client, "fragile", "backoff").await?;
    assert_eq!(client.call("fragile.increment", json!({})).await?, 4, "a call that comes meanwhile waits");
    let again = becomes(&mut client, "fragile", "running").await?;
    assert_eq!(again["generation"], 2);
    Ok(())
}

#[tokio::test]
async fn a_saved_state_that_is_refused_is_a_fresh_start_and_said_so() -> Result<()> {
    let (host, mut client) = with(&[]).await?;
    let folder = host.plugins.join("fragile");
    copy_folder(&guest("fragile")?, &folder)?;
    set_in_manifest(&folder, "fails", "fails = \"restore\"")?;
    becomes(&mut client, "fragile", "running").await?;
    client.call("fragile.increment", json!({})).await?;
    client.event(|event| event["payload"]["count"] == 1).await?;
    client.fault("fragile.fail", json!({})).await?;
    assert_eq!(client.call("fragile.count", json!({})).await?, 0);
    let logs = client.call("plugin.logs", json!({ "name": "fragile" })).await?;
    ensure!(logs.to_string().contains("starts without its saved state: could not restore its state"), "{logs}");
    Ok(())
}

#[tokio::test]
async fn failing_too_often_disables_until_somebody_enables() -> Result<()> {
    let (_host, mut client) = with(&["trap"]).await?;
    for _ in 0..5 {
        client.fault("trap.panic", json!({ "message": "again" })).await?;
        becomes(&mut client, "trap", "running").await?;
    }
    client.fault("trap.panic", json!({ "message": "once too often" })).await?;
    let disabled = becomes(&mut client, "trap", "disabled").await?;
    ensure!(disabled["reason"].as_str().is_some_and(|reason| reason.contains("failed 6 times in 180 s")), "{disabled}");
    let (code, error) = client.fault("trap.ok", json!({})).await?;
    assert_eq!(
        (code.as_str(), &error["data"]["details"]["state"]),
        ("plugin_unavailable", &json!("disabled")),
        "{error}"
    );
    let enabled = client.call("plugin.enable", json!({ "name": "trap" })).await?;
    assert_eq!(enabled["state"], "running");
    assert_eq!(client.call("trap.ok", json!({})).await?, "ok");
    Ok(())
}

#[tokio::test]
async fn a_start_that_never_ends_delays_neither_the_host_nor_other_plugins() -> Result<()> {
    let (host, mut client) = with(&["counter", "slow-start"]).await?;
    assert_eq!(line(&mut client, "slow-start").await?["state"], "starting");
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    set_in_manifest(&host.plugins.join("counter"), "version", "version = \"1.0.1\"")?;
    let reloaded = client.call("plugin.reload", json!({ "name": "counter" })).await?;
    assert_eq!((&reloaded["version"], &reloaded["state"]), (&json!("1.0.1"), &json!("running")), "{reloaded}");
    assert_eq!(line(&mut client, "slow-start").await?["state"], "starting");

    let disabled = client.call("plugin.disable", json!({ "name": "slow-start" })).await?;
    assert_eq!(disabled["state"], "disabled");
    Ok(())
}

#[tokio::test]
async fn a_reload_that_takes_its_time_does_not_hold_up_the_reload_of_another() -> Result<()> {
    let (host, mut client) = with(&["counter", "fragile"]).await?;
    set_in_manifest(&host.plugins.join("fragile"), "fails", "fails = \"start\"")?;
    becomes(&mut client, "fragile", "reloading").await?;
    set_in_manifest(&host.plugins.join("counter"), "version", "version = \"1.0.1\"")?;
    let reloaded = client.call("plugin.reload", json!({ "name": "counter" })).await?;
    assert_eq!(reloaded["version"], "1.0.1");
    assert_eq!(line(&mut client, "fragile").await?["state"], "reloading");

    // Giving the reload up leaves nothing behind: what is asked next is done next.
    let disabled = client.call("plugin.disable", json!({ "name": "fragile" })).await?;
    assert_eq!(disabled["state"], "disabled");
    Ok(())
}

#[tokio::test]
async fn the_host_ends_in_time_whatever_a_plugin_is_doing() -> Result<()> {
    let (host, mut client) = with(&["slow-start", "spin"]).await?;
    client.send("spin.forever", json!({})).await?;
    assert_eq!(host.terminate().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn what_never_loaded_is_a_line_of_the_list_with_the_reason() -> Result<()> {
    let (host, mut client) = with(&["counter"]).await?;
    client.subscribe(&["plugin.load_failed"]).await?;
    let broken = host.plugins.join("No Manifest");
    std::fs::create_dir(&broken)?;
    std::fs::write(broken.join("plugin.toml"), "this is no manifest")?;
    client.event_on("plugin.load_failed").await?;
    let found = line(&mut client, "No Manifest").await?;
    assert_eq!(found["state"], "failed");
    ensure!(found["reason"].as_str().is_some_and(|reason| reason.contains("plugin.toml")), "{found}");

    let second = host.plugins.join("second");
    copy_folder(&guest("counter")?, &second)?;
    client.event(|event| event["payload"]["source"] == "second").await?;
    let list = client.call("plugin.list", json!({})).await?;
    let of = |state: &str| {
        let all = list.as_array().into_iter().flatten();
        all.filter(|plugin| plugin["name"] == "counter" && plugin["state"] == state).count()
    };
    assert_eq!((of("running"), of("failed")), (1, 1), "{list}");

    // When the name is free, the folder that waited for it is the plugin.
    std::fs::remove_dir_all(host.plugins.join("counter"))?;
    becomes(&mut client, "counter", "disabled").await?;
    becomes(&mut client, "counter", "running").await?;
    assert_eq!(client.call("plugin.get", json!({ "name": "counter" })).await?["source"], "second");
    Ok(())
}

#[tokio::test]
async fn a_folder_that_is_renamed_goes_on_as_the_same_plugin() -> Result<()> {
    let (host, mut client) = with(&["counter"]).await?;
    client.call("counter.increment", json!({})).await?;
    std::fs::rename(host.plugins.join("counter"), host.plugins.join("elsewhere"))?;
    loop {
        let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
        if info["source"] == "elsewhere" {
            break;
        }
    }
    assert_eq!(client.call("counter.increment", json!({})).await?, 2);
    Ok(())
}
