//! A thousand calls a second while the plugin that serves them is replaced a hundred times.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use midplane_tests::{Caller, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

const CALLERS: u32 = 16;
const CALLS_PER_SECOND: u32 = 1_000;
const RELOADS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_fail_lose_double_and_reorder_no_call() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        // What may wait while nobody takes: as much as all callers may have in flight.
        set_in_manifest(&plugins.join("counter"), "description", "[limits]\nqueue = 1024")
    })
    .await?;
    let mut admin = host.connect().await?;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let every = Duration::from_secs(1) * CALLERS / CALLS_PER_SECOND;
        callers.push(Caller::start(&host, "counter.increment", json!({}), every).await?);
    }
    for reload in 1..=RELOADS {
        let summary = admin.call("plugin.reload", json!({ "name": "counter" })).await?;
        assert_eq!(summary["generation"], 1 + reload);
    }
    let mut all = Vec::new();
    for caller in callers {
        let mut counts = Vec::new();
        for paced in caller.stop().await? {
            let response = paced.response;
            counts.push(response["result"].as_u64().with_context(|| format!("failed: {response}"))?);
        }
        ensure!(
            counts.is_sorted(),
            "the calls of one client are served in the order in which it sent them: {counts:?}"
        );
        all.extend(counts);
    }
    all.sort_unstable();
    let expected: Vec<u64> = (1..=all.len() as u64).collect();
    assert!(all == expected, "each call counted once, in one state that went through every generation");
    let metrics = admin.call("plugin.get", json!({ "name": "counter" })).await?["metrics"].take();
    assert_eq!((&metrics["reloads"]["count"], &metrics["calls"]), (&json!(RELOADS), &json!(all.len())), "{metrics}");
    assert_eq!((&metrics["errors"], &metrics["traps"]), (&json!({}), &json!(0)));
    Ok(())
}
