use anyhow::Result;
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

#[tokio::test]
async fn rubbish_on_a_socket_is_answered_and_the_socket_goes_on() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    for (text, code) in
        [("{", -32700), ("[]", -32600), ("7", -32600), (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600)]
    {
        client.send_text(text).await?;
        let answer = client.wait_for(|message| message.get("error").is_some()).await?;
        assert_eq!(answer["error"]["code"], code, "{text}");
    }
    client.call("system.methods", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn each_bad_plugin_is_refused_by_name_and_the_good_ones_run() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter")?, &plugins.join("counter"))?;
        copy_folder(&guest("wrong-contract")?, &plugins.join("wrong-contract"))?;
        copy_folder(&guest("newer-contract")?, &plugins.join("newer-contract"))?;
        copy_folder(&guest("relay")?, &plugins.join("newer-manifest"))?;
        set_in_manifest(&plugins.join("newer-manifest"), "host", "host = \"^0.9\"")?;
        copy_folder(&guest("echo")?, &plugins.join("unknown-key"))?;
        set_in_manifest(&plugins.join("unknown-key"), "description", "colour = \"red\"")?;
        copy_folder(&guest("counter")?, &plugins.join("second-counter"))?;
        copy_folder(&guest("trap")?, &plugins.join("no-component"))?;
        std::fs::write(plugins.join("no-component/trap.wasm"), "MZ")?;
        std::fs::create_dir(plugins.join("empty"))?;
        Ok(())
    })
    .await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    client.call("event.subscribe", json!({ "patterns": ["plugin.load_failed"], "since": "earliest" })).await?;
    for (source, needle) in [
        ("wrong-contract", "midplane:host/telepathy"),
        (
            "newer-contract",
            "midplane:host/log@0.3.0, which this host does not have (it serves midplane:host 0.2.0 and 0.1.0)",
        ),
        ("newer-manifest", "built for midplane:host ^0.9, this host serves 0.2.0 and 0.1.0"),
        ("unknown-key", "colour"),
        ("second-counter", "counter"),
        ("no-component", "no component"),
    ] {
        let event = client.wait_for(|message| message["params"]["payload"]["source"] == source).await?;
        let reason = event["params"]["payload"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(needle), "{source}: {reason}");
    }
    Ok(())
}

#[tokio::test]
async fn a_plugin_folder_that_is_not_there_is_named() -> Result<()> {
    let host = Host::start().await?;
    let (code, _, stderr) =
        host.cli(&["serve", ".", "--listen", "127.0.0.1:0", "--plugins", "/no/such/folder"]).await?;
    assert_eq!(code, 1);
    assert!(stderr.contains("/no/such/folder"), "{stderr}");
    Ok(())
}

#[tokio::test]
async fn a_bind_beyond_loopback_is_refused_without_protection() -> Result<()> {
    let host = Host::start().await?;
    for arguments in [
        &["serve", ".", "--listen", "0.0.0.0:0"][..],
        &["serve", ".", "--listen", "0.0.0.0:0", "--no-auth", "--behind-proxy"],
    ] {
        let (code, _, stderr) = host.cli(arguments).await?;
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("0.0.0.0"), "{stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_plugin_sends_by_name_is_read_as_strictly_as_what_a_client_sends() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        ["echo", "relay"].iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))
    })
    .await?;
    let mut client = host.connect().await?;
    let with_text = |params: &str| json!({ "method": "echo.add", "params": params });
    assert_eq!(client.call("relay.call_with_text", with_text(r#"{"a":1,"b":2}"#)).await?, 3);
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (params, needle) in
        [(r#"{"a":1,"b":2,"a":3}"#, "\"a\" is there twice"), (deep.as_str(), "levels"), ("{", "params: ")]
    {
        let (code, error) = client.fault("relay.call_with_text", with_text(params)).await?;
        assert_eq!((code.as_str(), &error["data"]["details"]["path"]), ("invalid_params", &json!("params")), "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(needle)), "{error}");
    }
    Ok(())
}
