//! What plugins store: as much as they may, and in pages.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

/// What an entry counts beside its key and value.
const ENTRY_BYTES: u64 = 32;
const QUOTA_BYTES: u64 = 10_000_000;

async fn host_with(name: &'static str) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| copy_folder(&guest(name)?, &plugins.join(name))).await
}

async fn usage(client: &mut Client, plugin: &str) -> Result<Value> {
    Ok(client.call("plugin.get", json!({ "name": plugin })).await?["metrics"]["storage"].take())
}

#[tokio::test]
async fn a_plugin_stores_as_much_as_its_manifest_says_and_finds_its_way_back() -> Result<()> {
    let host = host_with("keeper").await?;
    let mut client = host.connect().await?;
    let limits = client.call("plugin.get", json!({ "name": "keeper" })).await?["limits"].take();
    assert_eq!(limits["storage_bytes"], QUOTA_BYTES);
    client.call("keeper.fill", json!(["a", 6_000_000])).await?;
    let held = 1 + 6_000_000 + ENTRY_BYTES;
    let (code, error) = client.fault("keeper.fill", json!(["b", 6_000_000])).await?;
    let details = &error["data"]["details"];
    assert_eq!((code.as_str(), &details["quota"]), ("quota_exceeded", &json!("storage_bytes")), "{error}");
    assert_eq!((&details["plugin"], &details["limit_bytes"]), (&json!("keeper"), &json!(QUOTA_BYTES)));
    assert_eq!((&details["used_bytes"], &details["needed_bytes"]), (&json!(held), &json!(held)));
    let message = error["message"].as_str().context("message")?;
    assert!(message.contains("keeper") && message.contains("storage_bytes") && message.contains("delete"), "{message}");
    assert_eq!(client.call("keeper.keys", json!(["", null, 0])).await?, json!(["a"]));
    assert_eq!(usage(&mut client, "keeper").await?, json!({ "entries": 1, "bytes": held, "refused": 1 }));
    let metrics = host.get_text("/metrics").await?;
    assert!(metrics.contains(&format!("midplane_plugin_storage_bytes{{plugin=\"keeper\"}} {held}\n")), "{metrics}");

    // A smaller quota than what is there: reading, deleting and shrinking go on.
    set_in_manifest(&host.plugins.join("keeper"), "storage_bytes", "storage_bytes = 1000")?;
    client.call("plugin.reload", json!({ "name": "keeper" })).await?;
    assert_eq!(client.fault("keeper.set", json!(["c", "x"])).await?.0, "quota_exceeded");
    client.call("keeper.fill", json!(["a", 5_000])).await?;
    assert_eq!(client.call("keeper.delete", json!(["a"])).await?, true);
    client.call("keeper.set", json!(["c", "x"])).await?;
    assert_eq!(usage(&mut client, "keeper").await?["bytes"], 2 + ENTRY_BYTES);
    Ok(())
}

#[tokio::test]
async fn a_quota_that_is_no_quota_is_refused_by_its_name() -> Result<()> {
    let host = host_with("keeper").await?;
    let mut client = host.connect().await?;
    set_in_manifest(&host.plugins.join("keeper"), "storage_bytes", "storage_bytes = 99999999999999")?;
    let (code, error) = client.fault("plugin.reload", json!({ "name": "keeper" })).await?;
    assert_eq!(code, "plugin_failed");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("limits.storage_bytes")), "{error}");
    client.call("keeper.set", json!(["the old one", "serves"])).await?;
    Ok(())
}

#[tokio::test]
async fn entries_come_in_pages_that_fit_whatever_their_size() -> Result<()> {
    let host = host_with("keeper").await?;
    let mut client = host.connect().await?;
    let sizes: Vec<u64> = vec![10, 3_000_000, 2_000_000, 20, 30];
    for (n, size) in sizes.iter().enumerate() {
        client.call("keeper.fill", json!([format!("e/{n}"), size])).await?;
    }
    client.call("keeper.set", json!(["f", "beside"])).await?;
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = client.call("keeper.entries", json!(["e/", after, 0])).await?;
        let page = page.as_array().context("a page")?.clone();
        let Some(last) = page.last() else { break };
        after = last[0].clone();
        pages.push(page);
    }
    let lengths = |page: &Vec<Value>| page.iter().map(|entry| entry[1].as_str().map_or(0, str::len) as u64).collect();
    let lengths: Vec<Vec<u64>> = pages.iter().map(lengths).collect();
    assert_eq!(lengths, [sizes[..2].to_vec(), sizes[2..].to_vec()]);
    assert_eq!(client.call("keeper.entries", json!(["e/", "e/2", 1])).await?[0][0], "e/3");
    Ok(())
}
