//! Installing, upgrading and removing plugins: nothing runs before its grants are known, and whatever goes wrong leaves
//! everything as it was.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use midplane_tests::{
    Client, Entry, EntryType, Host, Options, copy_folder, example, guest, pack, pack_folder, set_in_manifest,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of a guest under its own name, changed by `change`.
fn staged(from: &Path, change: impl FnOnce(&Path) -> Result<()>) -> Result<(TempDir, PathBuf)> {
    let staged = tempfile::tempdir()?;
    let folder = staged.path().join("package");
    copy_folder(from, &folder)?;
    change(&folder)?;
    Ok((staged, folder))
}

async fn install(client: &mut Client, source: &Path) -> Result<Value> {
    let report = client.call("plugin.install", json!({ "source": source })).await?;
    assert_eq!(report["installed"], true, "{report}");
    Ok(report)
}

/// What lies in the plugin folder.
fn folders(host: &Host) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(&host.plugins)?;
    let mut names: Vec<String> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn a_folder_an_archive_and_a_component_alone_become_the_same_plugin() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let spell = example("spell")?;
    let made = tempfile::tempdir()?;
    let (archive, flat, bare) =
        (made.path().join("a.tar.gz"), made.path().join("flat.tgz"), made.path().join("spell.wasm"));
    pack_folder(&archive, &spell, "spell-1.0.0")?;
    pack_folder(&flat, &spell, "")?;
    std::fs::copy(spell.join("spell.wasm"), &bare)?;
    for source in [&spell, &archive, &flat, &bare] {
        let report = install(&mut client, source).await?;
        assert_eq!((&report["name"], &report["version"]), (&json!("spell"), &json!("1.0.0")));
        assert_eq!(
            (&report["services"], &report["plugin"]["state"]),
            (&json!(["acme:spell/checker@1.0.0"]), &json!("running"))
        );
        let findings = client.call("spell.checker.check", json!({ "text": "a wrogn word" })).await?;
        assert!(findings.to_string().contains("wrogn"), "{findings}");
        assert_eq!(folders(&host)?, ["spell"], "nothing is left beside it");
        client.call("plugin.remove", json!({ "name": "spell" })).await?;
        assert!(folders(&host)?.is_empty());
    }
    let lock = std::fs::read_to_string(host.data().join("plugins.lock"))?;
    assert!(!lock.contains("spell"), "{lock}");
    Ok(())
}

#[tokio::test]
async fn what_a_plugin_asks_for_is_shown_and_nothing_runs_until_somebody_allows_it() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let (_keep, folder) = staged(&guest("counter")?, |folder| {
        set_in_manifest(folder, "description", "[grants]\nmethods = [\"files.read\"]")
    })?;
    let report = client.call("plugin.install", json!({ "source": folder })).await?;
    assert_eq!(
        (&report["installed"], &report["needs_approval"]),
        (&json!(false), &json!({ "methods": ["files.read"] }))
    );
    assert_eq!(client.fault("counter.increment", json!({})).await?.0, "method_not_found");
    assert!(folders(&host)?.is_empty());

    let other = json!({ "source": folder, "approve": true, "sha256": "0" });
    assert_eq!(client.fault("plugin.install", other).await?.0, "conflict", "what was looked at is what is installed");
    let seen = json!({ "source": folder, "approve": true, "sha256": report["sha256"] });
    assert_eq!(client.call("plugin.install", seen).await?["installed"], true);
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);

    // An upgrade is asked about what is new, and needs nothing where nothing is.
    set_in_manifest(&folder, "version", "version = \"1.1.0\"")?;
    assert_eq!(install(&mut client, &folder).await?["replaces"], "1.0.0");
    set_in_manifest(&folder, "methods", "methods = [\"files.read\", \"files.stat\"]")?;
    let report = client.call("plugin.install", json!({ "source": folder })).await?;
    assert_eq!(report["needs_approval"], json!({ "methods": ["files.stat"] }));
    assert_eq!(client.call("counter.increment", json!({})).await?, 2, "the old one serves");
    Ok(())
}

#[tokio::test]
async fn an_upgrade_keeps_the_state_and_one_that_fails_leaves_everything_as_it_was() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    install(&mut client, &guest("counter")?).await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 1);
    install(&mut client, &guest("counter-v2")?).await?;
    assert_eq!(client.call("counter.increment", json!({})).await?, 2);
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "two");
    let files = std::fs::read_to_string(host.plugins.join("counter/plugin.toml"))?;

    let (_keep, never_starts) = staged(&guest("slow-start")?, |folder| {
        set_in_manifest(folder, "name", "name = \"counter\"")?;
        set_in_manifest(folder, "description", "[limits]\ndeadline_ms = 300")
    })?;
    let (code, error) = client.fault("plugin.install", json!({ "source": never_starts })).await?;
    assert_eq!(code, "plugin_failed");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("300 ms")), "{error}");
    assert_eq!(client.call("counter.increment", json!({})).await?, 3);
    assert_eq!(std::fs::read_to_string(host.plugins.join("counter/plugin.toml"))?, files);

    // A first one that fails leaves nothing.
    set_in_manifest(&never_starts, "name", "name = \"sleeper\"")?;
    assert_eq!(client.fault("plugin.install", json!({ "source": never_starts })).await?.0, "plugin_failed");
    assert_eq!(folders(&host)?, ["counter"]);
    let host = host.kill_and_restart().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("counter.generation_text", json!({})).await?, "two");
    Ok(())
}

#[tokio::test]
async fn a_source_that_is_no_plugin_is_refused_by_name_and_writes_nothing() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let made = tempfile::tempdir()?;
    let manifest = std::fs::read(guest("counter")?.join("plugin.toml"))?;
    let file = |name, content| Entry { name, kind: EntryType::Regular, content };
    let odd = |name, kind| Entry { name, kind, content: b"" };
    let hostile = [
        ("traversal", vec![file("plugin.toml", &manifest), file("../../evil", b"x")], "../../evil"),
        ("absolute", vec![file("/tmp/evil", b"x")], "/tmp/evil"),
        ("link", vec![file("plugin.toml", &manifest), odd("counter.wasm", EntryType::Symlink)], "a link"),
        ("hard", vec![file("plugin.toml", &manifest), odd("counter.wasm", EntryType::Link)], "a link"),
        ("device", vec![odd("counter.wasm", EntryType::Char)], "a device"),
        ("twice", vec![file("plugin.toml", &manifest), file("plugin.toml", &manifest)], "twice"),
        ("empty", vec![file("readme", b"x")], "plugin.toml"),
        ("half", vec![file("plugin.toml", &manifest)], "counter.wasm"),
    ];
    for (name, entries, told) in hostile {
        let path = made.path().join(format!("{name}.tar.gz"));
        pack(&path, &entries)?;
        let (code, error) = client.fault("plugin.install", json!({ "source": path })).await?;
        assert_eq!(code, "invalid_params", "{name}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(told)), "{name}: {error}");
    }
    let path = made.path().join("notes.txt");
    std::fs::write(&path, "hello")?;
    for (source, expected) in [
        (path.to_string_lossy().into_owned(), "invalid_params"),
        (made.path().join("missing").to_string_lossy().into_owned(), "not_found"),
        ("oci://example.com/plugins/spell:1.0.0".to_owned(), "not_supported"),
    ] {
        assert_eq!(client.fault("plugin.install", json!({ "source": source })).await?.0, expected, "{source}");
    }
    assert!(folders(&host)?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_a_removed_plugin_stored_is_there_when_it_comes_back_unless_it_was_purged() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let asker = guest("asker")?;
    install(&mut client, &asker).await?;
    client.call("asker.store", json!({ "key": "k", "value": "aGk=" })).await?;
    client.call("plugin.remove", json!({ "name": "asker" })).await?;
    install(&mut client, &asker).await?;
    assert_eq!(client.call("asker.load", json!({ "key": "k" })).await?, "aGk=");
    client.call("plugin.remove", json!({ "name": "asker", "purge": true })).await?;
    install(&mut client, &asker).await?;
    assert_eq!(client.call("asker.load", json!({ "key": "k" })).await?, Value::Null);
    assert_eq!(client.fault("plugin.remove", json!({ "name": "files" })).await?.0, "conflict");
    assert_eq!(client.fault("plugin.remove", json!({ "name": "nobody" })).await?.0, "not_found");
    Ok(())
}

#[tokio::test]
async fn after_a_kill_during_an_upgrade_the_old_plugin_or_the_new_one_is_there_wholly() -> Result<()> {
    let mut host = Host::start().await?;
    let (old, new) = (guest("counter")?, guest("counter-v2")?);
    // Both are compiled once, so that what is killed is the exchange and not the compiler.
    let mut client = host.connect().await?;
    for source in [&new, &old] {
        install(&mut client, source).await?;
    }
    for point in 0..8 {
        let mut client = host.connect().await?;
        client.send("plugin.install", json!({ "source": new })).await?;
        // Not a wait for anything: the later the point, the more of the work is done when the kill comes.
        tokio::time::sleep(std::time::Duration::from_millis(point * point * 4)).await;
        host = host.kill_and_restart().await?;
        let mut client = host.connect().await?;
        let info = client.call("plugin.get", json!({ "name": "counter" })).await?;
        let text = client.call("counter.generation_text", json!({})).await?;
        let version = info["version"].as_str().context("version")?;
        assert!(
            matches!((version, text.as_str()), ("1.0.0", Some("one")) | ("2.0.0", Some("two"))),
            "{version} {text}"
        );
        assert_eq!(folders(&host)?, ["counter"], "at point {point}");
        let lock = std::fs::read_to_string(host.data().join("plugins.lock"))?;
        assert!(lock.contains(info["sha256"].as_str().context("sha256")?), "{lock}");
        install(&mut client, &old).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_command_line_shows_asks_installs_and_follows() -> Result<()> {
    let host = Host::start_with(Options::default(), |_| Ok(())).await?;
    let (_keep, folder) =
        staged(&guest("counter")?, |folder| set_in_manifest(folder, "description", "[grants]\nterminals = true"))?;
    let source = folder.to_str().context("a path")?;
    let (code, _, stderr) = host.cli(&["plugin", "install", source]).await?;
    assert!(code == 2 && stderr.contains("terminals") && stderr.contains("--yes"), "{code} {stderr}");
    let (code, stdout, stderr) = host.cli(&["plugin", "install", source, "--yes"]).await?;
    assert!(code == 0 && stdout.contains("counter 1.0.0 is running"), "{code} {stdout} {stderr}");
    let (_, table, _) = host.cli(&["plugin", "list"]).await?;
    let line = table.lines().find(|line| line.starts_with("counter ")).context("counter")?;
    assert!(line.contains("1.0.0") && line.contains("running"), "{table}");
    for (arguments, expected, told) in [
        (&["plugin", "info", "counter"][..], 0, "grant         terminals"),
        (&["plugin", "info", "nobody"], 4, ""),
        (&["plugin", "disable", "counter"], 0, "is disabled"),
        (&["plugin", "enable", "counter"], 0, "is running"),
        (&["plugin", "reload", "counter"], 0, "is running"),
        (&["plugin", "approve", "counter", "--sha256", "0"], 5, ""),
        (&["plugin", "logs", "counter", "--level", "info"], 0, "counting from"),
        (&["plugin", "logs", "counter", "--level", "loud"], 1, ""),
        (&["plugin", "remove", "files"], 5, ""),
        (&["plugin", "remove", "counter"], 0, "is removed"),
        (&["plugin", "install", "/nowhere"], 4, ""),
    ] {
        let (code, stdout, stderr) = host.cli(arguments).await?;
        assert_eq!(code, expected, "{arguments:?}: {stdout}{stderr}");
        assert!(stdout.contains(told), "{arguments:?}: {stdout}{stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn a_log_is_followed_without_asking_again_and_again() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter")))
            .await?;
    let mut client = host.connect().await?;
    let lines = client.call("plugin.logs", json!({ "name": "counter" })).await?;
    let last = lines.as_array().and_then(|lines| lines.last()).context("a line")?;
    let next = json!({ "name": "counter", "after": last["seq"], "wait_ms": 20_000, "level": "info" });
    let waiting = client.send("plugin.logs", next).await?;
    client.call("plugin.reload", json!({ "name": "counter" })).await?;
    let answer = client.wait_for(|message| message["id"] == waiting).await?;
    assert_eq!(answer["result"][0]["level"], "info", "{answer}");
    assert!(answer["result"][0]["seq"].as_u64() > last["seq"].as_u64(), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_folder_that_is_dropped_in_after_a_removal_is_a_new_plugin() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("counter")?, &plugins.join("counter")))
            .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    for _ in 0..5 {
        assert_eq!(client.call("counter.increment", json!({})).await?, 1);
        client.call("plugin.remove", json!({ "name": "counter" })).await?;
        host.drop_in(&guest("counter")?)?;
        client.event(|event| event["payload"]["name"] == "counter" && event["payload"]["to"] == "running").await?;
    }
    Ok(())
}
