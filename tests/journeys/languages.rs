use anyhow::Result;
use midplane_tests::{Host, Options, copy_folder, guest};
use serde_json::json;

/// The same journey for a guest in any language: it greets, counts its greetings in storage, and says so in an event.
async fn greets(name: &'static str) -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| copy_folder(&guest(name)?, &plugins.join(name))).await?;
    let mut client = host.connect().await?;
    let prefix = name.replace('-', "_");
    client.subscribe(&[&format!("{prefix}.**")]).await?;
    let method = format!("{prefix}.greeter.greet");
    let greeting = client.call(&method, json!({ "name": "Ada" })).await?;
    assert!(greeting.as_str().is_some_and(|text| text.contains("Ada")), "{greeting}");
    let event = client.event(|_| true).await?;
    assert!(event["topic"].as_str().is_some_and(|topic| topic.starts_with(&prefix)), "{event}");
    let (code, _) = client.fault(&method, json!({ "name": "" })).await?;
    assert_eq!(code, "invalid_params", "an error of the guest's own is an answer with its code, not a trap");
    let logs = client.call("plugin.logs", json!({ "name": name })).await?;
    assert!(logs.to_string().contains("Ada"), "{logs}");
    Ok(())
}

#[tokio::test]
async fn a_guest_in_javascript_is_a_plugin_like_any_other() -> Result<()> {
    // Needs Node.js and npm, which somebody who works on the host alone may lack; `cargo xtask doctor` names them.
    if guest("greeter-js").is_err() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: no greeter-js; install Node.js and npm, then `cargo xtask guests`");
        return Ok(());
    }
    greets("greeter-js").await
}

#[tokio::test]
async fn a_guest_in_python_is_a_plugin_like_any_other() -> Result<()> {
    // Needs Python 3 with venv, as above.
    if guest("greeter-py").is_err() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: no greeter-py; install Python 3 with venv, then `cargo xtask guests`");
        return Ok(());
    }
    greets("greeter-py").await
}
