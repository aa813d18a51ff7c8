//! `[config]` of a plugin and its schema.

use std::path::Path;

use anyhow::{Context, Result};
use midplane_tests::{Host, Options, copy_folder, example, set_in_manifest};
use serde_json::{Value, json};

fn set_words(folder: &Path, words: &str) -> Result<()> {
    set_in_manifest(folder, "words = [", &format!("words = {words}"))
}

#[tokio::test]
async fn a_wrong_setting_is_refused_by_its_key_while_the_old_plugin_serves() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&example("spell")?, &plugins.join("spell"))?;
        set_words(&plugins.join("spell"), "[\"first\"]")
    })
    .await?;
    let (mut client, folder) = (host.connect().await?, host.plugins.join("spell"));
    let known = json!({ "text": "first second" });
    let finding = |findings: &Value| findings[0]["word"].clone();
    assert_eq!(finding(&client.call("spell.checker.check", known.clone()).await?), "second");
    client.subscribe(&["plugin.load_failed"]).await?;

    set_words(&folder, "[\"second\", 7]")?;
    let failed = client.event_on("plugin.load_failed").await?;
    let reason = failed["payload"]["reason"].as_str().context("reason")?;
    assert!(reason.contains("config.words[1]: 7 does not fit; expected string with 1 or more characters"), "{reason}");
    let (code, error) = client.fault("plugin.reload", json!({ "name": "spell" })).await?;
    assert_eq!(code, "plugin_failed");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("config.words[1]")), "{error}");
    assert_eq!(finding(&client.call("spell.checker.check", known.clone()).await?), "second");

    set_words(&folder, "[\"second\"]")?;
    client.call("plugin.reload", json!({ "name": "spell" })).await?;
    assert_eq!(finding(&client.call("spell.checker.check", known).await?), "first");
    let plugin = client.call("plugin.get", json!({ "name": "spell" })).await?;
    assert_eq!(plugin["config"], json!({ "words": ["second"] }));
    assert_eq!(plugin["config_schema"]["properties"]["words"]["type"], "array");
    Ok(())
}

#[tokio::test]
async fn a_plugin_with_a_wrong_setting_does_not_start_and_a_check_says_so_before() -> Result<()> {
    let staged = tempfile::tempdir()?;
    let folder = staged.path().join("spell");
    copy_folder(&example("spell")?, &folder)?;
    let host = Host::start().await?;
    let path = folder.to_str().context("a path")?;
    let (code, report, _) = host.cli(&["plugin", "check", "--json", path]).await?;
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&report)?;
    let setting = &report["config"][0];
    assert_eq!(
        (&setting["key"], &setting["expects"]),
        (&json!("words"), &json!("array of string with 1 or more characters"))
    );
    let (_, text, _) = host.cli(&["plugin", "check", path]).await?;
    assert!(text.contains("words: array of string") && text.contains("Words beyond the built-in ones."), "{text}");

    set_in_manifest(&folder, "words = [", "wordz = []")?;
    let (code, _, stderr) = host.cli(&["plugin", "check", path]).await?;
    assert!(code == 1 && stderr.contains("config.wordz: is not known; known are words"), "{code} {stderr}");
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.load_failed"]).await?;
    host.drop_in(&folder)?;
    let failed = client.event_on("plugin.load_failed").await?;
    assert!(failed["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("config.wordz")), "{failed}");
    Ok(())
}
