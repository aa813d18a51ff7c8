//! A chain of three plugins in three languages, each calling the next by typed import.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, guest};
use serde_json::json;

const CHAIN: [&str; 3] = ["chain-rs", "chain-js", "chain-py"];

/// One journey, because the components take seconds to compile.
#[tokio::test]
async fn a_chain_of_three_languages_keeps_the_caller_and_gives_failures_as_errors() -> Result<()> {
    // `cargo xtask doctor` names what is missing.
    if CHAIN.iter().any(|name| guest(name).is_err()) && std::env::var_os("CI").is_none() {
        eprintln!("skipped: needs Node.js with npm and Python 3 with venv, then `cargo xtask guests`");
        return Ok(());
    }
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    for name in CHAIN.into_iter().rev() {
        host.drop_in(&guest(name)?)?;
        client.event(|event| event["payload"]["name"] == name && event["payload"]["to"] == "running").await?;
    }
    the_end_sees_the_client_its_request_and_its_deadline(&mut client).await?;
    an_error_at_the_end_is_the_error_of_the_client(&mut client).await?;
    a_trap_at_the_end_is_an_error_value_in_the_middle(&mut client).await
}

async fn the_end_sees_the_client_its_request_and_its_deadline(client: &mut Client) -> Result<()> {
    let call = json!({
        "jsonrpc": "2.0", "id": "chain", "method": "chain_rs.pass", "params": [[]], "meta": { "timeout_ms": 20_000 },
    });
    client.send_text(&call.to_string()).await?;
    let response = client.wait_for(|message| message["id"] == "chain").await?;
    let stations = response["result"].as_array().with_context(|| response.to_string())?;
    assert_eq!(stations.len(), 3, "{response}");
    let mut remaining = 20_000;
    for (station, (plugin, caller)) in
        stations.iter().zip([("chain-rs", None), ("chain-js", Some("chain-rs")), ("chain-py", Some("chain-js"))])
    {
        assert_eq!((station["plugin"].as_str(), station["caller"].as_str()), (Some(plugin), caller), "{station}");
        for same in ["principal", "scopes", "request_id"] {
            assert_eq!(station[same], stations[0][same], "{same} at {plugin}");
        }
        let left = station["remaining_ms"].as_u64().context("remaining_ms")?;
        assert!(left <= remaining, "{plugin} has {left} ms, the one before had {remaining}");
        remaining = left;
    }
    assert_eq!(stations[2]["principal"], "owner");
    Ok(())
}

async fn an_error_at_the_end_is_the_error_of_the_client(client: &mut Client) -> Result<()> {
    let (code, error) = client.fault("chain_rs.fail", json!(["error"])).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["asked"]), ("conflict", &json!("error")), "{error}");
    Ok(())
}

async fn a_trap_at_the_end_is_an_error_value_in_the_middle(client: &mut Client) -> Result<()> {
    let heard = client.call("chain_rs.fail", json!(["trap"])).await?;
    assert_eq!(heard, "chain-rs heard: chain-js saw plugin_failed");
    // Only the end was replaced, and the chain holds again.
    client.event(|event| event["payload"]["name"] == "chain-py" && event["payload"]["to"] == "running").await?;
    for name in ["chain-rs", "chain-js"] {
        assert_eq!(client.call("plugin.get", json!({ "name": name })).await?["generation"], 1, "{name}");
    }
    let stations = client.call("chain_rs.pass", json!([[]])).await?;
    assert_eq!(stations.as_array().map(Vec::len), Some(3));
    Ok(())
}
