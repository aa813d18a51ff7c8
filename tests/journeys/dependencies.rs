//! Plugins that need each other: who starts when, who waits for what, and who can never start.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

/// `relay` imports what `echo` exports, and depends on it by version.
async fn relay_over_echo() -> Result<(Host, Client)> {
    let prepare = |plugins: &std::path::Path| {
        ["relay", "echo"].iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))
    };
    let host = Host::start_with(Options::default(), prepare).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    assert_eq!(client.call("relay.add", json!({ "a": 1, "b": 2 })).await?, 3);
    Ok((host, client))
}

async fn becomes(client: &mut Client, name: &str, state: &str) -> Result<Value> {
    let fits = |event: &Value| event["payload"]["name"] == name && event["payload"]["to"] == state;
    Ok(client.event(fits).await.with_context(|| format!("waiting for {name} to be {state}"))?["payload"].clone())
}

/// `relay` waits and says for what, and so do its calls.
async fn waits_for(client: &mut Client, what: &str) -> Result<()> {
    let waiting = becomes(client, "relay", "waiting").await?;
    ensure!(waiting["reason"].as_str().is_some_and(|reason| reason.contains(what)), "{what:?} in {waiting}");
    let (code, error) = client.fault("relay.add", json!({ "a": 1, "b": 2 })).await?;
    assert_eq!(code, "plugin_unavailable", "{error}");
    ensure!(error["message"].as_str().is_some_and(|message| message.contains(what)), "{what:?} in {error}");
    Ok(())
}

async fn works_again(client: &mut Client) -> Result<()> {
    becomes(client, "relay", "running").await?;
    assert_eq!(client.call("relay.add", json!({ "a": 1, "b": 2 })).await?, 3);
    Ok(())
}

#[tokio::test]
async fn what_needs_a_plugin_that_is_disabled_waits_until_it_is_enabled() -> Result<()> {
    let (_host, mut client) = relay_over_echo().await?;
    client.call("plugin.disable", json!({ "name": "echo" })).await?;
    waits_for(&mut client, "the plugin echo ^0.1").await?;
    client.call("plugin.enable", json!({ "name": "echo" })).await?;
    works_again(&mut client).await
}

#[tokio::test]
async fn what_needs_a_plugin_that_is_removed_waits_until_it_is_there_again() -> Result<()> {
    let (host, mut client) = relay_over_echo().await?;
    std::fs::remove_dir_all(host.plugins.join("echo"))?;
    waits_for(&mut client, "the plugin echo ^0.1").await?;
    host.drop_in(&guest("echo")?)?;
    works_again(&mut client).await
}

#[tokio::test]
async fn what_needs_a_plugin_waits_while_its_version_does_not_fit() -> Result<()> {
    let (host, mut client) = relay_over_echo().await?;
    let echo = host.plugins.join("echo");
    set_in_manifest(&echo, "version", "version = \"0.2.0\"")?;
    waits_for(&mut client, "the plugin echo ^0.1; 0.2.0 is there").await?;
    set_in_manifest(&echo, "version", "version = \"0.1.5\"")?;
    works_again(&mut client).await?;
    // A downgrade below what is needed is the same.
    set_in_manifest(&host.plugins.join("relay"), "echo", "echo = \">=0.1.5\"")?;
    works_again(&mut client).await?;
    set_in_manifest(&echo, "version", "version = \"0.1.4\"")?;
    waits_for(&mut client, "the plugin echo >=0.1.5; 0.1.4 is there").await?;
    set_in_manifest(&echo, "version", "version = \"0.1.6\"")?;
    works_again(&mut client).await
}

#[tokio::test]
async fn what_imports_an_interface_waits_for_it_by_its_name() -> Result<()> {
    let (host, mut client) = relay_over_echo().await?;
    set_in_manifest(&host.plugins.join("relay"), "echo", "")?;
    works_again(&mut client).await?;
    client.call("plugin.disable", json!({ "name": "echo" })).await?;
    waits_for(&mut client, "test:echo/echo@0.1.0").await?;
    client.call("plugin.enable", json!({ "name": "echo" })).await?;
    works_again(&mut client).await
}

#[tokio::test]
async fn a_reload_that_would_close_a_cycle_is_refused_with_the_cycle_named() -> Result<()> {
    let (host, mut client) = relay_over_echo().await?;
    set_in_manifest(&host.plugins.join("echo"), "description", "[dependencies]\nrelay = \"^0.1\"")?;
    let failed = client.event_on("plugin.load_failed").await?;
    assert_eq!(failed["payload"]["name"], "echo");
    ensure!(
        failed["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("echo → relay → echo")),
        "{failed}"
    );
    assert_eq!(client.call("relay.add", json!({ "a": 1, "b": 2 })).await?, 3, "nothing was disturbed");
    Ok(())
}

#[tokio::test]
async fn plugins_that_need_each_other_fail_with_the_cycle_named_until_one_no_longer_does() -> Result<()> {
    let prepare = |plugins: &std::path::Path| {
        for name in ["relay", "echo"] {
            copy_folder(&guest(name)?, &plugins.join(name))?;
        }
        // The way from relay to echo is its import alone.
        set_in_manifest(&plugins.join("relay"), "echo", "")?;
        set_in_manifest(&plugins.join("echo"), "description", "[dependencies]\nrelay = \"^0.1\"")
    };
    let host = Host::start_with(Options::default(), prepare).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    let list = client.call("plugin.list", json!({})).await?;
    for (name, cycle) in [("relay", "relay → echo → relay"), ("echo", "echo → relay → echo")] {
        let line = list.as_array().and_then(|all| all.iter().find(|plugin| plugin["name"] == name)).context(name)?;
        assert_eq!(line["state"], "failed", "{list}");
        ensure!(line["reason"].as_str().is_some_and(|reason| reason.contains(cycle)), "{list}");
    }
    set_in_manifest(&host.plugins.join("echo"), "relay", "")?;
    works_again(&mut client).await
}

#[tokio::test]
async fn a_service_whose_types_changed_under_a_version_that_fits_is_refused_by_its_users_with_both_types() -> Result<()>
{
    let prepare = |plugins: &std::path::Path| {
        ["shapes", "shapes-user"].iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))
    };
    let host = Host::start_with(Options::default(), prepare).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    let sides = json!({ "width": 3, "height": 4 });
    assert_eq!(client.call("shapes_user.area", sides.clone()).await?, 12);

    let folder = host.plugins.join("shapes");
    std::fs::copy(guest("shapes-next")?.join("shapes-next.wasm"), folder.join("shapes-next.wasm"))?;
    set_in_manifest(&folder, "component", "component = \"shapes-next.wasm\"")?;
    let waiting = becomes(&mut client, "shapes-user", "waiting").await?;
    let reason = waiting["reason"].as_str().context("reason")?;
    for needle in ["test:shapes/shapes@1.2.0", "test:shapes/shapes@1.3.0", "area"] {
        ensure!(reason.contains(needle), "{needle} in {reason}");
    }
    let (code, _) = client.fault("shapes_user.area", sides.clone()).await?;
    assert_eq!(code, "plugin_unavailable", "a guest never sees a value of another type than it was built for");

    set_in_manifest(&folder, "component", "component = \"shapes.wasm\"")?;
    becomes(&mut client, "shapes-user", "running").await?;
    assert_eq!(client.call("shapes_user.area", sides).await?, 12);
    Ok(())
}
