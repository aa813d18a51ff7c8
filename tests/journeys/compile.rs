//! From a component to code: large ones start on baseline code, nothing is compiled twice, nothing on disk is believed blindly.

use std::path::Path;

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, enlarge, guest};
use serde_json::{Value, json};

fn own_cache() -> Options {
    Options { own_cache: true, ..Options::default() }
}

/// A counter of more than half a MiB.
fn large_counter(folder: &Path) -> Result<()> {
    copy_folder(&guest("counter")?, folder)?;
    enlarge(&folder.join("counter.wasm"), 600 * 1024)
}

/// The payloads of `plugin.compiling` about the counter since the host started.
async fn compiled(client: &mut Client) -> Result<Vec<Value>> {
    let history = client.call("event.history", json!({ "patterns": ["plugin.compiling"], "limit": 1000 })).await?;
    let events = history["streams"]["main"]["events"].as_array().with_context(|| history.to_string())?;
    Ok(events.iter().map(|event| event["payload"].clone()).filter(|payload| payload["name"] == "counter").collect())
}

#[tokio::test]
async fn a_large_plugin_serves_on_baseline_code_until_the_optimised_one_takes_over_with_its_state() -> Result<()> {
    let host = Host::start_with(own_cache(), |_| Ok(())).await?;
    let (mut client, mut watcher) = (host.connect().await?, host.connect().await?);
    watcher.subscribe(&["plugin.**"]).await?;
    let staged = tempfile::tempdir()?;
    large_counter(&staged.path().join("counter"))?;
    host.drop_in(&staged.path().join("counter"))?;

    let about =
        |topic: &'static str| move |event: &Value| event["topic"] == topic && event["payload"]["name"] == "counter";
    let begun = watcher.event(about("plugin.compiling")).await?["payload"].clone();
    assert_eq!((&begun["tier"], &begun["phase"]), (&json!("baseline"), &json!("begin")), "{begun}");
    assert!(begun["component_bytes"].as_u64() > Some(600 * 1024), "{begun}");
    let ended = watcher.event(about("plugin.compiling")).await?["payload"].clone();
    assert_eq!((&ended["phase"], &ended["succeeded"]), (&json!("end"), &json!(true)), "{ended}");
    assert!(ended["duration_ms"].is_u64(), "{ended}");
    watcher.event(|event| about("plugin.state_changed")(event) && event["payload"]["to"] == "running").await?;

    let mut count = 0;
    loop {
        let generation = client.call("plugin.get", json!({ "name": "counter" })).await?["generation"].clone();
        count += 1;
        assert_eq!(client.call("counter.increment", json!({})).await?, count, "no call is lost or begins anew");
        if generation == 2 {
            break;
        }
    }
    let swapped = watcher.event(|event| event["payload"]["reason"] == "optimised code").await?;
    assert_eq!(swapped["payload"]["version"], "1.0.0", "{swapped}");
    let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
    assert_eq!(info["code"], json!({ "tier": "optimised", "optimising": false }));
    let tiers: Vec<_> = compiled(&mut client).await?.iter().map(|payload| payload["tier"].clone()).collect();
    assert_eq!(tiers, ["baseline", "baseline", "optimised", "optimised"]);

    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    assert_eq!(compiled(&mut client).await?, [] as [Value; 0], "the next start finds the optimised code");
    let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
    assert_eq!((&info["code"]["tier"], &info["generation"]), (&json!("optimised"), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn code_on_disk_that_was_tampered_with_is_compiled_again_and_overwritten() -> Result<()> {
    let host =
        Host::start_with(own_cache(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter"))).await?;
    assert_eq!(compiled(&mut host.connect().await?).await?.len(), 2);
    let host = host.kill_and_restart().await?;
    assert_eq!(compiled(&mut host.connect().await?).await?.len(), 0);

    let mut entries = 0;
    for file in std::fs::read_dir(host.code_cache())? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "code") {
            let mut bytes = std::fs::read(&path)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes)?;
            entries += 1;
        }
    }
    assert!(entries > 0);
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    assert_eq!(compiled(&mut client).await?.len(), 2);
    let host = host.kill_and_restart().await?;
    assert_eq!(compiled(&mut host.connect().await?).await?.len(), 0);
    Ok(())
}
