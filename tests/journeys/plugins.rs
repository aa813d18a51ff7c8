use anyhow::{Context, Result};
use midplane_tests::{Host, example, set_in_manifest};
use serde_json::{Value, json};

#[tokio::test]
async fn a_strangers_plugin_becomes_methods_with_types_and_docs() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    host.drop_in(&example("spell")?)?;
    client.event(|event| event["payload"]["name"] == "spell" && event["payload"]["to"] == "running").await?;
    let findings = client.call("spell.checker.check", json!({ "text": "a wrogn word" })).await?;
    assert!(findings.to_string().contains("wrogn"), "{findings}");

    let info = client.call("plugin.get", json!({ "name": "spell" })).await?;
    let function = &info["services"][0]["functions"][0];
    assert_eq!(function["name"], "check");
    assert_eq!(function["params"]["properties"]["text"]["type"], "string");
    assert!(function["docs"].as_str().is_some_and(|docs| !docs.is_empty()), "{info}");

    let openrpc = host.get_json("/openrpc.json").await?;
    let methods = openrpc["methods"].as_array().context("methods")?;
    let check = methods.iter().find(|method| method["name"] == "spell.checker.check").context("spell.checker.check")?;
    assert_eq!(check["params"][0]["name"], "text");
    assert_eq!(check["description"], function["docs"]);
    Ok(())
}

#[tokio::test]
async fn a_typed_import_survives_the_swap_of_what_it_imports() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    let state = |name: &'static str, to: &'static str| {
        move |event: &Value| event["payload"]["name"] == name && event["payload"]["to"] == to
    };

    // The user comes first and waits for what it imports, by name.
    host.drop_in(&example("proof")?)?;
    let waiting = client.event(state("proof", "waiting")).await?;
    assert!(
        waiting["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("the plugin spell")),
        "{waiting}"
    );
    host.drop_in(&example("spell")?)?;
    client.event(state("proof", "running")).await?;
    let count = client.call("proof.reader.count_mistakes", json!({ "text": "two wrogn wrods wrogn" })).await?;
    assert!(count.as_u64().is_some_and(|count| count > 0), "{count}");

    let generation = |info: &Value| info["generation"].clone();
    let before = generation(&client.call("plugin.get", json!({ "name": "proof" })).await?);
    set_in_manifest(&host.plugins.join("spell"), "version", "version = \"1.0.9\"")?;
    client.event(|event| event["payload"]["version"] == "1.0.9" && event["payload"]["to"] == "running").await?;
    assert_eq!(client.call("proof.reader.count_mistakes", json!({ "text": "two wrogn wrods wrogn" })).await?, count);
    assert_eq!(
        generation(&client.call("plugin.get", json!({ "name": "proof" })).await?),
        before,
        "the user was not disturbed"
    );

    client.call("plugin.disable", json!({ "name": "spell" })).await?;
    // Its user cannot do without it, waits, and says so to whoever calls.
    client.event(state("proof", "waiting")).await?;
    let (code, error) = client.fault("proof.reader.count_mistakes", json!({ "text": "x" })).await?;
    assert_eq!(code, "plugin_unavailable");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("the plugin spell")), "{error}");
    client.call("plugin.enable", json!({ "name": "spell" })).await?;
    client.event(state("proof", "running")).await?;
    assert_eq!(client.call("proof.reader.count_mistakes", json!({ "text": "two wrogn wrods wrogn" })).await?, count);
    Ok(())
}

#[tokio::test]
async fn first_party_plugins_are_inside_the_program() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let plugins = client.call("plugin.list", json!({})).await?;
    for name in ["files", "terminals", "workspace"] {
        let plugin =
            plugins.as_array().and_then(|all| all.iter().find(|plugin| plugin["name"] == name)).context(name)?;
        assert_eq!((plugin["state"].as_str(), plugin["builtin"].as_bool()), (Some("running"), Some(true)));
    }
    Ok(())
}
