//! Edits and sets of changes: nobody's work is lost, and a killed host leaves nothing half done.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options};
use serde_json::{Value, json};

#[tokio::test]
async fn fifty_edits_of_different_lines_at_once_lose_none() -> Result<()> {
    let host = Host::start().await?;
    let lines: String = (0..50).map(|n| format!("line {n} old\n")).collect();
    host.write_file("a.txt", &lines)?;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(host.connect().await?);
    }
    let mut asked = Vec::new();
    for n in 0..50 {
        let edit = json!({ "old_text": format!("line {n} old"), "new_text": format!("line {n} new") });
        let id = clients[n % 5].send("files.edit", json!({ "path": "a.txt", "edits": [edit] })).await?;
        asked.push((n % 5, id));
    }
    for (client, id) in asked {
        let answer = clients[client].wait_for(|message| message["id"] == id).await?;
        assert_eq!(answer["result"]["replaced"], 1, "{answer}");
    }
    assert_eq!(std::fs::read_to_string(host.directory.join("a.txt"))?, lines.replace("old", "new"));
    Ok(())
}

#[tokio::test]
async fn an_edit_that_does_not_find_its_text_says_what_is_there() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    host.write_file("a.txt", "one\ntwo\ntwo\n")?;
    let edits = json!([{ "old_text": "one", "new_text": "1" }, { "old_text": "two", "new_text": "2" }]);
    let (code, error) = client.fault("files.edit", json!({ "path": "a.txt", "edits": edits })).await?;
    let details = &error["data"]["details"];
    assert_eq!(
        (code.as_str(), &details["edit"], &details["found_count"]),
        ("conflict", &json!(1), &json!(2)),
        "{error}"
    );
    let edits = json!([{ "old_text": "two", "new_text": "2", "expect_count": 2 }]);
    let dry = client.call("files.edit", json!({ "path": "a.txt", "edits": edits, "dry_run": true })).await?;
    assert_eq!(dry["diff"], "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n-two\n+2\n+2\n");
    assert_eq!(std::fs::read_to_string(host.directory.join("a.txt"))?, "one\ntwo\ntwo\n");
    let stale = json!({ "path": "a.txt", "edits": edits, "if_version": "stale" });
    let (code, error) = client.fault("files.edit", stale).await?;
    assert_eq!(code, "precondition_failed");
    let current = error["data"]["details"]["current_version"].clone();
    let done = client.call("files.edit", json!({ "path": "a.txt", "edits": edits, "if_version": current })).await?;
    assert_eq!((&done["replaced"], &done["version"]), (&json!(2), &dry["version"]), "{done}");
    Ok(())
}

#[tokio::test]
async fn a_set_of_changes_happens_as_a_whole_or_not_at_all() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    for name in ["a.txt", "b.txt", "c.txt"] {
        host.write_file(name, "old\n")?;
    }
    let edit = |path: &str| json!({ "edit": { "path": path, "edits": [{ "old_text": "old", "new_text": "new" }] } });
    let set = |last: Value| {
        json!({ "changes": [
            edit("a.txt"),
            { "move": { "from": "b.txt", "to": "moved.txt" } },
            { "write": { "path": "src/made.txt", "content": "made\n", "create_dirs": true } },
            { "mkdir": { "path": "empty" } },
            last,
        ]})
    };
    let (code, error) = client.fault("files.apply", set(edit("none.txt"))).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["change"]), ("not_found", &json!(4)), "{error}");
    let (code, error) = client.fault("files.apply", set(edit("../out"))).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["change"]), ("outside_root", &json!(4)), "{error}");
    let (code, _) = client.fault("files.apply", set(edit(".midplane/x"))).await?;
    assert_eq!(code, "forbidden", "the host's own folder is nobody else's");
    let names = |host: &Host| -> Result<Vec<String>> {
        let mut names: Vec<_> = std::fs::read_dir(&host.directory)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name != ".midplane")
            .collect();
        names.sort();
        Ok(names)
    };
    assert_eq!(names(&host)?, ["a.txt", "b.txt", "c.txt"]);
    let mut dry = set(edit("c.txt"));
    dry["dry_run"] = true.into();
    let told = client.call("files.apply", dry).await?;
    assert!(told[4]["diff"].as_str().context("diff")?.contains("-old\n+new\n"), "{told}");
    assert_eq!(std::fs::read_to_string(host.directory.join("c.txt"))?, "old\n");

    client.subscribe(&["files.changed"]).await?;
    let done = client.call("files.apply", set(edit("c.txt"))).await?;
    assert_eq!((&done[1]["kind"], &done[1]["from"]), (&json!("moved"), &json!("b.txt")), "{done}");
    assert_eq!(names(&host)?, ["a.txt", "c.txt", "empty", "moved.txt", "src"]);
    assert_eq!(std::fs::read_to_string(host.directory.join("c.txt"))?, "new\n");
    // Its changes carry the request, as those of a single write do.
    let event = client.event(|event| event["payload"].to_string().contains("moved.txt")).await?;
    assert!(event["payload"]["origin"]["request_id"].is_string(), "{event}");
    Ok(())
}

/// Lines of a file; all of them say the same number.
const LINES: usize = 500;

fn content(number: u64) -> String {
    format!("{number}\n").repeat(LINES)
}

/// The number that a file is full of.
fn number(path: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let number = text.lines().next().context("empty")?.parse()?;
    ensure!(text == content(number), "{} is a mixture", path.display());
    Ok(number)
}

/// Numbers without a pattern, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One random change; those of a set go to three files at once.
async fn change(client: &mut Client, dice: &mut Dice, next: u64) -> Result<u64> {
    let single = format!("single{}", dice.below(4));
    match dice.below(3) {
        0 => client.send("files.write", json!({ "path": single, "content": content(next) })).await,
        1 => {
            // Whichever number is there: of all that it may be, one is.
            let old = format!("{}\n", dice.below(next));
            let edit = json!({ "old_text": old, "new_text": format!("{next}\n"), "expect_count": LINES });
            client.send("files.edit", json!({ "path": single, "edits": [edit] })).await
        }
        _ => {
            let write =
                |name: &str| json!({ "write": { "path": name, "content": content(next), "create_dirs": true } });
            let changes = json!([write("set/a"), write("set/b"), write("set/sub/c")]);
            client.send("files.apply", json!({ "changes": changes })).await
        }
    }
}

/// `MIDPLANE_KILLS` says how often; a few times without it.
#[tokio::test]
async fn a_host_killed_at_any_moment_leaves_every_file_old_or_new_and_every_set_whole() -> Result<()> {
    let kills = std::env::var("MIDPLANE_KILLS").ok().map_or(Ok(6), |text| text.parse())?;
    let mut host = Host::start().await?;
    let (mut dice, mut next) = (Dice(7), 1);
    for kill in 0..kills {
        let mut client = host.connect().await?;
        let mut asked = Vec::new();
        for _ in 0..24 {
            asked.push(change(&mut client, &mut dice, next).await?);
            next += 1;
        }
        // The kill comes while those behind this one are on their way.
        let reached = asked[usize::try_from(dice.below(16))?];
        client.wait_for(|message| message["id"] == reached).await?;
        host = host.kill_and_restart().await?;
        for single in (0..4).map(|n| format!("single{n}")).filter(|name| host.directory.join(name).exists()) {
            number(&host.directory.join(single)).with_context(|| format!("kill {kill}"))?;
        }
        if host.directory.join("set").exists() {
            let [a, b, c] = ["a", "b", "sub/c"].map(|name| number(&host.directory.join("set").join(name)));
            let (a, b, c) = (a?, b?, c?);
            ensure!(a == b && b == c, "kill {kill}: half of a set: {a}, {b}, {c}");
        }
        let left = strays(&host.directory)?;
        ensure!(left.is_empty(), "kill {kill}: {left:?}");
    }
    Ok(())
}

/// Temporary files, and what stands in the folders of sets that have ended.
fn strays(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(".midplane-") || path.parent().is_some_and(|parent| parent.ends_with(".midplane/staging")) {
            found.push(path.display().to_string());
        }
        if path.is_dir() {
            found.extend(strays(&path)?);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn what_is_deleted_into_the_trash_comes_back_and_a_tree_is_copied_whole() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    std::fs::create_dir_all(host.directory.join("d/sub"))?;
    host.write_file("d/sub/a.txt", "a")?;
    std::os::unix::fs::symlink("sub/a.txt", host.directory.join("d/link"))?;
    client.call("files.copy", json!({ "from": "d", "to": "copy" })).await?;
    let text = |path: &str| std::fs::read_to_string(host.directory.join(path));
    assert_eq!(text("copy/sub/a.txt")?, "a");
    assert!(host.directory.join("copy/link").is_symlink());
    for (from, to, expected) in
        [("d", "copy", "already_exists"), ("d", "d/sub/d", "conflict"), ("none", "x", "not_found")]
    {
        let (code, error) = client.fault("files.copy", json!({ "from": from, "to": to })).await?;
        assert_eq!(code, expected, "{error}");
    }

    let deleted = client.call("files.delete", json!({ "path": "d", "trash": true })).await?;
    assert!(!host.directory.join("d").exists());
    let kept = client.call("files.list_trash", json!({})).await?;
    assert_eq!((&kept[0]["path"], &kept[0]["id"]), (&json!("d"), &deleted["id"]), "{kept}");
    host.write_file("d", "something else there")?;
    let (code, _) = client.fault("files.restore", json!({ "id": deleted["id"] })).await?;
    assert_eq!(code, "already_exists");
    let back = client.call("files.restore", json!({ "id": deleted["id"], "to": "new/place" })).await?;
    assert_eq!((&back["path"], text("new/place/sub/a.txt")?.as_str()), (&json!("new/place"), "a"));
    let (code, _) = client.fault("files.restore", json!({ "id": deleted["id"] })).await?;
    assert_eq!(code, "not_found");
    client.call("files.delete", json!({ "path": "d", "trash": true })).await?;
    let emptied = client.call("files.empty_trash", json!({})).await?;
    assert_eq!(emptied["count"], 1);
    assert_eq!(client.call("files.list_trash", json!({})).await?, json!([]));
    Ok(())
}

/// What no file system makes smaller.
fn noise(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) >> 17) as u8).collect()
}

#[tokio::test]
async fn the_trash_keeps_to_its_bytes_and_loses_the_oldest_first() -> Result<()> {
    let arguments = vec!["--trash-bytes".to_owned(), "300000".to_owned()];
    let host = Host::start_with(Options { arguments, ..Options::default() }, |_| Ok(())).await?;
    let mut client = host.connect().await?;
    for name in ["a", "b", "c", "d"] {
        std::fs::create_dir_all(host.directory.join(name).join("below"))?;
        std::fs::write(host.directory.join(name).join("below/file"), noise(120_000))?;
        client.call("files.delete", json!({ "path": name, "trash": true })).await?;
    }
    // It is looked at behind the answer.
    let paths = loop {
        let kept = client.call("files.list_trash", json!({})).await?;
        let kept = kept.as_array().context("a list")?;
        let paths: Vec<_> = kept.iter().filter_map(|entry| entry["path"].as_str().map(str::to_owned)).collect();
        if paths.len() <= 2 {
            break paths;
        }
    };
    assert_eq!(paths, ["d", "c"]);
    std::fs::write(host.directory.join("large"), noise(400_000))?;
    client.call("files.delete", json!({ "path": "large", "trash": true })).await?;
    let only_the_newest = async |client: &mut Client| -> Result<Value> {
        loop {
            let kept = client.call("files.list_trash", json!({})).await?;
            if kept.as_array().is_some_and(|kept| kept.len() <= 1) {
                return Ok(kept[0]["id"].clone());
            }
        }
    };
    let id = only_the_newest(&mut client).await?;
    client.call("files.restore", json!({ "id": id })).await?;
    assert_eq!(std::fs::metadata(host.directory.join("large"))?.len(), 400_000, "however much it is");
    Ok(())
}
