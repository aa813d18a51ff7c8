//! `func` and `async func`: the host bridges the two, so that nobody needs to know which one the other side is.

use std::path::Path;

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_tests::{Client, Host, Options, copy_folder, guest};
use serde_json::{Value, json};

fn copy(plugins: &Path, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))
}

async fn host(names: &'static [&'static str]) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| copy(plugins, names)).await
}

async fn response(client: &mut Client, id: u64) -> Result<Value> {
    client.wait_for(|message| message["id"] == id).await
}

/// Many calls at the same time, each with an argument of its own, which comes back.
async fn each_gets_its_own_answer(client: &mut Client, methods: &[&str]) -> Result<()> {
    for round in 0..5 {
        let mut sent = Vec::new();
        for index in 0..40 {
            let method = methods[index % methods.len()];
            let text = format!("{method} {round} {index}");
            let value = if method.ends_with("bytes") { json!(BASE64.encode(text)) } else { json!(text) };
            sent.push((client.send(method, json!([value])).await?, value));
        }
        for (id, value) in sent {
            let answer = response(client, id).await?;
            assert_eq!(answer["result"], value, "{answer}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_import_of_one_colour_is_served_by_an_export_of_the_other_under_load() -> Result<()> {
    let host = host(&["colours", "colours-user"]).await?;
    let mut client = host.connect().await?;
    let methods = ["colours_user.plain", "colours_user.waits", "colours_user.plain_bytes", "colours_user.waits_bytes"];
    each_gets_its_own_answer(&mut client, &methods).await
}

#[tokio::test]
async fn javascript_calls_an_async_function_as_a_plain_one() -> Result<()> {
    if guest("colours-js").is_err() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: no colours-js; install Node.js and npm, then `cargo xtask guests`");
        return Ok(());
    }
    let host = host(&["colours", "colours-js"]).await?;
    let mut client = host.connect().await?;
    each_gets_its_own_answer(&mut client, &["colours_js.plain", "colours_js.waits"]).await
}

#[tokio::test]
async fn python_calls_in_either_colour_and_each_call_keeps_its_caller() -> Result<()> {
    if guest("colours-py").is_err() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: no colours-py; install Python 3 with venv, then `cargo xtask guests`");
        return Ok(());
    }
    let host = host(&["colours", "colours-py"]).await?;
    let mut client = host.connect().await?;
    each_gets_its_own_answer(&mut client, &["colours_py.plain", "colours_py.waits"]).await?;
    let mut sent = Vec::new();
    for _ in 0..8 {
        sent.push(client.send("colours_py.served", json!(["x"])).await?);
    }
    let mut ids = std::collections::BTreeSet::new();
    for id in sent {
        let answer = response(&mut client, id).await?;
        let seen = answer["result"].as_array().with_context(|| answer.to_string())?;
        assert_eq!(seen.len(), 1, "one call, one request id: {answer}");
        ids.insert(seen[0].to_string());
    }
    assert_eq!(ids.len(), 8);
    Ok(())
}

#[tokio::test]
async fn calls_of_async_functions_are_inside_two_instances_at_once() -> Result<()> {
    let host = host(&["colours", "colours-user"]).await?;
    let mut client = host.connect().await?;
    // Nobody is answered before all are inside; plain calls go on meanwhile.
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(client.send("colours_user.meet", json!([6])).await?);
    }
    assert_eq!(client.call("colours_user.calls", json!({})).await?, 5);
    assert_eq!(client.call("colours_user.waits", json!(["beside"])).await?, "beside");
    waiting.push(client.send("colours.meet", json!([6])).await?);
    for id in waiting {
        let answer = response(&mut client, id).await?;
        assert_eq!(answer["result"], 6, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_trap_of_the_callee_ends_the_call_that_awaits_it_and_no_other() -> Result<()> {
    let host = host(&["colours", "colours-user"]).await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    let (code, error) = client.fault("colours_user.breaks", json!({})).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["plugin"]), ("plugin_failed", &json!("colours-user")));
    assert!(error.to_string().contains("breaks: plugin_failed: colours failed"), "{error}");
    client.event(|event| event["payload"]["name"] == "colours" && event["payload"]["to"] == "running").await?;
    // Same instance as before: it remembers.
    assert_eq!(client.call("colours_user.calls", json!({})).await?, 1);
    let (code, error) = client.fault("colours_user.breaks_guarded", json!({})).await?;
    assert_eq!(code, "application_error", "the error value of the function itself: {error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("colours failed")), "{error}");
    assert_eq!(client.call("colours_user.calls", json!({})).await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_cycle_over_plugins_is_refused_at_once_in_either_colour() -> Result<()> {
    let host = host(&["echo", "relay", "overlap"]).await?;
    let mut client = host.connect().await?;
    let inner = |method: &str, params: Value| json!({ "method": method, "params": params });
    // A plain function first, an async one first.
    let plain_first =
        client.fault("relay.call", inner("overlap.meet_and_call", json!([1, "relay.methods", {}]))).await?;
    let async_first =
        client.fault("overlap.meet_and_call", json!([1, "relay.call", inner("overlap.inside", json!([]))])).await?;
    for ((code, error), chain) in
        [(plain_first, ["relay", "overlap", "relay"]), (async_first, ["overlap", "relay", "overlap"])]
    {
        assert_eq!((code.as_str(), &error["data"]["details"]["chain"]), ("cycle", &json!(chain)), "{error}");
    }
    Ok(())
}
