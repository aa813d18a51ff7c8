//! Guests that trap, spin, leak and flood: an error for whoever called them, nothing for everybody else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

/// Runs a bad guest beside a good one that is called all the time, and returns code and error of the bad call.
async fn beside_a_good_one(
    name: &'static str,
    method: &str,
    params: serde_json::Value,
) -> Result<(String, serde_json::Value)> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        copy_folder(&guest(name)?, &plugins.join(name))
    })
    .await?;
    let stop = Arc::new(AtomicBool::new(false));
    let good = {
        let (mut client, stop) = (host.connect().await?, stop.clone());
        tokio::spawn(async move {
            let mut calls = 0u64;
            while !stop.load(Ordering::Relaxed) || calls == 0 {
                calls += 1;
                assert_eq!(client.call("counter.increment", json!({})).await?, calls);
            }
            anyhow::Ok(calls)
        })
    };
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    let fault = client.fault(method, params).await?;
    // It is replaced, and its name goes on being served.
    client.event(|event| event["payload"]["name"] == name && event["payload"]["to"] == "running").await?;
    stop.store(true, Ordering::Relaxed);
    assert!(good.await?? > 0);
    Ok(fault)
}

#[tokio::test]
async fn a_trap_fails_its_call_alone() -> Result<()> {
    let (code, error) = beside_a_good_one("trap", "trap.panic", json!({ "message": "on purpose" })).await?;
    assert_eq!(code, "plugin_failed", "{error}");
    assert_eq!(error["data"]["details"]["plugin"], "trap");
    assert!(error["data"]["details"]["trap"].as_str().is_some_and(|trap| !trap.is_empty()), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_guest_that_uses_up_its_stack_fails_its_call_alone() -> Result<()> {
    let (code, error) = beside_a_good_one("trap", "trap.deep", json!({})).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["plugin"]), ("plugin_failed", &json!("trap")), "{error}");
    assert!(error["data"]["details"]["trap"].as_str().is_some_and(|trap| trap.contains("stack")), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_spinning_guest_is_cut_at_its_deadline() -> Result<()> {
    let (code, error) = beside_a_good_one("spin", "spin.forever", json!({})).await?;
    assert_eq!(code, "timeout", "{error}");
    Ok(())
}

#[tokio::test]
async fn a_leaking_guest_ends_at_its_memory_limit() -> Result<()> {
    let (code, error) = beside_a_good_one("leak", "leak.forever", json!({})).await?;
    assert_eq!(code, "plugin_failed", "{error}");
    Ok(())
}

#[tokio::test]
async fn a_flooding_guest_floods_only_its_own_log() -> Result<()> {
    let (code, error) = beside_a_good_one("flood", "flood.forever", json!({})).await?;
    assert_eq!(code, "timeout", "{error}");
    Ok(())
}

#[tokio::test]
async fn a_guest_that_publishes_too_much_is_told_to_wait_and_a_reload_does_not_help() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("flood")?, &plugins.join("flood"))?;
        set_in_manifest(&plugins.join("flood"), "deadline_ms", "deadline_ms = 30000")
    })
    .await?;
    let mut client = host.connect().await?;
    let (code, error) = client.fault("flood.events", json!([1_000_000])).await?;
    assert_eq!(
        (code.as_str(), &error["data"]["details"]["quota"]),
        ("quota_exceeded", &json!("event_events")),
        "{error}"
    );
    assert!(error["data"]["details"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{error}");

    client.call("plugin.reload", json!({ "name": "flood" })).await?;
    // As many as a name that was quiet could publish at once.
    let (code, error) = client.fault("flood.events", json!([2_000])).await?;
    assert_eq!(code, "quota_exceeded", "{error}");
    // However it publishes, it is the same budget.
    let (code, error) = client.fault("flood.events_by_name", json!([2_000])).await?;
    assert_eq!(
        (code.as_str(), &error["data"]["details"]["quota"]),
        ("quota_exceeded", &json!("event_events")),
        "{error}"
    );
    let metrics = client.call("plugin.get", json!({ "name": "flood" })).await?["metrics"].take();
    assert_eq!(metrics["events_refused"], 3);
    // Others have their own.
    client.call("event.publish", json!({ "topic": "test.a", "payload": 1 })).await?;
    Ok(())
}
