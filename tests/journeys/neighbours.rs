//! A good plugin beside four bad ones that misbehave all at once, again and again.

use std::time::Duration;

use anyhow::{Result, ensure};
use midplane_tests::{Caller, Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

/// What a bad plugin is asked for, what its callers may learn, and how often. On a busy machine the end of an instance may be
/// noticed before the end of its caller's patience.
const BAD: &[(&str, &str, &[&str], usize)] = &[
    ("spin", "spin.forever", &["timeout", "plugin_failed"], 6),
    ("leak", "leak.forever", &["plugin_failed"], 8),
    ("flood", "flood.forever", &["timeout", "plugin_failed"], 2),
    ("trap", "trap.deep", &["plugin_failed"], 20),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_plugin_answers_every_call_beside_ones_that_spin_leak_flood_and_trap() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        let bad = BAD.iter().map(|(name, ..)| *name);
        bad.chain(["echo"]).try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))?;
        // All that its callers may have in flight has room, however slow the machine is.
        set_in_manifest(&plugins.join("echo"), "max_concurrency", "max_concurrency = 8\nqueue = 256")
    })
    .await?;
    let mut good = Vec::new();
    for n in 0..4 {
        good.push((n, Caller::start(&host, "echo.add", json!([n, 1]), Duration::from_millis(10)).await?));
    }
    let mut misbehaving = Vec::new();
    for (name, method, codes, times) in BAD {
        misbehaving.push(tokio::spawn(misbehave(host.connect().await?, name, method, codes, *times)));
    }
    for task in misbehaving {
        task.await??;
    }
    let mut answered = 0;
    for (n, caller) in good {
        for paced in caller.stop().await? {
            assert_eq!(paced.response["result"], n + 1, "{}", paced.response);
            answered += 1;
        }
    }
    let metrics = host.connect().await?.call("plugin.get", json!({ "name": "echo" })).await?["metrics"].take();
    assert_eq!((&metrics["calls"], &metrics["errors"], &metrics["traps"]), (&json!(answered), &json!({}), &json!(0)));
    Ok(())
}

/// Makes a plugin fail `times` times. Between two failures it is restarted, and enabled again when it has used up its budget.
async fn misbehave(mut client: Client, name: &str, method: &str, codes: &[&str], times: usize) -> Result<()> {
    let (mut failed, mut refused) = (0, 0);
    while failed < times {
        let (got, error) = client.fault(method, json!({})).await?;
        if codes.contains(&got.as_str()) {
            failed += 1;
        } else {
            // Disabled: it failed too often.
            ensure!(["plugin_unavailable", "method_not_found"].contains(&got.as_str()), "{method}: {error}");
            refused += 1;
            ensure!(refused <= times, "{name} never comes back: {error}");
            client.call("plugin.enable", json!({ "name": name })).await?;
        }
    }
    Ok(())
}
