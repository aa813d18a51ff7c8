//! `plugins.lock`: what is trusted stays trusted, what the operator switched off stays off, and nothing is guessed.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

async fn host_with_counter() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter"))).await
}

#[tokio::test]
async fn a_plugin_that_is_dropped_in_runs_and_is_locked_from_then_on() -> Result<()> {
    let mut host = host_with_counter().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
    host.stop().await?;
    let path = host.data().join("plugins.lock");
    let lock = std::fs::read_to_string(&path)?;
    assert!(lock.contains("[plugins.counter") && lock.contains(info["sha256"].as_str().context("sha256")?), "{lock}");
    assert!(!lock.contains("plugins.workspace"), "what is built in is trusted by the program: {lock}");
    assert_eq!(std::fs::metadata(path)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[tokio::test]
async fn what_was_disabled_stays_so_over_a_restart_and_a_change_of_its_files() -> Result<()> {
    let host = host_with_counter().await?;
    let mut client = host.connect().await?;
    for name in ["counter", "workspace"] {
        assert_eq!(client.call("plugin.disable", json!({ "name": name })).await?["state"], "disabled");
    }
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    for name in ["counter", "workspace"] {
        let info = client.call("plugin.get", json!({ "name": name })).await?;
        assert_eq!((&info["state"], &info["reason"]), (&json!("disabled"), &json!("disabled by request")));
    }
    copy_folder(&guest("counter-v2")?, &host.plugins.join("counter"))?;
    let summary = client.call("plugin.reload", json!({ "name": "counter" })).await?;
    assert_eq!(summary["state"], "disabled", "new files are no wish to run: {summary}");

    for name in ["counter", "workspace"] {
        assert_eq!(client.call("plugin.enable", json!({ "name": name })).await?["state"], "running");
    }
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "two");
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "two");
    Ok(())
}

#[tokio::test]
async fn a_locked_host_loads_what_is_locked_and_names_what_is_not() -> Result<()> {
    let mut host = host_with_counter().await?;
    host.options.arguments.push("--locked".to_owned());
    let host = host.terminate_and_restart().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.load_failed"]).await?;
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "one");
    let locked = client.call("plugin.get", json!({ "name": "counter" })).await?["sha256"].take();
    let locked = locked.as_str().context("sha256")?;

    // Another component under the same name and version, then another version, then another name.
    copy_folder(&guest("counter-v2")?, &host.plugins.join("counter"))?;
    let refused = client.event_on("plugin.load_failed").await?;
    let reason = refused["payload"]["reason"].as_str().context("reason")?;
    assert!(reason.contains("--locked") && reason.contains(locked), "{reason}");
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "one", "the old one goes on");
    set_in_manifest(&host.plugins.join("counter"), "version", "version = \"1.0.7\"")?;
    let (code, error) = client.fault("plugin.reload", json!({ "name": "counter" })).await?;
    let message = error["message"].as_str().context("message")?;
    assert_eq!(code, "plugin_failed");
    assert!(message.contains("counter 1.0.0") && message.contains("counter 1.0.7"), "{message}");
    let (code, _) = client.fault("plugin.approve", json!({ "name": "counter" })).await?;
    assert_eq!(code, "conflict", "a locked host trusts nothing new");
    host.drop_in(&guest("echo")?)?;
    let named = |event: &serde_json::Value| event["payload"]["source"] == "echo";
    let refused = client.event(named).await?;
    let reason = refused["payload"]["reason"].as_str().context("reason")?;
    assert!(reason.contains("nothing named echo"), "{reason}");

    // After a restart nothing of the counter is left to go on.
    let host = host.kill_and_restart().await?;
    let (code, _) = host.connect().await?.fault("counter.increment", json!({})).await?;
    assert_eq!(code, "method_not_found");
    Ok(())
}

#[tokio::test]
async fn a_damaged_lock_is_an_error_at_the_start_and_left_as_it_is() -> Result<()> {
    let host = host_with_counter().await?;
    let path = host.data().join("plugins.lock");
    let damaged = "format = 1\n[plugins.counter\n";
    std::fs::write(&path, damaged)?;
    let (code, stderr) = host.kill_and_fail_to_restart().await?;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("plugins.lock") && stderr.contains("line 2") && stderr.contains("remove it"), "{stderr}");
    Ok(())
}
