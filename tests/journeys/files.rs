use std::os::unix::fs::MetadataExt as _;

use anyhow::Result;
use midplane_tests::Host;
use serde_json::{Value, json};

#[tokio::test]
async fn files_are_written_read_listed_moved_and_deleted() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("files.mkdir", json!({ "path": "src" })).await?;
    let written = client.call("files.write", json!({ "path": "src/a.rs", "content": "fn main() {}\n" })).await?;
    assert_eq!(written["created"], true);
    let read = client.call("files.read", json!({ "path": "src/a.rs" })).await?;
    assert_eq!(read["content"], "fn main() {}\n");
    assert_eq!(read["version"], written["version"]);
    let stat = client.call("files.stat", json!({ "path": "src/a.rs" })).await?;
    assert_eq!(
        (stat["kind"].as_str(), stat["category"].as_str(), stat["size"].as_u64()),
        (Some("file"), Some("code"), Some(13))
    );
    client.call("files.move", json!({ "from": "src/a.rs", "to": "src/b.rs" })).await?;
    let list = client.call("files.list", json!({ "path": "src" })).await?;
    let names: Vec<&str> = list["entries"]
        .as_array()
        .map(|entries| entries.iter().filter_map(|e| e["name"].as_str()).collect())
        .unwrap_or_default();
    assert_eq!(names, ["b.rs"]);
    assert_eq!(std::fs::read_to_string(host.directory.join("src/b.rs"))?, "fn main() {}\n");
    client.call("files.delete", json!({ "path": "src", "recursive": true })).await?;
    let (code, _) = client.fault("files.stat", json!({ "path": "src" })).await?;
    assert_eq!(code, "not_found");
    Ok(())
}

#[tokio::test]
async fn two_writers_with_one_version_cannot_lose_each_others_work() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let first = client.call("files.write", json!({ "path": "a.txt", "content": "one" })).await?;
    let version = &first["version"];
    let second =
        client.call("files.write", json!({ "path": "a.txt", "content": "two", "if_version": version })).await?;
    let (code, error) =
        client.fault("files.write", json!({ "path": "a.txt", "content": "three", "if_version": version })).await?;
    assert_eq!(code, "precondition_failed");
    assert_eq!(error["data"]["details"]["current_version"], second["version"]);
    assert_eq!(std::fs::read_to_string(host.directory.join("a.txt"))?, "two");
    Ok(())
}

#[tokio::test]
async fn nothing_outside_the_served_directory_is_reached() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    std::os::unix::fs::symlink("/etc", host.directory.join("link"))?;
    for path in ["../data/token", "/etc/passwd", "a/../../x", "link/passwd"] {
        let (code, _) = client.fault("files.read", json!({ "path": path })).await?;
        assert_eq!(code, "outside_root", "{path}");
    }
    let (code, _) = client.fault("files.write", json!({ "path": "../evil", "content": "" })).await?;
    assert_eq!(code, "outside_root");
    Ok(())
}

#[tokio::test]
async fn an_edit_by_another_program_arrives_as_files_changed() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    host.write_file("notes.txt", "by an editor")?;
    let event = client.event_on("files.changed").await?;
    let change = &event["payload"]["changes"][0];
    assert_eq!((change["kind"].as_str(), change["path"].as_str()), (Some("created"), Some("notes.txt")));

    // A client's own write carries the request that made it.
    client.call("files.write", json!({ "path": "own.txt", "content": "x" })).await?;
    let own = client.event(|event| event["payload"]["changes"][0]["path"] == "own.txt").await?;
    assert!(own["payload"].to_string().contains("request_id"), "{own}");
    Ok(())
}

#[tokio::test]
async fn what_the_rules_ignore_is_listed_when_asked_for_and_every_entry_says_so_and_whose_it_is() -> Result<()> {
    let host = Host::start().await?;
    for folder in ["target/debug", "src/gen"] {
        std::fs::create_dir_all(host.directory.join(folder))?;
    }
    for (path, content) in [
        (".gitignore", "target/\n*.log\n"),
        ("src/.gitignore", "/gen/*\n!keep.log\n"),
        ("src/a.rs", ""),
        ("src/a.log", ""),
        ("src/keep.log", ""),
        ("src/gen/b.rs", ""),
        ("target/debug/c", ""),
    ] {
        host.write_file(path, content)?;
    }
    let mut client = host.connect().await?;
    let mut listed = async |params| -> Result<Vec<(String, bool)>> {
        let page = client.call("files.list", params).await?;
        let entries = page["entries"].as_array().cloned().unwrap_or_default();
        let told = |entry: &Value| (entry["path"].as_str().unwrap_or_default().to_owned(), entry["ignored"] == true);
        Ok(entries.iter().map(told).collect())
    };
    let told = |entries: &[(&str, bool)]| -> Vec<_> {
        entries.iter().map(|(path, ignored)| ((*path).to_owned(), *ignored)).collect()
    };
    let without = [("src", false), ("src/a.rs", false), ("src/gen", false), ("src/keep.log", false)];
    assert_eq!(listed(json!({ "depth": 9 })).await?, told(&without));
    let with = [
        ("src", false),
        ("src/a.log", true),
        ("src/a.rs", false),
        ("src/gen", false),
        ("src/gen/b.rs", true),
        ("src/keep.log", false),
        ("target", true),
        ("target/debug", true),
        ("target/debug/c", true),
    ];
    assert_eq!(listed(json!({ "depth": 9, "ignored": true })).await?, told(&with));
    let named = listed(json!({ "path": "target", "depth": 2 })).await?;
    assert_eq!(named, told(&[("target/debug", true), ("target/debug/c", true)]), "who names it wants to see it");
    let named = listed(json!({ "path": "target/debug", "limit": 1, "cursor": "target/debug/b" })).await?;
    assert_eq!(named, told(&[("target/debug/c", true)]));

    for (path, ignored) in [("target/debug/c", true), ("target", true), ("src/keep.log", false), (".", false)] {
        assert_eq!(client.call("files.stat", json!({ "path": path })).await?["ignored"], ignored, "{path}");
    }
    let facts = std::fs::metadata(host.directory.join("src/a.rs"))?;
    let stat = client.call("files.stat", json!({ "path": "src/a.rs" })).await?;
    assert_eq!((&stat["owner"]["uid"], &stat["owner"]["gid"]), (&json!(facts.uid()), &json!(facts.gid())), "{stat}");
    let page = host.get_json("/api/v1/files?path=src&ignored=true").await?;
    assert_eq!((&page["entries"][0]["path"], &page["entries"][0]["owner"]), (&json!("src/a.log"), &stat["owner"]));
    // The machine's own names, if it has any for whoever runs this.
    let user = std::process::Command::new("id").arg("-un").output()?;
    if user.status.success() {
        assert_eq!(stat["owner"]["user"], String::from_utf8(user.stdout)?.trim(), "{stat}");
    }

    let (code, out, err) = host.cli(&["files", "ls", "src"]).await?;
    assert_eq!((code, &*out), (0, "src/a.rs\nsrc/gen/\nsrc/keep.log\n"), "{err}");
    let (_, out, _) = host.cli(&["files", "ls", "--ignored", "-l"]).await?;
    let last = out.lines().last().unwrap_or_default();
    assert!(last.starts_with("drwx") && last.ends_with("target/ (ignored)"), "{out}");
    let (_, out, _) = host.cli(&["files", "ls", "src/*.log"]).await?;
    assert_eq!(out, "src/a.log\nsrc/keep.log\n", "a pattern names them");
    let (_, out, _) = host.cli(&["files", "ls", "**/*.log"]).await?;
    assert_eq!(out, "src/keep.log\n");
    Ok(())
}

#[tokio::test]
async fn odd_names_and_names_that_are_not_utf8_are_names_like_any_other() -> Result<()> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let host = Host::start().await?;
    std::fs::create_dir(host.directory.join("d"))?;
    let on_disk = |name: &[u8]| host.directory.join(OsStr::from_bytes(name));
    for (name, text) in [(&b"d/\xff"[..], "\u{efff}"), (b"d/gr\xfcn", "gr\u{effc}n"), (b"\xfe", "\u{effe}")] {
        std::fs::write(on_disk(name), text)?;
    }
    let long = "n".repeat(255);
    for name in ["new\nline", " spaces ", "-dash", "gr\u{fc}n \u{1f600}", "back\\slash", &long] {
        host.write_file(&format!("d/{name}"), name)?;
    }
    let mut client = host.connect().await?;
    let first = client.call("files.list", json!({ "depth": 2, "limit": 3 })).await?;
    let rest = client.call("files.list", json!({ "depth": 2, "cursor": first["next_cursor"] })).await?;
    let counts = [&first, &rest].map(|page| page["entries"].as_array().map(Vec::len));
    assert_eq!(counts, [Some(3), Some(7)], "{first} {rest}");
    for entry in first["entries"].as_array().into_iter().chain(rest["entries"].as_array()).flatten().skip(1) {
        let read = client.call("files.read", json!({ "path": entry["path"] })).await?;
        assert_eq!(read["content"], entry["name"]);
    }
    let (code, out, err) = host.cli(&["files", "ls", "d"]).await?;
    assert_eq!((code, out.lines().count()), (0, 8), "{out}{err}");
    let (code, out, err) = host.cli(&["files", "cat", "d/new\nline", "d/-dash", "d/back\\slash"]).await?;
    assert_eq!((code, &*out), (0, "new\nline-dashback\\slash"), "{err}");

    let found = client.call("files.search", json!({ "query": "gr\u{effc}n" })).await?;
    assert_eq!(found["files"][0]["path"], "d/gr\u{effc}n", "{found}");
    client.call("event.subscribe", json!({ "patterns": ["files.changed"] })).await?;
    std::fs::write(on_disk(b"later\xfc"), "")?;
    let told = |event: &Value| {
        let changes = event["payload"]["changes"].as_array();
        changes.is_some_and(|changes| changes.iter().any(|change| change["path"] == "later\u{effc}"))
    };
    client.event(told).await?;
    let (code, _, err) = host.cli(&["files", "mv", "d/gr\u{effc}n", "d/gr\u{fc}n"]).await?;
    assert_eq!(
        (code, std::fs::read_to_string(on_disk("d/gr\u{fc}n".as_bytes()))?.as_str()),
        (0, "gr\u{effc}n"),
        "{err}"
    );
    assert!(!on_disk(b"d/gr\xfcn").exists());
    Ok(())
}
