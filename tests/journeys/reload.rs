use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, ensure};
use midplane_tests::{Host, Options, copy_folder, first_party, guest, set_in_manifest};
use serde_json::{Value, json};

/// Calls `counter.increment` until told to stop; every answer must be one more than some answer before.
async fn keep_counting(host: &Host, stop: Arc<AtomicBool>) -> Result<impl Future<Output = Result<Vec<u64>>> + use<>> {
    let mut client = host.connect().await?;
    Ok(async move {
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            seen.push(number(&client.call("counter.increment", json!({})).await?)?);
        }
        Ok(seen)
    })
}

fn number(value: &Value) -> Result<u64> {
    value.as_u64().with_context(|| format!("{value} is no number"))
}

#[tokio::test]
async fn a_reload_under_load_changes_the_answer_keeps_the_state_and_fails_no_call() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter")))
            .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    let terminal = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    let attached = client.call("terminals.attach", json!({ "id": terminal["id"] })).await?;
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "one");

    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(tokio::spawn(keep_counting(&host, stop.clone()).await?));
    }
    for (from, expected) in [("counter-v2", "two"), ("counter", "one"), ("counter-v2", "two")] {
        copy_folder(&guest(from)?, &host.plugins.join("counter"))?;
        client.event(|event| event["payload"]["name"] == "counter" && event["payload"]["to"] == "running").await?;
        assert_eq!(client.call("counter.generation_text", json!({})).await?, expected);
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for task in clients {
        let seen = task.await??;
        ensure!(seen.is_sorted(), "one client's calls are in order");
        all.extend(seen);
    }
    all.sort_unstable();
    let expected: Vec<u64> = (1..=all.len() as u64).collect();
    assert_eq!(all, expected, "no call was lost, doubled or answered from other state");

    // The terminal and the socket that was there before are still the same.
    client.call("terminals.write", json!({ "id": terminal["id"], "content": "echo alive-$((1+1))\n" })).await?;
    client.output_until(u32::try_from(number(&attached["channel"])?)?, "alive-2").await?;
    Ok(())
}

#[tokio::test]
async fn a_first_party_plugin_in_the_folder_takes_the_place_of_the_built_in_one_with_its_state() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    client.call("workspace.create", json!({ "name": "kept" })).await?;
    let staged = tempfile::tempdir()?;
    let folder = staged.path().join("workspace");
    copy_folder(&first_party("workspace")?, &folder)?;
    set_in_manifest(&folder, "version", "version = \"0.1.99\"")?;
    host.drop_in(&folder)?;
    client.event(|event| event["payload"]["version"] == "0.1.99" && event["payload"]["to"] == "running").await?;
    let info = client.call("plugin.get", json!({ "name": "workspace" })).await?;
    assert_eq!((info["builtin"].as_bool(), info["version"].as_str()), (Some(false), Some("0.1.99")));
    let list = client.call("workspace.list", json!({})).await?;
    assert_eq!(list[0]["name"], "kept");

    // Without the folder the built-in one is back.
    std::fs::remove_dir_all(host.plugins.join("workspace"))?;
    client.event(|event| event["payload"]["version"] == "0.1.0" && event["payload"]["to"] == "running").await?;
    assert_eq!(client.call("workspace.list", json!({})).await?[0]["name"], "kept");
    Ok(())
}

#[tokio::test]
async fn a_broken_component_changes_nothing_but_says_why() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter")))
            .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    client.call("counter.increment", json!({})).await?;
    std::fs::write(host.plugins.join("counter/counter.wasm"), b"\0asm but not really")?;
    let event = client.event_on("plugin.load_failed").await?;
    assert_eq!(event["payload"]["name"], "counter");
    assert!(event["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("counter.wasm")), "{event}");
    let logs = client.call("plugin.logs", json!({ "name": "counter" })).await?;
    assert!(logs.to_string().contains("not loaded"), "{logs}");
    assert_eq!(client.call("counter.increment", json!({})).await?, 2);
    let (code, error) = client.fault("plugin.reload", json!({ "name": "counter" })).await?;
    assert_eq!(code, "plugin_failed", "{error}");
    assert_eq!(client.call("counter.increment", json!({})).await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_new_generation_that_does_not_start_leaves_the_old_one_with_its_state() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        set_in_manifest(&plugins.join("counter"), "description", "[limits]\ndeadline_ms = 500")
    })
    .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    client.call("counter.increment", json!({})).await?;
    // The same name and exports that never come up: another guest under this plugin's name.
    let folder = host.plugins.join("counter");
    std::fs::copy(guest("slow-start")?.join("slow-start.wasm"), folder.join("counter.wasm"))?;
    client.event_on("plugin.load_failed").await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_generation_that_refuses_the_state_leaves_the_old_one_with_it() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter")))
            .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.**"]).await?;
    client.call("counter.increment", json!({})).await?;
    copy_folder(&guest("counter-refuses")?, &host.plugins.join("counter"))?;
    let event = client.event_on("plugin.load_failed").await?;
    assert!(event["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("refuses")), "{event}");
    assert_eq!(client.call("counter.increment", json!({})).await?, 2);
    Ok(())
}
