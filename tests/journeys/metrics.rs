//! What the host counts about each plugin: exact figures after calls, traps, floods, events and reloads.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest};
use serde_json::{Value, json};

async fn host_with(guests: &'static [&'static str]) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        guests.iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))
    })
    .await
}

async fn metrics(client: &mut Client, plugin: &str) -> Result<Value> {
    let mut info = client.call("plugin.get", json!({ "name": plugin })).await?;
    Ok(info["metrics"].take())
}

#[tokio::test]
async fn calls_and_their_faults_are_counted_once_each() -> Result<()> {
    let host = host_with(&["echo"]).await?;
    let mut client = host.connect().await?;
    for _ in 0..7 {
        client.call("echo.add", json!([1, 2])).await?;
    }
    for code in ["conflict", "conflict", "not_found"] {
        assert_eq!(client.fault("echo.fail_with", json!([code])).await?.0, code);
    }
    assert_eq!(client.fault("echo.add", json!(["x", 2])).await?.0, "invalid_params");
    // Nobody serves this, so no plugin counts it.
    client.fault("echo.nonsense", json!({})).await?;

    let metrics = metrics(&mut client, "echo").await?;
    assert_eq!(metrics["calls"], 11, "{metrics}");
    assert_eq!(metrics["errors"], json!({ "invalid_params": 1, "not_found": 1, "conflict": 2 }));
    let latency = &metrics["latency"];
    assert_eq!(latency["count"], 11);
    let buckets = latency["buckets"].as_array().context("buckets")?;
    let counts: Vec<u64> = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).collect();
    assert!(counts.is_sorted() && counts.last() == Some(&11), "{latency}");
    assert!(latency["sum_us"].as_u64() > Some(0) && latency["p99_us_max"].as_u64() > Some(0), "{latency}");
    assert!(metrics["guest_cpu_us"].as_u64() > Some(0), "{metrics}");
    assert_eq!(metrics["queue"]["now"], 0);
    assert!(metrics["queue"]["highest"].as_u64() >= Some(1), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_trap_counts_as_a_trap_and_a_restart_and_the_figures_go_on() -> Result<()> {
    let host = host_with(&["trap"]).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    client.call("trap.ok", json!({})).await?;
    for method in ["trap.deep", "trap.out_of_bounds"] {
        assert_eq!(client.fault(method, json!({})).await?.0, "plugin_failed");
        client.event(|event| event["payload"]["name"] == "trap" && event["payload"]["to"] == "running").await?;
    }
    client.call("trap.ok", json!({})).await?;
    let metrics = metrics(&mut client, "trap").await?;
    assert_eq!((&metrics["traps"], &metrics["restarts"]), (&json!(2), &json!(2)), "{metrics}");
    assert_eq!((&metrics["calls"], &metrics["errors"]), (&json!(4), &json!({ "plugin_failed": 2 })));
    assert_eq!(metrics["reloads"], json!({ "count": 0, "last_pause_us": 0, "longest_pause_us": 0 }));
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_is_overrun_counts_as_a_timeout_and_costs_the_instance() -> Result<()> {
    let host = host_with(&["spin"]).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    assert_eq!(client.fault("spin.forever", json!({})).await?.0, "timeout");
    client.event(|event| event["payload"]["name"] == "spin" && event["payload"]["to"] == "running").await?;
    let metrics = metrics(&mut client, "spin").await?;
    assert_eq!((&metrics["errors"], &metrics["traps"]), (&json!({ "timeout": 1 }), &json!(1)), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_counts_as_cancelled() -> Result<()> {
    let host = host_with(&["echo"]).await?;
    let mut client = host.connect().await?;
    let id = client.send("echo.later", json!({ "text": "x", "delay_ms": 2000 })).await?;
    // It is inside when a call that came after it is answered.
    client.call("echo.add", json!([1, 2])).await?;
    let cancel = json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": id } });
    client.send_text(&cancel.to_string()).await?;
    let answer = client.wait_for(|message| message["id"] == id).await?;
    assert_eq!(answer["error"]["data"]["code"], "cancelled");
    let metrics = metrics(&mut client, "echo").await?;
    assert_eq!((&metrics["calls"], &metrics["errors"]), (&json!(2), &json!({ "cancelled": 1 })), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn reloads_are_counted_with_their_pause_and_keep_the_figures() -> Result<()> {
    let host = host_with(&["counter", "echo"]).await?;
    let mut client = host.connect().await?;
    for plugin in ["counter", "echo"] {
        for _ in 0..3 {
            client.call("plugin.reload", json!({ "name": plugin })).await?;
        }
    }
    client.call("counter.increment", json!({})).await?;
    for plugin in ["counter", "echo"] {
        let reloads = metrics(&mut client, plugin).await?["reloads"].take();
        assert_eq!(reloads["count"], 3, "{plugin}");
        let (last, longest) = (reloads["last_pause_us"].as_u64(), reloads["longest_pause_us"].as_u64());
        assert!(last <= longest && longest > Some(0), "{plugin}: {reloads}");
    }
    // What stops and comes back has not been reloaded.
    let before = metrics(&mut client, "counter").await?;
    client.call("plugin.disable", json!({ "name": "counter" })).await?;
    client.call("plugin.enable", json!({ "name": "counter" })).await?;
    client.call("counter.increment", json!({})).await?;
    let after = metrics(&mut client, "counter").await?;
    assert_eq!(after["reloads"], before["reloads"]);
    assert_eq!((&before["calls"], &after["calls"]), (&json!(1), &json!(2)));
    Ok(())
}

#[tokio::test]
async fn memory_goes_up_with_the_guest_and_down_with_its_instance() -> Result<()> {
    const BYTES: u64 = 8 * 1024 * 1024;
    let host = host_with(&["leak"]).await?;
    let mut client = host.connect().await?;
    let now = |metrics: &Value| metrics["memory"]["now_bytes"].as_u64().unwrap_or_default();
    let fresh = now(&metrics(&mut client, "leak").await?);
    ensure!(fresh > 0, "an instance has memory");
    client.call("leak.some", json!([BYTES])).await?;
    let grown = now(&metrics(&mut client, "leak").await?);
    assert!(grown >= fresh + BYTES, "{grown} after {fresh}");
    client.call("plugin.disable", json!({ "name": "leak" })).await?;
    let stopped = metrics(&mut client, "leak").await?;
    assert_eq!(now(&stopped), 0);
    assert_eq!(stopped["memory"]["peak_bytes"].as_u64(), Some(grown));
    Ok(())
}

#[tokio::test]
async fn events_and_dropped_log_lines_are_counted() -> Result<()> {
    let host = host_with(&["listener", "flood"]).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["listener.heard"]).await?;
    for n in 0..5 {
        client.call("event.publish", json!({ "topic": "test.a", "payload": n })).await?;
    }
    for _ in 0..5 {
        client.event_on("listener.heard").await?;
    }
    // The guest says what it heard before it has returned; this answer comes after it has.
    client.call("listener.heard_so_far", json!({})).await?;
    assert_eq!(metrics(&mut client, "listener").await?["events"], 5);

    client.call("flood.lines", json!([5000])).await?;
    let dropped = metrics(&mut client, "flood").await?["log_lines_dropped"].as_u64().context("dropped")?;
    let kept = client.call("plugin.logs", json!({ "name": "flood", "limit": 1000 })).await?;
    let lines = kept.as_array().context("lines")?.iter();
    let written = lines.filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("line "))).count();
    assert_eq!(written as u64 + dropped, 5000);
    Ok(())
}

#[tokio::test]
async fn prometheus_reads_the_same_figures_in_its_own_format() -> Result<()> {
    let host = host_with(&["echo", "trap"]).await?;
    let mut client = host.connect().await?;
    for _ in 0..3 {
        client.call("echo.add", json!([1, 2])).await?;
    }
    client.fault("echo.fail_with", json!(["conflict"])).await?;
    let samples = exposition(&host.get_text("/metrics").await?)?;
    for (sample, expected) in [
        (r#"midplane_plugin_calls_total{plugin="echo"}"#, 4.0),
        (r#"midplane_plugin_calls_total{plugin="trap"}"#, 0.0),
        (r#"midplane_plugin_running{plugin="trap"}"#, 1.0),
        (r#"midplane_plugin_errors_total{plugin="echo",code="conflict"}"#, 1.0),
        (r#"midplane_plugin_call_duration_seconds_count{plugin="echo"}"#, 4.0),
        (r#"midplane_plugin_call_duration_seconds_bucket{plugin="echo",le="+Inf"}"#, 4.0),
        (r#"midplane_plugin_call_duration_seconds_bucket{plugin="echo",le="30"}"#, 4.0),
        (r#"midplane_connections"#, 1.0),
    ] {
        assert_eq!(samples.get(sample), Some(&expected), "{sample}");
    }
    assert!(samples.keys().any(|name| name.contains(r#"le="0.00005""#)), "bounds are seconds");
    let sum = samples.get(r#"midplane_plugin_call_duration_seconds_sum{plugin="echo"}"#);
    assert!(sum.is_some_and(|sum| *sum > 0.0 && *sum < 60.0), "{sum:?}");
    Ok(())
}

/// Reads the text format strictly: each family once, HELP and TYPE before its samples, no sample twice.
fn exposition(text: &str) -> Result<BTreeMap<String, f64>> {
    let (mut families, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let (mut family, mut helped) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split(' ').next().context("name")?;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("kind")?;
            ensure!(name == helped, "{name} has no HELP before its TYPE");
            ensure!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            ensure!(families.insert(name, kind).is_none(), "{name} comes twice");
            family = name;
        } else {
            let (sample, value) = line.rsplit_once(' ').with_context(|| format!("no value: {line}"))?;
            let name = sample.split('{').next().unwrap_or_default();
            let histogram = families.get(family) == Some(&"histogram");
            let rest = name.strip_prefix(family).with_context(|| format!("{name} stands below {family}"))?;
            ensure!(if histogram { ["_bucket", "_sum", "_count"].contains(&rest) } else { rest.is_empty() }, "{line}");
            let value: f64 = value.parse().with_context(|| line.to_owned())?;
            ensure!(samples.insert(sample.to_owned(), value).is_none(), "{sample} comes twice");
        }
    }
    Ok(samples)
}
