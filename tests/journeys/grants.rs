//! A plugin that tries what it was not granted: every attempt is refused by name, and nothing happens.

use std::{os::unix::fs::symlink, path::Path};

use anyhow::{Context, Result, ensure};
use midplane_tests::{Host, Options, copy_folder, guest};
use serde_json::{Value, json};

/// What `narrow` may do; `asker`, the same component, may do nothing.
const GRANTS: &str = r#"
[grants]
methods = ["files.read"]
publish = ["shared.*"]
subscribe = ["shared.*"]
files = [{ path = "docs", access = "read" }, { path = "docs/out", access = "write" }, { path = "later", access = "write" }]
env = ["HOME", "NOT_THERE"]
"#;

/// What an attempt comes to.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// `forbidden`, with the grant that would allow it.
    Forbidden(&'static str),
    /// A path that leaves the served directory, grants or not.
    OutsideRoot,
    /// WASI's own refusal, which says so.
    Refused(&'static str),
    Done,
}
use Comes::{Done, Forbidden, OutsideRoot, Refused};

/// There is nothing but what is granted: the rest of the file system does not exist.
const NOT_THERE: Comes = Refused("No such file or directory");
const NOT_PERMITTED: Comes = Refused("Operation not permitted");

async fn host() -> Result<Host> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("asker")?, &plugins.join("asker"))?;
        let narrow = plugins.join("narrow");
        copy_folder(&guest("asker")?, &narrow)?;
        let manifest = std::fs::read_to_string(narrow.join("plugin.toml"))?.replace("\"asker\"", "\"narrow\"");
        std::fs::write(narrow.join("plugin.toml"), manifest + GRANTS)?;
        fill(&plugins.with_file_name("served"))
    })
    .await?;
    Ok(host)
}

fn fill(served: &Path) -> Result<()> {
    for folder in ["docs/out", "secret"] {
        std::fs::create_dir_all(served.join(folder))?;
    }
    for file in ["docs/a", "secret/s", "docs/out/mine"] {
        std::fs::write(served.join(file), file)?;
    }
    symlink("../secret", served.join("docs/link"))?;
    symlink("../../secret/s", served.join("docs/out/link"))?;
    symlink("/etc", served.join("docs/etc"))?;
    Ok(())
}

/// Every file below a folder with its content, to see that nothing happened.
fn everything(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything(&path)?);
        } else {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap_or_default()));
        }
    }
    found.sort();
    Ok(found)
}

#[tokio::test]
async fn whatever_is_not_granted_is_refused_and_does_not_happen() -> Result<()> {
    let host = host().await?;
    let etc = "/etc/passwd";
    let write = |path: &str| json!({ "path": path, "bytes": "eA==" });
    let path = |path: &str| json!({ "path": path });
    let between = |from: &str, to: &str| json!({ "from": from, "to": to });
    let link = |target: &str, path: &str| json!({ "target": target, "path": path });
    let call = |method: &str| json!({ "method": method, "params": {} });
    let table: Vec<(&str, &str, Value, Comes)> = vec![
        // Files by import, without any grant, beside the granted folder, and through every kind of way out.
        ("asker", "read_file", path("docs/a"), Forbidden("files")),
        ("asker", "write_file", write("docs/a"), Forbidden("files")),
        ("asker", "watch", json!({}), Forbidden("files")),
        ("narrow", "read_file", path("secret/s"), Forbidden("files")),
        ("narrow", "read_file", path("docs/../secret/s"), Forbidden("files")),
        ("narrow", "read_file", path("docs/../../secret"), OutsideRoot),
        ("narrow", "read_file", path(etc), OutsideRoot),
        ("narrow", "read_file", path("docs/link/s"), Forbidden("files")),
        ("narrow", "read_file", path("docs/out/link"), Forbidden("files")),
        ("narrow", "read_file", path("docs/etc/passwd"), Forbidden("files")),
        ("narrow", "write_file", write("docs/a"), Forbidden("files")),
        ("narrow", "write_file", write("docs/out/link"), Forbidden("files")),
        ("narrow", "write_file", write("secret/s"), Forbidden("files")),
        ("narrow", "move_file", between("secret/s", "docs/out/s"), Forbidden("files")),
        ("narrow", "move_file", between("docs/a", "docs/out/a"), Forbidden("files")),
        ("narrow", "move_file", between("docs/out/mine", "secret/mine"), Forbidden("files")),
        ("narrow", "delete_file", path("docs/a"), Forbidden("files")),
        ("narrow", "delete_file", path("docs/link"), Forbidden("files")),
        // Files by WASI.
        ("asker", "open_with_wasi", path("/docs/a"), NOT_THERE),
        ("asker", "list_with_wasi", path("/"), NOT_THERE),
        ("asker", "list_with_wasi", path("."), NOT_THERE),
        ("narrow", "open_with_wasi", path(etc), NOT_THERE),
        ("narrow", "open_with_wasi", path("/secret/s"), NOT_THERE),
        ("narrow", "open_with_wasi", path("/docs/../secret/s"), NOT_PERMITTED),
        ("narrow", "open_with_wasi", path("/docs/link/s"), NOT_PERMITTED),
        ("narrow", "open_with_wasi", path("/docs/etc/passwd"), NOT_PERMITTED),
        ("narrow", "open_with_wasi", path("/docs/out/link"), NOT_PERMITTED),
        ("narrow", "write_with_wasi", write("/docs/a"), NOT_PERMITTED),
        ("narrow", "write_with_wasi", write("/docs/new"), NOT_PERMITTED),
        ("narrow", "write_with_wasi", write("/docs/out/link"), NOT_PERMITTED),
        ("narrow", "move_with_wasi", between("/docs/out/mine", "/docs/mine"), NOT_PERMITTED),
        ("narrow", "move_with_wasi", between("/docs/a", "/docs/out/a"), NOT_PERMITTED),
        ("narrow", "link_with_wasi", link("/etc/passwd", "/docs/out/etc"), NOT_PERMITTED),
        ("narrow", "reach_out", json!({ "address": host.url.trim_start_matches("http://") }), Refused("")),
        // Others' methods, topics and terminals.
        ("asker", "call", call("files.read"), Forbidden("methods")),
        ("narrow", "call", call("files.write"), Forbidden("methods")),
        ("narrow", "call", call("plugin.disable"), Forbidden("methods")),
        ("asker", "publish", json!({ "topic": "shared.a" }), Forbidden("publish")),
        ("narrow", "publish", json!({ "topic": "shared.a.b" }), Forbidden("publish")),
        ("narrow", "publish", json!({ "topic": "plugin.state_changed" }), Forbidden("publish")),
        ("asker", "subscribe", json!({ "pattern": "shared.a" }), Forbidden("subscribe")),
        ("narrow", "subscribe", json!({ "pattern": "shared.**" }), Forbidden("subscribe")),
        ("narrow", "subscribe", json!({ "pattern": "**" }), Forbidden("subscribe")),
        ("narrow", "open_terminal", json!({}), Forbidden("terminals")),
        ("narrow", "close_terminal", json!({ "id": "t-1" }), Forbidden("terminals")),
    ];
    let before = everything(&host.directory)?;
    let mut client = host.connect().await?;
    let mut wrong = Vec::new();
    for (plugin, function, params, comes) in table {
        let method = if plugin == "asker" { format!("asker.{function}") } else { format!("{plugin}.asker.{function}") };
        let response = client.response(&method, params.clone()).await?;
        if let Err(error) = check(&response["error"], comes) {
            wrong.push(format!("{method} {params}: {error}: {response}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(everything(&host.directory)?, before);
    Ok(())
}

fn check(error: &Value, comes: Comes) -> Result<()> {
    let data = &error["data"];
    let (code, grant) = (data["code"].as_str(), data["details"]["grant"].as_str());
    let as_expected = match comes {
        Forbidden(wanted) => code == Some("forbidden") && grant == Some(wanted),
        OutsideRoot => code == Some("outside_root"),
        Refused(text) => code == Some("application_error") && data["details"].to_string().contains(text),
        Done => error.is_null(),
    };
    ensure!(as_expected, "expected {comes:?}");
    Ok(())
}

#[tokio::test]
async fn whatever_is_granted_happens() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    let write = |path: &str| json!({ "path": path, "bytes": "eA==" });
    let path = |path: &str| json!({ "path": path });
    for (function, params) in [
        ("read_file", path("docs/a")),
        ("write_file", write("docs/out/by-import")),
        ("write_file", write("later")),
        ("open_with_wasi", path("/docs/a")),
        ("list_with_wasi", path("/docs")),
        ("write_with_wasi", write("/docs/out/by-wasi")),
        ("move_with_wasi", json!({ "from": "/docs/out/by-wasi", "to": "/docs/out/moved" })),
        // A link may be made and stays inside, wherever it points.
        ("link_with_wasi", json!({ "target": "../../secret/s", "path": "/docs/out/own-link" })),
        ("call", json!({ "method": "files.read", "params": { "path": "docs/a" } })),
        ("publish", json!({ "topic": "shared.a" })),
        ("publish", json!({ "topic": "narrow.anything.at.all" })),
        ("subscribe", json!({ "pattern": "shared.a" })),
        ("subscribe", json!({ "pattern": "narrow.**" })),
    ] {
        let response = client.response(&format!("narrow.asker.{function}"), params.clone()).await?;
        check(&response["error"], Done).with_context(|| format!("{function} {params}: {response}"))?;
    }
    for by in ["read_file", "write_file", "open_with_wasi"] {
        let params = json!({ "path": if by == "open_with_wasi" { "/docs/out/own-link" } else { "docs/out/own-link" }, "bytes": "eA==" });
        let params = if by == "write_file" { params } else { json!({ "path": params["path"] }) };
        client.fault(&format!("narrow.asker.{by}"), params).await?;
    }
    assert_eq!(std::fs::read_to_string(host.directory.join("secret/s"))?, "secret/s");
    let environment = client.call("narrow.asker.environment", json!({})).await?;
    assert_eq!(environment, json!([["HOME"], 0]));
    assert_eq!(client.call("asker.environment", json!({})).await?, json!([[], 0]));
    assert_eq!(client.call("asker.variable", json!({ "name": "PATH" })).await?, Value::Null);
    assert_ne!(client.call("narrow.asker.variable", json!({ "name": "HOME" })).await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn what_a_guest_prints_is_lines_of_its_log() -> Result<()> {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    let host = host().await?;
    let mut client = host.connect().await?;
    let long = "ü".repeat(5000);
    // A line in two parts, an empty one, bytes that are no text, one that is too long, and one without an end.
    let long_line = format!("{long}\n");
    let prints: [&[u8]; 5] = [b"one ", b"line\n\n", b"\xff!\n", long_line.as_bytes(), b"half"];
    for bytes in prints {
        client.call("asker.print", json!({ "bytes": BASE64.encode(bytes) })).await?;
    }
    let lines = async |client: &mut midplane_tests::Client| -> Result<Vec<String>> {
        let logs = client.call("plugin.logs", json!({ "name": "asker" })).await?;
        let lines = logs.as_array().context("lines")?.iter().filter(|line| line["level"] == "info");
        Ok(lines.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let printed = lines(&mut client).await?;
    assert_eq!(printed[..2], ["one line", "\u{fffd}!"]);
    assert_eq!(printed[2..].concat(), long, "broken between characters and nowhere else");
    assert!(printed[2..].iter().all(|line| line.len() <= 8192));
    client.call("plugin.disable", json!({ "name": "asker" })).await?;
    assert_eq!(lines(&mut client).await?.last().map(String::as_str), Some("half"));
    Ok(())
}

#[tokio::test]
async fn a_plugin_hears_of_changes_of_what_it_was_granted_only() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["narrow.heard"]).await?;
    client.call("narrow.asker.watch", json!({})).await?;
    // One batch of the watcher holds both.
    host.write_file("secret/new", "")?;
    host.write_file("docs/new", "")?;
    let heard = client.event_on("narrow.heard").await?;
    let changes = heard["payload"]["changes"].as_array().context("changes")?;
    assert_eq!(changes.len(), 1, "{heard}");
    assert_eq!(changes[0]["path"], "docs/new");
    std::fs::rename(host.directory.join("docs/new"), host.directory.join("secret/moved"))?;
    let heard = client.event_on("narrow.heard").await?;
    assert_eq!(
        (&heard["payload"]["changes"][0]["kind"], heard.to_string().contains("secret")),
        (&json!("deleted"), false)
    );
    Ok(())
}
